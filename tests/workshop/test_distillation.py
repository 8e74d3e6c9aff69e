"""Distillation: the target is where the teacher arrives, the student learns it, and its training is like any other."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from helpers import checkpoints
from helpers.checkpoints import load_denoiser, save_denoiser
from helpers.diffusion import per_sample_noise, velocity
from helpers.sampling.sampler import FEW_STEPS, SamplerSettings, sample
from helpers.sampling.solvers import ddim_table, sampling_times, solver_table
from helpers.tools.files import read_record
from helpers.training import loop
from helpers.training.objective import TrainingConfig
from helpers.unet import Denoiser, UNetConfig, predict
from helpers.workshop import distillation
from helpers.workshop.distillation import PASSES, STUDENT_RECIPE, Distillation, distil, teacher_settings
from tests.conftest import OF_DIGITS, TINY, lively, said
from tests.training.compiled_once import compiled_once

STD, KNOWN, UNKNOWN = 0.1, 0.3, 0.2  # of the Gaussian toy: its mean with a label and without
VELOCITY = replace(TINY, predicts="velocity")
QUICK = TrainingConfig(
    steps=80, batch_size=16, learning_rate=5e-3, warmup_steps=5, label_dropout=0.1, augmentation=0.0, ema_decay=0.9
)


class ExactUnet:
    """The exact velocity for data whose pixels are independent N(mean, STD**2); the mean depends on the label."""

    def __init__(self, schedule):
        self.schedule = schedule

    def __call__(self, inputs):
        x_t, t, labels = inputs
        alpha_bar = tf.reshape(tf.gather(tf.constant(self.schedule.alpha_bars, tf.float32), t), (-1, 1, 1, 1))
        mean = tf.reshape(tf.where(labels < 0, UNKNOWN, KNOWN), (-1, 1, 1, 1))
        slope = tf.sqrt(1 - alpha_bar) / (alpha_bar * STD**2 + 1 - alpha_bar)
        noise = slope * (x_t - tf.sqrt(alpha_bar) * mean)
        x_0 = mean + tf.sqrt(alpha_bar) * STD**2 / (alpha_bar * STD**2 + 1 - alpha_bar) * (
            x_t - tf.sqrt(alpha_bar) * mean
        )
        return velocity(self.schedule, x_0, t, noise)


def exact_x_0(alpha_bar, x_t, scale):
    """The guided prediction of the toy's x_0, in float64."""
    gain = np.sqrt(alpha_bar) * STD**2 / (alpha_bar * STD**2 + 1 - alpha_bar)
    known, unknown = (mean + gain * (x_t - np.sqrt(alpha_bar) * mean) for mean in (KNOWN, UNKNOWN))
    return unknown + scale * (known - unknown)


def ddim_step(alpha_bar, alpha_bar_next, x_t, x_0):
    """Song et al. 2021, eq. 12 without noise."""
    noise = (x_t - np.sqrt(alpha_bar) * x_0) / np.sqrt(1 - alpha_bar)
    return np.sqrt(alpha_bar_next) * x_0 + np.sqrt(1 - alpha_bar_next) * noise


@pytest.mark.parametrize("step", [0, 1, 3])
def test_one_step_of_the_student_is_two_of_the_teacher(schedule, step):
    """Two guided DDIM steps of a Gaussian toy, in float64, collapse into the one that the target makes."""
    settings = SamplerSettings("ddim", 8, guidance_scale=2.0, guidance_interval=(40, 70))
    student = Distillation(Denoiser(ExactUnet(schedule), schedule, UNetConfig()), settings, 4)
    times = sampling_times(schedule, 8)
    bars = [*schedule.alpha_bars[times], 1.0][2 * step : 2 * step + 3]
    start = np.random.default_rng(step).normal(size=(2, 28, 28, 1)).astype(np.float32)
    x = np.float64(start)
    for t, bar, bar_next in zip(times[2 * step :], bars, bars[1:], strict=False):
        x = ddim_step(bar, bar_next, x, exact_x_0(bar, x, 2.0 if 40 <= t <= 70 else 1.0))
    v = student.target(tf.constant(start), tf.constant([3, 7]), step).numpy().astype(np.float64)
    x_0 = np.sqrt(bars[0]) * start - np.sqrt(1 - bars[0]) * v
    np.testing.assert_allclose(ddim_step(bars[0], bars[2], start, x_0), x, atol=2e-6)


