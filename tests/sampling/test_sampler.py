"""Settings, guidance, seeds and the compiled loop. The solvers' mathematics is in test_solvers.py."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from helpers.checkpoints import load_denoiser
from helpers.diffusion import cosine_schedule, per_sample_noise, predict_x_0
from helpers.sampling import sampler
from helpers.sampling.sampler import SamplerSettings, default_settings, guided, guided_noise, sample
from helpers.unet import Denoiser, UNetConfig, predict_noise
from tests.conftest import TINY, lively, said


@pytest.fixture(scope="module")
def denoiser(schedule):
    """A tiny network that all tests of this file share, and with it the compiled loop."""
    return lively(TINY, schedule)


@pytest.fixture(scope="module")
def pretrained():
    return load_denoiser()


def test_compiled_once_whatever_is_requested(denoiser, monkeypatch):
    sampler._compiled_loop.cache_clear()
    traced, draw = [], sampler.per_sample_noise
    monkeypatch.setattr(
        sampler, "per_sample_noise", lambda *arguments, **step: traced.append(1) or draw(*arguments, **step)
    )
    sample(denoiser, [3, 1], SamplerSettings(steps=2))
    assert len(traced) == 2  # the start and a step's noise: Python runs the loop only while it is compiled
    sample(denoiser, [1, 5, 5], SamplerSettings("ddpm", 3, guidance_scale=0.5), seed=1)
    sample(denoiser, np.arange(60) % 10, SamplerSettings("ddim", 1, guidance_interval=None))
    assert len(traced) == 2


def test_the_loop_is_algorithm_2(denoiser):
    """The compiled loop beside the same thing written out, guided, clipped, with fresh noise."""
    schedule, labels = denoiser.schedule, np.array([3, 7], np.int32)
    settings = SamplerSettings("ddpm", guidance_scale=2.0, guidance_interval=None)
    drawn, trajectory = sample(denoiser, labels, settings, seed=5, keep=range(100))
    # Single steps are compared, each from the loop's own x_t: a hundred in a row would add up rounding.
    x_ts, times = trajectory.x_t.reshape(200, 28, 28, 1), np.arange(99, -1, -1, dtype=np.int32).repeat(2)
    noise_cond = predict_noise(denoiser, x_ts, times, np.tile(labels, 100))
    noise_uncond = predict_noise(denoiser, x_ts, times, np.full(200, -1))
    noises = np.reshape(noise_uncond + 2.0 * (noise_cond - noise_uncond), trajectory.x_t.shape)
    following = per_sample_noise(5, np.arange(2), (28, 28, 1)).numpy()
    for t, x_t, noise, its_x_0 in zip(range(99, -1, -1), trajectory.x_t, noises, trajectory.x_0, strict=True):
        np.testing.assert_allclose(x_t, following, atol=0.02)
        alpha_bar, beta = schedule.alpha_bars[t], schedule.betas[t]
        before = schedule.alpha_bars[t - 1] if t else 1.0
        x_0 = np.clip((x_t - np.sqrt(1 - alpha_bar) * noise) / np.sqrt(alpha_bar), -1, 1)
        np.testing.assert_allclose(its_x_0, x_0, atol=0.02)
        mean = (np.sqrt(before) * beta * its_x_0 + np.sqrt(1 - beta) * (1 - before) * x_t) / (1 - alpha_bar)
        fresh = per_sample_noise(5, np.arange(2), (28, 28, 1), step=t + 1).numpy()
        following = mean + np.sqrt(beta * (1 - before) / (1 - alpha_bar)) * fresh
    np.testing.assert_allclose(drawn, following, atol=0.02)
    np.testing.assert_allclose(drawn, trajectory.x_0[-1], atol=1e-6)


# --- guidance ---


def test_guidance_formula(denoiser):
    x_t = np.random.default_rng(0).normal(size=(3, 28, 28, 1)).astype(np.float32)
    t, labels = np.array([80, 40, 5], np.int32), np.array([1, 2, 3], np.int32)
    cond = predict_noise(denoiser, x_t, t, labels).numpy()
    uncond = predict_noise(denoiser, x_t, t, np.full(3, -1, np.int32)).numpy()
    for scale, expected in (
        (0.0, uncond),
        (1.0, cond),
        (0.5, (cond + uncond) / 2),
        (3.0, uncond + 3 * (cond - uncond)),
    ):
        tolerance = 1e-3 * np.abs(expected).max()
        x_0, noise = guided(denoiser, tf.constant(x_t), t, labels, scale)
        np.testing.assert_allclose(noise, expected, atol=tolerance)
        by_noise = predict_x_0(denoiser.schedule, x_t, t, expected)
        np.testing.assert_allclose(x_0, by_noise, atol=1e-3 * np.abs(by_noise).max())
        np.testing.assert_array_equal(guided_noise(denoiser, tf.constant(x_t), t, labels, scale), noise)


class FixedVelocity:
    """A network that answers with given velocities, one for a known digit and one for none."""

    def __init__(self, known, unknown):
        self.known, self.unknown = known, unknown

    def __call__(self, inputs):
        return tf.where(tf.reshape(inputs[2] < 0, (-1, 1, 1, 1)), self.unknown, self.known)


def test_guidance_of_a_velocity_divides_nothing(schedule):
    x_t, known, unknown = np.random.default_rng(0).normal(size=(3, 1, 28, 28, 1)).astype(np.float32)
    denoiser, alpha_bar = Denoiser(FixedVelocity(known, unknown), schedule, UNetConfig()), schedule.alpha_bars[99]
    v = np.float64(unknown) + 2.5 * (np.float64(known) - unknown)
    exact = np.sqrt(alpha_bar) * x_t - np.sqrt(1 - alpha_bar) * v
    x_0, _ = guided(denoiser, tf.constant(x_t), tf.constant([99]), tf.constant([3]), 2.5)
    np.testing.assert_allclose(x_0, exact, rtol=0, atol=3e-6)


@pytest.mark.parametrize(("scale", "passes"), [(0.0, 1), (1.0, 1), (0.5, 2), (2.5, 2)])
def test_only_a_mixture_takes_two_network_passes(denoiser, monkeypatch, scale, passes):
    sizes = []
    monkeypatch.setattr(sampler, "predict", lambda denoiser, x_t, *_: sizes.append(len(x_t)) or (x_t, x_t))
    guided(denoiser, tf.zeros((3, 28, 28, 1)), tf.zeros(3, tf.int32), tf.zeros(3, tf.int32), scale)
    assert sizes == [3 * passes]


def same(first, second):
    np.testing.assert_allclose(first, second, atol=2 / 255)  # 1/255 of the range from -1 to 1


def test_scale_one_is_conditional_and_zero_unconditional(denoiser):
    def draw(labels, scale):
        return sample(denoiser, labels, SamplerSettings(steps=8, guidance_scale=scale), seed=1).images

    conditional, unconditional = draw([0, 5, 9], 1.0), draw([0, 5, 9], 0.0)
    same(conditional, draw([0, 5, 9], 1 + 1e-6))
    same(unconditional, draw([-1, -1, -1], 2.5))
    assert np.abs(conditional - unconditional).max() > 0.1


def test_guidance_only_inside_its_interval(denoiser):
    def draw(scale, interval):  # times 99, 89, ..., 9
        settings = SamplerSettings(steps=10, guidance_scale=scale, guidance_interval=interval)
        return sample(denoiser, [0, 5, 9], settings).images

    plain, guided = draw(1.0, None), draw(4.0, None)
    same(plain, draw(4.0, (50, 58)))
    same(guided, draw(4.0, (9, 99)))
    only_one = draw(4.0, (59, 59))
    assert all(np.abs(only_one - other).max() > 0.05 for other in (plain, guided))


def test_one_image_of_any_digit_leaves_the_others_guided(denoiser):
    def draw(labels, scale=4.0):
        return sample(denoiser, labels, SamplerSettings(steps=4, guidance_scale=scale, guidance_interval=None)).images

    mixed = draw([3, -1])
    same(mixed[0], draw([3, 5])[0])
    same(mixed[1], draw([3, 5], scale=0.0)[1])
    assert np.abs(mixed[0] - draw([3, 5], scale=1.0)[0]).max() > 0.05


# --- distilled networks ---


@pytest.fixture(scope="module")
def distilled(schedule):
    return lively(replace(TINY, distilled_steps=4), schedule)


def test_a_distilled_network_is_sampled_as_it_was_distilled(distilled, denoiser):
    settings = SamplerSettings("ddim", 4, eta=0.0, guidance_scale=1.0)
    assert default_settings(distilled.config) == settings and settings.nfe(distilled.schedule) == 4
    assert default_settings(denoiser.config) == SamplerSettings()
    drawn = sample(distilled, [3, -1], seed=2).images
    np.testing.assert_array_equal(drawn, sample(distilled, [3, -1], settings, seed=2).images)
    same(drawn, sample(denoiser, [3, -1], settings, seed=2).images)  # it has the same weights


@pytest.mark.parametrize("other", [{"method": "dpm++"}, {"steps": 5}, {"eta": 0.5}, {"guidance_scale": 2.5}])
def test_a_distilled_network_has_no_other_sampler(distilled, other):
    settings = replace(default_settings(distilled.config), **other)
    with pytest.raises(ValueError, match=r"settings must be left out: .* distilled for .*'ddim', steps=4") as raised:
        sample(distilled, [3], settings)
    said(raised)


# --- seeds, batches, parts ---


@pytest.mark.parametrize("method", ["ddpm", "ddim", "dpm++"])
def test_an_image_does_not_depend_on_the_batch_split(pretrained, method, monkeypatch):
    settings = SamplerSettings(method, 10)
    whole = sample(pretrained, [3, 1, 4, 1, 5], settings, seed=3).images
    monkeypatch.setattr(sampler, "BATCH_SIZE", 2)
    same(whole, sample(pretrained, [3, 1, 4, 1, 5], settings, seed=3).images)
    same(whole[:2], sample(pretrained, [3, 1], settings, seed=3).images)
    assert np.abs(whole[1] - whole[3]).max() > 0.5  # the same digit, but another image
    other_seed = sample(pretrained, [3, 1, 4, 1, 5], settings, seed=4).images
    assert np.abs(whole - other_seed).max(axis=(1, 2, 3)).min() > 0.5


def test_sample_ids_draw_a_part_of_a_larger_request(denoiser, monkeypatch):
    monkeypatch.setattr(sampler, "BATCH_SIZE", 2)
    labels, settings = np.array([3, 1, 4, 1, 5]), SamplerSettings(steps=3)
    whole = sample(denoiser, labels, settings, seed=6).images
    part = sample(denoiser, labels[[4, 0, 2]], settings, seed=6, sample_ids=[4, 0, 2]).images
    same(part, whole[[4, 0, 2]])
    assert np.abs(part - sample(denoiser, labels[[4, 0, 2]], settings, seed=6).images).max() > 0.1


def test_every_bit_of_a_seed_counts(denoiser):
    start, other = (
        sample(denoiser, [3], SamplerSettings(steps=1), seed=seed, keep=[0]).trajectory.x_t for seed in (5, 5 + 2**40)
    )
    assert np.abs(start - other).max() > 1


def test_without_clipping_predictions_leave_the_images_range(denoiser):
    settings = SamplerSettings("ddim", 2, eta=0.0)
    clipped, free = (sample(denoiser, [3], settings, keep=[0], clip_x_0=clip).trajectory.x_0 for clip in (True, False))
    assert np.abs(clipped).max() == 1 and np.abs(free).max() > 2
    np.testing.assert_allclose(np.clip(free, -1, 1), clipped, atol=1e-3)


def test_keep_selects_steps(denoiser):
    settings = SamplerSettings(steps=6)
    everything = sample(denoiser, [1, 2], settings, keep=range(6)).trajectory
    some = sample(denoiser, [1, 2], settings, keep=[0, 5]).trajectory
    assert some.t.tolist() == [99, 16] and some.x_t.shape == some.x_0.shape == (2, 2, 28, 28, 1)
    np.testing.assert_array_equal(some.x_0, everything.x_0[[0, 5]])
    np.testing.assert_allclose(everything.x_t[0], per_sample_noise(0, np.arange(2), (28, 28, 1)), atol=1e-6)
    assert sample(denoiser, [1, 2], settings).trajectory is None


def test_defaults_alone_draw_digits(pretrained):
    images = sample(pretrained, np.arange(10), seed=1).images
    assert images.shape == (10, 28, 28, 1) and images.dtype == np.float32
    assert images.min() >= -1 and images.max() <= 1
    ink = (images > 0).mean(axis=(1, 2, 3))
    assert np.all((ink > 0.02) & (ink < 0.4))


# --- settings ---


def test_the_number_of_steps_depends_on_the_solver_and_the_schedule(schedule):
    assert [SamplerSettings(method).on(schedule).steps for method in ("ddpm", "ddim", "dpm++")] == [100, 20, 20]
    assert SamplerSettings(steps=7).on(schedule).steps == 7 and SamplerSettings().on(cosine_schedule(10)).steps == 10
    with pytest.raises(ValueError, match=r"steps must be a whole number in 1\.\.100, not 101"):
        SamplerSettings(steps=101).on(schedule)


def test_a_guided_step_costs_two_network_passes(schedule):
    assert SamplerSettings(steps=10, guidance_scale=1.0).nfe(schedule) == 10
    assert SamplerSettings(steps=10, guidance_scale=0.0).nfe(schedule) == 10
    assert SamplerSettings(steps=10, guidance_interval=None).nfe(schedule) == 20
    assert SamplerSettings(steps=10, guidance_interval=(40, 70)).nfe(schedule) == 13  # t = 69, 59, 49 lie inside
    np.testing.assert_array_equal(SamplerSettings(steps=4, guidance_interval=(50, 80)).scales(schedule), [1, 2.5, 1, 1])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"method": "euler"}, "method must be one of"),
        ({"steps": 0}, "steps must be a whole number of at least 1, not 0"),
        ({"steps": 2.5}, "not 2.5"),
        ({"eta": 1.5}, "eta must be a finite number of at least 0 and at most 1, not 1.5"),
        ({"guidance_scale": -1.0}, "guidance_scale must be a finite number of at least 0"),
        ({"guidance_scale": float("nan")}, "guidance_scale must be"),
        ({"guidance_interval": (50, 10)}, "guidance_interval's last t must be a whole number of at least 50, not 10"),
        ({"guidance_interval": (-1, 50)}, "guidance_interval's first t must be"),
        ({"guidance_interval": (1, 2, 3)}, "guidance_interval must be (first, last) or None"),
        ({"guidance_interval": 50}, "guidance_interval must be (first, last) or None"),
        ({"guidance_interval": "47"}, "guidance_interval must be (first, last) or None, not '47'"),
        (
            {"guidance_interval": ("4", "7")},
            "guidance_interval's first t must be a whole number of at least 0, not '4'",
        ),
        ({"guidance_interval": (4, None)}, "guidance_interval's last t must be a whole number of at least 4, not None"),
        ({"guidance_interval": (4.0, 7)}, "guidance_interval's first t must be"),
        ({"guidance_interval": {4: 7}}, "guidance_interval must be (first, last) or None"),
        ({"guidance_interval": iter((4, 7))}, "guidance_interval must be (first, last) or None"),
        ({"guidance_interval": np.array([4, 7])}, "guidance_interval must be (first, last) or None"),
        ({"guidance_scale": 1e39}, "guidance_scale must be a finite number of at least 0 and at most 1e+06, not 1e+39"),
        ({"guidance_scale": 10**400}, "guidance_scale must be a finite number"),
        ({"guidance_scale": float("inf")}, "guidance_scale must be a finite number"),
        ({"guidance_scale": "2"}, "guidance_scale must be a finite number of at least 0 and at most 1e+06, not '2'"),
        ({"guidance_scale": [2.0]}, "guidance_scale must be a finite number"),
        ({"guidance_scale": 2j}, "guidance_scale must be a finite number"),
        ({"eta": None}, "eta must be a finite number of at least 0 and at most 1, not None"),
        ({"eta": True}, "eta must be"),
        ({"eta": np.complex64(0.5)}, "eta must be"),
        ({"method": ["ddim"]}, "method must be one of"),
        ({"method": None}, "method must be one of"),
    ],
)
def test_invalid_settings(setting, message):
    with pytest.raises(ValueError) as raised:
        SamplerSettings(**setting)
    assert message in said(raised)


@pytest.mark.parametrize(
    ("labels", "request_", "message"),
    [
        ([10], {}, r"labels must be in 0\.\.9"),
        ([3], {"settings": SamplerSettings(steps=101)}, "steps must be"),
        ([3], {"seed": -1}, "seed must be"),
        ([3], {"sample_ids": [0, 1]}, "sample_ids must be"),
        ([3], {"settings": SamplerSettings(steps=20), "keep": [20]}, "keep must be"),
        ([3], {"settings": "ddim"}, r"settings must be SamplerSettings\(\.\.\.\), not 'ddim'"),
        ([3], {"settings": {"steps": 3}}, "settings must be SamplerSettings"),
        ([3], {"keep": 3}, "keep must be a list of steps, not 3"),
        ([3], {"seed": 2**63}, "seed must be"),
        ([3.5], {}, "labels must be a non-empty list of whole numbers"),
        ([True], {}, "labels must be a non-empty list of whole numbers"),
        ([np.nan], {}, "labels must be a non-empty list of whole numbers"),
        (np.array([3], "m8[s]"), {}, "labels must be a non-empty list of whole numbers"),
        (iter([3]), {}, "labels must be a non-empty list of whole numbers"),
        ("3", {}, "labels must be a non-empty list of whole numbers"),
    ],
)
def test_requests_are_checked(denoiser, labels, request_, message):
    """The rules themselves are tested in test_labels.py and test_checks.py."""
    with pytest.raises(ValueError, match=message):
        sample(denoiser, labels, **request_)


def test_weights_that_are_not_numbers(lively_denoiser):
    weights = lively_denoiser.unet.get_weights()
    weights[3].flat[0] = np.nan
    lively_denoiser.unet.set_weights(weights)
    with pytest.raises(ValueError, match="weights that are not finite"):
        sample(lively_denoiser, [3])


# --- several devices ---


def test_one_device_by_default():
    assert [name[-5:] for name in sampler.local_devices()] == ["CPU:0"]


def test_batches_take_the_devices_in_turn(denoiser, monkeypatch):
    labels, settings = np.arange(7), SamplerSettings(steps=2)
    whole = sample(denoiser, labels, settings).images
    used, device = [], tf.device
    monkeypatch.setattr(sampler, "BATCH_SIZE", 2)
    monkeypatch.setattr(sampler, "local_devices", lambda: ["/CPU:0", "/device:CPU:0"])  # two names of one device
    monkeypatch.setattr(tf, "device", lambda name: used.append(name) or device(name))
    same(sample(denoiser, labels, settings).images, whole)
    assert sorted(used) == ["/CPU:0"] * 2 + ["/device:CPU:0"] * 2


ON_TWO_DEVICES = """
import helpers.tools.quiet

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from helpers.checkpoints import load_denoiser
from helpers.sampling import sampler
from helpers.sampling.sampler import SamplerSettings, sample
from helpers.workshop.reporting import _draw

