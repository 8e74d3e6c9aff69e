"""The report card: complete, of the pre-trained weights, resumable, and shown as it is. Its measures: test_measures."""

import json

import numpy as np
import pytest

from helpers.checkpoints import PRETRAINED, PRETRAINED_NOISE, load_denoiser, save_denoiser
from helpers.evaluation import measures, report_card
from helpers.evaluation.measures import MEASURES
from helpers.evaluation.report_card import (
    REPORT,
    describe_run,
    evaluate,
    load_report,
    markdown_table,
    report_rows,
    work_folder,
)
from helpers.sampling.sampler import SamplerSettings, Samples, sample
from helpers.tools.files import sha256_of_file, write_record

NETWORKS = (PRETRAINED, PRETRAINED_NOISE)


@pytest.fixture
def network(lively_denoiser, tmp_path):
    """The folder of a tiny network of digits."""
    save_denoiser(tmp_path / "network", lively_denoiser, {"data": "MNIST"}, [])
    return tmp_path / "network"


@pytest.fixture(scope="module")
def pretrained():
    return {network: load_denoiser(network) for network in NETWORKS}


@pytest.mark.parametrize("network", NETWORKS, ids=lambda path: path.name)
def test_the_pretrained_report_is_complete_and_of_these_weights(network, pretrained):
    report = load_report(network)  # refuses a report of other weights
    run = describe_run(network, pretrained[network], 10_000, 0)
    assert set(MEASURES) <= set(report)
    assert {name: report[name] for name in run} == run


def test_a_report_of_other_weights_is_refused(tmp_path):
    with pytest.raises(ValueError, match=f"missing or damaged.*python -m helpers evaluate {tmp_path}`"):
        load_report(tmp_path)
    (tmp_path / "unet.weights.h5").write_bytes(b"other weights")
    (tmp_path / REPORT).write_text((PRETRAINED / REPORT).read_text())
    with pytest.raises(ValueError, match="other weights"):
        load_report(tmp_path)


def test_a_report_of_another_sampler_is_refused(monkeypatch):
    monkeypatch.setattr(report_card, "SamplerSettings", lambda: SamplerSettings(guidance_scale=7.0))
    with pytest.raises(ValueError, match="another sampler than today's default; make it with"):
        load_report()


def test_an_unfinished_report_belongs_to_one_run(pretrained):
    runs = [
        describe_run(network, denoiser, images, seed)
        for network, denoiser in pretrained.items()
        for images in (500, 1000)
        for seed in (0, 1)
    ]
    assert len({work_folder(run, "work") for run in runs}) == 8


def test_an_interrupted_report_resumes_where_it_stopped(network, tmp_path, monkeypatch, few_mnist):
    """Ctrl-C while the second chunk is drawn, then in the second measure: nothing finished is made again."""
    calls, interruptions = [], {"sample 250", "second"}

    def note(call):
        calls.append(call)
        if call in interruptions:
            interruptions.remove(call)
            raise KeyboardInterrupt

    def draw(denoiser, labels, *, seed, sample_ids):
        note(f"sample {sample_ids[0]}")
        np.testing.assert_array_equal(labels, few_mnist.test_labels[sample_ids])
        return Samples(sample_ids.reshape(-1, 1, 1, 1) * np.ones((1, 28, 28, 1), np.float32), None)

    def measure(name):
        def of(images):
            note(name)
            return {"last": float(images[-1].mean())}

        return of

    monkeypatch.setattr(report_card, "CHUNK", 250)
    monkeypatch.setattr(report_card, "sample", draw)
    monkeypatch.setattr(report_card, "Evaluation", lambda images, labels, seed: images)
    monkeypatch.setattr(report_card, "MEASURES", {name: measure(name) for name in ("first", "second")})
    arguments = (network, 500, 3, tmp_path / "work", False)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            evaluate(*arguments)
    report = evaluate(*arguments)
    assert calls == ["sample 0", "sample 250", "sample 250", "first", "second", "second"]
    assert report["first"] == report["second"] == {"last": 499.0}
    assert report["images"] == 500 and report["seed"] == 3


def test_a_report_is_loaded_beside_its_weights_if_it_is_complete(network):
    report = load_report() | {"weights_sha256": sha256_of_file(network / "unet.weights.h5")}
    write_record(network / REPORT, report)
    assert load_report(network) == report
    del report["copies"]
    write_record(network / REPORT, report)
    with pytest.raises(ValueError, match="incomplete"):
        load_report(network)


@pytest.mark.slow  # test_measures has each of the measures
def test_a_report_holds_every_measure_and_can_be_loaded(network, tmp_path, monkeypatch, few_mnist):
    monkeypatch.setattr(measures, "training_value", lambda *_, **__: 0.5)  # would train four classifiers
    two_steps = lambda *arguments, **options: sample(*arguments, SamplerSettings(steps=2), **options)  # noqa: E731
    monkeypatch.setattr(report_card, "sample", two_steps)
    report = evaluate(network, 500, 0, tmp_path / "work", progress=False)
    write_record(network / REPORT, report)
    assert load_report(network) == json.loads(json.dumps(report))
    assert {"500", "50.00%"} <= set(dict(report_rows(report)).values())


def test_refused_before_any_work(network, tmp_path):
    with pytest.raises(ValueError, match=r"images must be a whole number in 500\.\.10000, not 100"):
        evaluate(network, 100, 0, tmp_path / "work")
    with pytest.raises(ValueError, match="is not a trained network"):
        evaluate(tmp_path, 500, 0, tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_the_table_shows_what_the_report_holds():
    report = load_report()
    rows = dict(report_rows(report))
    assert rows["generated images"] == "10,000"
    for shown in (f"{report['digits']['share']:.2%}", f"{report['frechet']['ratio']:.2f}"):
        assert any(figure.startswith(shown) for figure in rows.values())
    table = markdown_table({"one": report, "other": report})
    assert table.startswith("| measure | one | other |\n| --- | --- | --- |\n")
    assert len(table.splitlines()) == len(rows) + 2
