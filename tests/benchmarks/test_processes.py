"""A process of its own has a peak of its own."""

import os

import numpy as np

from tests.benchmarks.processes import alone


def allocate(mebibytes):
    return int(np.ones(mebibytes * 2**17).sum() / 2**17), os.getpid()


def test_alone_is_another_process_with_a_peak_of_its_own():
    (small, process), peak = alone(allocate, 1)
    (large, _), larger = alone(allocate, 400)
    assert (small, large) == (1, 400) and process != os.getpid()
    assert 0.25 < larger - peak < 0.55
