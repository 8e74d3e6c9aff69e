"""The report card: complete, of the shipped weights, resumable, and shown as it is. Its measures: test_measures.py."""

import hashlib
import json

import pytest

import helpers.evaluation as evaluation
import helpers.measures as measures
from helpers.checkpoints import SHIPPED
from helpers.evaluation import (
    MEASURES,
    README,
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


def once(function):
    """The function, but for the same training images it gives again what it gave the first time."""
    kept = {}

    def remembering(network, images):
        if len(images) != 55_000:
            return function(network, images)
        digest = hashlib.sha256(images).hexdigest()
        if digest not in kept:
            kept[digest] = function(network, images)
        return kept[digest]

    return remembering


@pytest.fixture(scope="module", autouse=True)
def training_images_are_read_once():
    """Every report wants the features of the 55,000 training images: half a minute each time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measures, "extract_features", once(measures.extract_features))
        yield


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
    with pytest.raises(ValueError, match=f"missing or damaged.*--weights {tmp_path}`"):
        load_report(tmp_path)
    (tmp_path / "unet.weights.h5").write_bytes(b"other weights")
    (tmp_path / "evaluation.json").write_text(report_file(SHIPPED).read_text())
    with pytest.raises(ValueError, match="other weights"):
        load_report(tmp_path)


def test_a_report_of_another_sampler_is_refused(monkeypatch):
    monkeypatch.setitem(evaluation.sample.__kwdefaults__, "guidance_scale", 7.0)
    with pytest.raises(ValueError, match="another sampler than today's default; make it with"):
        load_report()


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
