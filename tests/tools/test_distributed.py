"""Strategies, and what workers exchange, tested in this process; with --all, real workers on this machine."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from multiprocessing.pool import ThreadPool
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

import helpers
from helpers.__main__ import main
from helpers.custom_data import draw_shapes
from helpers.tools import distributed
from helpers.tools.arrays import load_checkpoint
from helpers.tools.distributed import (
    WorkerLost,
    all_reduce,
    any_worker,
    broadcast,
    check_alike,
    is_alone,
    is_chief,
    lost_workers_named,
    make_strategy,
    slurm_cluster,
    versions,
)
from helpers.training.trainer import CHECKPOINT
from tests.conftest import TINY, said
from tests.maintenance.browser import free_ports

ROOT = Path(__file__).resolve().parents[2]
HELPERS = Path(helpers.__file__).parent


# --- The strategy, and the chief ---


def slurm_job(count):
    """The variables that `srun` sets for each of `count` tasks, on one machine. The job's number fixes the ports."""
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


def tf_config(workers=("127.0.0.1:2222",), index=0, kind="worker", **jobs):
    return json.dumps({"cluster": {"worker": workers, **jobs}, "task": {"type": kind, "index": index}})


@pytest.fixture
def connected(monkeypatch):
    """The clusters that TensorFlow is asked to connect; it doesn't."""
    clusters = []

    def note(resolver):
        clusters.append(resolver.cluster_spec().as_dict())
        return "the strategy"

    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", note)
    return clusters


UNFIT_TF_CONFIGS = {
    "missing": None,
    "empty": "",
    "cut off": "{",
    "nested too deeply": "[" * 100_000,
    "a list": "[]",
    "a number": "3",
    "null": "null",
    "no names": "{}",
    "no task": '{"cluster": {"worker": ["127.0.0.1:2222"]}}',
    "no cluster": '{"task": {"type": "worker", "index": 0}}',
    "the task is a text": '{"cluster": {"worker": ["127.0.0.1:2222"]}, "task": "worker"}',
    "the cluster is a list": '{"cluster": ["127.0.0.1:2222"], "task": {"type": "worker", "index": 0}}',
    "no such job": tf_config(kind="chief"),
    "a job of another strategy": tf_config(ps=["127.0.0.1:2223"]),
    "two chiefs": tf_config(chief=["127.0.0.1:2223", "127.0.0.1:2224"]),
    "index -1": tf_config(index=-1),
    "index too large": tf_config(index=1),
    "index as a text": tf_config(index="0"),
    "index as a fraction": tf_config(index=0.0),
    "index as a truth": tf_config(index=False),
    "no index": tf_config(index=None),
    "workers as a text": tf_config("127.0.0.1:2222"),
    "workers as names": tf_config({"127.0.0.1:2222": 0}),
    "no workers": tf_config([]),
    "a worker as a number": tf_config([2222]),
    "no port": tf_config(["127.0.0.1"]),
    "an empty port": tf_config(["127.0.0.1:"]),
    "port 0": tf_config(["127.0.0.1:0"]),
    "port 99999": tf_config(["127.0.0.1:99999"]),
    "port -1": tf_config(["127.0.0.1:-1"]),
    "a port in words": tf_config(["127.0.0.1:http"]),
    "a port as Python alone writes it": tf_config(["127.0.0.1:2_222"]),
    "a page's address": tf_config(["http://127.0.0.1:2222"]),
    "IPv6 without brackets": tf_config(["fe80::1:2222"]),
    "a port without a host": tf_config([":2222"]),
    "the second worker": tf_config(["127.0.0.1:2222", "127.0.0.1"]),
}


@pytest.mark.parametrize("text", UNFIT_TF_CONFIGS.values(), ids=UNFIT_TF_CONFIGS)
def test_tf_config_that_does_not_name_this_worker(text, monkeypatch, connected):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match=r"^TF_CONFIG must be .*, not .*\.$") as raised:
        make_strategy("multiworker")
    assert len(said(raised)) < 500 and not connected


def test_two_workers_with_one_address(monkeypatch, connected):
    monkeypatch.setenv("TF_CONFIG", tf_config(["10.0.0.1:2222", "10.0.0.1:2222"]))
    with pytest.raises(ValueError, match="an address of its own, not 10.0.0.1:2222 to several") as raised:
        make_strategy("multiworker")
    assert said(raised) and not connected


def test_a_port_that_is_in_use(monkeypatch, connected):
    with socket.create_server(("", 0)) as other:
        mine, theirs = f"127.0.0.1:{other.getsockname()[1]}", "127.0.0.1:2222"
        monkeypatch.setenv("TF_CONFIG", tf_config([theirs, mine], index=1))
        with pytest.raises(ValueError, match=f"can't listen on the port of {mine}: Address already in use") as raised:
            make_strategy("multiworker")
        assert said(raised) and not connected
    assert make_strategy("multiworker") == "the strategy" and connected == [{"worker": [theirs, mine]}]


