"""Every solver against closed forms on Gaussian data, and its single steps against `diffusers`."""

from dataclasses import replace

import diffusers
import numpy as np
import pytest
import tensorflow as tf
import torch

from helpers.diffusion import Schedule, cosine_schedule, linear_schedule, per_sample_noise, predict_x_0
from helpers.sampling.sampler import SamplerSettings, sample
from helpers.sampling.solvers import (
    ancestral_table,
    ddim_table,
    dpm_solver_table,
    nfe,
    sampling_times,
    scales_of_steps,
    solver_table,
)
from helpers.unet import Denoiser
from tests.conftest import TINY, lively

MEAN, STD = 0.3, 0.5  # the Gaussian data of the closed forms
SCHEDULES = [linear_schedule(), cosine_schedule()]
both = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.name)


class ExactUnet:
    """The exact noise predictor for data whose pixels are independent N(MEAN, STD**2)."""

    def __init__(self, schedule: Schedule) -> None:
        self.alpha_bars = tf.constant(schedule.alpha_bars, tf.float32)

    def get_weights(self):
        return []

    def __call__(self, inputs):
        x_t, t, _ = inputs
        alpha_bar = tf.reshape(tf.gather(self.alpha_bars, t), (-1, 1, 1, 1))
        return tf.sqrt(1 - alpha_bar) * (x_t - tf.sqrt(alpha_bar) * MEAN) / (alpha_bar * STD**2 + 1 - alpha_bar)


EXACT = {schedule: Denoiser(ExactUnet(schedule), schedule, TINY) for schedule in SCHEDULES}


def draw(schedule, method, steps, eta=0.0):
    """25 images, 19,600 independent pixels, without guidance and clipping, which the closed forms don't have."""
    settings = SamplerSettings(method, steps, eta, guidance_scale=1.0)
    return sample(EXACT[schedule], np.zeros(25, int), settings, clip_x_0=False).images


def exact_noise(alpha_bar):
    """(slope, offset) of the exact prediction: noise = slope * x_t + offset."""
    slope = np.sqrt(1 - alpha_bar) / (alpha_bar * STD**2 + 1 - alpha_bar)
    return slope, -slope * np.sqrt(alpha_bar) * MEAN


def ancestral_moments(schedule):
    """Mean and variance along Algorithm 2 as printed in the paper, in float64."""
    mean, variance = 0.0, 1.0
    for t in range(schedule.steps - 1, -1, -1):
        alpha_bar, beta = schedule.alpha_bars[t], schedule.betas[t]
        slope, offset = exact_noise(alpha_bar)
        of_noise = beta / np.sqrt(1 - alpha_bar)
        mean = (mean - of_noise * (slope * mean + offset)) / np.sqrt(1 - beta)
        variance *= ((1 - of_noise * slope) / np.sqrt(1 - beta)) ** 2
        if t > 0:
            variance += beta * (1 - schedule.alpha_bars[t - 1]) / (1 - alpha_bar)
    return mean, variance


def ddim_moments(schedule, times, eta):
    """Mean and variance along DDIM's eq. 12 as printed, in float64."""
    mean, variance = 0.0, 1.0
    for t, after in zip(times, [*times[1:], None], strict=True):
        alpha_bar = schedule.alpha_bars[t]
        alpha_bar_next = 1.0 if after is None else schedule.alpha_bars[after]
        sigma2 = eta**2 * (1 - alpha_bar_next) / (1 - alpha_bar) * (1 - alpha_bar / alpha_bar_next)
        slope, offset = exact_noise(alpha_bar)
        direction = np.sqrt(max(1 - alpha_bar_next - sigma2, 0))
        of_x_t = np.sqrt(alpha_bar_next / alpha_bar)
        of_noise = direction - of_x_t * np.sqrt(1 - alpha_bar)
        mean = of_x_t * mean + of_noise * (slope * mean + offset)
        variance = (of_x_t + of_noise * slope) ** 2 * variance + sigma2
    return mean, variance


