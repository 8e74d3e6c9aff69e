"""A report card resumes after an interruption, holds every measure, and refuses damaged parts."""

import json
import os

import numpy as np
import pytest

from helpers.checkpoints import PRETRAINED, PRETRAINED_NOISE, load_denoiser, save_denoiser
from helpers.evaluation import measures
from helpers.evaluation.report_card import REPORT, describe_run, load_report, report_rows
from helpers.sampling.sampler import SamplerSettings, Samples, sample
from helpers.tools.files import write_record
from helpers.tools.locks import held
from helpers.workshop import reporting
from helpers.workshop.reporting import evaluate, work_folder
from tests.conftest import OF_DIGITS, said
from tests.evaluation.conftest import few_images


@pytest.fixture
def few_mnist(mnist, monkeypatch):
    few = few_images(mnist)
    monkeypatch.setattr("helpers.data.VALIDATION_IMAGES", 500)
    for module in (measures, reporting):
        monkeypatch.setattr(module, "load_mnist", lambda: few)
    return few


@pytest.fixture
def network(lively_denoiser, tmp_path):
    """The folder of a tiny network of digits."""
    save_denoiser(tmp_path / "network", lively_denoiser, OF_DIGITS, [])
    return tmp_path / "network"


def test_an_unfinished_report_belongs_to_one_run():
    runs = [
        describe_run(network, load_denoiser(network), images, seed)
        for network in (PRETRAINED, PRETRAINED_NOISE)
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

    monkeypatch.setattr(reporting, "CHUNK", 250)
    monkeypatch.setattr(reporting, "sample", draw)
    monkeypatch.setattr(reporting, "Evaluation", lambda images, labels, seed: images)
    monkeypatch.setattr(reporting, "MEASURES", {name: measure(name) for name in ("first", "second")})
    arguments = (network, 500, 3, tmp_path / "work", False)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            evaluate(*arguments)
    report = evaluate(*arguments)
    assert calls == ["sample 0", "sample 250", "sample 250", "first", "second", "second"]
    assert report["first"] == report["second"] == {"last": 499.0}
    assert report["images"] == 500 and report["seed"] == 3


@pytest.mark.parametrize("seconds", [None, [], 3, {"sampling": "3"}, {"sampling": float("nan")}, {"first": -1}])
def test_unfinished_figures_of_another_form(seconds, network, tmp_path):
    run = describe_run(network, load_denoiser(network), 500, 0)
    write_record(work_folder(run, tmp_path) / "figures.json", {"seconds": seconds})
    with pytest.raises(ValueError, match="figures.json is damaged .*; delete it to make it again") as raised:
        evaluate(network, 500, 0, tmp_path, progress=False)
    said(raised)


@pytest.mark.parametrize(
    "array",
    [np.zeros(3), np.zeros((499, 28, 28, 1), np.float32), np.array("text"), np.zeros((500, 28, 28, 3), np.float32)],
    ids=lambda array: str(array.shape),
)
def test_unfinished_images_of_another_form(array, network, tmp_path):
    work = work_folder(describe_run(network, load_denoiser(network), 500, 0), tmp_path)
    work.mkdir(parents=True)
    np.save(work / "images-00000.npy", array)
    with pytest.raises(ValueError, match="images-00000.npy is damaged .*; delete it to make it again") as raised:
        evaluate(network, 500, 0, tmp_path, progress=False)
    said(raised)


def test_a_second_evaluation_of_the_same_is_refused(network, tmp_path):
    work = work_folder(describe_run(network, load_denoiser(network), 500, 0), tmp_path)
    with held(work), pytest.raises(ValueError, match=f"is in use by process {os.getpid()} on ") as raised:
        evaluate(network, 500, 0, tmp_path, progress=False)
    said(raised)


@pytest.mark.slow  # test_measures has each of the measures
def test_a_report_holds_every_measure_and_can_be_loaded(network, tmp_path, monkeypatch, few_mnist):
    monkeypatch.setattr(measures, "training_value", lambda *_, **__: 0.5)  # would train four classifiers
    two_steps = lambda *arguments, **options: sample(*arguments, SamplerSettings(steps=2), **options)  # noqa: E731
    monkeypatch.setattr(reporting, "sample", two_steps)
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
