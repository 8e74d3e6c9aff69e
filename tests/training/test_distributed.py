"""Several workers on loopback: one course of the losses, the same facts for all, and no hang when one ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import helpers.workers as workers
from helpers.browser import free_ports
from helpers.data import make_dataset
from helpers.objective import TrainingConfig
from helpers.scaling import loopback_cluster
from helpers.shapes import draw_shapes
from helpers.trainer import batches
from helpers.workers import is_alone, is_chief, lost_workers_named, make_strategy, slurm_cluster

ROOT = Path(__file__).resolve().parent.parent
# A learning rate that is felt within a few steps, and a gradient that is always clipped.
QUICK = {"recipe": {"warmup_steps": 2, "gradient_clip": 0.05}}
QUICK["network"] = {"widths": (8, 8, 8), "embedding_width": 16, "heads": 2}


def slurm_job(count):
    """What `srun` tells each of `count` tasks, here on one machine; the job's number decides the ports."""
    job = next(job for job in range(os.getpid() % 5_000, 10_000, count) if all_free(20_000 + job, count))
    step = {"NUM_TASKS": count, "NODELIST": "localhost", "TASKS_PER_NODE": count}
    shared = {"SLURM_JOB_ID": str(job)} | {f"SLURM_STEP_{name}": str(value) for name, value in step.items()}
    return [shared | {"SLURM_PROCID": str(index)} for index in range(count)]


def all_free(first, count):
    try:
        for port in range(first, first + count):
            socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def run_workers(*tasks, arguments=(), strategy=None, timeout=1200):
    """Start a worker for each task at once; returns their exit codes, what they said in the end, and their reports."""
    strategy = strategy or ("none" if len(tasks) == 1 else "multiworker")
    ports = free_ports(len(tasks))
    places = [{"TF_CONFIG": loopback_cluster(ports, index)} for index in range(len(tasks))]
    places = {"slurm": slurm_job(len(tasks)), "multiworker": places}.get(strategy, [{}])
    started = []
    with ExitStack() as at_the_end:  # of this run, or of its patience, no worker is left
        watchers = at_the_end.enter_context(ThreadPool(len(tasks)))  # entered first, so that it's left last
        for task, place in zip(tasks, places, strict=True):
            environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "", **place}
            task["arguments"] = ["--distribute", strategy, *arguments, *task.get("arguments", [])]
            command = [sys.executable, str(ROOT / "tests" / "worker.py"), json.dumps(task)]
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            started.append(at_the_end.enter_context(subprocess.Popen(command, env=environment, text=True, **pipes)))
            at_the_end.callback(started[-1].kill)
        # At once, so that each one's end is seen when it comes.
        ends = watchers.map(lambda worker: (worker.communicate(timeout=timeout)[1], time.monotonic()), started)
    errors, times = zip(*ends, strict=True)
    assert max(times) - min(times) < 60, "when one worker ends, the others must end within a minute"
    lines = [[line for line in error.splitlines() if line.startswith(("error:", "Traceback"))] for error in errors]
    reports = [Path(task["report"]) for task in tasks]
    read = [json.loads(report.read_text()) if report.exists() else None for report in reports]
    return [worker.returncode for worker in started], lines, read


def tasks_in(folder, count=2, **changed):
    """A task for each worker, each with a folder of its own."""
    folder.mkdir(exist_ok=True)
    return [
        {"report": str(folder / f"{i}.json"), "arguments": ["--out", str(folder / f"out{i}")], **changed}
        for i in range(count)
    ]