def dpm_moments(schedule, times, eta):
    """Mean and variance along DPM-Solver++(2M), with the steps of k-diffusion's `sample_dpmpp_2m_sde` as printed there.

    x_t and the prediction before are linear in (x_T, 1, the fresh noise of each step), all of them independent.
    """
    x, before = np.zeros(len(times) + 2), None  # factors of x_T and 1, then of each step's fresh noise
    x[0] = 1
    one = np.eye(len(x))[1]
    lambdas = [0.5 * np.log(schedule.alpha_bars[t] / (1 - schedule.alpha_bars[t])) for t in times]
    for i, t in enumerate(times):
        alpha_bar = schedule.alpha_bars[t]
        slope, offset = exact_noise(alpha_bar)
        x_0 = (x - np.sqrt(1 - alpha_bar) * (slope * x + offset * one)) / np.sqrt(alpha_bar)
        if i == len(times) - 1:
            return x_0[1], np.sum(np.delete(x_0, 1) ** 2)
        alpha_bar_next, h = schedule.alpha_bars[times[i + 1]], lambdas[i + 1] - lambdas[i]
        eta_h = eta * h
        of_data = np.sqrt(alpha_bar_next) * -np.expm1(-h - eta_h)
        x = np.sqrt((1 - alpha_bar_next) / (1 - alpha_bar)) * np.exp(-eta_h) * x + of_data * x_0
        if before is not None:
            r = (lambdas[i] - lambdas[i - 1]) / h
            x = x + 0.5 * of_data / r * (x_0 - before)
        x[i + 2] = np.sqrt((1 - alpha_bar_next) * -np.expm1(-2 * eta_h))
        before = x_0


def closed_form(schedule, method, steps, eta):
    times = sampling_times(schedule, steps)
    if method == "ddpm" and steps == schedule.steps:
        return ancestral_moments(schedule)
    if method == "ddpm":  # larger jumps: the paper has no formula for them, DDIM's eta 1 is the same thing
        return ddim_moments(schedule, times, 1.0)
    return ddim_moments(schedule, times, eta) if method == "ddim" else dpm_moments(schedule, times, eta)


CASES = [
    ("ddpm", 100, 0.0),
    ("ddpm", 40, 0.0),
    ("ddim", 100, 0.0),
    ("ddim", 25, 0.0),
    ("ddim", 30, 0.6),
    ("ddim", 20, 1.0),
    ("dpm++", 15, 0.0),
    ("dpm++", 15, 0.5),
    ("dpm++", 20, 1.0),
]


@pytest.mark.parametrize(("method", "steps", "eta"), CASES)
@both
def test_gaussian_data_follows_the_closed_form(schedule, method, steps, eta):
    mean, variance = closed_form(schedule, method, steps, eta)
    drawn = draw(schedule, method, steps, eta)
    assert abs(drawn.mean() - mean) < 4 * np.sqrt(variance / drawn.size)
    assert abs(drawn.var() / variance - 1) < 4 * np.sqrt(2 / drawn.size)
    if eta == 0 and method != "ddpm":  # deterministic: every pixel is the same straight line of its own noise
        x_T = per_sample_noise(0, np.arange(25), (28, 28, 1)).numpy()
        np.testing.assert_allclose(drawn, mean + np.sqrt(variance) * x_T, atol=2e-3)


@pytest.mark.parametrize(("method", "coarse", "fine"), [("ddim", 10, 100), ("dpm++", 10, 100), ("ddpm", 25, 1000)])
@pytest.mark.parametrize("eta", [0.0, 0.7])
def test_a_finer_schedule_comes_closer_to_the_data(method, coarse, fine, eta):
    def gap(steps):
        schedule = linear_schedule(steps) if method == "ddpm" else cosine_schedule(100)
        mean, variance = closed_form(schedule, method, steps, eta)
        return abs(mean - MEAN) + abs(np.sqrt(variance) - STD)

    assert gap(fine) < gap(coarse) / 3 and gap(fine) < 0.02


@pytest.mark.parametrize("method", ["ddpm", "ddim", "dpm++"])
def test_sampled_gap_shrinks_too(method):
    def gap(steps):
        return abs(draw(SCHEDULES[1], method, steps).std() - STD)

    assert gap(100) < gap(5) / 2


