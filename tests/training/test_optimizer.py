"""Muon: kernels as matrices, steps compared with NumPy's singular values, and Adam for all other weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers.training.optimizer import Muon, as_matrix, orthogonalised


@pytest.mark.parametrize(
    ("shape", "matrix"),
    [
        ((3, 3, 16, 32), (144, 32)),
        ((1, 1, 96, 32), (96, 32)),
        ((128, 192), (128, 192)),
        ((96, 4, 24), (96, 96)),
        ((4, 24, 96), (96, 96)),
        ((3, 3, 16, 1), (144, 1)),
        ((32,), (1, 32)),
        ((), (1, 1)),
    ],
)
def test_a_kernel_is_a_matrix_of_inputs_by_outputs(shape, matrix):
    assert as_matrix(shape) == matrix


@pytest.mark.parametrize("shape", [(40, 12), (12, 40), (20, 20)])
def test_the_singular_values_become_one_and_the_directions_stay(shape):
    u, _, v = np.linalg.svd(np.random.default_rng(0).normal(size=shape), full_matrices=False)
    values = np.geomspace(1, 0.02, len(v))  # above a hundredth of their norm
    found = orthogonalised(tf.constant(u * values @ v, tf.float32)).numpy()
    turned = u.T @ found @ v.T  # diagonal, if the directions are the same
    assert np.all((np.diag(turned) > 0.68) & (np.diag(turned) < 1.14))
    np.testing.assert_allclose(turned, np.diag(np.diag(turned)), atol=1e-4)


def step_of(optimizer, shape, gradients):
    variable = keras.Variable(np.zeros(shape, np.float32))
    optimizer.build([variable])
    for gradient in gradients:
        optimizer.apply([tf.constant(gradient)], [variable])
    return variable.numpy()


def test_a_convolution_steps_as_far_in_every_direction():
    random = np.random.default_rng(1)
    first, second = random.normal(size=(2, 3, 3, 8, 16)).astype(np.float32)
    weights = step_of(Muon(0.1, weight_decay=0.0), first.shape, [first])
    expected = -0.1 * 0.2 * np.sqrt(72) * orthogonalised(tf.constant(first.reshape(72, 16))).numpy()
    np.testing.assert_allclose(weights.reshape(72, 16), expected, rtol=1e-4, atol=1e-6)
    # The second step looks ahead: the gradient, and 0.95 of the momentum that it has become part of.
    ahead = second + 0.95 * (0.95 * first + second)
    expected += -0.1 * 0.2 * np.sqrt(72) * orthogonalised(tf.constant(ahead.reshape(72, 16))).numpy()
    weights = step_of(Muon(0.1, weight_decay=0.0), first.shape, [first, second])
    np.testing.assert_allclose(weights.reshape(72, 16), expected, rtol=1e-3, atol=1e-5)


def test_the_smallest_matrix_is_eight_by_eight():
    gradient = np.random.default_rng(3).normal(size=(8, 8)).astype(np.float32)
    weights = step_of(Muon(0.1, weight_decay=0.0), (8, 8), [gradient])
    expected = -0.1 * 0.2 * np.sqrt(8) * orthogonalised(tf.constant(gradient)).numpy()
    np.testing.assert_allclose(weights, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("shape", [(16,), (3, 3, 16, 1), (7, 64), ()])
def test_other_weights_are_updated_by_adamw_at_a_third_of_the_rate(shape):
    gradients = np.random.default_rng(2).normal(size=(3, *shape)).astype(np.float32)
    expected = step_of(keras.optimizers.AdamW(0.1, weight_decay=0.0), shape, gradients)
    found = step_of(Muon(0.3, weight_decay=0.0), shape, gradients)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(("shape", "left"), [((8, 8), 0.95), ((64,), 1.0), ((3, 3, 16, 1), 1.0), ((), 1.0)])
def test_only_matrices_decay(shape, left):
    variable = keras.Variable(np.ones(shape, np.float32))
    optimizer = Muon(0.1, weight_decay=0.5)
    optimizer.build([variable])
    optimizer.apply([tf.zeros(shape)], [variable])
    np.testing.assert_allclose(variable.numpy(), left, rtol=1e-6)