sampler.BATCH_SIZE, compiled, seen = 3, sampler._compiled_loop, []


def noting_devices(*arguments):
    loop = compiled(*arguments)

    def noted(labels, sample_ids, *rest):
        images, frames = loop(labels, sample_ids, *rest)
        seen.append((int(sample_ids[0]), images.device[-5:]))
        return images, frames

    return noted


sampler._compiled_loop = noting_devices
denoiser, labels, settings = load_denoiser(), np.arange(10, dtype=np.int32), SamplerSettings(steps=4)
two, trajectory = sample(denoiser, labels, settings, seed=2, keep=[1])
assert sorted(seen) == [(0, "CPU:0"), (3, "CPU:1"), (6, "CPU:0"), (9, "CPU:1")], seen
seen.clear()
report_card = _draw(denoiser, labels, 2, Path(sys.argv[1]), progress=False)
assert {device for _, device in seen} == {"CPU:0", "CPU:1"}
sampler.local_devices = lambda: ["/CPU:0"]
one, same_trajectory = sample(denoiser, labels, settings, seed=2, keep=[1])
np.testing.assert_array_equal(one, two)
np.testing.assert_array_equal(trajectory.x_0, same_trajectory.x_0)
np.testing.assert_array_equal(report_card, sample(denoiser, labels, seed=2).images)
"""


@pytest.mark.slow
def test_two_devices_draw_what_one_draws(tmp_path):
    """In a process of its own: TensorFlow splits its device up only before it has used it."""
    command = [sys.executable, "-c", ON_TWO_DEVICES, str(tmp_path)]
    done = subprocess.run(command, cwd=Path(sampler.__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
