"""The forward process and its posterior, against independent float64 NumPy."""

import warnings

import numpy as np
import pytest
import tensorflow as tf

from helpers.diffusion import (
    Schedule,
    add_noise,
    cosine_schedule,
    from_velocity,
    linear_schedule,
    noise_from_x_0,
    per_sample_noise,
    posterior,
    predict_x_0,
    velocity,
)

SCHEDULES = [linear_schedule(), cosine_schedule(), linear_schedule(250), cosine_schedule(20)]
both = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: f"{schedule.name}-{schedule.steps}")


def images(count, seed):
    return np.random.default_rng(seed).normal(size=(count, 28, 28, 1)).astype(np.float32)


@both
def test_closed_form_has_the_moments_of_the_chain(schedule):
    """Follow mean and variance of x_t through the chain of single steps (Ho et al. 2020, eq. 2), one by one."""
    t, zeros, ones = np.arange(schedule.steps), *np.float32([0, 1]).repeat(schedule.steps).reshape(2, -1, 1, 1, 1)
    means = np.ravel(add_noise(schedule, ones, t, zeros))  # (steps,)
    variances = np.ravel(add_noise(schedule, zeros, t, ones)) ** 2
    mean, variance = 1.0, 0.0  # of x_0 = 1
    for t, beta in enumerate(schedule.betas):
        mean, variance = np.sqrt(1 - beta) * mean, (1 - beta) * variance + beta
        np.testing.assert_allclose([means[t], variances[t]], [mean, variance], rtol=1e-5)


@both
def test_signal_falls_to_nothing(schedule):
    assert schedule.alpha_bars.dtype == np.float64
    assert np.all(np.diff(schedule.logsnr) < 0)
    assert np.sqrt(schedule.alpha_bars[-1]) < 0.01
    assert schedule.alpha_bars[0] > 0.9
    np.testing.assert_allclose(np.exp(schedule.logsnr), schedule.alpha_bars / (1 - schedule.alpha_bars), rtol=1e-9)


def test_known_values():
    np.testing.assert_allclose(np.sqrt(linear_schedule().alpha_bars[-1]), 0.0045, atol=5e-5)
    np.testing.assert_allclose(linear_schedule().betas[[0, -1]], [1e-3, 0.2])
    # Nichol & Dhariwal 2021, eq. 17, at the middle of the way, where no beta is capped yet.
    expected = np.cos((0.5 + 0.008) / 1.008 * np.pi / 2) ** 2 / np.cos(0.008 / 1.008 * np.pi / 2) ** 2
    np.testing.assert_allclose(cosine_schedule(100).alpha_bars[49], expected, rtol=1e-12)
    assert cosine_schedule(100).betas[-1] == 0.999


def test_the_trap_is_constructible_and_warns():
    with pytest.warns(UserWarning, match="60% of the signal left.*1000 / steps"):
        trap = linear_schedule(100, 1e-4, 0.02)
    assert 0.59 < np.sqrt(trap.alpha_bars[-1]) < 0.61
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        linear_schedule(100), linear_schedule(1000), cosine_schedule(100)
        Schedule([1 - 0.049**2])  # 4.9 % of the signal can hardly be seen
    with pytest.warns(UserWarning, match="6% of the signal left"):
        Schedule([1 - 0.06**2])


