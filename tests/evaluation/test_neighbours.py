"""Each metric of neighbours beside an independent implementation, a closed form, or sets with a known answer."""

import numpy as np
import pytest
from prdc import compute_prdc
from scipy.spatial.distance import cdist
from scipy.special import comb
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from helpers.evaluation import neighbours
from helpers.evaluation.neighbours import memorisation, nearest_neighbours, neighbourhood


@pytest.fixture
def random():
    return np.random.default_rng(3)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_neighbourhood_is_that_of_prdc(random, k, monkeypatch, capsys):
    """By its authors' package, whose radii leave out the point itself too. Blocks of another size change nothing."""
    features, reference = random.normal(0.4, 1.2, (150, 6)), random.normal(size=(210, 6))
    expected = compute_prdc(reference, features, k)
    found = neighbourhood(features, reference, k)
    assert found._asdict() == pytest.approx(expected, abs=1e-6)
    assert len(set(found)) == 4 and 0 < min(found) and max(found) < 1
    monkeypatch.setattr(neighbours, "BLOCK", 7)
    assert neighbourhood(features, reference, k) == found


def coverage(*arguments):
    return neighbourhood(*arguments).coverage


def test_coverage_is_the_double_loop(random):
    features, reference = random.normal(0.8, 1, (40, 3)), random.normal(size=(60, 3))
    for k in (1, 2, 5):
        covered = 0
        for i, point in enumerate(reference):
            radius = sorted(np.linalg.norm(point - other) for j, other in enumerate(reference) if j != i)[k - 1]
            covered += any(np.linalg.norm(point - generated) <= radius for generated in features)
        assert 0 < covered < 60 and coverage(features, reference, k) == pytest.approx(covered / 60)
    assert coverage(features, reference) == coverage(features, reference, 5)


def test_coverage_of_known_sets(random):
    reference = random.normal(size=(50, 20))
    assert coverage(reference, reference) == 1
    assert coverage(reference + 100, reference) == 0
    modes = np.concatenate([reference, reference + 100])
    assert coverage(reference, modes) == 0.5
    assert coverage(np.repeat(reference[:1], 500, axis=0), modes) < 0.5


def test_coverage_counts_the_edge_of_the_ball():
    # The ball around 0 doesn't reach 2, the one around 1 ends there, and the one around 3 extends to 1.
    assert coverage([[2.0], [9.0]], [[0.0], [1.0], [3.0]], 1) == pytest.approx(2 / 3)


def test_coverage_expected_of_one_distribution(random):
    """A point is covered unless the k nearest of its m - 1 + n neighbours are all reference points."""
    n, m = 60, 80
    found = np.mean([coverage(random.normal(size=(n, 2)), random.normal(size=(m, 2)), 3) for _ in range(100)])
    assert found == pytest.approx(1 - comb(m - 1, 3) / comb(m - 1 + n, 3), abs=0.02)


def test_neighbourhood_of_known_sets(random):
    reference = random.normal(size=(50, 20))
    assert neighbourhood(reference + 100, reference) == (0, 0, 0, 0)
    modes = np.concatenate([reference, reference + 100])
    one_mode = neighbourhood(reference, modes)
    assert one_mode.coverage == one_mode.recall == 0.5 and one_mode.precision == 1
    both_and_noise = neighbourhood(np.concatenate([modes, modes + 1000]), modes)
    assert both_and_noise.precision == 0.5 and both_and_noise.coverage == both_and_noise.recall == 1
    # A point lies in its own ball, so that copies of the middle of a line are in k + 1 balls, or one more at a tie.
    line = np.arange(21.0)[:, np.newaxis] ** 2
    assert neighbourhood(np.repeat(line[10:11], 21, axis=0), line, 1).density == 2


def test_density_expected_of_one_distribution(random):
    """A generated point is as likely as any of the m - 1 others to be among the k nearest of a reference point."""
    n, m = 60, 80
    found = np.mean(
        [neighbourhood(*map(random.normal, (0, 0), (1, 1), ((n, 2), (m, 2))), 3).density for _ in range(100)]
    )
    assert found == pytest.approx(1, abs=0.03)


def test_nearest_neighbours_are_those_of_brute_force(random):
    queries, reference = random.uniform(-1, 1, (30, 50)), random.uniform(-1, 1, (400, 50))
    every = cdist(queries, reference)
    distances, index = nearest_neighbours(queries, reference)
    np.testing.assert_allclose(distances, every.min(axis=1), rtol=1e-6)
    np.testing.assert_array_equal(index, every.argmin(axis=1))
    assert index.dtype == np.int64


