"""Speed and memory on this machine: `python -m helpers.benchmark`. Run it with nothing else running.

`--widgets` measures the sliders instead, in a real JupyterLab in Chromium (see `helpers.latency`).
"""

import os
import resource
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from helpers.checkpoints import load_unet
from helpers.clip import ClipUnavailable, load_clip
from helpers.command_line import CommandLine
from helpers.data import load_mnist, training_split
from helpers.latency import report_widgets
from helpers.objective import TrainingConfig
from helpers.sampling import sample
from helpers.training import Trainer, batches
from helpers.unet import UNetConfig


def median_seconds(function: Callable[[], object], repeats: int = 3) -> float:
    """The median wall-clock time of `function`, in seconds, after one call that compiles and isn't counted."""
    function()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def sampling_rows(repeats: int = 3) -> list[tuple[str, float]]:
    """(what, seconds) for the requests that the course makes, with the shipped network."""
    started = time.perf_counter()
    unet, schedule = load_unet()
    rows = [("loading the network", time.perf_counter() - started)]
    grid, ten = np.arange(100) % 10, np.arange(10)
    requests = {
        "10x10 grid, default sampler": (grid, {}),
        "10x10 grid, 100 guided ancestral steps": (grid, {"method": "ddpm"}),
        "10x10 grid, DPM-Solver++ in 10 steps": (grid, {"method": "dpm++", "steps": 10}),
        "ten digits, default sampler": (ten, {}),
    }
    for what, (labels, options) in requests.items():
        rows.append((what, median_seconds(lambda: sample(unet, schedule, labels, **options), repeats)))  # noqa: B023
    return rows


def clip_refusal_seconds() -> float:
    """How long `load_clip` takes to say that a hub name isn't on this machine, once it is imported."""
    started = time.perf_counter()
    try:
        load_clip("nobody/no-such-clip")
    except ClipUnavailable:
        return time.perf_counter() - started
    raise RuntimeError("load_clip found a checkpoint that doesn't exist.")


def training_images_per_second(precision: str, steps: int = 20) -> float:
    """Images a second of the shipped recipe, data and noise included, after the first steps."""
    config = TrainingConfig(steps=steps + 5, precision=precision)
    trainer = Trainer(UNetConfig(), config, tf.distribute.get_strategy())
    data = iter(batches(*training_split(load_mnist()), config, 0, tf.distribute.InputContext()))
    for _ in range(5):
        float(trainer.distributed_step(*next(data)))
    started = time.perf_counter()
    for _ in range(steps):
        float(trainer.distributed_step(*next(data)))
    return steps * config.batch_size / (time.perf_counter() - started)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = CommandLine(prog="python -m helpers.benchmark", description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="timed calls, of which the median is printed")
    parser.add_argument("--widgets", action="store_true", help="measure the sliders in a real browser instead")
    args = parser.parse_args(arguments)
    if args.widgets:
        return report_widgets()
    if args.repeats < 1:
        print(f"error: --repeats must be at least 1, not {args.repeats}.", file=sys.stderr)
        return 2
    print(f"{os.cpu_count()} cores, TensorFlow {tf.__version__}; medians of {args.repeats} warm calls")
    rows = [*sampling_rows(args.repeats), ("load_clip of a name that isn't here", clip_refusal_seconds())]
    for what, seconds in rows:
        print(f"{what:42} {seconds:8.2f} s", flush=True)
    for precision in ("float32", "mixed_bfloat16"):
        print(f"{'training, ' + precision:42} {training_images_per_second(precision):8.0f} images/s", flush=True)
    # Linux counts the peak in kibibytes.
    print(f"{'peak memory of all of this':42} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:8.2f} GiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
