"""Strategies, and what workers exchange, tested in this process."""

import shutil
import socket
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

import helpers
from helpers.__main__ import main
from helpers.tools import distributed
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
from tests.conftest import said
from tests.maintenance.browser import free_ports
from tests.tools.clusters import slurm_job, tf_config

ROOT = Path(__file__).resolve().parents[2]
HELPERS = Path(helpers.__file__).parent


# --- The strategy, and the chief ---


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
