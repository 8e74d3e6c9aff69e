"""Metrics of generated images from a classifier's features: each answers one question with one number.

Are they distributed like real images (Frechet distance, coverage)? How certain is a share (intervals)? Are they copies
of training images (nearest neighbours, memorisation)? Could they replace them (classification accuracy score)?
Used in notebook 06, by the report card (`measures`), and to choose the default settings (`tuning`).
"""

import helpers.tools.quiet  # noqa: F401

from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np
from keras import layers
from scipy.stats import binomtest, bootstrap, mannwhitneyu
from sklearn.metrics import pairwise_distances_argmin
from sklearn.neighbors import NearestNeighbors

from helpers.evaluation.classifiers import digit_accuracy
from helpers.tools.checks import check_finite, check_images, check_labels, check_whole


class FrechetRatio(NamedTuple):
    """A Frechet distance beside the distance that equally many real images have by chance."""

    distance: float  # of the generated images to the reference, squared feature units
    floor: float  # mean distance of the real draws to the reference, squared feature units
    floor_spread: float  # sample standard deviation of those distances
    ratio: float  # distance / floor: 1 is as good as real images


class Memorisation(NamedTuple):
    """A comparison of generated and unseen real images by their distance to the training images."""

    auc: float  # probability that a generated image lies closer than a test image, in [0, 1]; 0.5 without copying
    auc_interval: tuple[float, float]  # its 95 % bootstrap interval
    share_closer: float  # share of generated images closer than `threshold`, in [0, 1]; about 0.01 without copying
    threshold: float  # 1st percentile of the test images' distances


def _finite_pair(name: str, points: np.ndarray, reference: np.ndarray, dtype: type = np.float64) -> list[np.ndarray]:
    points, reference = check_finite(name, points, 2, dtype), check_finite("reference", reference, 2, dtype)
    if points.shape[1] != reference.shape[1]:
        raise ValueError(f"{name} must have {reference.shape[1]} columns like reference, not {points.shape[1]}.")
    return [points, reference]


def _frechet_pair(name: str, features: np.ndarray, reference: np.ndarray) -> list[np.ndarray]:
    pair = _finite_pair(name, features, reference)
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
    gap = features.mean(axis=0) - reference.mean(axis=0)  # (d,)
    # Covariances are R^T R with a triangular R (d, d), which exists even where a feature is always zero.
    root, reference_root = (
        np.linalg.qr(rows - rows.mean(axis=0), mode="r") / np.sqrt(len(rows) - 1) for rows in (features, reference)
    )
    # The eigenvalues of the covariances' product are the squared singular values of R R_w^T, so the trace of its
    # square root is their sum, and no root of a rounding error below zero is ever taken.
    trace_of_root = np.linalg.norm(root @ reference_root.T, "nuc")
    return max(0.0, float(gap @ gap + np.sum(root**2) + np.sum(reference_root**2) - 2 * trace_of_root))


def frechet_ratio(features: np.ndarray, reference: np.ndarray, floor_draws: Sequence[np.ndarray]) -> FrechetRatio:
    """R, the Frechet distance of features `(n, d)` to reference `(m, d)` over that of real images.

    `floor_draws`: features `(n, d)` of real training images, two draws or more. Each must have as many rows as the
    generated features, because the distance of a small sample is too large by an amount proportional to 1 / n.
    Raises `ValueError` for other shapes, for values that aren't finite and for draws that are the reference itself.
    """
    features, reference = _frechet_pair("features", features, reference)
    if len(floor_draws) < 2:
        raise ValueError(f"floor_draws must hold at least 2 arrays of features, not {len(floor_draws)}.")
    draws = [check_finite(f"floor_draws[{i}]", draw, 2) for i, draw in enumerate(floor_draws)]
    for i, draw in enumerate(draws):
        if draw.shape != features.shape:
            raise ValueError(f"floor_draws[{i}] must be {features.shape} like features, not {draw.shape}.")
    distances = [frechet_distance(draw, reference) for draw in draws]
    if min(distances) <= 1e-9 * reference.var(axis=0).sum():
        raise ValueError(f"floor_draws must be other images than reference, not {min(distances):g} away from it.")
    distance, floor = frechet_distance(features, reference), float(np.mean(distances))
    return FrechetRatio(distance, floor, float(np.std(distances, ddof=1)), distance / floor)


