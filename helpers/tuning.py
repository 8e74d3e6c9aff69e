"""Which sampler, how many steps, how much guidance: measured on held-out training images, never on the test set.

    python -m helpers.tuning --images 1000 --out runs/tuning.csv

Accuracy alone would choose the strongest guidance, so R and coverage (see `metrics`) stand beside it. All three by
the network "features"; "judge" stays out of every choice. Used for the default settings and in notebook 05.
"""

import csv
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from helpers.checkpoints import SHIPPED, load_unet
from helpers.classifier import digit_accuracy, extract_features, load_classifier, pixel_spread
from helpers.command_line import CommandLine, one_line_errors
from helpers.data import held_out_split, load_mnist, to_model_range, training_split
from helpers.diffusion import Schedule
from helpers.files import write_aside
from helpers.metrics import coverage, draw_with_counts, frechet_ratio
from helpers.sampling import sample

SOLVERS = (("ddim", 20, 1.0), ("ddim", 20, 0.0), ("dpm++", 10, 0.0))
SCALES = (1.0, 1.25, 1.5, 2.0)
FLOOR_DRAWS = 3  # of real training images


class Setting(NamedTuple):
    """What `sample` is told: solver, network evaluations, fresh noise, guidance."""

    method: str
    steps: int
    eta: float
    guidance_scale: float


class Quality(NamedTuple):
    """What came of it, against held-out images; `ratio` and `coverage` only compare at the same number of images."""

    passes: int  # of the network for one image: two a step if guided
    accuracy: float  # share read by "features" as asked, in [0, 1]
    ratio: float  # R: Frechet distance over that of real training images
    coverage: float  # share of held-out images near a sample, over the share near a real training image
    spread: float  # between images of one digit: see `pixel_spread`
    seconds: float  # of sampling


class Yardstick:
    """Held-out images with the labels of the samples to come, and as many real training images, as features."""

    def __init__(self, images: int) -> None:
        mnist = load_mnist()
        held_out, held_out_labels = held_out_split(mnist)
        if not 200 <= images <= len(held_out):
            raise ValueError(
                f"images must be in 200..{len(held_out)} (there are so many held-out images), not {images}."
            )
        self.labels = held_out_labels[:images].astype(np.int32)
        train_images, train_labels = training_split(mnist)
        draws = [train_images[draw_with_counts(train_labels, self.labels, seed)] for seed in range(FLOOR_DRAWS)]
        self.network = load_classifier("features")
        self.reference, *self.draws = (
            extract_features(self.network, to_model_range(part)) for part in (held_out[:images], *draws)
        )
        self.real_coverage = float(np.mean([coverage(draw, self.reference) for draw in self.draws]))

    def measure(self, unet: keras.Model, schedule: Schedule, setting: Setting, seed: int = 0) -> Quality:
        """Draw as many samples as there are labels and compare them."""
        started = time.perf_counter()
        images = sample(unet, schedule, self.labels, **setting._asdict(), seed=seed).images
        seconds = time.perf_counter() - started
        features = extract_features(self.network, images)
        return Quality(
            passes=setting.steps * (1 if setting.guidance_scale in (0.0, 1.0) else 2),
            accuracy=digit_accuracy(self.network, images, self.labels),
            ratio=frechet_ratio(features, self.reference, self.draws).ratio,
            coverage=coverage(features, self.reference) / self.real_coverage,
            spread=pixel_spread(images, self.labels),
            seconds=seconds,
        )


def sweep(weights: Path, images: int, seed: int = 0) -> Iterator[tuple[Setting, Quality]]:
    """The quality of every solver at every scale."""
    unet, schedule = load_unet(weights)
    yardstick = Yardstick(images)
    for solver in SOLVERS:
        for scale in SCALES:
            setting = Setting(*solver, scale)
            yield setting, yardstick.measure(unet, schedule, setting, seed)


@one_line_errors
def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = CommandLine(prog="python -m helpers.tuning", description="Compare the sampler's settings.")
    parser.add_argument("--weights", type=Path, default=SHIPPED, help="folder of a trained network")
    parser.add_argument("--images", type=int, default=1_000, help="samples a setting (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="CSV to write")
    args = parser.parse_args(arguments)
    rows = []
    for setting, quality in sweep(args.weights, args.images, args.seed):
        rows.append({**setting._asdict(), **{name: round(value, 4) for name, value in quality._asdict().items()}})
        print(", ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
        if args.out:
            with write_aside(args.out) as temporary, open(temporary, "w", newline="") as file:
                writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