def test_nearest_neighbours_of_copies_are_at_zero(random):
    reference = random.uniform(-1, 1, (300, 784)).astype(np.float32) + 100  # far from zero, where cancelling is worst
    queries = reference[[5, 250, 5]]
    queries[2, 0] += 0.5
    distances, index = nearest_neighbours(queries, reference)
    np.testing.assert_array_equal(index, [5, 250, 5])
    np.testing.assert_allclose(distances, [0, 0, 0.5], rtol=1e-6, atol=0)


def test_memorisation_of_independent_sets(random):
    results = [memorisation(*random.gamma(20, 1, (2, 300)), draws=100) for _ in range(60)]
    assert np.mean([result.auc for result in results]) == pytest.approx(0.5, abs=0.01)
    # 57 of 60 are expected.
    assert sum(result.auc_interval[0] < 0.5 < result.auc_interval[1] for result in results) in range(52, 60)
    assert np.mean([result.share_closer for result in results]) == pytest.approx(0.01, abs=0.005)


def test_memorisation_is_reproducible_and_its_threshold_the_first_percentile(random):
    distances, test_distances = random.gamma(20, 1, (2, 2000))
    result = memorisation(distances, test_distances)
    assert np.mean(test_distances < result.threshold) == 0.01
    assert result == memorisation(distances, test_distances)
    for option in ({"seed": 1}, {"draws": 199}):
        assert result.auc_interval != memorisation(distances, test_distances, **option).auc_interval


def test_memorisation_interval_has_the_width_of_theory(random):
    """For equal distributions, U / (n m) has the variance (n + m + 1) / (12 n m)."""
    low, high = memorisation(*random.gamma(20, 1, (2, 500)), draws=500).auc_interval
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(1001 / (12 * 500 * 500)), rel=0.15)


def test_memorisation_sees_planted_copies(random):
    distances, test_distances = random.gamma(20, 1, (2, 2000))
    distances[:100] = 0.0
    assert memorisation(distances, test_distances).share_closer >= 0.05


def test_memorisation_of_shifted_distances(random):
    test_distances = random.normal(20, 1, 1000)
    assert memorisation(test_distances - 10, test_distances)[:2] == (1, (1, 1))
    assert memorisation(test_distances + 10, test_distances)[:3] == (0, (0, 0), 0)
    assert memorisation([1, 2, 2, 3], [2, 4, 5]).auc == 10 / 12  # 3 + 2.5 + 2.5 + 2: ties count half
    shifted = random.normal(19.5, 1, 1000)
    auc = memorisation(shifted, test_distances).auc
    assert auc == pytest.approx(norm.cdf(0.5 / np.sqrt(2)), abs=0.03)
    generated = np.repeat([1, 0], 1000)
    assert auc == pytest.approx(roc_auc_score(generated, -np.concatenate([shifted, test_distances])))


def test_memorisation_counts_only_distances_below_the_threshold():
    assert memorisation([5.0, 5.0, 4.0, 6.0], [5.0] * 10).share_closer == 0.25


POINTS = np.random.default_rng(0).normal(size=(30, 4))


@pytest.mark.parametrize("k", [0, 30, 2.0])
def test_number_of_neighbours_refused(k):
    assert neighbourhood(POINTS, POINTS, 29).coverage == 1
    with pytest.raises(ValueError, match=r"k must be a whole number in 1\.\.29, not"):
        neighbourhood(POINTS, POINTS, k)
    with pytest.raises(ValueError, match=r"k must be a whole number in 1\.\.9, not 10"):
        neighbourhood(POINTS[:10], POINTS, 10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0], [1.0, 2.0]), "distances must be at least 2"),
        (([1.0, 2.0], [-1.0, 2.0]), "test_distances must be at least 2, none negative"),
        (([np.nan, 2.0], [1.0, 2.0]), "distances must be finite"),
        (([1.0, 2.0], [[1.0, 2.0]]), "test_distances must be"),
        (([1.0, 2.0], [1.0, 2.0], -1), "seed must be"),
        (([1.0, 2.0], [1.0, 2.0], 0, 1), "draws must be"),
    ],
)
def test_distances_refused(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        memorisation(*arguments)