def test_all_steps_at_once_arrive_at_the_teachers_images(schedule):
    """With one pass the student's target is what the default sampler draws, second order and guidance included."""
    teacher, settings = lively(VELOCITY, schedule), teacher_settings(1)
    assert settings == replace(SamplerSettings(), steps=FEW_STEPS, eta=0.0)
    noise, labels = per_sample_noise(3, np.arange(2), (28, 28, 1)), np.array([3, -1], np.int32)
    at_once = Distillation(teacher, settings, 1)
    arrived = at_once.arrival(noise, tf.constant(labels), tf.constant(0))
    np.testing.assert_allclose(arrived, sample(teacher, labels, settings, seed=3).images, atol=1e-3)


def test_a_later_step_of_the_student_begins_anew(schedule):
    """Four of eight steps of DPM-Solver++, from the middle on: the first is of first order, which is a DDIM step."""
    teacher, settings = lively(VELOCITY, schedule), SamplerSettings("dpm++", 8, guidance_scale=1.0)
    half = Distillation(teacher, settings, 2)
    start, labels = tf.constant(np.random.default_rng(0).normal(size=(2, 28, 28, 1)), tf.float32), tf.constant([3, 7])
    times, rows = solver_table(schedule, "dpm++", 8)
    rows[4] = ddim_table(schedule, times, 0.0)[4]
    assert rows[5, 2] < 0 and rows[6, 2] < 0  # the others do look back
    x_t, x_0_before = start, tf.zeros_like(start)
    for t, row in zip(times[4:], np.float32(rows[4:]), strict=True):
        x_0 = tf.clip_by_value(predict(teacher, x_t, tf.fill(2, t), labels)[0], -1, 1)
        x_t, x_0_before = row[0] * x_t + row[1] * x_0 + row[2] * x_0_before, x_0
    np.testing.assert_allclose(half.arrival(start, labels, tf.constant(1)), x_t, atol=1e-4)


# --- Training ---


@pytest.fixture(scope="module")
def network(schedule, tmp_path_factory):
    """The folder of a tiny teacher of digits, whose weights are small: its velocity can be learned."""
    folder, teacher = tmp_path_factory.mktemp("teacher") / "network", lively(VELOCITY, schedule)
    teacher.unet.set_weights([0.35 * weight for weight in teacher.unet.get_weights()])
    save_denoiser(folder, teacher, OF_DIGITS, [])
    return folder


@pytest.fixture(scope="module", autouse=True)
def one_compiled_step():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "Trainer", compiled_once())
        yield


def run(network, out, **options):
    return distil(network, out, QUICK, history_every=10, progress=False, **options)


