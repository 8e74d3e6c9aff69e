"""Each metric beside an independent implementation, a closed form, or sets with a known answer."""

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.stats import norm

from helpers.data import to_model_range
from helpers.evaluation import metrics
from helpers.evaluation.metrics import (
    bootstrap_interval,
    classification_accuracy_score,
    draw_with_counts,
    frechet_distance,
    frechet_ratio,
    pareto_front,
    training_value,
    wilson_interval,
)


@pytest.fixture
def random():
    return np.random.default_rng(3)


def exact_sample(random, mean, covariance, count):
    """A sample with exactly this mean and covariance: whitened, then coloured."""
    rows = random.normal(size=(count, len(mean)))
    rows -= rows.mean(axis=0)
    white = rows @ np.linalg.inv(np.linalg.cholesky(np.cov(rows.T))).T
    return white @ np.linalg.cholesky(covariance).T + mean


def random_covariance(random, size):
    rows = random.normal(size=(3 * size, size))
    return rows.T @ rows / size


def test_frechet_distance_of_known_gaussians(random):
    variances, other_variances = np.array([1.0, 4.0, 0.25]), np.array([9.0, 1.0, 0.25])
    first = exact_sample(random, np.array([1.0, 2.0, 3.0]), np.diag(variances), 40)
    second = exact_sample(random, np.array([1.0, 0.0, 3.5]), np.diag(other_variances), 70)
    expected = 2.0**2 + 0.5**2 + np.sum((np.sqrt(variances) - np.sqrt(other_variances)) ** 2)
    assert frechet_distance(first, second) == pytest.approx(expected, abs=1e-9)
    assert frechet_distance(second, first) == pytest.approx(expected, abs=1e-9)
    assert 0 <= frechet_distance(first, first[::-1]) < 1e-12


def test_frechet_distance_of_covariances_that_do_not_commute(random):
    covariance, other_covariance = random_covariance(random, 6), random_covariance(random, 6)
    mean, other_mean = random.normal(size=(2, 6))
    trace = np.trace(covariance + other_covariance - 2 * sqrtm(covariance @ other_covariance).real)
    features = exact_sample(random, mean, covariance, 50)
    reference = exact_sample(random, other_mean, other_covariance, 60)
    expected = np.sum((mean - other_mean) ** 2) + trace
    assert frechet_distance(features, reference) == pytest.approx(expected, abs=1e-9)
    assert frechet_distance(features.astype(np.float32), reference) == pytest.approx(expected, abs=1e-4)


def test_frechet_distance_where_a_feature_is_always_zero(random):
    features, reference = random.normal(size=(2, 50, 4)) * [1, 2, 3, 0]
    assert frechet_distance(features, reference) == pytest.approx(frechet_distance(features[:, :3], reference[:, :3]))


def test_frechet_ratio(random):
    reference, features = random.normal(size=(500, 4)), random.normal(0.5, 1, (300, 4))
    draws = list(random.normal(size=(3, 300, 4)))
    floors = [frechet_distance(draw, reference) for draw in draws]
    result = frechet_ratio(features, reference, draws)
    assert result.distance == frechet_distance(features, reference)
    assert result.floor == pytest.approx(sum(floors) / 3)
    assert result.floor_spread == pytest.approx(np.sqrt(sum((floor - result.floor) ** 2 for floor in floors) / 2))
    assert result.ratio == pytest.approx(result.distance / result.floor) and result.ratio > 10


def test_the_spread_of_a_frechet_ratio_is_that_of_many_redraws(random):
    """A Gaussian moved by 0.5: everything but the reference is drawn anew, 40 times."""
    reference = random.normal(size=(3000, 4))

    def ratio():
        return frechet_ratio(random.normal(0.5, 1, (500, 4)), reference, list(random.normal(size=(3, 500, 4))))

    results = [ratio() for _ in range(40)]
    redrawn = np.std([result.ratio for result in results])
    assert np.mean([result.spread for result in results]) == pytest.approx(redrawn, rel=0.35)