def coverage(features: np.ndarray, reference: np.ndarray, k: int = 5) -> float:
    """The share of reference points `(m, d)` that have a generated point `(n, d)` nearby, in [0, 1].

    Nearby means no farther than the k-th nearest other reference point (Naeem et al. 2020, section 3.2). Equally many
    samples of the same distribution reach about 1 - 2^-k, not 1 (their section 3.3).
    Raises `ValueError` for values that aren't finite, a differing d, or k outside 1..m-1.
    """
    features, reference = _finite_pair("features", features, reference)
    check_whole("k", k, 1, len(reference) - 1)
    # Without an argument, kneighbors doesn't count a point as its own neighbour.
    radii = NearestNeighbors(n_neighbors=k).fit(reference).kneighbors()[0][:, -1]  # (m, k) -> (m,)
    nearest = NearestNeighbors(n_neighbors=1).fit(features).kneighbors(reference)[0][:, 0]  # (m, 1) -> (m,)
    return float(np.mean(nearest <= radii))


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


def nearest_neighbours(queries: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each query's nearest reference point: Euclidean distances `(n,)` float32 and positions `(n,)` int64.

    Queries `(n, d)` and reference `(m, d)` are compared in blocks, so that no `(n, m)` matrix is ever in memory.
    Raises `ValueError` for values that aren't finite or a differing d.
    """
    queries, reference = _finite_pair("queries", queries, reference, np.float32)
    positions = pairwise_distances_argmin(queries, reference)  # (n, d), (m, d) -> (n,)
    # The search expands |a - b|^2 to |a|^2 - 2ab + |b|^2. For near points only rounding errors are left of that: enough
    # to rank them, but a copy wouldn't be at zero. So the winners' distances are computed from the differences.
    distances = np.linalg.norm(queries - reference[positions], axis=1)  # (n, d) -> (n,)
    return distances, positions.astype(np.int64)


def _closer_probability(distances: np.ndarray, test_distances: np.ndarray, axis: int = -1) -> np.ndarray:
    """The area under the ROC curve, which is Mann and Whitney's U over the number of pairs; ties count half."""
    won = mannwhitneyu(test_distances, distances, axis=axis, method="asymptotic").statistic
    return won / (distances.shape[axis] * test_distances.shape[axis])


def memorisation(distances: np.ndarray, test_distances: np.ndarray, seed: int = 0, draws: int = 200) -> Memorisation:
    """Compare distances to the nearest training image: of generated images `(n,)` and of real test images `(m,)`.

    The interval comes from the percentile bootstrap over both sets, with `draws` redraws. A few copies hardly change
    the probability; they show in the share that is closer than 99 % of the test images. Images that are merely more
    typical than real ones lie closer too, so look at the pairs before calling them copies.
    Raises `ValueError` for fewer than two distances, negative or not finite ones, or fewer than two draws.
    """
    distances, test_distances = (
        check_finite("distances", distances, 1),
        check_finite("test_distances", test_distances, 1),
    )
    for name, values in (("distances", distances), ("test_distances", test_distances)):
        if len(values) < 2 or values.min() < 0:
            raise ValueError(f"{name} must be at least 2, none negative, not {len(values)} from {values.min():g} up.")
    check_whole("seed", seed, 0)
    check_whole("draws", draws, 2)
    both = (distances, test_distances)
    # In batches, because all redraws and their ranks at once would be hundreds of megabytes.
    redrawn = bootstrap(both, _closer_probability, n_resamples=draws, batch=20, method="percentile", rng=int(seed))
    low, high = redrawn.confidence_interval
    threshold = float(np.percentile(test_distances, 1))
    share_closer = float(np.mean(distances < threshold))
    return Memorisation(float(_closer_probability(*both)), (float(low), float(high)), share_closer, threshold)


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
