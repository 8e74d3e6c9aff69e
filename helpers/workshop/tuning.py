"""Choosing the sampler: which solver, how many steps, how much guidance. The test set takes no part.

Accuracy alone would choose the strongest guidance, so R, coverage and density (see `metrics` and `neighbours`) stand
beside it. All four use the classifier "features"; "judge" and "critic" take no part in any choice. Finally the best
settings of each table and interval train a CNN that is tested on real images: variety that their digits lack, it can't
learn. `python -m helpers tune` runs it.

The reference isn't the 5,000 validation images. They are the last of the file and differ from all others (`--blocks`
prints by how much), so digits close to them aren't close to MNIST. The reference is drawn from a random half of the
training images instead, and draws from the other half say how near real images come. The network was trained on both
halves; `measures` shows that it copies no image. Whole recipes are compared with the validation images all the same
(see `recipes`), because a network must not profit from memorising its own training images.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from helpers.checkpoints import WEIGHTS, load_digits_denoiser
from helpers.data import load_mnist, to_model_range, training_split, validation_split
from helpers.evaluation.classifiers import digit_accuracy, extract_features, load_classifier, pixel_spread
from helpers.evaluation.measures import Reference
from helpers.evaluation.metrics import draw_with_counts, frechet_distance, training_value
from helpers.sampling.sampler import SamplerSettings, sample
from helpers.tools.checks import check_number, check_whole
from helpers.tools.files import newest, read_rows, reason, sha256_of_file, write_rows
from helpers.tools.locks import held
from helpers.unet import Denoiser

SOLVER = ("dpm++", 20)
SHARES = (0.0,)  # of fresh noise: eta
SCALES = (1.25, 1.5, 1.6, 1.7, 1.8, 2.0, 2.5)
INTERVALS = (None, (20, 80), (40, 70))  # of t in which guidance acts: everywhere, and in the middle
FRONT_SOLVERS = {
    ("ddpm", 1.0): (5, 10, 20, 100),
    ("ddim", 0.0): (5, 10, 20, 50),
    ("dpm++", 0.0): (5, 7, 10, 15, 20),
}
FRONT_GUIDANCE = ((1.25, None), (1.7, (20, 80)), (2.5, (40, 70)))  # the lowest R of each in the first table
FLOOR_DRAWS = 3  # of real training images
WORK = Path("runs/tuning")  # for unfinished tables
WANTED_ACCURACY = 0.993  # of the default, which is the best teacher among the finalists that reach it
FINALIST_ACCURACY = 0.992  # a little lower, because with two thousand images chance moves the share by 0.002
COLUMNS = ("nfe", "accuracy", "ratio")  # that finalists are chosen by
FINALIST_NFE = 32  # at most: a 10x10 grid in less than two seconds on two cores


class Quality(NamedTuple):
    """The quality of a setting, against training images. R, coverage and density compare only at equal `images`."""

    nfe: int  # network passes per image: two a step where guidance acts
    accuracy: float  # share that "features" classifies as requested, in [0, 1]
    ratio: float  # R: Frechet distance over that of real training images
    coverage: float  # share of training images near a sample, over the share near another real image
    density: float  # how many training images are near a sample, over how many are near another real image
    spread: float  # between images of one digit: see `pixel_spread`
    taught: float | None = None  # accuracy of CNNs trained on the samples, if asked for


class Yardstick:
    """The labels of the samples to come, and real images with the same labels to compare them with.

    The labels are those of the validation images, and start over beyond 5,000. The reference consists of training
    images, or of the validation images if `validation`. Raises `ValueError` if `images`, the number of samples to come,
    isn't in 200..10000, or 200..5000 if `validation`.
    """

    def __init__(self, images: int, validation: bool = False) -> None:
        mnist = load_mnist()
        validation_images, validation_labels = validation_split(mnist)
        check_whole("images", images, 200, len(validation_labels) * (1 if validation else 2))
        self.labels = np.resize(validation_labels, images).astype(np.int32)  # (images,)
        train_images, train_labels = training_split(mnist)
        self.network = load_classifier("features")

        def features(pictures: np.ndarray) -> np.ndarray:
            return extract_features(self.network, to_model_range(pictures))  # (n, d)

        pool = np.arange(len(train_labels))
        if validation:
            self.reference_images = validation_images[:images]
        else:  # the two halves have no image in common
            one_half, pool = np.array_split(np.random.default_rng(0).permutation(pool), 2)
            drawn = one_half[draw_with_counts(train_labels[one_half], self.labels, 0)]
            self.reference_images = train_images[drawn]  # (images, 28, 28) uint8
        self.reference = Reference(
            features(self.reference_images),
            self.labels,
            train_labels[pool],
            lambda positions: features(train_images[pool[positions]]),
            FLOOR_DRAWS,
        )

    def taught(self, images: np.ndarray) -> float:
        """The classification accuracy score of `images` on the reference images, the mean of two CNNs."""
        reference = (to_model_range(self.reference_images).numpy(), self.labels)
        return training_value(images, self.labels, *reference)

    def measure(self, denoiser: Denoiser, settings: SamplerSettings, seed: int = 0, teach: bool = False) -> Quality:
        """Draw one sample for each label and compare them. `teach` also trains CNNs on them."""
        images = sample(denoiser, self.labels, settings, seed=seed).images
        found = self.reference.compare(extract_features(self.network, images))
        return Quality(
            nfe=settings.nfe(denoiser.schedule),
            accuracy=digit_accuracy(self.network, images, self.labels),
            ratio=found["frechet"]["ratio"],
            coverage=found["coverage"]["share"],
            density=found["density"]["share"],
            spread=pixel_spread(images, self.labels),
            taught=self.taught(images) if teach else None,
        )


def measure_all(
    network: Path, settings: Sequence[SamplerSettings], images: int, seed: int, teach: bool, work: Path = WORK
) -> Iterator[dict]:
    """The rows of a table, one for each of the settings. Finished rows are kept in `work` until the last is made.

    A row depends on the network, the number of images and the seed; unfinished tables of others don't mix with it.
    Raises `ValueError` if another process is measuring the same ones.
    """
    denoiser = load_digits_denoiser(network)
    depends_on = (sha256_of_file(newest(network, WEIGHTS)), images, seed, teach)
    folder = work / hashlib.sha256(repr(depends_on).encode()).hexdigest()[:16]
    with held(folder):
        yield from _measure_missing(denoiser, settings, images, seed, teach, folder / "rows.csv")
    with suppress(OSError):  # another process has taken it already
        folder.rmdir()


def _measure_missing(
    denoiser: Denoiser, settings: Sequence[SamplerSettings], images: int, seed: int, teach: bool, kept: Path
) -> Iterator[dict]:
    rows = read_table(kept, [name for name in Quality._fields if teach or name != "taught"]) if kept.exists() else []
    yardstick = Yardstick(images)
    for setting in settings:
        named = {name: str(value) if value is not None else "" for name, value in asdict(setting).items()}
        row = next((row for row in rows if named.items() <= row.items()), None)
        if row is None:
            quality = yardstick.measure(denoiser, setting, seed, teach)._asdict()
            row = named | {name: str(round(q, 4)) for name, q in quality.items() if q is not None}
            rows.append(row)
            write_rows(kept, rows)
        yield row
    kept.unlink(missing_ok=True)


def scale_settings() -> list[SamplerSettings]:
    """`SOLVER` with every share of fresh noise: without guidance, and at every scale inside every interval."""
    guidance = [(1.0, None), *((scale, interval) for interval in INTERVALS for scale in SCALES)]
    return [SamplerSettings(*SOLVER, eta, *each) for eta in SHARES for each in guidance]


def front_settings() -> list[SamplerSettings]:
    """Every solver with few to many steps, guided everywhere and inside either interval."""
    return [
        SamplerSettings(method, steps, eta, *guidance)
        for (method, eta), many in FRONT_SOLVERS.items()
        for steps in many
        for guidance in FRONT_GUIDANCE
    ]


def as_setting(row: dict[str, str]) -> SamplerSettings:
    """The setting of a row of the table. Raises `ValueError` for a damaged row."""
    interval = re.fullmatch(r"\((\d+), (\d+)\)", row["guidance_interval"])
    if row["guidance_interval"] and not interval:
        raise ValueError(f"guidance_interval must be (first, last) or empty, not {row['guidance_interval']!r}.")
    first_and_last = (int(interval[1]), int(interval[2])) if interval else None
    eta, scale = float(row["eta"]), float(row["guidance_scale"])
    return SamplerSettings(row["method"], int(row["steps"]), eta, scale, first_and_last)


def read_table(path: Path, columns: Sequence[str] = COLUMNS) -> list[dict[str, str]]:
    """The rows of a table, each with a setting and a finite number in each of the columns.

    Raises `ValueError`, which names the file, if it is damaged.
    """
    rows = read_rows(path, (*SamplerSettings.__dataclass_fields__, *columns))
    try:
        for row in rows:
            as_setting(row)
            for name in columns:
                check_number(name, int(row[name]) if name == "nfe" else float(row[name]), -np.inf)
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {reason(error)}.") from error
    return rows


def finalists(*tables: Sequence[dict[str, str]]) -> list[SamplerSettings]:
    """The settings with the lowest R for each guidance interval, and each share of noise in `SOLVER`, in each table.

    Only rows with enough accuracy and a small enough NFE count; raises `ValueError` if there is none. No setting comes
    twice. Every table contributes, because two thousand digits can't separate solvers of nearly equal R.
    """
    best: dict[tuple[int, tuple[int, int] | float | None], SamplerSettings] = {}
    for number, rows in enumerate(tables):
        accurate = [row for row in rows if float(row["accuracy"]) >= FINALIST_ACCURACY]
        able = [row for row in accurate if int(row["nfe"]) <= FINALIST_NFE]
        for setting in (as_setting(row) for row in sorted(able, key=lambda row: float(row["ratio"]))):
            best.setdefault((number, setting.guidance_interval), setting)
            if setting.method == SOLVER[0] and setting.eta:
                best.setdefault((number, setting.eta), setting)
    if not best:
        raise ValueError(
            f"rows must hold one with an accuracy of {FINALIST_ACCURACY} and an NFE of at most {FINALIST_NFE}."
        )
    return list(dict.fromkeys(best.values()))


def best_teacher(rows: Sequence[dict]) -> dict | None:
    """The row of the finalists with enough accuracy whose digits teach a CNN best; None if there is none."""
    accurate = (row for row in rows if float(row["accuracy"]) >= WANTED_ACCURACY)
    return max(accurate, key=lambda row: float(row["taught"]), default=None)


def block_distances() -> tuple[np.ndarray, float]:
    """The Frechet distances of blocks of 5,000 training images, `(11,)`, and that of the 5,000 validation images.

    Each is the distance to other training images with the same labels.
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
