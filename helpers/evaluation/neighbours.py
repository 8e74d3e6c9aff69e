"""Metrics of generated images from their neighbours: images are points, such as a classifier's features of them.

Do generated points lie among real ones (density, precision), and real ones among generated ones (coverage, recall)? Are
they copies of training images (nearest neighbours, memorisation)? Used in notebook 06, by the report card and `tuning`.
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import bootstrap, mannwhitneyu
from sklearn.metrics import pairwise_distances_argmin
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.neighbors import NearestNeighbors

from helpers.tools.checks import check_finite, check_pair, check_whole

BLOCK = 1_000  # points whose distances to all others are in memory at once: 80 MB for 10,000 others


class Neighbourhood(NamedTuple):
    """How two sets of points mingle. A point's ball reaches as far as the k-th nearest other point of its own set."""

    coverage: float  # share of reference points whose ball holds a generated point, in [0, 1]
    density: float  # mean number of reference balls around a generated point, over k: 0 or more, about 1 for real ones
    precision: float  # share of generated points in the ball of any reference point, in [0, 1]
    recall: float  # share of reference points in the ball of any generated point, in [0, 1]


class Memorisation(NamedTuple):
    """A comparison of generated and unseen real images by their distance to the training images."""

    auc: float  # probability that a generated image lies closer than a test image, in [0, 1]; 0.5 without copying
    auc_interval: tuple[float, float]  # its 95 % bootstrap interval
    share_closer: float  # share of generated images closer than `threshold`, in [0, 1]; about 0.01 without copying
    threshold: float  # 1st percentile of the test images' distances


def neighbourhood(features: np.ndarray, reference: np.ndarray, k: int = 5) -> Neighbourhood:
    """How generated points `(n, d)` lie among reference points `(m, d)`.

    Precision and recall: Kynkaanniemi et al. 2019, section 2; density and coverage: Naeem et al. 2020, section 3.
    Equally many samples of the same distribution reach a coverage of about 1 - 2^-k, not 1, and a density of about 1
    (Naeem et al., section 3.3). Compare only at equal n and m.
    Raises `ValueError` for values that aren't finite, a differing d, or k outside 1..min(n, m)-1.
    """
    features, reference = check_pair("features", features, "reference", reference)
    check_whole("k", k, 1, min(len(features), len(reference)) - 1)
    # Without an argument, kneighbors doesn't count a point as its own neighbour.
    own_radii, radii = (  # (n,), (m,)
        NearestNeighbors(n_neighbors=k).fit(points).kneighbors()[0][:, -1] for points in (features, reference)
    )
    balls, covered, recalled = np.empty(len(features)), *np.zeros((2, len(reference)), bool)  # (n,), (m,), (m,)
    for start in range(0, len(features), BLOCK):
        block = slice(start, start + BLOCK)
        distances = euclidean_distances(features[block], reference)  # (block, m)
        inside = distances <= radii  # (block, m)
        balls[block] = inside.sum(axis=1)
        covered |= inside.any(axis=0)
        recalled |= (distances <= own_radii[block, None]).any(axis=0)
    return Neighbourhood(*map(float, (covered.mean(), balls.mean() / k, np.mean(balls > 0), recalled.mean())))


def nearest_neighbours(queries: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each query's nearest reference point: Euclidean distances `(n,)` float32 and positions `(n,)` int64.

    Queries `(n, d)` and reference `(m, d)` are compared in blocks, so that no `(n, m)` matrix is ever in memory.
    Raises `ValueError` for values that aren't finite or a differing d.
    """
    queries, reference = check_pair("queries", queries, "reference", reference, np.float32)
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
    both = check_finite("distances", distances, 1), check_finite("test_distances", test_distances, 1)
    for name, values in zip(("distances", "test_distances"), both, strict=True):
        if len(values) < 2 or values.min() < 0:
            raise ValueError(f"{name} must be at least 2, none negative, not {len(values)} from {values.min():g} up.")
    check_whole("seed", seed, 0)
    check_whole("draws", draws, 2)
    # In batches, because all redraws and their ranks at once would be hundreds of megabytes.
    redrawn = bootstrap(both, _closer_probability, n_resamples=draws, batch=20, method="percentile", rng=int(seed))
    low, high = redrawn.confidence_interval
    threshold = float(np.percentile(both[1], 1))
    share_closer = float(np.mean(both[0] < threshold))
    return Memorisation(float(_closer_probability(*both)), (float(low), float(high)), share_closer, threshold)