def same_course(report, expected, steps):
    """The losses of these steps, and the average of the weights in the end, are those expected."""
    for step in map(str, steps):
        np.testing.assert_allclose(report["losses"][step], expected["losses"][step], rtol=1e-4, err_msg=step)
    np.testing.assert_allclose(report["average_weights"], expected["average_weights"], rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """The arguments of a short training on few small coloured shapes."""
    path = tmp_path_factory.mktemp("data") / "shapes.npz"
    np.savez(path, **draw_shapes(100, size=16)._asdict())
    return ["--data", str(path), "--steps", "8", "--batch-size", "16"]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, shapes):
    """What one process does with the same global batches."""
    [task] = tasks_in(tmp_path_factory.mktemp("alone"), 1, **QUICK)
    codes, _, [report] = run_workers(task, arguments=shapes)
    assert codes == [0] and len(report["losses"]) == 8
    return report


def test_two_workers_follow_one_process_on_the_real_network(tmp_path):
    """Fifty steps of the shipped network on MNIST, clipped ten times harder than its recipe says."""
    recipe = {"recipe": {"warmup_steps": 10, "gradient_clip": 0.1}}
    arguments = ["--steps", "50", "--batch-size", "64"]
    _, _, [alone] = run_workers(*tasks_in(tmp_path / "alone", 1, **recipe), arguments=arguments)
    codes, _, reports = run_workers(*tasks_in(tmp_path / "two", **recipe), arguments=arguments)
    assert codes == [0, 0]
    for report in reports:
        same_course(report, alone, range(1, 51))
    assert alone["losses"]["50"] < 0.8 * alone["losses"]["1"]
    assert (tmp_path / "two" / "out0" / "config.json").exists()
    assert not (tmp_path / "two" / "out1").exists()  # only the chief writes


def test_whoever_is_killed_all_go_on_from_the_chiefs_checkpoint(tmp_path, shapes, uninterrupted):
    def run(dies, at, *more):
        tasks = tasks_in(tmp_path, **QUICK, save_every_seconds=0)
        if dies is not None:
            tasks[dies]["dies_at"] = at
        return run_workers(*tasks, arguments=[*shapes, *more])

    lost = "error: another worker ended, so this one can't go on; start all of them again, with --resume."
    codes, said, _ = run(1, 4)
    assert codes == [2, -signal.SIGKILL] and said == [[lost], []]
    codes, said, _ = run(0, 3, "--resume")  # the third of the steps that were left
    assert codes == [-signal.SIGKILL, 2] and said == [[], [lost]]
    codes, said, reports = run(None, None, "--resume")
    assert codes == [0, 0] and said == [[], []]
    for report in reports:
        same_course(report, uninterrupted, [8])
    same_course(reports[0], uninterrupted, range(1, 9))  # the chief's history is whole
    assert not (tmp_path / "out1").exists()


def test_mirrored_on_one_device_is_the_same_training(tmp_path, shapes, uninterrupted):
    codes, _, [report] = run_workers(*tasks_in(tmp_path, 1, **QUICK), arguments=shapes, strategy="mirrored")
    assert codes == [0]
    same_course(report, uninterrupted, range(1, 9))


@pytest.mark.parametrize("fact", ["seed", "embedding_width", "data set", "version"])
def test_a_worker_with_other_facts_is_refused(tmp_path, shapes, fact):
    first, second = tasks_in(tmp_path, **QUICK)
    if fact == "seed":
        second["arguments"] += ["--seed", "1"]
    elif fact == "embedding_width":  # another network, whose gradients have other shapes
        second["network"] = QUICK["network"] | {"embedding_width": 32}
    elif fact == "version":
        second["version"] = "TensorFlow 1.0"
    else:
        pictures = draw_shapes(100, size=16, seed=1)
        np.savez(tmp_path / "other.npz", **pictures._asdict())
        second["arguments"] += ["--data", str(tmp_path / "other.npz")]
    strategy = "slurm" if fact == "data set" else "multiworker"
    codes, said, _ = run_workers(first, second, arguments=shapes, strategy=strategy)
    assert codes == [2, 2]
    for lines in said:
        assert len(lines) == 1 and lines[0].startswith(f"error: worker 1 has another {fact}")
    assert not (tmp_path / "out0").exists() and not (tmp_path / "out1").exists()


