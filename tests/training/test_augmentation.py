"""Augmented images: unchanged by zeros, shifted by whole pixels, and as SciPy's splines transform them."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import affine_transform

from helpers.data import to_model_range
from helpers.training.augmentation import DRAWS, SHIFT, SLANT, STRETCH, TURN, augment


@pytest.fixture(scope="module")
def x_0(mnist):
    return to_model_range(mnist.train_images[:20]).numpy()


def changed(x_0, draws, strength=1.0):
    return augment(x_0, np.tile(np.float32(draws), (len(x_0), 1)), strength).numpy()


def test_nothing_is_changed_by_zeros(x_0):
    np.testing.assert_allclose(changed(x_0, np.zeros(DRAWS)), x_0, atol=1e-5)
    np.testing.assert_allclose(changed(x_0, np.ones(DRAWS), strength=0.0), x_0, atol=1e-5)


def test_a_whole_pixel_moves_the_image(x_0):
    right, down = np.zeros(DRAWS), np.zeros(DRAWS)
    right[4], down[5] = 1 / SHIFT, 1 / SHIFT
    np.testing.assert_allclose(changed(x_0, right)[:, :, :26], x_0[:, :, 1:27], atol=1e-5)
    np.testing.assert_allclose(changed(x_0, right, strength=2.0)[:, :, :25], x_0[:, :, 2:27], atol=1e-5)
    np.testing.assert_allclose(changed(x_0, down)[:, :26], x_0[:, 1:27], atol=1e-5)


def test_the_border_is_repeated():
    grey = np.full((1, 16, 16, 3), 0.5, np.float32)
    np.testing.assert_allclose(changed(grey, [3, -3, 3, 3, 6, -6]), grey, atol=1e-5)


@pytest.mark.parametrize("draws", [*3 * np.eye(DRAWS)[:4], [0.7, 0.3, -0.4, 0.8, 0.5, -0.6]])
def test_scipy_does_the_same(x_0, draws):
    turn, log_x, log_y, slant = np.array(draws[:4]) * (TURN, STRETCH, STRETCH, SLANT)
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = turned @ np.array([[np.exp(log_x), slant], [0, np.exp(log_y)]])  # of (x, y)
    matrix = matrix[::-1, ::-1]  # of (row, column), as SciPy counts
    offset = 13.5 - matrix @ (13.5, 13.5) + SHIFT * np.array(draws[:3:-1])
    theirs = [affine_transform(image[..., 0], matrix, offset, order=3, mode="nearest") for image in x_0]
    error = np.abs(changed(x_0, draws)[..., 0] - np.clip(theirs, -1, 1))
    # Two kinds of cubic interpolation differ at edges of strokes; the unchanged image is far further off.
    assert error.mean() < 0.015 and error.max() < 0.3
    assert np.abs(x_0[..., 0] - np.clip(theirs, -1, 1)).mean() > 5 * error.mean()


def test_each_image_follows_its_own_draws_and_all_channels_change_alike(x_0):
    draws = np.random.default_rng(0).normal(size=(len(x_0), DRAWS)).astype(np.float32)
    together = augment(x_0, draws, 1.0).numpy()
    np.testing.assert_allclose(augment(x_0[3:5], draws[3:5], 1.0), together[3:5], atol=1e-4)
    assert np.abs(together).max() <= 1 and not np.allclose(augment(x_0, draws[::-1], 1.0), together, atol=0.1)
    colours = tf.concat([x_0, -x_0, x_0], axis=3)
    np.testing.assert_allclose(augment(colours, draws, 1.0)[..., 2:], together, atol=1e-4)
    np.testing.assert_allclose(augment(colours, draws, 1.0)[..., 1:2], -together, atol=1e-4)
