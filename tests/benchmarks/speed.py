"""Speed and memory on this machine: `python -m helpers.benchmark`. Run it with nothing else running.

    python -m helpers.benchmark                    # sampling, training, where the time goes
    python -m helpers.benchmark --time-to-quality  # minutes of training until 99 % of guided samples are read right
    python -m helpers.benchmark --peers            # the same work by diffusers, as ratios
    python -m helpers.benchmark --widgets          # the sliders, in a real JupyterLab in Chromium: see `latency`
    python -m helpers.benchmark --scaling          # one core, two, two workers: see `scaling`

Sampling, training and the profile each run in a process of their own, so that their peak memory is their own and
nothing is warm from before.
"""

import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow as tf

from helpers.checkpoints import load_unet
from helpers.classifier import digit_accuracy, load_classifier
from helpers.command_line import CommandLine, one_line_errors
from helpers.data import load_mnist, training_split
from helpers.latency import report_widgets
from helpers.objective import TrainingConfig
from helpers.profiling import convolution_flops, convolution_peak, median_seconds, seconds_by_kind
from helpers.sampling import sample
from helpers.scaling import scaling_report
from helpers.trainer import Trainer, batches, one_stream_a_core
from helpers.tuning import default_setting, network_passes
from helpers.unet import UNetConfig

# Shorter than the shipped recipe: the learning rate must come down within minutes, and so must the average.
QUICK = TrainingConfig(steps=2_400, ema_decay=0.99)
QUICK_GUIDANCE = {"guidance_scale": 3.0, "guidance_interval": (20, 80)}  # a young network needs more of it
TARGET = 0.99  # of guided samples read right: `--time-to-quality`