def test_the_spread_of_a_frechet_ratio_without_one_of_its_parts(random, monkeypatch):
    reference, features = random.normal(size=(500, 4)), random.normal(0.5, 1, (300, 4))
    draws = list(random.normal(size=(4, 300, 4)))
    of_features = frechet_ratio(features, reference, [draws[0], draws[0]])
    redrawn = [features[np.random.default_rng(seed).integers(0, 300, 300)] for seed in range(200)]
    spread = np.std([frechet_distance(redraw, reference) for redraw in redrawn]) / of_features.floor
    assert of_features.spread == pytest.approx(spread, rel=0.4)
    alike = np.repeat(features[:1], 300, axis=0)  # every redraw is the same
    of_floor = frechet_ratio(alike, reference, draws)
    assert of_floor.spread / of_floor.ratio == pytest.approx(of_floor.floor_spread / of_floor.floor / 2)


def test_draw_with_counts(random):
    pool, wanted = random.integers(0, 10, 400), random.integers(0, 10, 100).astype(np.uint8)
    index = draw_with_counts(pool, wanted, seed=4)
    assert index.dtype == np.int64
    np.testing.assert_array_equal(pool[index], wanted)
    assert len(set(index)) == 100
    np.testing.assert_array_equal(index, draw_with_counts(pool, wanted, seed=4))
    assert np.mean(index == draw_with_counts(pool, wanted, seed=5)) < 0.2
    everything = draw_with_counts(pool, pool, seed=0)
    assert sorted(everything) == list(range(400)) and list(everything) != list(range(400))


def test_draw_with_counts_favours_no_position():
    drawn = np.concatenate([draw_with_counts(np.zeros(20, int), [0] * 5, seed) for seed in range(400)])
    assert np.bincount(drawn, minlength=20).min() > 60  # 100 +- 9 are expected of each


@pytest.mark.parametrize(
    ("successes", "count", "confidence"), [(7, 50, 0.95), (990, 1000, 0.99), (0, 10, 0.9), (3, 3, 0.95)]
)
def test_wilson_interval_is_the_formula(successes, count, confidence):
    z, share = norm.ppf((1 + confidence) / 2), successes / count
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    interval = wilson_interval(np.int64(successes), count, confidence)
    assert interval == pytest.approx((centre - half, centre + half), abs=1e-12)
    assert all(0 <= end <= 1 for end in interval)


def test_wilson_interval_has_95_percent_by_default():
    assert wilson_interval(7, 50) == wilson_interval(7, 50, 0.95) != wilson_interval(7, 50, 0.9)


def test_pareto_front_is_what_no_other_setting_beats():
    passes, ratios = [10, 20, 20, 5, 40, 40], [2.0, 1.5, 1.4, 3.0, 1.4, 1.2]
    np.testing.assert_array_equal(pareto_front(passes, ratios), [True, False, True, True, False, True])
    np.testing.assert_array_equal(pareto_front([5, 5], [1.0, 1.0]), [True, False])


def test_bootstrap_interval_is_about_the_normal_one(random):
    values = random.normal(3, 2, 2_000)
    low, high = bootstrap_interval(values)
    assert low == pytest.approx(values.mean() - 1.96 * 2 / np.sqrt(2_000), abs=0.015)
    assert high == pytest.approx(values.mean() + 1.96 * 2 / np.sqrt(2_000), abs=0.015)
    assert bootstrap_interval(np.ones(5)) == (1, 1)
    for wrong in ([1.0], [[1.0, 2.0]], [1.0, np.nan]):
        with pytest.raises(ValueError, match="values must be"):
            bootstrap_interval(wrong)


@pytest.fixture(scope="module")
def digits(mnist):
    """60 images of each digit, their labels, and 1,000 test images with theirs."""
    index = draw_with_counts(mnist.train_labels, np.arange(600) % 10, seed=0)
    images, test_images = to_model_range(mnist.train_images[index]), to_model_range(mnist.test_images[:1000])
    return images.numpy(), mnist.train_labels[index], test_images.numpy(), mnist.test_labels[:1000]


def test_classification_accuracy_score_needs_the_right_labels(digits):
    images, labels, *test_set = digits
    assert classification_accuracy_score(images, labels, *test_set) > 0.8
    assert classification_accuracy_score(images, (labels + 1) % 10, *test_set, epochs=3) < 0.1


