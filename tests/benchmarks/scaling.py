"""Compare one core, two cores and two workers: `python -m tests.benchmarks.scaling`, with nothing else running.

Two workers of one core each stand in for two machines. They exchange gradients as machines do, but over loopback.
"""

import helpers.tools.quiet  # noqa: F401

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from helpers.data import load_mnist, training_split
from helpers.tools.checks import check_whole
from helpers.tools.command_line import CommandLine, run_command
from helpers.tools.cores import one_stream_per_core, pieces_of
from helpers.tools.distributed import make_strategy
from helpers.training.objective import TrainingConfig
from helpers.training.trainer import Trainer, batches
from helpers.unet import UNetConfig
from tests.benchmarks.processes import print_row
from tests.benchmarks.profiling import median_seconds
from tests.maintenance.browser import free_ports


class Measured(NamedTuple):
    """One training's step."""

    seconds: float  # of a step, the median
    communication: float  # seconds of an exchange in which the same gradients are summed over the workers, and no more
    gradient_bytes: int  # that each worker has to send in a step


def loopback_cluster(ports: Sequence[int], index: int) -> str:
    """TF_CONFIG for worker `index` of as many as there are ports, all on this machine."""
    addresses = [f"127.0.0.1:{port}" for port in ports]
    return json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})


def measure(
    cores: Sequence[int], steps: int, tf_config: str | None = None, network: UNetConfig | None = None
) -> Measured:
    """The default recipe's step, bound to `cores`, alone or as the worker of `tf_config`; `network` for tests.

    Only for a new process, in which TensorFlow has computed nothing yet.
    """
    if hasattr(os, "sched_setaffinity"):  # `run` asks for it
        os.sched_setaffinity(0, cores)
    tf.config.set_visible_devices([], "GPU")  # this compares cores
    config = TrainingConfig()
    streams = one_stream_per_core(config.batch_size)
    if tf_config:
        os.environ["TF_CONFIG"] = tf_config
    strategy = make_strategy("multiworker" if tf_config else "none")
    streams = pieces_of(config.batch_size // strategy.num_replicas_in_sync, streams)
    trainer = Trainer(network or UNetConfig(), config, strategy, streams)
    pictures = training_split(load_mnist())
    data = iter(strategy.distribute_datasets_from_function(lambda context: batches(*pictures, config, 0, context)))
    seconds = []
    for _ in range(5 + steps):  # the first ones compile, and warm caches
        batch, started = next(data), time.perf_counter()
        float(trainer.distributed_step(*batch))
        seconds.append(time.perf_counter() - started)
    gradient_bytes = sum(4 * int(np.prod(variable.shape)) for variable in trainer.denoiser.unet.trainable_variables)
    return Measured(statistics.median(seconds[5:]), _communication_seconds(trainer, steps), gradient_bytes)


def _communication_seconds(trainer: Trainer, repeats: int) -> float:
    """The median time of one all-reduce of arrays like the gradients."""

    @tf.function
    def exchange() -> tf.Tensor:
        def mine() -> tf.Tensor:
            like_gradients = [tf.ones(variable.shape) for variable in trainer.denoiser.unet.trainable_variables]
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


def run(arguments: argparse.Namespace) -> None:
    """Measure and print. Raises `ValueError` where there aren't two cores to compare."""
    steps = check_whole("--steps", arguments.steps, 1)
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) < 2:
        raise ValueError("this needs two cores that a process can be bound to, as on Linux.")
    first, second = cores[:2]
    [one] = measure_apart([([first], steps)])
    [two] = measure_apart([([first, second], steps)])
    ports = free_ports(2)
    workers = measure_apart([([core], steps, loopback_cluster(ports, i)) for i, core in enumerate((first, second))])
    step, communication = (max(getattr(worker, name) for worker in workers) for name in ("seconds", "communication"))
    batch_size = TrainingConfig().batch_size
    print(f"medians of {steps} steps of {batch_size} images, float32")
    print_row("one process, one core", f"{batch_size / one.seconds:8.0f} images/s")
    print_row("one process, two cores", f"{batch_size / two.seconds:8.0f} images/s")
    print_row("two workers of one core each", f"{batch_size / step:8.0f} images/s")
    print_row("  of one process with two cores", f"{two.seconds / step:8.0%}")
    print_row("  of twice one core", f"{one.seconds / 2 / step:8.0%}")
    print_row("gradients per step", f"{one.gradient_bytes / 1e6:8.2f} MB")
    alone = f"{1e3 * communication:8.1f} ms, {communication / step:.1%} of a step"
    print_row("summing them alone, over loopback", alone)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = CommandLine(prog="python -m tests.benchmarks.scaling", description=__doc__.partition(":")[0] + ".")
    parser.add_argument("--steps", type=int, default=30, help="timed steps per measurement (default %(default)s)")
    return run_command(run, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
