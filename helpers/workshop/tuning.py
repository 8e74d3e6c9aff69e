"""Which sampler, how many steps, how much guidance: measured on training images, never on the test set.

    python -m helpers.tuning --images 2000 --out runs/tuning.csv            # how much guidance, and where
    python -m helpers.tuning --front --images 2000 --out runs/front.csv     # quality for 5 to 100 steps
    python -m helpers.tuning --finalists runs/tuning.csv runs/front.csv --images 10000 --out runs/finalists.csv
    python -m helpers.tuning --blocks                                       # are the held-out images like the others?

Accuracy alone would choose the strongest guidance, so R and coverage (see `metrics`) stand beside it. All three by
the network "features"; "judge" stays out of every choice. The best of each table and interval then teach a CNN, tested
on real images: what their digits leave out, it won't know. Used for the default settings and in notebook 05.

The reference for a setting isn't the 5,000 held-out images: they are the last of the file, and unlike all others
(`--blocks` prints by how much), so what is nearest to them isn't nearest to MNIST. It is drawn from a random half of
the other training images; draws from the other half say how near real images come. The network was trained on both;
that it copies none is measured in `measures`. Whole recipes are compared with the held-out images all the same (see
`recipes`): there, how well a network learned its own images by heart must not count.
"""

import ast
import sys
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
from helpers.files import read_rows, write_rows
from helpers.metrics import (
    coverage,
    draw_with_counts,
    frechet_distance,
    frechet_ratio,
    training_value,
)
from helpers.sampling import default_settings, sample
from helpers.solvers import sampling_times, scales_of_steps

SOLVER = ("dpm++", 20, 0.0)
SCALES = (1.25, 1.5, 1.6, 1.7, 1.8, 2.0, 2.5)
INTERVALS = (None, (20, 80), (40, 70))  # of t in which guidance acts: everywhere, and in the middle
FRONT_SOLVERS = {
    ("ddpm", 1.0): (5, 10, 20, 100),
    ("ddim", 0.0): (5, 10, 20, 50),
    ("dpm++", 0.0): (5, 7, 10, 15, 20),
}
FRONT_GUIDANCE = ((1.25, None), (1.7, (20, 80)), (2.5, (40, 70)))  # the lowest R of each in the first table
FLOOR_DRAWS = 3  # of real training images
WANTED_ACCURACY = 0.993  # the default is the best teacher of the finalists that are read right so often
FINALIST_ACCURACY = 0.992  # at least, by few images: by two thousand, luck moves the share by 0.002
FINALIST_PASSES = 32  # at most: a 10x10 grid in less than two seconds on two cores


class Setting(NamedTuple):
    """What `sample` is told: solver, network evaluations, fresh noise, guidance and where it acts."""

    method: str
    steps: int
    eta: float
    guidance_scale: float
    guidance_interval: tuple[int, int] | None = None


def default_setting(schedule: Schedule) -> Setting:
    """What `sample` does if it isn't told otherwise. (eta says nothing to the default method.)"""
    return Setting(**default_settings(schedule) | {"eta": 0.0})


class Quality(NamedTuple):
    """What came of it, against training images; `ratio` and `coverage` only compare at the same number of images."""

    passes: int  # of the network for one image: two a step if guided
    accuracy: float  # share read by "features" as asked, in [0, 1]
    ratio: float  # R: Frechet distance over that of real training images
    coverage: float  # share of training images near a sample, over the share near another real image
    spread: float  # between images of one digit: see `pixel_spread`
    taught: float | None = None  # share of training images that CNNs taught by the samples read right, if asked for


def network_passes(schedule: Schedule, setting: Setting) -> int:
    """Network passes for one image: one a step, and one more where there is guidance."""
    times = sampling_times(schedule, setting.steps)
    scales = scales_of_steps(times, setting.guidance_scale, setting.guidance_interval)  # (steps,)
    return setting.steps + int(np.sum((scales != 0) & (scales != 1)))


class Yardstick:
    """Real images with the labels of the samples to come, and as many others to compare with, as features.

    The labels are those of the held-out images, and start over beyond 5,000. The reference is of training images, or
    if `held_out`, those images themselves. Raises `ValueError` if `images`, how many samples to come, isn't in
    200..10000, or 200..5000 if `held_out`.
    """

    def __init__(self, images: int, held_out: bool = False) -> None:
        mnist = load_mnist()
        held_out_images, held_out_labels = held_out_split(mnist)
        most = len(held_out_labels) * (1 if held_out else 2)
        if not 200 <= images <= most:
            raise ValueError(f"images must be in 200..{most}, not {images}.")
        self.labels = np.resize(held_out_labels, images).astype(np.int32)  # (images,)
        train_images, train_labels = training_split(mnist)
        self.network = load_classifier("features")

        def drawn(pool: np.ndarray, seed: int) -> np.ndarray:
            found = pool[draw_with_counts(train_labels[pool], self.labels, seed)]  # (images,)
            return train_images[found]  # (images, 28, 28) uint8

        def features(images: np.ndarray) -> np.ndarray:
            return extract_features(self.network, to_model_range(images))

        others = np.arange(len(train_labels))
        if held_out:
            self.reference_images = held_out_images[:images]
        else:
            one_half, others = np.array_split(np.random.default_rng(0).permutation(others), 2)
            self.reference_images = drawn(one_half, 0)
        self.reference = features(self.reference_images)
        self.draws = [features(drawn(others, seed)) for seed in range(FLOOR_DRAWS)]  # none is in the reference
        self.real_coverage = float(np.mean([coverage(draw, self.reference) for draw in self.draws]))

    def taught(self, images: np.ndarray) -> float:
        """The classification accuracy score of `images` on the reference, the mean of two CNNs."""
        reference = (to_model_range(self.reference_images).numpy(), self.labels)
        return training_value(images, self.labels, *reference)

    def measure(
        self, unet: keras.Model, schedule: Schedule, setting: Setting, seed: int = 0, teach: bool = False
    ) -> Quality:
        """Draw as many samples as there are labels and compare them; if `teach`, also let CNNs learn from them."""
        images = sample(unet, schedule, self.labels, **setting._asdict(), seed=seed).images
        features = extract_features(self.network, images)
        return Quality(
            passes=network_passes(schedule, setting),
            accuracy=digit_accuracy(self.network, images, self.labels),
            ratio=frechet_ratio(features, self.reference, self.draws).ratio,
            coverage=coverage(features, self.reference) / self.real_coverage,
            spread=pixel_spread(images, self.labels),
            taught=self.taught(images) if teach else None,
        )


