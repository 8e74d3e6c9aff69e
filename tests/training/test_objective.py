"""Algorithm 1 by hand: the loss, the drawn t, dropped labels, augmented images; the EMA; the validation error."""

import dataclasses
import functools
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from helpers.data import to_model_range
from helpers.diffusion import cosine_schedule, per_sample_noise
from helpers.training.augmentation import DRAWS, augment
from helpers.training.objective import TrainingConfig, draw_times, training_loss, update_ema, validation_mse
from helpers.unet import Denoiser, UNetConfig, build_unet
from tests.conftest import TINY

SCHEDULE = cosine_schedule()


class Seen(NamedTuple):
    """The loss of a network that predicts zero, and what the network was shown."""

    loss: np.ndarray
    x_t: np.ndarray
    t: np.ndarray
    labels: np.ndarray


def loss_of_zero(batch, predicts="noise", **recipe) -> Seen:
    """What `training_loss` shows to a network, and the loss if the network answers zero."""
    return Seen(*(value.numpy() for value in compiled_loss(predicts, TrainingConfig(**recipe))(*batch)))


@functools.cache  # eagerly, the noise of each sample would be drawn by a loop in Python
def compiled_loss(predicts, config):
    shown = []

    def zero(inputs):
        shown[:] = inputs
        return tf.zeros_like(inputs[0])

    denoiser = Denoiser(zero, SCHEDULE, UNetConfig(predicts=predicts))
    return tf.function(lambda *batch: (training_loss(denoiser, config, *batch), *shown), autograph=False)


@pytest.fixture(scope="module")
def batch(mnist):
    return tf.range(256, dtype=tf.int64), to_model_range(mnist.train_images[:256]), tf.ones(256, tf.int32) * 4


@pytest.fixture(scope="module")
def noise(batch):
    return per_sample_noise(0, batch[0], (28, 28, 1)).numpy()


def noised(x_0, t, noise):
    alpha_bar = SCHEDULE.alpha_bars[t].reshape(-1, 1, 1, 1)
    return np.sqrt(alpha_bar) * x_0 + np.sqrt(1 - alpha_bar) * noise


def velocity_of(x_0, t, noise):
    alpha_bar = SCHEDULE.alpha_bars[t].reshape(-1, 1, 1, 1)
    return np.sqrt(alpha_bar) * noise - np.sqrt(1 - alpha_bar) * x_0


@pytest.mark.parametrize("predicts", ["noise", "velocity"])
def test_loss_is_algorithm_1(batch, noise, predicts):
    _, x_0, _ = batch
    seen = loss_of_zero(batch, predicts, augmentation=0.0)
    np.testing.assert_allclose(seen.x_t, noised(x_0, seen.t, noise), atol=1e-5)
    target = noise if predicts == "noise" else velocity_of(x_0, seen.t, noise)
    np.testing.assert_allclose(seen.loss, np.mean(target**2), rtol=1e-5)


def test_every_step_is_drawn_and_labels_drop_one_by_one():
    """Tiny images will do: neither t nor the labels depend on them."""
    x_0, labels = tf.zeros((512, 2, 2, 1)), tf.ones(512, tf.int32) * 4
    seen_t, dropped = [], []
    for i in range(8):
        sample_ids = tf.range(512 * i, 512 * (i + 1), dtype=tf.int64)
        seen = loss_of_zero((sample_ids, x_0, labels), augmentation=0.0)
        seen_t.append(seen.t)
        dropped.append(seen.labels == -1)
        assert set(seen.labels) == {4, -1}  # never the whole batch, never none of it
    assert set(np.concatenate(seen_t)) == set(range(100))
    assert abs(np.mean(seen_t) - 49.5) < 2
    assert abs(np.mean(dropped) - 0.1) < 0.02
    assert abs(np.corrcoef(np.ravel(dropped), np.ravel(seen_t))[0, 1]) < 0.06  # dropping doesn't depend on t
    never = loss_of_zero((sample_ids, x_0, labels), augmentation=0.0, label_dropout=0.0)
    assert set(never.labels) == {4}


def test_middle_times_are_drawn_more_often_and_none_never():
    uniform = (np.arange(200_000) + 0.5) / 200_000
    t = draw_times(tf.constant(uniform, tf.float32), 100, "middle").numpy()
    counts = np.bincount(t, minlength=100) / len(t)
    # Half of them uniform, half with the density of a logit-normal: 1 / (sqrt(2 pi) u (1 - u)) exp(-logit(u)^2 / 2).
    u = (np.arange(100) + 0.5) / 100
    logit_normal = np.exp(-(np.log(u / (1 - u)) ** 2) / 2) / (np.sqrt(2 * np.pi) * u * (1 - u))
    np.testing.assert_allclose(counts, 0.005 + 0.005 * logit_normal, atol=2e-4)


def test_uniform_times_are_drawn_equally_often():
    uniform = (np.arange(1_000) + 0.5) / 1_000
    t = draw_times(tf.constant(uniform, tf.float32), 100, "uniform").numpy()
    np.testing.assert_array_equal(np.bincount(t), 10)


@pytest.mark.parametrize("augmentation", [0.0, 1.0])
def test_a_part_of_a_batch_sees_what_the_whole_batch_saw(batch, augmentation):
    recipe = {"augmentation": augmentation, "augmented_from": 0}
    whole = loss_of_zero(batch, **recipe)
    part = loss_of_zero([values[100:200] for values in batch], **recipe)
    # Images that are resized in another place of a batch may differ in the last digit.
    np.testing.assert_allclose(part.x_t, whole.x_t[100:200], atol=1e-4 if augmentation else 0, rtol=0)
    np.testing.assert_array_equal(part.labels, whole.labels[100:200])


