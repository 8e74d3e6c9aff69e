"""What more cores, workers and machines give: `python -m helpers.benchmark --scaling`, with nothing else running.

Two workers of one core each stand in for two machines: they exchange gradients as machines do, but over loopback.
"""

import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from helpers.browser import free_ports
from helpers.data import load_mnist, training_split
from helpers.objective import TrainingConfig
from helpers.profiling import median_seconds
from helpers.trainer import Trainer, batches, one_stream_a_core
from helpers.unet import UNetConfig
from helpers.workers import make_strategy


class Measured(NamedTuple):
    """One training's step."""

    seconds: float  # of a step, the median
    communication: float  # seconds in which the same gradients are summed over the workers, and nothing else is done
    gradient_bytes: int  # what each worker has to tell the others in a step


def loopback_cluster(ports: Sequence[int], index: int) -> str:
    """TF_CONFIG for worker `index` of as many as there are ports, all on this machine."""
    addresses = [f"127.0.0.1:{port}" for port in ports]
    return json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})


def measure(cores: Sequence[int], steps: int, tf_config: str | None = None) -> Measured:
    """The shipped recipe's step, bound to `cores`, alone or as the worker of `tf_config`.

    Only for a new process, in which TensorFlow has computed nothing yet.
    """
    os.sched_setaffinity(0, cores)
    tf.config.set_visible_devices([], "GPU")  # it is cores that are compared
    config = TrainingConfig()
    streams = one_stream_a_core(config.batch_size)
    if tf_config:
        os.environ["TF_CONFIG"] = tf_config
    strategy = make_strategy("multiworker" if tf_config else "none")
    trainer = Trainer(UNetConfig(), config, strategy, streams)
    pictures = training_split(load_mnist())
    data = iter(strategy.distribute_datasets_from_function(lambda context: batches(*pictures, config, 0, context)))
    seconds = []
    for _ in range(5 + steps):  # the first ones compile, and warm caches
        batch, started = next(data), time.perf_counter()
        float(trainer.distributed_step(*batch))
        seconds.append(time.perf_counter() - started)
    gradient_bytes = sum(4 * int(np.prod(variable.shape)) for variable in trainer.unet.trainable_variables)
    return Measured(statistics.median(seconds[5:]), _communication_seconds(trainer, steps), gradient_bytes)


def _communication_seconds(trainer: Trainer, repeats: int) -> float:
    """The median time of one all-reduce of arrays like the gradients."""

    @tf.function
    def exchange() -> tf.Tensor:
        def mine() -> tf.Tensor:
            like_gradients = [tf.ones(variable.shape) for variable in trainer.unet.trainable_variables]
            replica = tf.distribute.get_replica_context()
            reduced = replica.all_reduce(tf.distribute.ReduceOp.MEAN, like_gradients)
            return tf.add_n([tf.reduce_sum(part) for part in reduced])

        return trainer.strategy.experimental_local_results(trainer.strategy.run(mine))[0]

    return median_seconds(lambda: exchange().numpy(), repeats)


def measure_apart(tasks: Sequence[tuple]) -> list[Measured]:
    """`measure` with each of the arguments in `tasks`, all at the same time, each in a new process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(tasks), mp_context=context) as pool:
        return [future.result() for future in [pool.submit(measure, *task) for task in tasks]]


def scaling_report(steps: int) -> list[str]:
    """All that `--scaling` prints, line by line. Raises `ValueError` where there aren't two cores to compare."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) < 2:
        raise ValueError("--scaling needs two cores that a process can be bound to, as on Linux.")
    first, second = cores[:2]
    [one] = measure_apart([([first], steps)])
    [two] = measure_apart([([first, second], steps)])
    ports = free_ports(2)
    workers = measure_apart([([core], steps, loopback_cluster(ports, i)) for i, core in enumerate((first, second))])
    step, communication = (max(getattr(worker, name) for worker in workers) for name in ("seconds", "communication"))
    batch_size = TrainingConfig().batch_size
    rows = [
        ("one process, one core", f"{batch_size / one.seconds:8.0f} images/s"),
        ("one process, two cores", f"{batch_size / two.seconds:8.0f} images/s"),
        ("two workers of one core each", f"{batch_size / step:8.0f} images/s"),
        ("  of one process with two cores", f"{two.seconds / step:8.0%}"),
        ("  of twice one core", f"{one.seconds / 2 / step:8.0%}"),
        ("gradients a step", f"{one.gradient_bytes / 1e6:8.2f} MB"),
        ("summing them alone, over loopback", f"{1e3 * communication:8.1f} ms, {communication / step:.1%} of a step"),
    ]
    lines = [f"medians of {steps} steps of {batch_size} images, float32"]
    lines += [f"{what:52} {figure}" for what, figure in rows]
    return lines
