"""Which sampler, how many steps, how much guidance: measured on held-out training images, never on the test set.

    python -m helpers.tuning --images 2000 --out runs/tuning.csv            # solvers, scales, intervals of guidance
    python -m helpers.tuning --front --images 2000 --out runs/front.csv     # quality for 5 to 100 steps

Accuracy alone would choose the strongest guidance, so R and coverage (see `metrics`) stand beside it. All three by
the network "features"; "judge" stays out of every choice. Used for the default settings and in notebook 05.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from helpers.checkpoints import SHIPPED, load_digits_unet
from helpers.classifier import digit_accuracy, extract_features, load_classifier, pixel_spread
from helpers.command_line import CommandLine, one_line_errors
from helpers.data import held_out_split, load_mnist, to_model_range, training_split
from helpers.diffusion import Schedule
from helpers.files import write_rows
from helpers.metrics import coverage, draw_with_counts, frechet_ratio
from helpers.sampling import sample, sampling_times

SOLVERS = (("ddim", 20, 1.0), ("ddim", 20, 0.0), ("dpm++", 10, 0.0))
SCALES = (1.0, 1.25, 1.5, 2.0)
INTERVALS = (None, (20, 80))  # of t in which guidance acts: everywhere, or where digits take shape
FRONT_SOLVERS = {("ddpm", 1.0): (5, 10, 20, 50, 100), ("ddim", 0.0): (5, 10, 20, 50), ("dpm++", 0.0): (5, 7, 10, 20)}
FRONT_GUIDANCE = ((1.5, None), (2.0, (20, 80)))
FLOOR_DRAWS = 3  # of real training images


class Setting(NamedTuple):
    """What `sample` is told: solver, network evaluations, fresh noise, guidance and where it acts."""

    method: str
    steps: int
    eta: float
    guidance_scale: float
    guidance_interval: tuple[int, int] | None = None


class Quality(NamedTuple):
    """What came of it, against held-out images; `ratio` and `coverage` only compare at the same number of images."""

    passes: int  # of the network for one image: two a step if guided
    accuracy: float  # share read by "features" as asked, in [0, 1]
    ratio: float  # R: Frechet distance over that of real training images
    coverage: float  # share of held-out images near a sample, over the share near a real training image
    spread: float  # between images of one digit: see `pixel_spread`
    seconds: float  # of sampling


def network_passes(schedule: Schedule, setting: Setting) -> int:
    """Network passes for one image: one a step, and one more where there is guidance."""
    if setting.guidance_scale in (0.0, 1.0):
        return setting.steps
    times = sampling_times(schedule, setting.steps)
    first, last = setting.guidance_interval or (0, schedule.steps - 1)
    return setting.steps + int(np.sum((times >= first) & (times <= last)))


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
            passes=network_passes(schedule, setting),
            accuracy=digit_accuracy(self.network, images, self.labels),
            ratio=frechet_ratio(features, self.reference, self.draws).ratio,
            coverage=coverage(features, self.reference) / self.real_coverage,
            spread=pixel_spread(images, self.labels),
            seconds=seconds,
        )


def scale_settings() -> list[Setting]:
    """Every solver at every scale, everywhere and inside the interval; scale 1 only once, as nothing is guided."""
    return [
        Setting(*solver, scale, interval)
        for solver in SOLVERS
        for interval in INTERVALS
        for scale in SCALES
        if scale != 1.0 or interval is None
    ]


def front_settings() -> list[Setting]:
    """Every solver with few to many steps, guided everywhere and inside the interval."""
    return [
        Setting(method, steps, eta, *guidance)
        for (method, eta), many in FRONT_SOLVERS.items()
        for steps in many
        for guidance in FRONT_GUIDANCE
    ]


def pareto_front(passes: Sequence[float], ratios: Sequence[float]) -> np.ndarray:
    """Which of n settings no other one beats in both passes and R: `(n,)` bool. Of equal ones the first."""
    order = np.lexsort((ratios, passes))  # by passes, then by R
    best = np.minimum.accumulate(np.asarray(ratios)[order])  # (n,): the lowest R for so many passes
    front = np.zeros(len(order), bool)
    front[order] = np.append(True, best[1:] < best[:-1])
    return front


@one_line_errors
def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = CommandLine(prog="python -m helpers.tuning", description="Compare the sampler's settings.")
    parser.add_argument("--weights", type=Path, default=SHIPPED, help="folder of a trained network")
    parser.add_argument("--images", type=int, default=1_000, help="samples a setting (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--front", action="store_true", help="few to many steps instead of several scales")
    parser.add_argument("--out", type=Path, help="CSV to write")
    args = parser.parse_args(arguments)
    unet, schedule = load_digits_unet(args.weights)
    yardstick = Yardstick(args.images)
    rows = []
    for setting in front_settings() if args.front else scale_settings():
        quality = yardstick.measure(unet, schedule, setting, args.seed)
        rows.append({**setting._asdict(), **{name: round(value, 4) for name, value in quality._asdict().items()}})
        print(", ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
        if args.out:
            write_rows(args.out, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
