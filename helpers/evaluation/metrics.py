"""Metrics of generated images: each answers one question with one number. `neighbours` has more of them.

Are they distributed like real images (Frechet distance)? How certain is a share (intervals)? Could they replace real
images (classification accuracy score)? Used in notebook 06, by the report card (`measures`), and to choose the default
settings (`tuning`).
"""

import helpers.tools.quiet  # noqa: F401

from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np
from keras import layers
from scipy.stats import binomtest, bootstrap

from helpers.evaluation.classifiers import digit_accuracy
from helpers.tools.checks import check_finite, check_images, check_labels, check_pair, check_whole

REDRAWS = 20  # of the generated features, for the spread of R


class FrechetRatio(NamedTuple):
    """A Frechet distance beside the distance that equally many real images have by chance."""

    distance: float  # of the generated images to the reference, squared feature units
    floor: float  # mean distance of the real draws to the reference, squared feature units
    floor_spread: float  # sample standard deviation of those distances
    ratio: float  # distance / floor: 1 is as good as real images
    spread: float  # standard deviation of the ratio, if both sets were drawn anew


def _frechet_pair(name: str, features: np.ndarray, reference: np.ndarray) -> list[np.ndarray]:
    pair = check_pair(name, features, "reference", reference)
    for argument, rows in zip((name, "reference"), pair, strict=True):
        if len(rows) <= rows.shape[1]:
            raise ValueError(f"{argument} must have more rows than columns to fit a covariance, not {rows.shape}.")
    return pair


def frechet_distance(features: np.ndarray, reference: np.ndarray) -> float:
    """The squared distance of Gaussians fitted to features `(n, d)` and reference `(m, d)` (Heusel et al. 2017, eq. 6).

    In squared feature units, computed in float64; 0 for equal means and covariances. It shrinks as n and m grow,
    even for real images, so only distances at the same n and m can be compared: see `frechet_ratio`.
    Raises `ValueError` unless both are finite and have the same d and more rows than columns.
    """
    features, reference = _frechet_pair("features", features, reference)
    return _distance(_gaussian(features), _gaussian(reference))


