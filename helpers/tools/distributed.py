"""Training on several GPUs or machines: TensorFlow's strategies, and a check that all workers agree.

Run the same command on two machines, with index 1 on the second. The first is the chief, and only the chief writes
files:

    export TF_CONFIG='{"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]},
                       "task": {"type": "worker", "index": 0}}'
    python -m helpers train --distribute multiworker --out runs/two

Under Slurm, `srun python -m helpers train --distribute slurm --out runs/two` takes the addresses from Slurm.
"""

import helpers.tools.quiet

import functools
import hashlib
import ipaddress
import json
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from helpers.tools.checks import check_choice
from helpers.tools.files import reason
from helpers.tools.signals import handlers_kept

STRATEGIES = ("none", "mirrored", "multiworker", "slurm")
ADDRESS = re.compile(r"(\[[\da-f:.]+(%\w+)?\]|[\w.-]+):(?P<port>\d{1,5})", re.ASCII | re.IGNORECASE)
LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
)


class WorkerLost(RuntimeError):
    """Another worker of the training ended before this one."""


def make_strategy(name: str, public_network: bool = False) -> tf.distribute.Strategy:
    """ "none": one device; "mirrored": all local GPUs; "multiworker", "slurm": all machines of TF_CONFIG or the job.

    Call it for several machines before TensorFlow has touched a device; it waits for all the others.
    Raises `ValueError` for another name, for a TF_CONFIG that is missing or doesn't name this worker, for a port that
    is in use, and for a worker outside of private networks unless `public_network` allows it: TensorFlow's port knows
    no password.
    """
    check_choice("distribute", name, STRATEGIES)
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    if name == "none":
        return tf.distribute.get_strategy()
    resolver = slurm_cluster() if name == "slurm" else _tf_config_cluster()
    cluster = resolver.cluster_spec()
    if not public_network:
        for addresses in cluster.as_dict().values():
            for address in addresses:
                _check_private(address)
    _check_port(cluster.task_address(resolver.task_type, resolver.task_id))
    with handlers_kept():  # TensorFlow takes SIGTERM for itself when workers connect
        return tf.distribute.MultiWorkerMirroredStrategy(resolver)