@both
@pytest.mark.parametrize("steps", [1, 7, 20, 100])
def test_ddim_with_eta_one_is_the_ancestral_step(schedule, steps):
    times = sampling_times(schedule, steps)
    np.testing.assert_allclose(ddim_table(schedule, times, 1.0), ancestral_table(schedule, times), atol=1e-9)


@pytest.mark.parametrize("steps", [1, 3, 20, 99, 100])
def test_sampling_times(schedule, steps):
    times = sampling_times(schedule, steps)
    assert len(times) == steps and times[0] == 99 and np.all(np.diff(times) < 0) and times[-1] >= 0
    assert steps != 100 or times.tolist() == list(range(99, -1, -1))


# --- one step of each solver beside the one of `diffusers`, on the same x_t and predicted noise ---


def one_step(schedule, table, i, x_t, noise, x_0_before, fresh):
    """x_0 and the next image, as the loop in `sample` combines them."""
    x_0 = np.clip(predict_x_0(schedule, x_t, int(table[0][i]), noise), -1, 1)
    row = table[1][i]
    return x_0, row[0] * x_t + row[1] * x_0 + row[2] * x_0_before + row[3] * fresh


def random_images(count=2, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 28, 28, 1)).astype(np.float32)


def to_torch(images):
    return torch.tensor(np.asarray(images))


@both
@pytest.mark.parametrize("steps", [100, 20])
def test_ddpm_steps_equal_diffusers(schedule, steps):
    table = solver_table(schedule, "ddpm", steps)
    theirs = diffusers.DDPMScheduler(
        num_train_timesteps=100, trained_betas=schedule.betas, variance_type="fixed_small", clip_sample=True
    )
    theirs.set_timesteps(timesteps=table[0].tolist())
    for i, t in enumerate(table[0]):
        x_t, noise = random_images(seed=i), random_images(seed=1000 + i)
        fresh = torch.randn(x_t.shape, generator=torch.Generator().manual_seed(i)).numpy()
        expected = theirs.step(to_torch(noise), int(t), to_torch(x_t), torch.Generator().manual_seed(i)).prev_sample
        _, mine = one_step(schedule, table, i, x_t, noise, 0 * x_t, fresh)
        np.testing.assert_allclose(mine, expected, atol=1e-4)


@both
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim_steps_equal_diffusers(schedule, eta):
    table = solver_table(schedule, "ddim", 20, eta)
    theirs = diffusers.DDIMScheduler(
        num_train_timesteps=100, trained_betas=schedule.betas, clip_sample=True, timestep_spacing="trailing"
    )
    theirs.set_timesteps(20)
    assert theirs.timesteps.tolist() == table[0].tolist()
    for i, t in enumerate(table[0]):
        x_t, noise, fresh = random_images(seed=i), random_images(seed=1000 + i), random_images(seed=2000 + i)
        expected = theirs.step(
            to_torch(noise), int(t), to_torch(x_t), eta, use_clipped_model_output=True, variance_noise=to_torch(fresh)
        ).prev_sample
        _, mine = one_step(schedule, table, i, x_t, noise, 0 * x_t, fresh)
        np.testing.assert_allclose(mine, expected, atol=1e-4)


@both
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("steps", [1, 2, 20])
def test_dpm_solver_keeps_the_marginals_of_the_forward_process(schedule, steps, eta):
    """Of images whose x_0 is known, every step keeps the signal and the variance that `add_noise` gives them."""
    times = sampling_times(schedule, steps)
    of_x_t, of_x_0, of_x_0_before, of_noise = dpm_solver_table(schedule, times, eta).T
    alpha_bar, alpha_bar_next = schedule.alpha_bars[times], np.append(schedule.alpha_bars[times][1:], 1.0)
    signal = of_x_t * np.sqrt(alpha_bar) + of_x_0 + of_x_0_before
    np.testing.assert_allclose(signal, np.sqrt(alpha_bar_next), atol=1e-12)
    np.testing.assert_allclose(of_x_t**2 * (1 - alpha_bar) + of_noise**2, 1 - alpha_bar_next, atol=1e-12)
    assert of_noise[-1] == 0 and np.all((of_noise[:-1] > 0) == (eta > 0))


