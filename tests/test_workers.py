"""Several workers on loopback: one course of the losses, the same facts for all, and no hang when one ends."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from helpers.workers import is_alone, is_chief, make_strategy

ROOT = Path(__file__).resolve().parent.parent


def free_ports(count):
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]  # all open at once: no port twice
    ports = [server.getsockname()[1] for server in servers]
    for server in servers:
        server.close()
    return ports


def run_workers(*tasks, timeout=240):
    """Start a worker for each task on loopback; returns their exit codes, what they printed and their reports."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(len(tasks))]
    workers = []
    for index, task in enumerate(tasks):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
        if len(tasks) > 1:
            cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            environment["TF_CONFIG"] = json.dumps(cluster)
        task = {"strategy": "multiworker" if len(tasks) > 1 else "none", **task}
        command = [sys.executable, str(ROOT / "tests" / "worker.py"), json.dumps(task)]
        workers.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
    try:
        printed = [worker.communicate(timeout=timeout)[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    reports = [Path(task["report"]) for task in tasks]
    read = [json.loads(report.read_text()) if report.exists() else None for report in reports]
    return [worker.returncode for worker in workers], printed, read


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one process sees on the same global batches."""
    codes, _, [report] = run_workers({"report": str(tmp_path_factory.mktemp("alone") / "alone.json")})
    assert codes == [0] and len(report["losses"]) == 6
    return report


def tasks_in(folder, **options):
    return [{"report": str(folder / f"{index}.json"), "out": str(folder / "out"), **options} for index in range(2)]


def test_two_workers_follow_one_process(tmp_path, alone):
    """Same global batch, clipping active, on the real U-Net at small width."""
    codes, _, [first, second] = run_workers(*tasks_in(tmp_path))
    assert codes == [0, 0]
    np.testing.assert_allclose(first["losses"], alone["losses"], rtol=1e-4)
    assert first["losses"] == second["losses"]
    np.testing.assert_allclose(first["average_weights"], alone["average_weights"], rtol=1e-4)


def test_a_killed_worker_ends_the_other_and_all_resume(tmp_path, alone):
    first, second = tasks_in(tmp_path)
    codes, printed, _ = run_workers(first, {**second, "dies_after": 4}, timeout=120)
    assert codes == [2, -signal.SIGKILL]
    assert printed[0].startswith("error: another worker ended, so this one can't go on") and printed[0].count("\n") == 1
    codes, _, [report, _] = run_workers(*tasks_in(tmp_path, resume=True))
    assert codes == [0, 0]
    np.testing.assert_allclose(report["losses"], alone["losses"], rtol=1e-4)
    np.testing.assert_allclose(report["average_weights"], alone["average_weights"], rtol=1e-4)


@pytest.mark.parametrize("other, fact", [({"seed": 1}, "recipe"), ({"images": 90}, "data set")])
def test_a_worker_with_other_facts_is_refused(tmp_path, other, fact):
    first, second = tasks_in(tmp_path)
    codes, printed, _ = run_workers(first, {**second, **other})
    assert codes == [2, 2]
    for text in printed:
        assert text.startswith(f"error: worker 1 has another {fact} than worker 0")
    assert not (tmp_path / "out").exists()


def test_unknown_strategy():
    with pytest.raises(ValueError, match="distribute must be one of none, mirrored, multiworker, slurm, not 'cloud'"):
        make_strategy("cloud")


def test_one_process_is_alone_and_the_chief():
    assert is_alone(make_strategy("none")) and is_chief(make_strategy("none"))