@pytest.fixture(scope="module")
def whole(network, tmp_path_factory):
    """A distillation that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "student"
    return folder, *run(network, folder)


def test_the_student_draws_what_its_teacher_draws(whole, network):
    """Closer in four passes than the teacher itself in four passes, which is where the student started."""
    folder, _, history = whole
    teacher, student = load_denoiser(network), load_denoiser(folder)
    assert student.config == replace(VELOCITY, distilled_steps=PASSES)
    labels = np.arange(20) % 10
    wanted = sample(teacher, labels, teacher_settings(PASSES)).images
    as_at_first = sample(teacher, labels, SamplerSettings("ddim", PASSES, guidance_scale=1.0)).images
    errors = [np.mean((images - wanted) ** 2) for images in (as_at_first, sample(student, labels).images)]
    assert errors[1] < 0.7 * errors[0]
    assert history[-1]["loss"] < history[0]["loss"]


def test_the_record_names_the_teacher(whole, network):
    record = read_record(whole[0] / "config.json")
    assert record["training"]["teacher_sha256"] == read_record(network / "config.json")["weights_sha256"]
    assert record["training"]["teacher_sampler"] == str(teacher_settings(PASSES))
    assert record["training"]["data_sha256"] == OF_DIGITS["data_sha256"] and record["unet"]["distilled_steps"] == PASSES


def test_a_student_has_a_name(whole, monkeypatch):
    monkeypatch.setitem(checkpoints.SHIPPED, "distilled", whole[0])
    student = load_denoiser("distilled")
    assert student.config.distilled_steps == PASSES
    for mine, theirs in zip(student.unet.get_weights(), whole[1].unet.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_an_interrupted_distillation_resumes_as_if_nothing_had_happened(whole, network, tmp_path, monkeypatch):
    advance = loop._advance

    def interrupted(trainer, *rest):
        advance(trainer, *rest)
        if trainer.step == 23:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "_advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(network, tmp_path / "student", save_every_seconds=0)
    monkeypatch.setattr(loop, "_advance", advance)
    resumed, history = run(network, tmp_path / "student")
    for mine, theirs in zip(resumed.unet.get_weights(), whole[1].unet.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)
    assert [row["loss"] for row in history] == pytest.approx([row["loss"] for row in whole[2]], abs=1e-5)


def test_another_teacher_is_refused(whole, network, schedule, tmp_path):
    other, folder = tmp_path / "other", shutil.copytree(whole[0], tmp_path / "student")
    teacher = lively(VELOCITY, schedule)
    teacher.unet.set_weights([weight / 2 for weight in teacher.unet.get_weights()])
    save_denoiser(other, teacher, OF_DIGITS, [])
    with pytest.raises(ValueError, match=r"belongs to another recipe: teacher_sha256 '[0-9a-f]+, not '") as raised:
        run(other, folder)
    said(raised)


# --- Refusals ---


@pytest.mark.parametrize(
    ("changed", "settings", "steps", "message"),
    [
        ({"predicts": "noise"}, {}, 4, "teacher must be a network that predicts the velocity, not one that predicts"),
        ({"distilled_steps": 4}, {}, 4, "teacher must be a network that predicts the velocity, not a student itself"),
        ({}, {"steps": 18}, 4, r"settings must have a multiple of 4 steps and no fresh noise, not SamplerSettings"),
        ({}, {"eta": 0.5}, 4, "no fresh noise"),
        ({}, {"method": "ddpm"}, 4, "no fresh noise"),
        ({}, {}, 0, r"steps must be a whole number in 1\.\.20, not 0"),
        ({}, {}, 21, r"steps must be a whole number in 1\.\.20, not 21"),
    ],
)
def test_what_cannot_be_distilled(schedule, changed, settings, steps, message):
    teacher = Denoiser(ExactUnet(schedule), schedule, replace(UNetConfig(), **changed))
    with pytest.raises(ValueError, match=message) as raised:
        Distillation(teacher, replace(SamplerSettings("dpm++", 20), **settings), steps)
    said(raised)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"passes": 0}, r"passes must be a whole number in 1\.\.10, not 0"),
        ({"passes": 11}, r"passes must be a whole number in 1\.\.10, not 11"),
        ({"passes": 3}, "batch_size must be divisible by 3, not 16"),
        ({"streams": 8}, "batch_size must be divisible by 32, not 16"),
    ],
)
def test_a_distillation_that_cannot_be_split_is_refused_before_any_work(options, message, network, tmp_path):
    with pytest.raises(ValueError, match=message):
        distil(network, tmp_path / "student", QUICK, **options)
    assert not (tmp_path / "student").exists()


@pytest.mark.parametrize("passes", [1, 2, 3, 4, 7, 10])
def test_the_teacher_has_a_multiple_of_the_students_steps(passes):
    settings = teacher_settings(passes)
    assert settings.steps % passes == 0 and 14 <= settings.steps <= FEW_STEPS and settings.eta == 0


def test_the_recipe_fits_the_students_steps():
    assert STUDENT_RECIPE.batch_size % (2 * PASSES) == 0 and STUDENT_RECIPE.augmentation == 0
    assert distillation.PASSES <= 4