def _gaussian(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean of rows `(n, d)`, `(d,)`, and a triangular R `(d, d)` with the covariance R^T R.

    R exists even where a feature is always zero.
    """
    mean = rows.mean(axis=0)
    return mean, np.linalg.qr(rows - mean, mode="r") / np.sqrt(len(rows) - 1)


def _distance(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> float:
    (mean, root), (other_mean, other_root) = one, other
    # The eigenvalues of the covariances' product are the squared singular values of R R_w^T, so the trace of its
    # square root is their sum, and no root of a rounding error below zero is ever taken.
    trace_of_root = np.linalg.norm(root @ other_root.T, "nuc")
    return max(0.0, float(np.sum((mean - other_mean) ** 2) + np.sum(root**2 + other_root**2) - 2 * trace_of_root))


def frechet_ratio(features: np.ndarray, reference: np.ndarray, floor_draws: Sequence[np.ndarray]) -> FrechetRatio:
    """R, the Frechet distance of features `(n, d)` to reference `(m, d)` over that of real images.

    `floor_draws`: features `(n, d)` of real training images, two draws or more. Each must have as many rows as the
    generated features, because the distance of a small sample is too large by an amount proportional to 1 / n.
    The spread combines the floor's, over the root of the number of draws, with that of 20 bootstrap redraws of the
    generated features; they vary the mix of digits too, so it is rather too large. The reference stays the same.
    Raises `ValueError` for other shapes, for values that aren't finite and for draws that are the reference itself.
    """
    features, reference = _frechet_pair("features", features, reference)
    if len(floor_draws) < 2:
        raise ValueError(f"floor_draws must hold at least 2 arrays of features, not {len(floor_draws)}.")
    draws = [check_finite(f"floor_draws[{i}]", draw, 2) for i, draw in enumerate(floor_draws)]
    for i, draw in enumerate(draws):
        if draw.shape != features.shape:
            raise ValueError(f"floor_draws[{i}] must be {features.shape} like features, not {draw.shape}.")
    to = _gaussian(reference)
    distances = [_distance(_gaussian(draw), to) for draw in draws]
    if min(distances) <= 1e-9 * reference.var(axis=0).sum():
        raise ValueError(f"floor_draws must be other images than reference, not {min(distances):g} away from it.")
    distance, floor, floor_spread = _distance(_gaussian(features), to), np.mean(distances), np.std(distances, ddof=1)
    random, n = np.random.default_rng(0), len(features)
    redrawn = [_distance(_gaussian(features[random.integers(0, n, n)]), to) for _ in range(REDRAWS)]
    spread = np.hypot(np.std(redrawn, ddof=1), distance / floor * floor_spread / np.sqrt(len(draws))) / floor
    return FrechetRatio(distance, float(floor), float(floor_spread), float(distance / floor), float(spread))


def draw_with_counts(labels: np.ndarray, wanted: np.ndarray, seed: int) -> np.ndarray:
    """Random positions `(n,)` int64 in `labels` `(pool,)`, none twice, with `labels[positions] == wanted` `(n,)`.

    A floor drawn like this has as many of each digit as the generated images, so the mix of digits can't matter.
    Raises `ValueError` if the pool holds fewer of a class than wanted.
    """
    labels, wanted = check_labels(labels), check_labels(wanted, "wanted")
    check_whole("seed", seed, 0)
    counts = dict(zip(*np.unique(wanted, return_counts=True), strict=True))
    for digit, count in counts.items():
        if (available := np.count_nonzero(labels == digit)) < count:
            raise ValueError(f"labels must hold class {digit} at least {count} times, as wanted does, not {available}.")
    random = np.random.default_rng(seed)
    positions = np.empty(len(wanted), np.int64)
    for digit, count in counts.items():
        positions[wanted == digit] = random.choice(np.flatnonzero(labels == digit), count, replace=False)
    return positions


def wilson_interval(successes: int, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """The interval of the true share behind `successes` of `count`, both ends in [0, 1] (Wilson 1927).

    Unlike the share plus or minus two standard errors it stays in [0, 1] and has a width even at a share of 0 or 1.
    Raises `ValueError` for a count below 1, successes outside 0..count, or confidence outside (0, 1).
    """
    check_whole("count", count, 1)
    check_whole("successes", successes, 0, count)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be strictly between 0 and 1, not {confidence!r}.")
    low, high = binomtest(int(successes), int(count)).proportion_ci(confidence, method="wilson")
    return float(low), float(high)


def _check_digits(name: str, images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    images, labels = check_images(images, f"{name}images"), check_labels(labels, f"{name}labels")
    if len(images) != len(labels):
        raise ValueError(f"{name}images must be {len(labels)} like {name}labels, not {len(images)}.")
    if not np.array_equal(found := np.unique(labels), np.arange(10)):
        raise ValueError(f"{name}labels must hold each of the digits 0..9 and nothing else, not {found.tolist()}.")
    return images, labels


def classification_accuracy_score(
    images: np.ndarray,
    labels: np.ndarray,
    test_images: np.ndarray,
    test_labels: np.ndarray,
    seed: int = 0,
    epochs: int = 12,
) -> float:
    """The accuracy on real test images of a small CNN trained on generated ones, in [0, 1] (Ravuri & Vinyals 2019).

    Images `(n, 28, 28, 1)` in [-1, 1], labels `(n,)` with all ten digits, and the same of the test set. Wrong
    labels and missing styles of handwriting both lower the score; compare it with that of as many real training images.
    Takes about half a minute for 10,000 images on 2 cores, and sets the global random seeds to `seed`.
    Raises `ValueError` for other shapes, ranges or labels.
    """
    images, labels = _check_digits("", images, labels)
    test_images, test_labels = _check_digits("test_", test_images, test_labels)
    check_whole("seed", seed, 0, 2**32 - 1)
    check_whole("epochs", epochs, 1)
    keras.utils.set_random_seed(int(seed))
    stack: list[layers.Layer] = []
    for width in (24, 48):
        stack += [layers.Conv2D(width, 3, padding="same", activation="relu"), layers.MaxPooling2D()]
    stack += [layers.Flatten(), layers.Dropout(0.3), layers.Dense(10)]
    classifier = keras.Sequential([keras.Input((28, 28, 1)), *stack])
    rate = keras.optimizers.schedules.CosineDecay(3e-3, epochs * -(-len(images) // 100))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    classifier.compile(keras.optimizers.Adam(rate), loss)
    classifier.fit(images, labels, batch_size=100, epochs=epochs, verbose=0)
    return digit_accuracy(classifier, test_images, test_labels)


def training_value(
    images: np.ndarray, labels: np.ndarray, test_images: np.ndarray, test_labels: np.ndarray, seed: int = 0
) -> float:
    """The mean `classification_accuracy_score` of two CNNs, with `seed` and `seed` + 1, because one score is noisy.

    Shapes, ranges and errors are those of the score.
    """
    scores = [
        classification_accuracy_score(images, labels, test_images, test_labels, seed=each) for each in (seed, seed + 1)
    ]
    return float(np.mean(scores))


def pareto_front(nfe: Sequence[float], ratios: Sequence[float]) -> np.ndarray:
    """The settings that no other setting beats in both NFE and R: `(n,)` bool. Of equal settings the first."""
    order = np.lexsort((ratios, nfe))  # by NFE, then by R
    best = np.minimum.accumulate(np.asarray(ratios)[order])  # (n,): the lowest R up to this NFE
    front = np.zeros(len(order), bool)
    front[order] = np.append(True, best[1:] < best[:-1])
    return front


def bootstrap_interval(values: np.ndarray, seed: int = 0, draws: int = 1_000) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of the mean of `values` `(n,)`, from `draws` redraws.

    Raises `ValueError` unless they are at least 2 finite numbers.
    """
    values = np.asarray(values, float)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
        raise ValueError(f"values must be at least 2 finite numbers, (n,), not {values.shape}.")
    if np.ptp(values) == 0:  # every redraw is the same
        return float(values[0]), float(values[0])
    found = bootstrap((values,), np.mean, n_resamples=draws, method="percentile", batch=50, rng=seed)
    return float(found.confidence_interval.low), float(found.confidence_interval.high)