def scale_settings() -> list[Setting]:
    """`SOLVER` without guidance, and at every scale inside every interval."""
    unguided = Setting(*SOLVER, 1.0)
    return [unguided, *(Setting(*SOLVER, scale, interval) for interval in INTERVALS for scale in SCALES)]


def front_settings() -> list[Setting]:
    """Every solver with few to many steps, guided everywhere and inside either interval."""
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


def as_setting(row: dict[str, str]) -> Setting:
    """The setting of a row of the table."""
    interval = ast.literal_eval(row["guidance_interval"]) if row["guidance_interval"] else None
    return Setting(row["method"], int(row["steps"]), float(row["eta"]), float(row["guidance_scale"]), interval)


def finalists(*tables: Sequence[dict[str, str]]) -> list[Setting]:
    """The rows with the lowest R for each guidance interval in each of the tables that `main` wrote, none twice.

    Only those that are read right often enough and are cheap enough. Raises `ValueError` if there is none. Of each
    table, because two thousand digits tell solvers of nearly equal R apart no better than luck.
    """
    best: dict[tuple[int, tuple[int, int] | None], Setting] = {}
    for number, rows in enumerate(tables):
        right = [row for row in rows if float(row["accuracy"]) >= FINALIST_ACCURACY]
        able = [row for row in right if int(row["passes"]) <= FINALIST_PASSES]
        for setting in (as_setting(row) for row in sorted(able, key=lambda row: float(row["ratio"]))):
            best.setdefault((number, setting.guidance_interval), setting)
    if not best:
        raise ValueError(f"rows must have an accuracy of {FINALIST_ACCURACY} in {FINALIST_PASSES} passes somewhere.")
    return list(dict.fromkeys(best.values()))


def best_teacher(rows: Sequence[dict]) -> dict | None:
    """Of the finalists' rows, the one whose digits teach most, of those that are read right often enough, if any."""
    right = (row for row in rows if float(row["accuracy"]) >= WANTED_ACCURACY)
    return max(right, key=lambda row: float(row["taught"]), default=None)


def block_distances() -> tuple[np.ndarray, float]:
    """How unlike the rest 5,000 training images in a row are, and how unlike the 5,000 that are held out.

    Frechet distances `(11,)` and one number, each to other training images with the same labels.
    """
    mnist = load_mnist()
    features = extract_features(load_classifier("features"), to_model_range(mnist.train_images))  # (60000, d)
    labels, (train_images, _) = mnist.train_labels, training_split(mnist)
    distances = []
    for block in np.split(np.arange(len(labels)), 12):  # (5000,)
        others = np.setdiff1d(np.arange(len(train_images)), block)
        alike = others[draw_with_counts(labels[others], labels[block], 0)]  # (5000,)
        distances.append(frechet_distance(features[alike], features[block]))
    return np.array(distances[:-1]), distances[-1]


def _line(row: dict) -> str:
    return ", ".join(f"{name} {value}" for name, value in row.items())


@one_line_errors
def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = CommandLine(prog="python -m helpers.tuning", description="Compare the sampler's settings.")
    parser.add_argument("--weights", type=Path, default=SHIPPED, help="folder of a trained network")
    parser.add_argument("--images", type=int, default=1_000, help="samples a setting (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="CSV to write")
    one_of = parser.add_mutually_exclusive_group()
    one_of.add_argument("--front", action="store_true", help="few to many steps instead of several scales")
    one_of.add_argument(
        "--finalists", type=Path, nargs="+", metavar="CSV", help="the best of each interval in each table again"
    )
    one_of.add_argument("--blocks", action="store_true", help="only: are the held-out images like the others?")
    args = parser.parse_args(arguments)
    if args.blocks:
        others, held_out = block_distances()
        print(f"Frechet distance of 5,000 images to others with their labels: {others.min():.3f} to {others.max():.3f}")
        print(f"of the 5,000 held-out images: {held_out:.3f}")
        return 0
    settings = front_settings() if args.front else scale_settings()
    if args.finalists:
        settings = finalists(*map(read_rows, args.finalists))
    unet, schedule = load_digits_unet(args.weights)
    yardstick = Yardstick(args.images)
    rows = []
    for setting in settings:
        quality = yardstick.measure(unet, schedule, setting, args.seed, teach=bool(args.finalists))._asdict()
        rows.append(setting._asdict() | {name: round(q, 4) for name, q in quality.items() if q is not None})
        print(_line(rows[-1]), flush=True)
        if args.out:
            write_rows(args.out, rows)
    if args.finalists:
        chosen = best_teacher(rows)
        print(f"best teacher with an accuracy of {WANTED_ACCURACY}: {_line(chosen) if chosen else 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