def test_a_worker_that_fails_at_its_start_ends_the_others(tmp_path, shapes):
    first, second = tasks_in(tmp_path, **QUICK)
    second["arguments"] += ["--data", str(tmp_path / "none.npz")]
    codes, said, _ = run_workers(first, second, arguments=shapes)
    assert codes == [2, 2] and said[1] == [f"error: {tmp_path / 'none.npz'} doesn't exist."]
    assert len(said[0]) == 1 and said[0][0].startswith("error: another worker ended")


def test_versions_tell_courses_and_packages_apart(tmp_path, monkeypatch):
    mine = workers.versions()
    assert workers.versions() == mine
    with monkeypatch.context() as patch:
        patch.setattr(tf, "__version__", "1.0")
        assert workers.versions() != mine
    monkeypatch.setattr(workers, "__file__", str(tmp_path / "workers.py"))
    (tmp_path / "workers.py").write_text("changed")
    assert workers.versions() != mine


def test_each_worker_has_its_own_share_and_no_image_comes_twice_in_an_epoch():
    """Two workers with two devices each, 100 images that carry their number, batches of 16, four epochs."""
    images = np.zeros((100, 4, 4), np.uint8)
    images[:, 0, 0] = np.arange(100)
    config = TrainingConfig(steps=25, batch_size=16)
    seen = []
    for worker in range(2):
        context = tf.distribute.InputContext(2, worker, num_replicas_in_sync=4)
        pieces = list(batches(images, np.arange(100), config, 0, context))
        assert len(pieces) == 25 * 2 and all(len(numbers) == 4 for numbers, _, _ in pieces)
        for place, (numbers, x_0, labels) in enumerate(pieces):
            assert set(numbers.numpy() // 16) == {place // 2}  # of its own step
            np.testing.assert_array_equal(np.rint((x_0[:, 0, 0, 0] + 1) * 127.5), labels)
            seen += zip(numbers.numpy().tolist(), labels.numpy().tolist(), strict=True)
    numbers, shown = zip(*sorted(seen), strict=True)
    assert numbers == tuple(range(400))  # every sample of every batch on one device alone
    for epoch in range(4):
        assert sorted(shown[100 * epoch : 100 * epoch + 100]) == list(range(100))
    whole = make_dataset(images, np.arange(100), 100, config.seed)
    np.testing.assert_array_equal(shown[:100], np.concatenate([labels for _, labels in whole]))


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", "{}", '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}']
)
def test_tf_config_that_does_not_name_this_worker(text, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match=r"^TF_CONFIG must be .*, not .*\.$"):
        make_strategy("multiworker")


def test_slurms_words_are_understood(monkeypatch):
    for name, value in slurm_job(3)[2].items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SLURM_JOB_ID", "1234567")
    monkeypatch.setenv("SLURM_STEP_NODELIST", "gpu[08,11]")
    monkeypatch.setenv("SLURM_STEP_TASKS_PER_NODE", "2,1")
    cluster = slurm_cluster()
    assert cluster.cluster_spec().as_dict() == {"worker": ["gpu08:24567", "gpu08:24568", "gpu11:24567"]}
    assert (cluster.task_type, cluster.task_id) == ("worker", 2)
    monkeypatch.delenv("SLURM_STEP_NUM_TASKS")
    with pytest.raises(ValueError, match="'slurm' must be started by srun"):
        make_strategy("slurm")


def test_unknown_strategy():
    with pytest.raises(ValueError, match="distribute must be one of none, mirrored, multiworker, slurm, not 'cloud'"):
        make_strategy("cloud")


def test_one_process_is_alone_and_the_chief_and_its_errors_are_its_own():
    strategy = make_strategy("none")
    assert is_alone(strategy) and is_chief(strategy)
    with pytest.raises(tf.errors.UnavailableError), lost_workers_named(strategy):
        raise tf.errors.UnavailableError(None, None, "something else")
