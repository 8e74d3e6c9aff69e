"""What TensorFlow and Slurm tell a worker about its cluster."""

import json
import os
import socket


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
