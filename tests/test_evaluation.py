"""The report card: complete, of the shipped weights, resumable, and able to find what it looks for."""

import json

import numpy as np
import pytest

import helpers.evaluation as evaluation
from helpers.checkpoints import SHIPPED
from helpers.evaluation import (
    FLOOR_DRAWS,
    MEASURES,
    README,
    Evaluation,
    bootstrap_interval,
    describe_run,
    load_report,
    markdown_table,
    readme_with_table,
    report_file,
    report_rows,
    work_folder,
)
from helpers.files import ASSETS

NETWORKS = [SHIPPED, ASSETS / "unet-noise"]
MEASURED_FAST = {"digits", "frechet", "coverage"}


@pytest.fixture(scope="module")
def real_as_generated(mnist):
    """Training images with the labels of the first 1,000 test images, as if a perfect model had drawn them."""
    from helpers.data import to_model_range, training_split
    from helpers.metrics import draw_with_counts

    images, labels = training_split(mnist)
    wanted = mnist.test_labels[:1000].astype(np.int32)
    return to_model_range(images[draw_with_counts(labels, wanted, 77)]).numpy(), wanted


@pytest.fixture(scope="module")
def measured(real_as_generated):
    return Evaluation(*real_as_generated, seed=0)


@pytest.mark.parametrize("weights", NETWORKS, ids=lambda path: path.name)
def test_the_shipped_report_is_complete_and_of_these_weights(weights):
    report = load_report(weights)  # refuses a report of other weights
    assert report["images"] == 10_000 and set(MEASURES) <= set(report)
    assert report["measured_by"] == describe_run(weights, 10_000, 0)["measured_by"]
    assert report["sampler"] == describe_run(weights, 10_000, 0)["sampler"]


def test_readme_shows_the_reports_and_nothing_typed():
    text = README.read_text()
    assert readme_with_table(text) == text
    with pytest.raises(ValueError, match="once each"):
        readme_with_table("no markers")


def test_a_report_of_other_weights_is_refused(tmp_path):
    with pytest.raises(ValueError, match="missing or damaged"):
        load_report(tmp_path)
    (tmp_path / "unet.weights.h5").write_bytes(b"other weights")
    (tmp_path / "evaluation.json").write_text(report_file(SHIPPED).read_text())
    with pytest.raises(ValueError, match="other weights"):
        load_report(tmp_path)


def test_real_images_get_the_marks_of_real_images(measured):
    assert measured.digits()["share"] > 0.98
    assert 0.5 < measured.frechet()["ratio"] < 1.6
    assert 0.95 < measured.coverage()["share"] < 1.05
    assert len(measured.draws) == FLOOR_DRAWS and len({tuple(draw) for draw in measured.draws}) == FLOOR_DRAWS
    assert all((measured.train_labels[draw] == measured.labels).all() for draw in measured.draws)


def test_training_images_are_found_out_as_copies(measured):
    for space, found in measured.copies().items():
        assert found["share_closer"] == 1.0 and found["auc"] > 0.99 and found["flagged"], space
        closest = found["closest"]
        pairs = zip(measured.images[closest["generated"]], measured.train_images[closest["training"]], strict=True)
        assert all(np.array_equal(generated, training) for generated, training in pairs)


def test_a_hundred_copies_among_ten_thousand_are_flagged(mnist):
    """Test images, as honest as can be, of which 100 are replaced by training images, slightly blurred by noise."""
    from helpers.classifier import extract_features, load_classifier
    from helpers.data import to_model_range, training_split
    from helpers.metrics import draw_with_counts

    images, labels = to_model_range(mnist.test_images).numpy(), mnist.test_labels.astype(np.int32)
    honest = Evaluation(images.copy(), labels, seed=0)
    assert not honest._nearest(honest.features, honest.test_features, honest.train_features)["flagged"]
    train_images, train_labels = training_split(mnist)
    planted = np.arange(0, 10_000, 100)
    copies = to_model_range(train_images[draw_with_counts(train_labels, labels[planted], 5)]).numpy()
    images[planted] = np.clip(copies + np.random.default_rng(0).normal(0, 0.01, copies.shape), -1, 1)
    honest.images, honest.features = images, extract_features(load_classifier("features"), images)
    for space, found in honest.copies().items():
        assert found["flagged"] and found["share_closer"] > 0.017, space
        assert set(found["closest"]["generated"]) <= set(planted.tolist()), space


def test_clip_reads_generated_and_real(measured):
    found = measured.clip()
    for name in ("generated", "real"):
        low, high = found[name]["interval"]
        assert (
            low <= found[name]["share"] <= high and found[name]["share"] > 0.95 and len(found[name]["per_digit"]) == 10
        )


def test_bootstrap_interval_is_about_the_normal_one():
    values = np.random.default_rng(0).normal(3, 2, 2_000)
    low, high = bootstrap_interval(values)
    assert low == pytest.approx(values.mean() - 1.96 * 2 / np.sqrt(2_000), abs=0.015)
    assert high == pytest.approx(values.mean() + 1.96 * 2 / np.sqrt(2_000), abs=0.015)
    assert bootstrap_interval(np.ones(5)) == (1, 1)
    for wrong in ([1.0], [[1.0, 2.0]], [1.0, np.nan]):
        with pytest.raises(ValueError, match="values must be"):
            bootstrap_interval(wrong)


def test_an_interrupted_report_goes_on_where_it_was(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(evaluation, "CHUNK", 250)
    for name in set(MEASURES) - MEASURED_FAST:  # the others take a minute
        monkeypatch.delitem(evaluation.MEASURES, name)
    draw, calls = evaluation.sample, []

    def interrupted_once(*arguments, **options):
        calls.append(options["numbers"][0])
        if len(calls) == 2:
            raise KeyboardInterrupt
        options["steps"] = 2
        return draw(*arguments, **options)

    monkeypatch.setattr(evaluation, "sample", interrupted_once)
    arguments = ["--images", "500", "--work", str(tmp_path / "work"), "--out", str(tmp_path / "report.json")]
    monkeypatch.setattr(evaluation, "report_rows", lambda report: [("images", str(report["images"]))])
    monkeypatch.setattr(evaluation, "describe_run", lambda *run: {"images": run[1], "seed": run[2]})
    assert evaluation.main(arguments) == 130
    assert "run the same command again" in capsys.readouterr().out
    assert evaluation.main(arguments) == 0
    assert calls == [0, 250, 250]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["images"] == 500 and set(report) >= MEASURED_FAST
    assert list((tmp_path / "work").iterdir()) == []


def test_work_of_another_run_is_never_gone_on_with():
    runs = [describe_run(weights, images, seed) for weights in NETWORKS for images in (500, 1000) for seed in (0, 1)]
    assert len({work_folder(run, "work") for run in runs}) == 8


def test_refused_before_any_work(tmp_path, capsys):
    for arguments, message in (
        (["--images", "100"], "images must be in 500..10000"),
        (["--weights", str(tmp_path)], "missing"),
    ):
        assert evaluation.main([*arguments, "--work", str(tmp_path / "work")]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "work").exists()


def test_the_table_shows_what_the_report_holds():
    report = load_report()
    rows = dict(report_rows(report))
    assert f"{report['digits']['share']:.2%}" in rows["digit accuracy, by a CNN that made no choice"]
    table = markdown_table({"one": report, "other": report})
    assert (
        table.startswith("| measure | one | other |\n| --- | --- | --- |\n")
        and len(table.splitlines()) == len(rows) + 2
    )