def test_a_chief_beside_the_workers(monkeypatch, connected):
    [port] = free_ports(1)
    monkeypatch.setenv("TF_CONFIG", tf_config([f"[::1]:{port}"], chief=["localhost:1"]))
    assert make_strategy("multiworker") == "the strategy"
    assert connected == [{"worker": [f"[::1]:{port}"], "chief": ["localhost:1"]}]


def test_the_command_refuses_in_one_line(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("TF_CONFIG", tf_config(index=-1))
    assert main(["train", "--distribute", "multiworker", "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: TF_CONFIG must be ") and error.count("\n") == 1
    assert not (tmp_path / "out" / "config.json").exists()


# --- Only private networks ---

NAMES = {"here": ["127.0.1.1"], "lab": ["10.1.2.3"], "example.org": ["93.184.215.14"], "both": ["10.0.0.1", "8.8.8.8"]}


@pytest.fixture
def resolver(monkeypatch):
    """Numbers are looked up as ever; of names only these are known."""
    itself = socket.getaddrinfo

    def look_up(host, *rest, **options):
        if host in NAMES:
            return [found for address in NAMES[host] for found in itself(address, *rest, **options)]
        return itself(host, *rest, flags=socket.AI_NUMERICHOST, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


PRIVATE = ["127.0.0.1", "10.9.8.7", "172.16.0.1", "192.168.1.2", "169.254.0.1", "[::1]", "[fd00::1]", "[fe80::1%lo]"]
PRIVATE += ["[::ffff:10.0.0.1]", "here", "lab"]
PUBLIC = ["8.8.8.8", "172.32.0.1", "192.169.0.1", "[2001:4860:4860::8888]", "[::ffff:8.8.8.8]", "0.0.0.0", "[::]"]
PUBLIC += ["100.64.0.1", "134744072", "example.org", "both"]


@pytest.mark.parametrize("host", PRIVATE)
def test_workers_on_a_private_network(host, monkeypatch, connected, resolver):
    [port] = free_ports(1)
    monkeypatch.setenv("TF_CONFIG", tf_config([f"127.0.0.1:{port}", f"{host}:2222"]))
    assert make_strategy("multiworker") == "the strategy" and len(connected) == 1


@pytest.mark.parametrize("host", PUBLIC)
def test_workers_on_a_public_network_need_an_option(host, monkeypatch, connected, resolver, tmp_path, capsys):
    [port] = free_ports(1)
    monkeypatch.setenv("TF_CONFIG", tf_config([f"127.0.0.1:{port}", f"{host}:2222"]))
    command = ["train", "--distribute", "multiworker", "--out", str(tmp_path)]
    assert main(command) == 2 and not connected
    error = capsys.readouterr().err
    assert error.startswith(f"error: the worker {host}:2222 isn't on a private network") and error.count("\n") == 1
    assert "--public-network" in error
    assert make_strategy("multiworker", public_network=True) == "the strategy" and len(connected) == 1


def test_the_option_reaches_the_strategy(monkeypatch, tmp_path, capsys):
    asked = []

    def refuse(*arguments):
        asked.append(arguments)
        raise ValueError("asked")

    monkeypatch.setattr(distributed, "make_strategy", refuse)
    command = ["train", "--distribute", "multiworker", "--out", str(tmp_path)]
    assert main(command) == main([*command, "--public-network"]) == 2
    assert asked == [("multiworker", False), ("multiworker", True)]


def test_a_worker_that_cannot_be_found(monkeypatch, connected, resolver):
    monkeypatch.setenv("TF_CONFIG", tf_config(["nowhere:2222"]))
    with pytest.raises(ValueError, match=r"^the worker nowhere:2222 can't be found: ") as raised:
        make_strategy("multiworker")
    assert said(raised) and not connected


def test_slurms_machines_are_looked_up_too(monkeypatch, connected, resolver):
    for name, value in (slurm_job(1)[0] | {"SLURM_STEP_NODELIST": "example.org"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=r"^the worker example.org:\d+ isn't on a private network"):
        make_strategy("slurm")
    monkeypatch.setenv("SLURM_STEP_NODELIST", "lab")
    assert make_strategy("slurm") == "the strategy" and len(connected) == 1


def test_slurms_variables_are_understood(monkeypatch):
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
    with pytest.raises(ValueError, match="distribute must be one of 'none', 'mirrored', .*, not 'cloud'"):
        make_strategy("cloud")


def worker_of(kind="worker", index=0, jobs=("worker",), devices=1):
    """A strategy of several workers, as one of them sees it."""
    spec = SimpleNamespace(jobs=list(jobs))
    resolver = SimpleNamespace(task_type=kind, task_id=index, cluster_spec=lambda: spec)
    return SimpleNamespace(cluster_resolver=resolver, extended=SimpleNamespace(worker_devices=["CPU"] * devices))


@pytest.mark.parametrize(
    ("strategy", "chief"),
    [
        (worker_of(), True),
        (worker_of(index=1), False),
        (worker_of("chief", jobs=("chief", "worker")), True),
        (worker_of(jobs=("chief", "worker")), False),
        (worker_of("evaluator", jobs=("worker",)), False),
    ],
)
def test_one_of_several_is_the_chief(strategy, chief):
    assert not is_alone(strategy) and is_chief(strategy) is chief


def test_one_process_is_alone_and_the_chief_and_its_errors_are_its_own():
    strategy = make_strategy("none")
    assert is_alone(strategy) and is_chief(strategy)
    with pytest.raises(tf.errors.UnavailableError), lost_workers_named(strategy):
        raise tf.errors.UnavailableError(None, None, "something else")


def test_a_lost_worker_is_named():
    with pytest.raises(WorkerLost, match="another worker ended, so this one stops too") as raised:
        with lost_workers_named(worker_of()):
            raise tf.errors.UnavailableError(None, None, "Socket closed\nAdditional GRPC error information: ...")
    said(raised)


# --- What workers exchange ---


def test_a_change_in_any_folder_is_another_version(tmp_path, monkeypatch):
    copy, mine = tmp_path / "helpers", versions()
    shutil.copytree(HELPERS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(helpers, "__file__", str(copy / "__init__.py"))
    assert versions() == mine
    modules = {module.parent: module for module in copy.rglob("*.py")}  # one of each folder, helpers/ itself included
    assert {folder.name for folder in modules} >= {"helpers", "training", "sampling", "tools"}
    seen = {mine}
    for module in modules.values():
        module.write_text(module.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
        assert versions() not in seen
        seen.add(versions())


def test_another_library_is_another_version(monkeypatch):
    expected = versions().replace(f"TensorFlow {tf.__version__}", "TensorFlow 1.0")
    monkeypatch.setattr(tf, "__version__", "1.0")
    assert versions() == expected


def test_one_device_receives_its_own_arrays():
    strategy, values = tf.distribute.get_strategy(), np.array([3, 1, 4], np.int32)
    np.testing.assert_array_equal(all_reduce(strategy, values), [values])  # (devices, k)
    np.testing.assert_array_equal(all_reduce(strategy, values, only_chief=True), values)
    arrays = [np.float32([[1, 2], [3, 4]]), np.int64(7), np.zeros((0, 3), np.float32), np.float32(0.5), np.arange(3)]
    for mine, theirs in zip(broadcast(strategy, arrays), arrays, strict=True):
        np.testing.assert_array_equal(mine, theirs)
        assert mine.dtype == theirs.dtype and mine.shape == theirs.shape


def test_the_chiefs_arrays_replace_those_of_the_others(monkeypatch):
    """Arrays of one type travel in one message, in an order that is the same everywhere."""
    mine = [np.float32([1, 2]), np.int64(3), np.float32([[4], [5]])]
    messages = []

    def of_the_chief(strategy, value, only_chief):
        messages.append(value)
        return value + 10

    monkeypatch.setattr(distributed, "all_reduce", of_the_chief)
    found = broadcast(worker_of(index=1), mine)
    assert [array.tolist() for array in found] == [[11, 12], 13, [[14], [15]]]
    assert [message.tolist() for message in messages] == [[1, 2, 4, 5], [3]]


def test_all_stop_when_one_of_them_stops(monkeypatch):
    monkeypatch.setattr(distributed, "all_reduce", lambda strategy, mine: np.stack([mine, [theirs]]))
    for mine, theirs in [(False, 0), (False, 1), (True, 0), (True, 1)]:
        assert any_worker(worker_of(), mine) is (mine or theirs == 1)
    monkeypatch.setattr(distributed, "all_reduce", None)  # alone, there is nobody to ask
    assert any_worker(make_strategy("none"), True) and not any_worker(make_strategy("none"), False)


@pytest.mark.parametrize("devices", [1, 2])
def test_a_worker_that_differs_is_named(devices, monkeypatch):
    """The third worker's seed differs; each worker has one device, or two."""

    def everyones(strategy, mine):
        rows = np.tile(mine, (3 * devices, 1))
        rows[2 * devices :, 1] += differs
        return rows

    monkeypatch.setattr(distributed, "all_reduce", everyones)
    differs = 0
    check_alike(worker_of(devices=devices), {"steps": 3, "seed": 0})
    differs = 1
    with pytest.raises(ValueError, match="worker 2 has another seed than worker 0; here it is 0. Start all") as raised:
        check_alike(worker_of(devices=devices), {"steps": 3, "seed": 0})
    said(raised)
    check_alike(make_strategy("none"), {"steps": 3, "seed": 0})  # one process has nobody to compare with


# --- Real workers: processes on this machine ---

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
