"""Real workers, processes on this machine: the training of one, also when one of them ends or is told to."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
import pytest

from helpers.custom_data import draw_shapes
from helpers.tools.arrays import load_checkpoint
from helpers.training.trainer import CHECKPOINT
from tests.conftest import TINY
from tests.maintenance.browser import free_ports
from tests.tools.clusters import slurm_job

ROOT = Path(__file__).resolve().parents[2]

# A learning rate that has an effect within a few steps, and a gradient that is always clipped.
QUICK = {"recipe": {"warmup_steps": 2, "gradient_clip": 0.05}}
QUICK["network"] = {name: getattr(TINY, name) for name in ("widths", "embedding_width", "heads", "predicts")}


def run_workers(*tasks, arguments=(), strategy=None, timeout=1200):
    """Start a worker for each task at the same time; returns their exit codes, error lines and reports."""
    from tests.benchmarks.scaling import loopback_cluster

    strategy = strategy or ("none" if len(tasks) == 1 else "multiworker")
    ports = free_ports(len(tasks))
    places = [{"TF_CONFIG": loopback_cluster(ports, index)} for index in range(len(tasks))]
    places = {"slurm": slurm_job(len(tasks)), "multiworker": places}.get(strategy, [{}])
    started = []
    with ExitStack() as at_the_end:  # no worker outlives this function, even after a timeout
        watchers = at_the_end.enter_context(ThreadPool(len(tasks)))  # entered first, so that it is left last
        for task, place in zip(tasks, places, strict=True):
            environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "", **place}
            task["arguments"] = ["--distribute", strategy, *arguments, *task.get("arguments", [])]
            command = [sys.executable, "-m", "tests.training.worker", json.dumps(task)]
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            started.append(at_the_end.enter_context(subprocess.Popen(command, env=environment, text=True, **pipes)))
            at_the_end.callback(started[-1].kill)
        # Side by side, so that the time of each end is exact.
        ends = watchers.map(lambda worker: (worker.communicate(timeout=timeout)[1], time.monotonic()), started)
    errors, times = zip(*ends, strict=True)
    assert max(times) - min(times) < 60, "when one worker ends, the others must end within a minute"
    lines = [[line for line in error.splitlines() if line.startswith(("error:", "Traceback"))] for error in errors]
    reports = [Path(task["report"]) for task in tasks]
    read = [json.loads(report.read_text(encoding="utf-8")) if report.exists() else None for report in reports]
    return [worker.returncode for worker in started], lines, read


def tasks_in(folder, count=2, **changed):
    """A task for each worker, each with a folder of its own."""
    folder.mkdir(exist_ok=True)
    return [
        {"report": str(folder / f"{i}.json"), "arguments": ["--out", str(folder / f"out{i}")], **changed}
        for i in range(count)
    ]


def assert_same_course(report, expected, steps):
    """The losses of these steps, and the averaged weights in the end, are those expected."""
    for step in map(str, steps):
        np.testing.assert_allclose(report["losses"][step], expected["losses"][step], rtol=1e-4, err_msg=step)
    np.testing.assert_allclose(report["ema_weights"], expected["ema_weights"], rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """The arguments of a short training on few small coloured shapes."""
    path = tmp_path_factory.mktemp("data") / "shapes.npz"
    np.savez(path, **draw_shapes(100, size=16)._asdict())
    return ["--data", str(path), "--steps", "8", "--batch-size", "16"]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, shapes):
    """The report of one process with the same global batches."""
    [task] = tasks_in(tmp_path_factory.mktemp("alone"), 1, **QUICK)
    codes, _, [report] = run_workers(task, arguments=shapes)
    assert codes == [0] and len(report["losses"]) == 8
    return report


@pytest.mark.slow
def test_two_workers_follow_one_process_on_the_real_network(tmp_path):
    """Fifty steps of the shipped network on MNIST, clipped ten times harder than its recipe says."""
    recipe = {"recipe": {"warmup_steps": 10, "gradient_clip": 0.1}}
    arguments = ["--steps", "50", "--batch-size", "64"]
    _, _, [alone] = run_workers(*tasks_in(tmp_path / "alone", 1, **recipe), arguments=arguments)
    codes, _, reports = run_workers(*tasks_in(tmp_path / "two", **recipe), arguments=arguments)
    assert codes == [0, 0]
    for report in reports:
        assert_same_course(report, alone, range(1, 51))
    assert alone["losses"]["50"] < 0.8 * alone["losses"]["1"]
    assert (tmp_path / "two" / "out0" / "config.json").exists()
    assert not (tmp_path / "two" / "out1").exists()  # only the chief writes


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGKILL")
def test_after_a_kill_all_workers_resume_from_the_chiefs_checkpoint(tmp_path, shapes, uninterrupted):
    def run(dies=None, at=None):
        tasks = tasks_in(tmp_path, **QUICK, save_every_seconds=0)
        if dies is not None:
            tasks[dies] |= {"stopped_at": at, "stop": "SIGKILL"}
        return run_workers(*tasks, arguments=shapes)

    lost = "error: another worker ended, so this one stops too; start all of them again to resume from the last "
    lost += "checkpoint."
    codes, errors, _ = run(1, 4)
    assert codes == [2, -signal.SIGKILL] and errors == [[lost], []]
    codes, errors, _ = run(0, 3)  # the third of the steps that were left
    assert codes == [-signal.SIGKILL, 2] and errors == [[], [lost]]
    codes, errors, reports = run()
    assert codes == [0, 0] and errors == [[], []]
    for report in reports:
        assert_same_course(report, uninterrupted, [8])
    assert_same_course(reports[0], uninterrupted, range(1, 9))  # the chief's history is whole
    assert not (tmp_path / "out1").exists()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGTERM that a process can answer")
@pytest.mark.parametrize("stopped", [(0, 1), (1,)], ids=["both", "the second"])
def test_a_signal_to_any_worker_stops_all_and_saves(stopped, tmp_path, shapes):
    tasks = tasks_in(tmp_path, **QUICK)  # they save when they are stopped, and never before
    for number in stopped:
        tasks[number] |= {"stopped_at": 3, "stop": "SIGTERM"}
    codes, errors, reports = run_workers(*tasks, arguments=shapes)
    assert codes == [130, 130] and errors == [[], []] and reports == [None, None]
    assert load_checkpoint(tmp_path / "out0" / CHECKPOINT)[1]["step"] == 3
    assert not (tmp_path / "out1" / CHECKPOINT).exists()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGTERM that a process can answer")
def test_sigterm_is_answered_once_workers_are_connected(tmp_path, shapes):
    """TensorFlow would take it for itself, and do nothing."""
    tasks = tasks_in(tmp_path, **QUICK, stopped_at="connected", stop="SIGTERM")
    codes, errors, _ = run_workers(*tasks, arguments=shapes)
    assert codes == [130, 130] and errors == [[], []]


@pytest.mark.slow
def test_mirrored_on_one_device_is_the_same_training(tmp_path, shapes, uninterrupted):
    codes, _, [report] = run_workers(*tasks_in(tmp_path, 1, **QUICK), arguments=shapes, strategy="mirrored")
    assert codes == [0]
    assert_same_course(report, uninterrupted, range(1, 9))


@pytest.mark.slow
@pytest.mark.parametrize("fact", ["embedding_width", "data set", "version"])
def test_a_worker_with_other_facts_is_refused(tmp_path, shapes, fact):
    first, second = tasks_in(tmp_path, **QUICK)
    if fact == "embedding_width":  # another network, whose gradients have other shapes
        second["network"] = QUICK["network"] | {"embedding_width": 32}
    elif fact == "version":
        second["version"] = "TensorFlow 1.0"
    else:
        pictures = draw_shapes(100, size=16, seed=1)
        np.savez(tmp_path / "other.npz", **pictures._asdict())
        second["arguments"] += ["--data", str(tmp_path / "other.npz")]
    strategy = "slurm" if fact == "data set" else "multiworker"
    codes, errors, _ = run_workers(first, second, arguments=shapes, strategy=strategy)
    assert codes == [2, 2]
    for lines in errors:
        assert len(lines) == 1 and lines[0].startswith(f"error: worker 1 has another {fact}")
    assert not (tmp_path / "out0").exists() and not (tmp_path / "out1").exists()


@pytest.mark.slow
def test_a_worker_that_fails_at_its_start_ends_the_others(tmp_path, shapes):
    first, second = tasks_in(tmp_path, **QUICK)
    second["arguments"] += ["--data", str(tmp_path / "none.npz")]
    codes, errors, _ = run_workers(first, second, arguments=shapes)
    assert codes == [2, 2] and errors[1] == [f"error: {tmp_path / 'none.npz'} doesn't exist."]
    assert len(errors[0]) == 1 and errors[0][0].startswith("error: another worker ended")
