"""Measure speed and memory on this machine: `python -m tests.benchmarks.speed`, with nothing else running.

Sampling, training and the profile run in a process each, so that their peak memory is their own.
"""

import helpers.tools.quiet  # noqa: F401

import argparse
import sys
import time

import numpy as np
import tensorflow as tf
from joblib import cpu_count

from helpers.checkpoints import load_denoiser
from helpers.data import load_mnist, training_split
from helpers.sampling.sampler import SamplerSettings, sample
from helpers.tools.checks import check_whole
from helpers.tools.command_line import CommandLine, run_command
from helpers.tools.cores import one_stream_per_core
from helpers.training.objective import TrainingConfig
from helpers.training.trainer import Trainer, batches
from helpers.unet import UNetConfig
from tests.benchmarks.processes import alone, print_row
from tests.benchmarks.profiling import convolution_flops, convolution_peak, median_seconds, seconds_by_kind


def sampling_rows(repeats: int = 3) -> list[tuple[str, float]]:
    """(what, seconds) for the requests that the course makes, with the pre-trained network."""
    started = time.perf_counter()
    denoiser = load_denoiser()
    rows = [("loading the network", time.perf_counter() - started)]
    grid, ten, default = np.arange(100) % 10, np.arange(10), SamplerSettings()
    requests = {
        "10x10 grid, default sampler": (grid, default),
        "10x10 grid, 100 guided ancestral steps": (grid, SamplerSettings("ddpm", guidance_interval=None)),
        "ten digits, default sampler": (ten, default),
    }
    for what, (labels, settings) in requests.items():
        rows.append((what, median_seconds(lambda: sample(denoiser, labels, settings), repeats)))  # noqa: B023
    return rows


def training_figures(precision: str, steps: int = 40, warm_up: int = 10) -> tuple[float, float]:
    """(images per second, share of the time spent waiting for data) of the default recipe, after the first steps."""
    config = TrainingConfig(steps=steps + warm_up, precision=precision)
    streams = one_stream_per_core(config.batch_size)
    trainer = Trainer(UNetConfig(), config, tf.distribute.get_strategy(), streams)
    data = iter(batches(*training_split(load_mnist()), config, 0, tf.distribute.InputContext()))
    for _ in range(warm_up):
        float(trainer.distributed_step(*next(data)))
    waited, started = 0.0, time.perf_counter()
    for _ in range(steps):
        asked = time.perf_counter()
        batch = next(data)
        waited += time.perf_counter() - asked
        float(trainer.distributed_step(*batch))
    seconds = time.perf_counter() - started
    return steps * config.batch_size / seconds, waited / seconds


def nothing() -> None:
    """For the memory of a process that has imported the course and TensorFlow, and done nothing yet."""


def profile() -> tuple[float, dict[str, float]]:
    """(convolution peak in FLOP/s, seconds by kind of layer) with the pre-trained network, 200 images per pass."""
    return convolution_peak(), seconds_by_kind(load_denoiser())


def run(arguments: argparse.Namespace) -> None:
    """Print the figures of sampling and training, and where the time goes."""
    repeats = check_whole("--repeats", arguments.repeats, 1)
    print(f"{cpu_count()} cores, TensorFlow {tf.__version__}; medians of {repeats} warm calls")
    print_row("memory of a process that only imported", f"{alone(nothing)[1]:8.2f} GiB")
    rows, memory = alone(sampling_rows, repeats)
    for what, seconds in rows:
        print_row(what, f"{seconds:8.2f} s")
    print_row("peak memory of sampling", f"{memory:8.2f} GiB")
    (peak, seconds), _ = alone(profile)
    unet, schedule, _ = load_denoiser()
    flops = convolution_flops(unet)
    whole = seconds.pop("the whole pass")
    print_row("convolution peak of this machine", f"{peak / 1e9:8.0f} GFLOP/s")
    print_row("convolutions of one image and pass", f"{flops / 1e6:8.0f} MFLOP")
    nfe, grid = SamplerSettings().nfe(schedule), dict(rows)["10x10 grid, default sampler"]
    print_row("10x10 grid, default sampler: NFE", f"{nfe:8d}, {_work(100 * nfe * flops / grid, peak)}")
    print_row("a pass over 200 images at once", f"{whole * 1e3:8.0f} ms, {_work(200 * flops / whole, peak)}")
    for kind, part in seconds.items():
        print_row(f"  of which {kind}", f"{part * 1e3:8.0f} ms, {part / whole:.0%}")
    for precision in ("float32", "mixed_bfloat16"):
        (speed, waiting), memory = alone(training_figures, precision)
        # The backward pass does each convolution twice: for its weights and for its input.
        print_row(f"training, {precision}", f"{speed:8.0f} images/s, {_work(3 * flops * speed, peak)}")
        whole = TrainingConfig().steps * TrainingConfig().batch_size / speed / 60
        print_row("  the whole recipe at this speed", f"{whole:8.0f} minutes")
        print_row("  waiting for data", f"{waiting:8.2%} of the time")
        print_row("  peak memory", f"{memory:8.2f} GiB")


def _work(speed: float, peak: float) -> str:
    return f"{speed / 1e9:.0f} GFLOP/s, {speed / peak:.0%} of the peak"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = CommandLine(prog="python -m tests.benchmarks.speed", description=__doc__.partition(":")[0] + ".")
    parser.add_argument("--repeats", type=int, default=3, help="timed calls per row (default %(default)s)")
    return run_command(run, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
