"""The benchmark's parts run and measure; how fast is for `python -m helpers.benchmark` to say, not for a test."""

import dataclasses
import os
import re

import numpy as np

import helpers.benchmark as benchmark
import helpers.peers as peers
from helpers.benchmark import alone, main, time_to_quality, training_figures
from helpers.checkpoints import load_unet
from helpers.sampling import Samples


def allocate(mebibytes):
    return int(np.ones(mebibytes * 2**17).sum() / 2**17), os.getpid()


def test_alone_is_another_process_with_a_peak_of_its_own():
    (small, process), peak = alone(allocate, 1)
    (large, _), larger = alone(allocate, 400)
    assert (small, large) == (1, 400) and process != os.getpid()
    assert 0.25 < larger - peak < 0.55


def test_training_is_measured():
    images_per_second, waiting = training_figures("float32", steps=2, warm_up=1)
    assert images_per_second > 0 and 0 < waiting < 1


def test_time_to_quality_stops_at_the_target(monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "QUICK", dataclasses.replace(benchmark.QUICK, steps=8, batch_size=4))
    monkeypatch.setattr(benchmark, "sample", lambda *_, **__: Samples(np.zeros((10, 28, 28, 1)), None))
    answers = iter([0.5, 0.993, 1.0])
    monkeypatch.setattr(benchmark, "digit_accuracy", lambda *_: next(answers))
    updates, seconds, accuracy = time_to_quality(every=2)
    assert (updates, accuracy) == (6, 0.993) and seconds > 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_peers_have_as_many_parameters_and_run():
    parameters = load_unet()[0].count_params()
    assert abs(peers.count_parameters(peers.peer_unet(parameters)) / parameters - 1) < 0.2
    assert peers.peer_training_images_per_second(parameters, steps=1) > 0
    assert peers.grid_seconds("ddim", 1) > 0 and peers.peer_grid_seconds("ddim", 1, parameters) > 0


def test_without_chromium_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert main(["--widgets"]) == 2
    assert re.fullmatch(r"error: .* isn't installed; .*\n", capsys.readouterr().err)


def test_refuses(capsys):
    assert main(["--repeats", "0"]) == 2
    assert capsys.readouterr().err == "error: --repeats must be at least 1, not 0.\n"