def test_eta_is_the_share_of_the_fresh_variance():
    schedule = cosine_schedule(10_000)  # for steps so small that only their rate counts
    times = np.arange(9_000, 1_000, -1)
    variances = [dpm_solver_table(schedule, times, eta)[:-1, 3] ** 2 for eta in (0.25, 0.5, 1.0)]
    for share, variance in zip((0.25, 0.5), variances, strict=False):
        np.testing.assert_allclose(variance / variances[-1], share, rtol=1e-2)


def dpm_solver_of_diffusers(schedule, times, algorithm, prediction):
    theirs = diffusers.DPMSolverMultistepScheduler(
        num_train_timesteps=100,
        trained_betas=schedule.betas,
        algorithm_type=algorithm,
        prediction_type=prediction,
        solver_order=2,
        thresholding=True,
        sample_max_value=1,
        final_sigmas_type="zero",
        lower_order_final=False,
    )
    theirs.set_timesteps(timesteps=times.tolist())
    return theirs


shares = pytest.mark.parametrize(("algorithm", "eta"), [("dpmsolver++", 0.0), ("sde-dpmsolver++", 1.0)])


@both
@pytest.mark.parametrize("steps", [10, 20])
@shares
def test_dpm_solver_steps_equal_diffusers(schedule, steps, algorithm, eta):
    table = solver_table(schedule, "dpm++", steps, eta)
    theirs = dpm_solver_of_diffusers(schedule, table[0], algorithm, "epsilon")
    x_0_before = np.zeros((2, 28, 28, 1), np.float32)
    for i, t in enumerate(table[0]):
        x_t, noise, fresh = random_images(seed=i), random_images(seed=1000 + i), random_images(seed=2000 + i)
        expected = theirs.step(to_torch(noise), int(t), to_torch(x_t), variance_noise=to_torch(fresh)).prev_sample
        x_0_before, mine = one_step(schedule, table, i, x_t, noise, x_0_before, fresh)
        np.testing.assert_allclose(mine, expected, atol=1e-4)


@shares
def test_dpm_solver_trajectories_equal_diffusers(schedule, algorithm, eta):
    """Twenty steps of one network from the same noise, with the same fresh noise, to the same images."""
    denoiser, ids = lively(replace(TINY, predicts="velocity"), schedule), np.arange(2)
    settings = SamplerSettings("dpm++", 20, eta, guidance_scale=1.0)
    drawn, trajectory = sample(denoiser, [3, 7], settings, seed=5, keep=range(20))
    theirs = dpm_solver_of_diffusers(schedule, trajectory.t, algorithm, "v_prediction")
    x_t = per_sample_noise(5, ids, (28, 28, 1))
    for t, mine in zip(trajectory.t, trajectory.x_t, strict=True):
        np.testing.assert_allclose(mine, x_t, atol=1e-3)
        v = denoiser.unet([tf.constant(x_t), tf.fill(2, t), tf.constant([3, 7])])
        fresh = per_sample_noise(5, ids, (28, 28, 1), step=t + 1)
        x_t = theirs.step(to_torch(v), int(t), to_torch(x_t), variance_noise=to_torch(fresh)).prev_sample.numpy()
    np.testing.assert_allclose(drawn, x_t, atol=1e-3)


def test_guidance_above_one_acts_inside_the_interval_alone():
    times = np.array([99, 80, 50, 20, 19])
    np.testing.assert_array_equal(scales_of_steps(times, 3.0, (20, 80)), [1, 3, 3, 3, 1])
    np.testing.assert_array_equal(scales_of_steps(times, 3.0, None), [3] * 5)
    for scale in (0.0, 0.5, 1.0):  # nothing is exaggerated, so there is nothing to confine
        np.testing.assert_array_equal(scales_of_steps(times, scale, (20, 80)), [scale] * 5)


def test_an_unknown_solver_is_refused(schedule):
    with pytest.raises(ValueError, match="method must be one of .*, not 'euler'"):
        solver_table(schedule, "euler", 10)


def test_a_guided_step_counts_twice():
    assert nfe(np.array([0.0, 1.0, 1.0])) == 3
    assert nfe(np.array([1.0, 2.5, 0.5, 1.0])) == 6
