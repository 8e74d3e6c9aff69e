"""The model of more machines, by hand; the report, from stand-ins; one measurement that runs."""

import pytest

import helpers.scaling as scaling
from helpers.benchmark import main
from helpers.browser import free_ports
from helpers.objective import TrainingConfig
from helpers.scaling import Measured, communication_seconds, modelled_rate, table
from helpers.unet import UNetConfig, build_unet


def test_ring_all_reduce_by_hand():
    """A ring of n passes n - 1 pieces on to add them up, and n - 1 to tell the sums, each an n-th of the whole."""
    for workers in (2, 8, 64):
        seconds_of_a_piece = 2_500_000 / workers * 8 / 10e9
        assert communication_seconds(workers, 2_500_000, 10) == pytest.approx(2 * (workers - 1) * seconds_of_a_piece)
    assert communication_seconds(1, 2_500_000, 10) == 0
    assert communication_seconds(2, 1_250_000, 10) == pytest.approx(1e-3)  # 10 Gbit/s: 1.25 MB in a millisecond


def test_modelled_rate_by_hand():
    # 100 images at 400 a second: 250 ms of work; 312.5 MB at 10 Gbit/s between two: 250 ms of communication.
    together, share = modelled_rate(2, 312_500_000, 10, images_each=100, rate=400)
    assert (together, share) == (pytest.approx(400), pytest.approx(0.5))
    assert modelled_rate(1, 312_500_000, 10, 100, 400) == (pytest.approx(400), pytest.approx(1))


def test_the_table_says_that_it_is_computed_how_and_of_what():
    text = table(rate=400.0, gradient_bytes=312_500_000, batch_size=100, cores=2)
    assert text.startswith("computed, not measured") and "2 (n - 1) / n * bytes of gradients" in text
    assert "left out: latency" in text
    rows = [line.split() for line in text.splitlines()[-6:]]
    assert [(row[0], row[1]) for row in rows] == [(n, g) for n in ("2", "8", "64") for g in ("10", "100")]
    assert rows[0][2:] == ["250.00", "ms", "400", "images/s,", "50%", "267", "images/s,", "33%"]
    # 64 workers, 100 Gbit/s: 49.2 ms beside 250 ms of work, or beside 3.9 ms if the 100 images are shared out.
    assert rows[5][2:] == ["49.22", "ms", "21,389", "images/s,", "84%", "1,882", "images/s,", "7%"]


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
    assert main(["--scaling", "--repeats", "2"]) == 0
    assert asked == [[([3], 20)], [([3, 5], 20)], [([3], 20), ([5], 20)]]
    assert TrainingConfig().batch_size == 64
    figures = [line[52:].strip() for line in capsys.readouterr().out.splitlines()[1:8]]
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
    assert main(["--scaling"]) == 2
    assert capsys.readouterr().err == "error: --scaling needs two cores that a process can be bound to, as on Linux.\n"


def test_two_workers_are_measured_for_real():
    """On one core, where there are no two, it runs too: how fast it does is for the command to say."""
    cores, ports = sorted(scaling.os.sched_getaffinity(0)), free_ports(2)
    tasks = [([core], 1, scaling.loopback_cluster(ports, i)) for i, core in enumerate((cores[0], cores[-1]))]
    first, second = scaling.measure_apart(tasks)
    assert first.gradient_bytes == second.gradient_bytes == 4 * build_unet(UNetConfig()).count_params()
    assert 0 < first.communication and 0 < first.seconds
