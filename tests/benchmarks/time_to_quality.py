"""Train until 99 % of guided samples are classified correctly: `python -m tests.benchmarks.time_to_quality`.

It prints the minutes, with nothing else running. The recipe is shorter than the default one.
"""

import helpers.tools.quiet  # noqa: F401

import argparse
import sys
import time

import numpy as np
import tensorflow as tf

from helpers.data import load_mnist, training_split
from helpers.evaluation.classifiers import digit_accuracy, load_classifier
from helpers.sampling.sampler import SamplerSettings, sample
from helpers.tools.command_line import CommandLine, run_command
from helpers.tools.cores import one_stream_per_core
from helpers.training.objective import TrainingConfig
from helpers.training.trainer import Trainer, batches
from helpers.unet import UNetConfig
from tests.benchmarks.processes import alone, print_row

# Shorter than the default recipe: within minutes, the learning rate must come down and the EMA must catch up.
QUICK = TrainingConfig(steps=2_400, ema_decay=0.99)
GUIDANCE = SamplerSettings(guidance_scale=3.0, guidance_interval=(20, 80))  # a young network needs more of it
TARGET = 0.99  # of guided samples classified correctly


def time_to_quality(target: float = TARGET, every: int = 200, images: int = 1_000) -> tuple[int, float, float]:
    """(updates, seconds of training, accuracy) when the EMA network's guided samples first reach the target.

    Only training is timed, not the sampling in between. The classifier is "judge", which took no part in tuning. If the
    target isn't reached, these are the figures at the end of the recipe.
    """
    streams = one_stream_per_core(QUICK.batch_size)
    trainer = Trainer(UNetConfig(), QUICK, tf.distribute.get_strategy(), streams)
    judge, labels = load_classifier("judge"), np.arange(images) % 10
    data = batches(*training_split(load_mnist()), QUICK, 0, tf.distribute.InputContext())
    seconds, started = 0.0, time.perf_counter()
    for step, batch in enumerate(data, start=1):
        float(trainer.distributed_step(*batch))
        if step % every == 0 and step >= QUICK.steps // 2:
            seconds += time.perf_counter() - started
            drawn = sample(trainer.ema, labels, GUIDANCE, seed=step)
            accuracy = digit_accuracy(judge, drawn.images, labels)
            print(f"  {step} updates, {seconds / 60:.1f} minutes: {accuracy:.1%}", flush=True)
            if accuracy >= target:
                break
            started = time.perf_counter()
    return step, seconds, accuracy


def run(_: argparse.Namespace) -> None:
    """Print updates, minutes and peak memory."""
    (updates, seconds, accuracy), memory = alone(time_to_quality)
    missed = "" if accuracy >= TARGET else f": {TARGET:.0%} was not reached"
    print_row(f"{accuracy:.1%} after {updates} updates", f"{seconds / 60:8.1f} minutes, {memory:.2f} GiB{missed}")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = CommandLine(prog="python -m tests.benchmarks.time_to_quality", description=__doc__.partition(":")[0] + ".")
    return run_command(run, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