def _tf_config_cluster() -> tf.distribute.cluster_resolver.ClusterResolver:
    text = os.environ.get("TF_CONFIG", "")
    form = '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
    try:
        config = json.loads(text)
        kind, index, cluster = config["task"]["type"], config["task"]["index"], config["cluster"]
        addresses = [address for job in cluster.values() for address in job]
        ports = [int(ADDRESS.fullmatch(address)["port"]) for address in addresses]
        is_right = (
            cluster.keys() <= {"chief", "worker"}
            and all(isinstance(job, list) for job in cluster.values())
            and len(cluster.get("chief", [])) <= 1
            and all(0 < port < 65_536 for port in ports)
            and type(index) is int
            and 0 <= index < len(cluster[kind])
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        is_right = False
    if not is_right:
        raise ValueError(f"TF_CONFIG must be {form} with this worker's index, not {text!r:.300}.")
    if twice := [address for address in addresses if addresses.count(address) > 1]:
        raise ValueError(f"TF_CONFIG must give each worker an address of its own, not {twice[0]} to several.")
    return tf.distribute.cluster_resolver.TFConfigClusterResolver()


def _check_private(address: str) -> None:
    """Raises `ValueError` for a worker that others than a private network may reach, or that has no address."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        found = [ipaddress.ip_address(info[4][0].partition("%")[0]) for info in socket.getaddrinfo(host, None)]
    except (OSError, UnicodeError) as error:
        raise ValueError(f"the worker {address} can't be found: {reason(error)}.") from None
    for ip in found:
        ip = getattr(ip, "ipv4_mapped", None) or ip  # an IPv4 address, written as an IPv6 address
        if not ip.is_private or ip.is_unspecified:
            raise ValueError(
                f"the worker {address} isn't on a private network, and TensorFlow's port knows no password: whoever "
                "reaches it can read and write files. Add --public-network if a firewall keeps others out."
            )


def _check_port(address: str) -> None:
    """Raises `ValueError` if this worker can't listen on the port of its address."""
    try:
        socket.create_server(("", int(address.rpartition(":")[2]))).close()
    except OSError as error:
        raise ValueError(f"this worker can't listen on the port of {address}: {reason(error)}.") from None


def slurm_cluster() -> tf.distribute.cluster_resolver.ClusterResolver:
    """The machines and this worker's place among them, from the variables that Slurm sets for every task of `srun`.

    `SlurmClusterResolver` doesn't support workers without a GPU. So it is told that each has one, and TensorFlow
    is told what this worker really has. Raises `ValueError` outside of `srun`.
    """
    try:
        workers = int(os.environ["SLURM_STEP_NUM_TASKS"])
        # Each job has a port of its own, so that two jobs on one machine don't collide.
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
    """True if this is the training's only process."""
    resolver = strategy.cluster_resolver
    return resolver is None or not resolver.task_type


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """True if this process writes the files: the chief, or without a chief the first worker."""
    if is_alone(strategy) or strategy.cluster_resolver.task_type == "chief":
        return True
    resolver = strategy.cluster_resolver
    return "chief" not in resolver.cluster_spec().jobs and resolver.task_type == "worker" and resolver.task_id == 0


def versions() -> str:
    """The versions that all workers must share: the course's code, as a digest, and the libraries."""
    code = hashlib.sha256()
    for file in sorted(Path(helpers.__file__).parent.rglob("*.py")):
        code.update(file.read_bytes())
    return f"course {code.hexdigest()[:7]}, TensorFlow {tf.__version__}, Keras {keras.__version__}"


def all_reduce(strategy: tf.distribute.Strategy, value: np.ndarray, only_chief: bool = False) -> np.ndarray:
    """Exchange `(k,)` over all devices: `(devices, k)`, one row per device; for `only_chief` the chief's `(k,)`."""
    return _exchange(strategy, only_chief)(tf.constant(value)).numpy()


@functools.lru_cache(maxsize=8)  # compiled once for each length and type, although called at every step
def _exchange(strategy: tf.distribute.Strategy, only_chief: bool) -> Callable[[tf.Tensor], tf.Tensor]:
    @tf.function
    def exchange(value: tf.Tensor) -> tf.Tensor:
        def mine() -> tf.Tensor:
            replica = tf.distribute.get_replica_context()
            number, count = replica.replica_id_in_sync_group, replica.num_replicas_in_sync
            if only_chief:
                part = tf.where(tf.equal(number, 0), value, tf.zeros_like(value))  # (k,)
            else:
                part = tf.one_hot(number, count, dtype=value.dtype)[:, None] * value[None, :]  # (devices, k)
            return replica.all_reduce(tf.distribute.ReduceOp.SUM, part)

        return strategy.experimental_local_results(strategy.run(mine))[0]

    return exchange


def any_worker(strategy: tf.distribute.Strategy, mine: bool) -> bool:
    """True on every worker as soon as `mine` is on one of them, so that all stop after the same step."""
    return mine if is_alone(strategy) else bool(all_reduce(strategy, np.array([mine], np.int32)).any())


def check_alike(strategy: tf.distribute.Strategy, facts: dict[str, object]) -> None:
    """Stop before any work if a worker's value of one of `facts` differs from the first worker's.

    Raises `ValueError` that names the worker and the fact, on every worker, so that none is left waiting.
    """
    if is_alone(strategy):
        return
    # 31 bits of each digest: two different values agree by chance once in two billion times.
    digests = [int(hashlib.sha256(repr(fact).encode()).hexdigest(), 16) % 2**31 for fact in facts.values()]
    everyones = all_reduce(strategy, np.array(digests, np.int32))  # (devices, facts)
    devices_each = len(strategy.extended.worker_devices)
    for (name, mine), column in zip(facts.items(), everyones.T, strict=True):
        if (different := np.flatnonzero(column != column[0])).size:
            raise ValueError(
                f"worker {different[0] // devices_each} has another {name} than worker 0; here it is {mine!r}. "
                "Start all of them with the same command, data and versions."
            )


def broadcast(strategy: tf.distribute.Strategy, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """Hand the chief's arrays to every worker. The other workers' arrays only give the shapes and types."""
    shared = [np.asarray(array) for array in arrays]
    # One message per type instead of one per array, in an order that is the same everywhere.
    for kind in sorted({array.dtype.name for array in shared}):
        places = [place for place, array in enumerate(shared) if array.dtype.name == kind]
        mine = np.concatenate([shared[place].ravel() for place in places])
        together = all_reduce(strategy, mine, only_chief=True)
        ends = np.cumsum([shared[place].size for place in places])[:-1]
        for place, part in zip(places, np.split(together, ends), strict=True):
            shared[place] = part.reshape(shared[place].shape)
    return shared


@contextmanager
def lost_workers_named(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Turn TensorFlow's many errors for a broken connection into one `WorkerLost`."""
    try:
        yield
    except LOST as error:
        if is_alone(strategy):
            raise
        raise WorkerLost(
            "another worker ended, so this one stops too; start all of them again to resume from the last checkpoint."
        ) from error
