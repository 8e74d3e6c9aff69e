"""Training ends at the target."""

import dataclasses

import numpy as np

from helpers.sampling.sampler import Samples
from tests.benchmarks import time_to_quality
from tests.conftest import TINY


def test_time_to_quality_stops_at_the_target(monkeypatch, capsys, uncompiled):
    monkeypatch.setattr(time_to_quality, "UNetConfig", lambda: TINY)
    monkeypatch.setattr(time_to_quality, "QUICK", dataclasses.replace(time_to_quality.QUICK, steps=4, batch_size=4))
    monkeypatch.setattr(time_to_quality, "sample", lambda *_, **__: Samples(np.zeros((10, 28, 28, 1)), None))
    answers = iter([0.5, 0.993, 1.0])
    monkeypatch.setattr(time_to_quality, "digit_accuracy", lambda *_: next(answers))
    updates, seconds, accuracy = time_to_quality.time_to_quality(every=1)
    assert (updates, accuracy) == (3, 0.993) and seconds > 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_missed_target_is_named(monkeypatch, capsys):
    monkeypatch.setattr(time_to_quality, "alone", lambda _: ((2_400, 300.0, 0.98), 1.25))
    assert time_to_quality.main([]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert printed == "98.0% after 2400 updates 5.0 minutes, 1.25 GiB: 99% was not reached"