def alone(function: Callable, *arguments: object) -> tuple:
    """(result, peak memory in GiB) of a module's function, run in a new process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_with_peak, function, arguments).result()


def _with_peak(function: Callable, arguments: tuple) -> tuple:
    result = function(*arguments)
    return result, peak_memory()


def peak_memory() -> float:
    """The most memory that this process has had so far, in GiB."""
    status = Path("/proc/self/status")
    if not status.exists():  # elsewhere than on Linux: macOS counts bytes
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**30
    # On Linux getrusage would also count what the parent had when it started this process.
    peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(peak.split()[1]) / 2**20  # from kibibytes


def sampling_rows(repeats: int = 3) -> list[tuple[str, float]]:
    """(what, seconds) for the requests that the course makes, with the shipped network."""
    started = time.perf_counter()
    unet, schedule = load_unet()
    rows = [("loading the network", time.perf_counter() - started)]
    grid, ten = np.arange(100) % 10, np.arange(10)
    requests = {
        "10x10 grid, default sampler": (grid, {}),
        "10x10 grid, 100 guided ancestral steps": (grid, {"method": "ddpm", "guidance_interval": None}),  # all guided
        "ten digits, default sampler": (ten, {}),
    }
    for what, (labels, options) in requests.items():
        rows.append((what, median_seconds(lambda: sample(unet, schedule, labels, **options), repeats)))  # noqa: B023
    return rows


def training_figures(precision: str, steps: int = 40, warm_up: int = 10) -> tuple[float, float]:
    """(images a second, share of the time spent waiting for data) of the shipped recipe, after the first steps."""
    config = TrainingConfig(steps=steps + warm_up, precision=precision)
    streams = one_stream_a_core(config.batch_size)
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
    """What a process takes that has imported the course and TensorFlow, and done nothing yet."""


def profile() -> tuple[float, dict[str, float]]:
    """(convolution peak in FLOP/s, seconds by kind of layer) with the shipped network, 200 images a pass."""
    return convolution_peak(), seconds_by_kind(load_unet()[0])


def time_to_quality(target: float = TARGET, every: int = 200, images: int = 1_000) -> tuple[int, float, float]:
    """(updates, seconds of training, accuracy) when guided samples of the EMA network are first read right.

    Only training is timed, not the sampling in between. Read by "judge", which made no choice. If the recipe ends
    before the target is reached, that is what is returned.
    """
    streams = one_stream_a_core(QUICK.batch_size)
    trainer = Trainer(UNetConfig(), QUICK, tf.distribute.get_strategy(), streams)
    judge, labels = load_classifier("judge"), np.arange(images) % 10
    seconds, started = 0.0, time.perf_counter()
    for step, batch in enumerate(
        batches(*training_split(load_mnist()), QUICK, 0, tf.distribute.InputContext()), start=1
    ):
        float(trainer.distributed_step(*batch))
        if step % every == 0 and step >= QUICK.steps // 2:
            seconds += time.perf_counter() - started
            drawn = sample(trainer.average, trainer.schedule, labels, **QUICK_GUIDANCE, seed=step)
            accuracy = digit_accuracy(judge, drawn.images, labels)
            print(f"  {step} updates, {seconds / 60:.1f} minutes: {accuracy:.1%}", flush=True)
            if accuracy >= target:
                break
            started = time.perf_counter()
    return step, seconds, accuracy


def print_row(what: str, figure: str) -> None:
    """One aligned line, at once."""
    print(f"{what:52} {figure}", flush=True)


def print_speed(repeats: int) -> None:
    """Sampling, training, and where the time goes."""
    print(f"{os.cpu_count()} cores, TensorFlow {tf.__version__}; medians of {repeats} warm calls")
    print_row("memory of a process that only imported", f"{alone(nothing)[1]:8.2f} GiB")
    rows, memory = alone(sampling_rows, repeats)
    for what, seconds in rows:
        print_row(what, f"{seconds:8.2f} s")
    print_row("peak memory of sampling", f"{memory:8.2f} GiB")
    (peak, seconds), _ = alone(profile)
    unet, schedule = load_unet()
    flops = convolution_flops(unet)
    whole = seconds.pop("the whole pass")
    print_row("convolution peak of this machine", f"{peak / 1e9:8.0f} GFLOP/s")
    print_row("convolutions of one image and pass", f"{flops / 1e6:8.0f} MFLOP")
    passes, grid = network_passes(schedule, default_setting(schedule)), dict(rows)["10x10 grid, default sampler"]
    print_row(
        "10x10 grid, default sampler: passes an image", f"{passes:8d}, {_work(100 * passes * flops / grid, peak)}"
    )
    print_row("a pass over 200 images at once", f"{whole * 1e3:8.0f} ms, {_work(200 * flops / whole, peak)}")
    for kind, part in seconds.items():
        print_row(f"  of which {kind}", f"{part * 1e3:8.0f} ms, {part / whole:.0%}")
    for precision in ("float32", "mixed_bfloat16"):
        (speed, waiting), memory = alone(training_figures, precision)
        # Backwards, each convolution is done twice: for its weights and for its input.
        print_row(f"training, {precision}", f"{speed:8.0f} images/s, {_work(3 * flops * speed, peak)}")
        whole = TrainingConfig().steps * TrainingConfig().batch_size / speed / 60
        print_row("  the whole recipe at this speed", f"{whole:8.0f} minutes")
        print_row("  waiting for data", f"{waiting:8.2%} of the time")
        print_row("  peak memory", f"{memory:8.2f} GiB")


def _work(speed: float, peak: float) -> str:
    return f"{speed / 1e9:.0f} GFLOP/s, {speed / peak:.0%} of the peak"


def print_peers() -> None:
    """The course beside diffusers, and the ratios. TensorFlow, which the course needs, is imported on both sides."""
    from helpers import peers

    parameters = load_unet()[0].count_params()
    theirs = peers.count_parameters(peers.peer_unet(parameters))
    print(f"{parameters:,} parameters here, {theirs:,} in UNet2DModel; {os.cpu_count()} cores, float32")
    (speed, _), memory = alone(training_figures, "float32")
    peer_speed, peer_memory = alone(peers.peer_training_images_per_second, parameters)
    comparisons = [
        ("training, images/s", speed, peer_speed),
        ("training, peak memory, GiB", memory, peer_memory),
    ]
    for method, steps in (("ddpm", 100), ("ddim", 20)):
        seconds, memory = alone(peers.grid_seconds, method, steps)
        peer_seconds, peer_memory = alone(peers.peer_grid_seconds, method, steps, parameters)
        comparisons.append((f"guided 10x10 grid, {method} {steps} steps, seconds", seconds, peer_seconds))
        comparisons.append((f"guided 10x10 grid, {method} {steps} steps, peak memory, GiB", memory, peer_memory))
    for what, mine, peer in comparisons:
        print_row(what, f"{mine:8.2f} here {peer:8.2f} diffusers, ratio {mine / peer:.2f}")


@one_line_errors
def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = CommandLine(prog="python -m helpers.benchmark", description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="timed calls, of which the median is printed")
    one_of = parser.add_mutually_exclusive_group()
    one_of.add_argument("--time-to-quality", action="store_true", help="train until samples are read right")
    one_of.add_argument("--peers", action="store_true", help="compare with diffusers")
    one_of.add_argument("--widgets", action="store_true", help="measure the sliders in a real browser")
    one_of.add_argument("--scaling", action="store_true", help="compare cores and workers, 10 steps a repeat")
    args = parser.parse_args(arguments)
    if args.repeats < 1:
        raise ValueError(f"--repeats must be at least 1, not {args.repeats}.")
    if args.widgets:
        report_widgets()
    elif args.scaling:
        print("\n".join(scaling_report(10 * args.repeats)))
    elif args.time_to_quality:
        (updates, seconds, accuracy), memory = alone(time_to_quality)
        missed = "" if accuracy >= TARGET else f": {TARGET:.0%} was not reached"
        print_row(f"{accuracy:.1%} after {updates} updates", f"{seconds / 60:8.1f} minutes, {memory:.2f} GiB{missed}")
    elif args.peers:
        print_peers()
    else:
        print_speed(args.repeats)
    return 0


if __name__ == "__main__":
    sys.exit(main())