def test_augmented_images_are_noised_and_aimed_at(batch, noise):
    sample_ids, x_0, _ = batch
    seen = loss_of_zero(batch, "velocity", augmentation=0.5, augmented_from=0)
    changed = augment(x_0, per_sample_noise(0, sample_ids, (DRAWS,), step=2), 0.5).numpy()
    np.testing.assert_allclose(seen.x_t, noised(changed, seen.t, noise), atol=1e-4)
    np.testing.assert_allclose(seen.loss, np.mean(velocity_of(changed, seen.t, noise) ** 2), rtol=1e-5)


def test_everything_that_is_drawn_follows_the_seed(batch):
    """Each by its own key: the noise, t, the dropped labels and the augmentation, here of seed 3."""
    sample_ids, x_0, labels = batch
    seen = loss_of_zero(batch, seed=3, augmented_from=0, label_dropout=0.5)
    uniform = per_sample_noise(3, sample_ids, (2,), step=1, draw=tf.random.stateless_uniform)
    np.testing.assert_array_equal(seen.t, draw_times(uniform[:, 0], 100, "middle"))
    np.testing.assert_array_equal(seen.labels, np.where(uniform[:, 1] < 0.5, -1, labels))
    changed = augment(x_0, per_sample_noise(3, sample_ids, (DRAWS,), step=2), 1.0)
    noise = per_sample_noise(3, sample_ids, (28, 28, 1))
    np.testing.assert_allclose(seen.x_t, noised(changed, seen.t, noise), atol=1e-4)


def test_images_with_less_noise_are_left_as_they_are(batch):
    recipes = ({"augmentation": 0.0}, {"augmented_from": 0}, {"augmented_from": 40})
    plain, every, some = (loss_of_zero(batch, **recipe) for recipe in recipes)
    t = some.t
    assert {39, 40} <= set(t)
    np.testing.assert_array_equal(some.x_t[t < 40], plain.x_t[t < 40])
    np.testing.assert_array_equal(some.x_t[t >= 40], every.x_t[t >= 40])
    assert np.all(np.any(some.x_t[t == 40] != plain.x_t[t == 40], axis=(1, 2, 3)))


def test_ema_warms_up_and_then_keeps_its_decay():
    unet, ema = build_unet(TINY), build_unet(TINY)
    ema.set_weights([np.zeros_like(weight) for weight in ema.get_weights()])
    unet.set_weights([np.ones_like(weight) for weight in unet.get_weights()])
    expected = 0.0
    for step in (1, 2, 1000, 100_000):
        update_ema(ema, unet, tf.constant(step), 0.998)
        decay = min(0.998, (1 + step) / (10 + step))
        expected = decay * expected + 1 - decay
        for weight in ema.get_weights():
            np.testing.assert_allclose(weight, expected, rtol=1e-5)


def test_validation_mse_of_predicting_zero_is_one(mnist):
    zero = Denoiser(lambda inputs: tf.zeros_like(inputs[0]), SCHEDULE, UNetConfig(predicts="noise"))
    images, labels = mnist.train_images[-100:], mnist.train_labels[-100:]
    mse = validation_mse(zero, images, labels, per_image=10)  # 10 images for each t
    assert mse.noise.shape == mse.x_0.shape == (100,)
    np.testing.assert_allclose(mse.noise.mean(), 1.0, atol=0.01)
    np.testing.assert_allclose(mse.noise, 1.0, atol=0.08)
    assert np.all((mse.x_0 > 0) & (mse.x_0 < 4)) and mse.x_0[0] < 0.01 < mse.x_0[99]
    with pytest.raises(ValueError, match="images must be at least 100"):
        validation_mse(zero, images[:99], labels[:99])


def test_validation_draws_noise_anew_for_each_seed_and_each_t(mnist):
    zero = Denoiser(lambda inputs: tf.zeros_like(inputs[0]), SCHEDULE, UNetConfig(predicts="noise"))
    images, labels = mnist.train_images[-100:], mnist.train_labels[-100:]
    first, again, other = (validation_mse(zero, images, labels, per_image=2, seed=seed).noise for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.all(first != other)
    # Image i is seen at t = i and t = i + 50: with the same noise, both halves would have the same errors.
    assert np.all(first[:50] != first[50:])


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"batch_size": 1.5},
        {"optimizer": "sgd"},
        {"augmentation": float("nan")},
        {"augmented_from": 100},
        {"learning_rate": 0.0},
        {"warmup_steps": -1},
        {"weight_decay": -0.1},
        {"label_dropout": 1.0},
        {"ema_decay": 2.0},
        {"times": "early"},
        {"schedule": "square"},
        {"precision": "float16"},
        {"seed": -1},
        {"diffusion_steps": 0},
        {"gradient_clip": float("inf")},
    ],
)
def test_config_refuses(wrong):
    """One value for each setting; `test_checks` has the others."""
    (name,) = wrong
    with pytest.raises(ValueError, match=f"^{name} must be .*, not "):
        TrainingConfig(**wrong)


def test_every_setting_is_checked():
    checked = {name for mark in test_config_refuses.pytestmark for wrong in mark.args[1] for name in wrong}
    assert checked == {field.name for field in dataclasses.fields(TrainingConfig)}
