"""Several devices, several machines: TensorFlow's strategies, a check that all agree, a sentence when one ends.

Two machines; the first is the chief and alone writes files. The same on both, but with index 1 on the second:

    export TF_CONFIG='{"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]},
                       "task": {"type": "worker", "index": 0}}'
    python -m helpers.training --distribute multiworker --out runs/two

Under Slurm, `srun python -m helpers.training --distribute slurm --out runs/two` asks Slurm for all that.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import tensorflow as tf

STRATEGIES = ("none", "mirrored", "multiworker", "slurm")
LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)


class WorkerLost(RuntimeError):
    """Another worker of the training ended before this one."""


def make_strategy(name: str) -> tf.distribute.Strategy:
    """ "none": one device; "mirrored": all local GPUs; "multiworker", "slurm": all machines of TF_CONFIG or the job.

    Several machines must be asked for before TensorFlow has touched a device. Raises `ValueError` for another name.
    """
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    if name == "multiworker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    if name == "slurm":
        return tf.distribute.MultiWorkerMirroredStrategy(tf.distribute.cluster_resolver.SlurmClusterResolver())
    if name != "none":
        raise ValueError(f"distribute must be one of {', '.join(STRATEGIES)}, not {name!r}.")
    return tf.distribute.get_strategy()


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


def _from_every_device(strategy: tf.distribute.Strategy, value: np.ndarray) -> np.ndarray:
    """What each device's process holds in `value` `(k,)` int32, as `(devices, k)`: everyone gets everyone's."""

    @tf.function
    def exchange() -> tf.Tensor:
        def mine() -> tf.Tensor:
            replica = tf.distribute.get_replica_context()
            slot = tf.one_hot(replica.replica_id_in_sync_group, replica.num_replicas_in_sync, dtype=tf.int32)
            # Everyone's row is zero but one's own, so that the sum holds them all.
            return replica.all_reduce(tf.distribute.ReduceOp.SUM, slot[:, None] * value[None, :])  # (devices, k)

        return strategy.experimental_local_results(strategy.run(mine))[0]

    return exchange().numpy()


def check_alike(strategy: tf.distribute.Strategy, facts: dict[str, object]) -> None:
    """Stop before any work if a worker has another value for one of `facts` than the first one has.

    Raises `ValueError` that names the worker and the fact, on every worker: none is left waiting.
    """
    if is_alone(strategy):
        return
    digests = [int(hashlib.sha256(repr(fact).encode()).hexdigest()[:7], 16) for fact in facts.values()]
    everyones = _from_every_device(strategy, np.array(digests, np.int32))  # (devices, facts)
    for number, (name, column) in enumerate(zip(facts, everyones.T, strict=True)):
        if (different := np.flatnonzero(column != column[0])).size:
            mine = list(facts.values())[number]
            raise ValueError(
                f"worker {different[0]} has another {name} than worker 0; here it is {mine!r}. "
                "Start all of them with the same command, data and versions."
            )


def _of_the_chief(strategy: tf.distribute.Strategy, value: np.ndarray) -> np.ndarray:
    """The chief's `value` `(k,)`, on every worker; the others' only has its shape and type."""

    @tf.function
    def exchange() -> tf.Tensor:
        def mine() -> tf.Tensor:
            replica = tf.distribute.get_replica_context()
            first = tf.equal(replica.replica_id_in_sync_group, 0)
            return replica.all_reduce(tf.distribute.ReduceOp.SUM, tf.where(first, value, tf.zeros_like(value)))

        return strategy.experimental_local_results(strategy.run(mine))[0]

    return exchange().numpy()


def share(strategy: tf.distribute.Strategy, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """The chief's arrays on every worker, which need no file for it: the others' only have their shapes and types."""
    shared = [np.asarray(array) for array in arrays]
    for kind in {array.dtype for array in shared}:
        places = [place for place, array in enumerate(shared) if array.dtype == kind]
        # One message a type instead of one an array.
        together = _of_the_chief(strategy, np.concatenate([shared[place].ravel() for place in places]))
        ends = np.cumsum([shared[place].size for place in places])[:-1]
        for place, part in zip(places, np.split(together, ends), strict=True):
            shared[place] = part.reshape(shared[place].shape)
    return shared


@contextmanager
def lost_workers_named() -> Iterator[None]:
    """TensorFlow's many errors for a connection that broke become one `WorkerLost`."""
    try:
        yield
    except LOST as error:
        raise WorkerLost(
            "another worker ended, so this one can't go on; start all of them again, with --resume."
        ) from error
