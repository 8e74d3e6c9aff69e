"""Several devices, several machines: TensorFlow's strategies, a check that all agree, a sentence when one ends.

Two machines; the first one is the chief, which alone writes files. The same on both, but with index 1 on the second:

    export TF_CONFIG='{"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]},
                       "task": {"type": "worker", "index": 0}}'
    python -m helpers.training --distribute multiworker --out runs/two

Under Slurm, `srun python -m helpers.training --distribute slurm --out runs/two` asks Slurm for all that.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

STRATEGIES = ("none", "mirrored", "multiworker", "slurm")
LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
)


class WorkerLost(RuntimeError):
    """Another worker of the training ended before this one."""


def make_strategy(name: str) -> tf.distribute.Strategy:
    """ "none": one device; "mirrored": all local GPUs; "multiworker", "slurm": all machines of TF_CONFIG or the job.

    Several machines must be asked for before TensorFlow has touched a device, and each waits here for all the others.
    Raises `ValueError` for another name, and for a TF_CONFIG that is missing or doesn't name this worker.
    """
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    if name == "multiworker":
        _check_tf_config(os.environ.get("TF_CONFIG"))
        return tf.distribute.MultiWorkerMirroredStrategy()
    if name == "slurm":
        return tf.distribute.MultiWorkerMirroredStrategy(slurm_cluster())
    if name != "none":
        raise ValueError(f"distribute must be one of {', '.join(STRATEGIES)}, not {name!r}.")
    return tf.distribute.get_strategy()


def _check_tf_config(text: str | None) -> None:
    form = '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
    try:
        config = json.loads(text or "")
        config["cluster"][config["task"]["type"]][config["task"]["index"]]
    except (ValueError, KeyError, IndexError, TypeError):
        raise ValueError(f"TF_CONFIG must be {form} with this worker's index, not {text!r}.") from None


def slurm_cluster() -> tf.distribute.cluster_resolver.ClusterResolver:
    """The machines and this worker's place among them, as Slurm names them to every task of `srun`.

    `SlurmClusterResolver` asks nvidia-smi for GPUs and has no place for workers without one: it is told one a worker,
    and TensorFlow what this worker really sees. Raises `ValueError` outside of `srun`.
    """
    try:
        workers = int(os.environ["SLURM_STEP_NUM_TASKS"])
        # A job has its own port, so that two of them on one machine don't meet.
        port = 20_000 + int(os.environ["SLURM_JOB_ID"]) % 10_000
        slurm = tf.distribute.cluster_resolver.SlurmClusterResolver(
            port_base=port, gpus_per_node=workers, gpus_per_task=1, auto_set_gpu=False
        )
        cluster = slurm.cluster_spec()
    except (KeyError, RuntimeError, ValueError) as error:
        raise ValueError(f"distribute 'slurm' must be started by srun, inside a job ({error}).") from None
    gpus = {"GPU": len(tf.config.list_physical_devices("GPU"))}
    return tf.distribute.cluster_resolver.SimpleClusterResolver(
        cluster, task_type=slurm.task_type, task_id=slurm.task_id, num_accelerators=gpus, rpc_layer="grpc"
    )


def is_alone(strategy: tf.distribute.Strategy) -> bool:
    """Whether there is no other process in this training."""
    resolver = strategy.cluster_resolver
    return resolver is None or not resolver.task_type


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes files: the chief, or without one the first worker."""
    if is_alone(strategy) or strategy.cluster_resolver.task_type == "chief":
        return True
    resolver = strategy.cluster_resolver
    return "chief" not in resolver.cluster_spec().jobs and resolver.task_type == "worker" and resolver.task_id == 0


def versions() -> str:
    """What else must be the same everywhere: the course's code, as a digest, and what it computes with."""
    code = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        code.update(file.read_bytes())
    return f"course {code.hexdigest()[:7]}, TensorFlow {tf.__version__}, Keras {keras.__version__}"


def _sum_of_all(strategy: tf.distribute.Strategy, value: np.ndarray, only_chief: bool = False) -> np.ndarray:
    """The sum over all devices of `(devices, k)`, in which each has filled its own row, or of the chief's `(k,)`."""

    @tf.function
    def exchange() -> tf.Tensor:
        def mine() -> tf.Tensor:
            replica = tf.distribute.get_replica_context()
            number, count = replica.replica_id_in_sync_group, replica.num_replicas_in_sync
            if only_chief:
                part = tf.where(tf.equal(number, 0), value, tf.zeros_like(value))  # (k,)
            else:
                part = tf.one_hot(number, count, dtype=value.dtype)[:, None] * value[None, :]  # (devices, k)
            return replica.all_reduce(tf.distribute.ReduceOp.SUM, part)

        return strategy.experimental_local_results(strategy.run(mine))[0]

    return exchange().numpy()


def check_alike(strategy: tf.distribute.Strategy, facts: dict[str, object]) -> None:
    """Stop before any work if a worker has another value for one of `facts` than the first one has.

    Raises `ValueError` that names the worker and the fact, on every worker: none is left waiting.
    """
    if is_alone(strategy):
        return
    # 31 bits of each: other values have the same ones once in two billion times.
    digests = [int(hashlib.sha256(repr(fact).encode()).hexdigest(), 16) % 2**31 for fact in facts.values()]
    everyones = _sum_of_all(strategy, np.array(digests, np.int32))  # (devices, facts)
    devices_each = len(strategy.extended.worker_devices)
    for (name, mine), column in zip(facts.items(), everyones.T, strict=True):
        if (different := np.flatnonzero(column != column[0])).size:
            raise ValueError(
                f"worker {different[0] // devices_each} has another {name} than worker 0; here it is {mine!r}. "
                "Start all of them with the same command, data and versions."
            )


def share(strategy: tf.distribute.Strategy, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """The chief's arrays on every worker, which need no file for it: the others' only have their shapes and types."""
    shared = [np.asarray(array) for array in arrays]
    # One message a type instead of one an array; in one order everywhere, which a set has not.
    for kind in sorted({array.dtype.name for array in shared}):
        places = [place for place, array in enumerate(shared) if array.dtype.name == kind]
        mine = np.concatenate([shared[place].ravel() for place in places])
        together = _sum_of_all(strategy, mine, only_chief=True)
        ends = np.cumsum([shared[place].size for place in places])[:-1]
        for place, part in zip(places, np.split(together, ends), strict=True):
            shared[place] = part.reshape(shared[place].shape)
    return shared


@contextmanager
def lost_workers_named(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """TensorFlow's many errors for a connection that broke become one `WorkerLost`."""
    try:
        yield
    except LOST as error:
        if is_alone(strategy):
            raise
        raise WorkerLost(
            "another worker ended, so this one can't go on; start all of them again, with --resume."
        ) from error