def test_classification_accuracy_score_follows_its_seed(digits):
    images, labels, *test_set = digits
    few = (images[:200], labels[:200], *test_set)
    scores = [classification_accuracy_score(*few, seed=seed, epochs=1) for seed in (0, 0, 1)]
    assert scores[0] == scores[1] != scores[2]


def test_training_value_is_the_mean_of_two_seeds(monkeypatch):
    monkeypatch.setattr(metrics, "classification_accuracy_score", lambda *sets, seed: len(sets) + seed**2)
    assert training_value(IMAGES, LABELS, IMAGES, LABELS) == 4.5
    assert training_value(IMAGES, LABELS, IMAGES, LABELS, seed=2) == 4 + (4 + 9) / 2


NORMAL = np.random.default_rng(0).normal(size=(30, 4))
HOLED = np.where(np.arange(30)[:, np.newaxis] == 3, np.nan, NORMAL)


def test_too_few_rows_for_a_covariance_refused():
    frechet_distance(NORMAL[:5], NORMAL)
    for arguments, name in (((NORMAL[:4], NORMAL), "features"), ((NORMAL, NORMAL[:4]), "reference")):
        with pytest.raises(ValueError, match=f"^{name} must have more rows than columns"):
            frechet_distance(*arguments)


@pytest.mark.parametrize(
    ("draws", "message"),
    [
        ([NORMAL], "floor_draws must hold at least 2"),
        ([NORMAL, NORMAL[:20]], r"floor_draws\[1\] must be \(30, 4\) like features"),
        ([HOLED, NORMAL], r"floor_draws\[0\] must be finite"),
        ([NORMAL + 1, NORMAL[::-1]], "floor_draws must be other images"),
    ],
)
def test_floor_draws_refused(draws, message):
    with pytest.raises(ValueError, match=message):
        frechet_ratio(NORMAL, NORMAL, draws)


@pytest.mark.parametrize(
    ("labels", "wanted", "seed", "message"),
    [
        ([1, 1, 2], [1, 2, 2], 0, "labels must hold class 2 at least 2 times, as wanted does, not 1"),
        ([1, 1, 2], [3], 0, "class 3 at least 1 times, as wanted does, not 0"),
        ([1.0, 2.0], [1], 0, "labels must be"),
        ([[1, 2]], [1], 0, "labels must be"),
        ([1, 2], [], 0, "wanted must be"),
        ([1, 2], [1], -1, "seed must be"),
    ],
)
def test_draws_refused(labels, wanted, seed, message):
    with pytest.raises(ValueError, match=message):
        draw_with_counts(labels, wanted, seed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 0), "count must be a whole number of at least 1, not 0"),
        ((-1, 10), r"successes must be a whole number in 0\.\.10, not -1"),
        ((11, 10), r"successes must be a whole number in 0\.\.10, not 11"),
        ((0.5, 10), "successes must be"),
        ((1, 10.0), "count must be"),
        ((1, 10, 1.0), "confidence must be"),
        ((1, 10, 0.0), "confidence must be"),
    ],
)
def test_wilson_arguments_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        wilson_interval(*arguments)


IMAGES, LABELS = np.zeros((20, 28, 28, 1), np.float32), np.arange(20) % 10


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES[:19], LABELS, "images must be 20 like (test_)?labels, not 19"),
        (IMAGES, LABELS % 9, "labels must hold each of the digits"),
        (IMAGES, LABELS + 1, "labels must hold each of the digits"),
    ],
)
def test_digits_refused(images, labels, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        classification_accuracy_score(images, labels, IMAGES, LABELS)
    with pytest.raises(ValueError, match="^test_.*" + message):
        classification_accuracy_score(IMAGES, LABELS, images, labels)


@pytest.mark.parametrize("option", [{"seed": -1}, {"seed": 2**32}, {"epochs": 0}, {"epochs": 1.5}])
def test_training_options_refused(option):
    with pytest.raises(ValueError, match=f"^{next(iter(option))} must be a whole number"):
        classification_accuracy_score(IMAGES, LABELS, IMAGES, LABELS, **option)
