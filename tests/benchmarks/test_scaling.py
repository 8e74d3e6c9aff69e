"""The report, from stand-ins; one measurement that runs."""

import os

import pytest

from helpers.training.objective import TrainingConfig
from helpers.unet import build_unet
from tests.benchmarks import scaling
from tests.benchmarks.scaling import Measured
from tests.conftest import TINY
from tests.maintenance.browser import free_ports


def test_the_report_compares_what_was_measured(monkeypatch, capsys):
    asked = []

    def stand_in(tasks):
        asked.append([task[:2] for task in tasks])
        if len(tasks) == 2:
            assert all("TF_CONFIG" not in task and task[2].count("127.0.0.1") == 2 for task in tasks)
            return [Measured(0.30, 0.02, 2_000_000), Measured(0.32, 0.008, 2_000_000)]  # the slower one counts
        return [Measured(0.50 if len(tasks[0][0]) == 1 else 0.256, 0.0, 2_000_000)]

    monkeypatch.setattr(scaling, "measure_apart", stand_in)
    monkeypatch.setattr(scaling.os, "sched_getaffinity", lambda _: {3, 5, 7}, raising=False)
    assert scaling.main(["--steps", "20"]) == 0
    assert asked == [[([3], 20)], [([3, 5], 20)], [([3], 20), ([5], 20)]]
    assert TrainingConfig().batch_size == 64
    figures = [line[52:].strip() for line in capsys.readouterr().out.splitlines()[1:]]
    assert figures == [
        "128 images/s",
        "250 images/s",
        "200 images/s",
        "80%",
        "78%",
        "2.00 MB",
        "20.0 ms, 6.2% of a step",
    ]
    monkeypatch.setattr(scaling.os, "sched_getaffinity", lambda _: {0}, raising=False)
    assert scaling.main([]) == 2
    assert capsys.readouterr().err == "error: this needs two cores that a process can be bound to, as on Linux.\n"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="processes can't be bound to cores")
def test_two_workers_are_measured_for_real():
    """On a machine with one core it runs too, with both workers on that core."""
    cores, ports = sorted(os.sched_getaffinity(0)), free_ports(2)
    tasks = [([core], 1, scaling.loopback_cluster(ports, i), TINY) for i, core in enumerate((cores[0], cores[-1]))]
    first, second = scaling.measure_apart(tasks)
    assert first.gradient_bytes == second.gradient_bytes == 4 * build_unet(TINY).count_params()
    assert 0 < first.communication and 0 < first.seconds