@both
def test_posterior_is_the_product_of_two_gaussians(schedule):
    """x_{t-1} given x_0, times x_t given x_{t-1}: precisions add (Bayes), computed without eq. 7."""
    x_0, x_t = images(1, 0), images(1, 1)
    means, variances = posterior(schedule, x_0, x_t, np.arange(schedule.steps))  # (steps, 28, 28, 1), (steps, 1, 1, 1)
    for t in range(1, schedule.steps):
        before = np.prod(1 - schedule.betas[:t])
        prior_mean, prior_variance = np.sqrt(before) * x_0.astype(float), 1 - before
        beta = schedule.betas[t]
        precision = 1 / prior_variance + (1 - beta) / beta
        expected = (prior_mean / prior_variance + np.sqrt(1 - beta) * x_t / beta) / precision
        np.testing.assert_allclose(means[t : t + 1], expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(np.ravel(variances[t]), [1 / precision], rtol=1e-5)


@both
def test_posterior_ends_at_the_clean_image(schedule):
    x_0 = images(2, 0)
    mean, variance = posterior(schedule, x_0, images(2, 1), 0)
    np.testing.assert_allclose(mean, x_0, atol=1e-5)
    assert float(variance[0, 0, 0, 0]) == 0


@both
def test_round_trips(schedule):
    """Noise -> x_0 -> noise, to what float32 can hold."""
    x_0, noise, t = np.clip(images(1, 2), -1, 1), images(1, 3), np.arange(schedule.steps)
    x_t = add_noise(schedule, x_0, t, noise)  # (steps, 28, 28, 1)
    bound = 1e-6 / np.sqrt(np.minimum(schedule.alpha_bars, 1 - schedule.alpha_bars)).reshape(-1, 1, 1, 1)
    assert np.all(np.abs(predict_x_0(schedule, x_t, t, noise) - x_0) <= bound)
    assert np.all(np.abs(noise_from_x_0(schedule, x_t, t, x_0) - noise) <= bound)


@both
def test_velocity_is_a_rotation(schedule):
    x_0, noise = images(3, 2), images(3, 3)
    for t in (0, schedule.steps // 2, schedule.steps - 1):
        signal, sigma = np.sqrt(schedule.alpha_bars[t]), np.sqrt(1 - schedule.alpha_bars[t])
        v = velocity(schedule, x_0, t, noise)
        np.testing.assert_allclose(v, signal * noise - sigma * x_0, atol=1e-6)
        back = from_velocity(schedule, add_noise(schedule, x_0, t, noise), t, v)
        np.testing.assert_allclose(back[0], x_0, atol=3e-6)
        np.testing.assert_allclose(back[1], noise, atol=3e-6)


def test_t_may_differ_within_a_batch(schedule):
    x_0, noise, t = images(3, 0), images(3, 1), [5, 99, 0]
    together = add_noise(schedule, x_0, np.array(t), noise).numpy()
    alone = [add_noise(schedule, x_0[i : i + 1], t[i], noise[i : i + 1]).numpy()[0] for i in range(3)]
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("t", [-1, 100, 1.5, [[3]], [0, 100]])
def test_t_outside_the_schedule(schedule, t):
    with pytest.raises(ValueError, match=r"t must be a whole number, or a list of them, in 0\.\.99"):
        add_noise(schedule, images(1, 0), t, images(1, 1))


@pytest.mark.parametrize("betas", [[], [0.1, 0.0], [0.5, 1.0], [0.1, np.nan], [[0.1]]])
def test_betas_outside_their_range(betas):
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        Schedule(np.array(betas))


def test_schedule_arguments():
    for steps in (0, -5, 1.5, 10_001):
        with pytest.raises(ValueError, match=f"steps must be a whole number in 1..10000, not {steps}"):
            cosine_schedule(steps)
    with pytest.raises(ValueError, match="0 < first <= last < 1"):
        linear_schedule(20)
    schedule = cosine_schedule()
    with pytest.raises(ValueError, match="read-only"):
        schedule.betas[0] = 0.5


def test_t_without_a_value_is_not_checked(schedule):
    """Inside a compiled function t is only a symbol, and the same formula holds."""
    compiled = tf.function(lambda t: add_noise(schedule, images(1, 0), t, images(1, 1)))
    np.testing.assert_allclose(compiled(tf.constant(5)), add_noise(schedule, images(1, 0), 5, images(1, 1)), atol=1e-6)


def test_noise_follows_the_sample_not_the_batch():
    all_ten = per_sample_noise(3, tf.range(10), (28, 28, 1)).numpy()
    np.testing.assert_array_equal(all_ten[4:6], per_sample_noise(3, np.array([4, 5]), (28, 28, 1)))
    for other in (
        per_sample_noise(4, tf.range(10), (28, 28, 1)),
        per_sample_noise(3, tf.range(10), (28, 28, 1), step=1),
    ):
        assert abs(np.corrcoef(all_ten.ravel(), np.ravel(other))[0, 1]) < 0.05
    assert abs(np.corrcoef(all_ten.reshape(10, -1))[np.triu_indices(10, 1)]).max() < 0.2
    many = per_sample_noise(0, tf.range(100), (28, 28, 1)).numpy()
    assert abs(many.mean()) < 0.02 and abs(many.std() - 1) < 0.02


def test_keys_are_as_they_were():
    """Figures and notebooks depend on them. Another version of TensorFlow may give other numbers: then record these."""
    recorded = [[-0.46492174, 1.7441287], [-0.5522684, -0.01077179]]
    np.testing.assert_allclose(per_sample_noise(1, [0, 7], (2,), step=3), recorded, rtol=1e-5)
