"""Muon: an optimizer whose steps have the same size in every direction of a layer, for convolutions too.

Adam scales the step of every weight separately. Muon treats a layer's weights as a matrix, inputs by outputs, and
replaces its averaged gradient by the nearest matrix whose singular values are all 1 (Jordan et al. 2024). Directions
that are rarely needed are then learned as fast as those that dominate the gradient. Keras's own `Muon` handles matrices
only and would leave a U-Net's convolutions, most of its weights, to AdamW. Used in notebook 04.
"""

import helpers.tools.quiet  # noqa: F401

import math

import keras
import tensorflow as tf
from keras import ops

MOMENTUM = 0.95
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # Jordan et al.'s: five rounds bring nearly every singular value near 1
ROUNDS = 5
ADAM_SIZE = 0.2  # the usual size of Adam's steps: a rate and a decay mean what they mean there (Liu et al. 2025)
SMALLEST = 8  # the shorter side of a matrix; biases, scales and the last convolution have too few directions
ADAM_SHARE = 1 / 3  # of the rate: for weights that Adam updates


def as_matrix(shape: tuple[int, ...]) -> tuple[int, int]:
    """(rows, columns) of a kernel as a matrix: its inputs by its outputs.

    A convolution's `(3, 3, 16, 32)` -> `(144, 32)`. Attention kernels have an axis for the heads, `(96, 4, 24)` on the
    way in and `(4, 24, 96)` on the way out. It joins the side that makes the matrix most nearly square: `(96, 96)`.
    """
    if len(shape) == 3:
        return max((shape[0], shape[1] * shape[2]), (shape[0] * shape[1], shape[2]), key=min)
    return math.prod(shape[:-1]), math.prod(shape[-1:])


def orthogonalised(matrix: tf.Tensor) -> tf.Tensor:
    """`(rows, columns)` float32 -> same: U V' of the singular value decomposition U S V', approximately.

    Matrix products alone apply the polynomial a s + b s^3 + c s^5 to every singular value s. Singular values above a
    hundredth of the matrix's norm end between 0.68 and 1.14.
    """
    a, b, c = NEWTON_SCHULZ
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = ops.transpose(matrix) if is_tall else matrix  # (shorter, longer): the products below are the smaller ones
    x = x / (ops.norm(x) + 1e-7)  # no singular value above 1
    for _ in range(ROUNDS):
        gram = x @ ops.transpose(x)  # (shorter, shorter)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return ops.transpose(x) if is_tall else x


class Muon(keras.optimizers.AdamW):
    """Muon for every kernel that makes a matrix of 8 by 8 or more, Adam at a third of the rate for the others.

    Only the matrices decay: a bias or a scale has no reason to be small.
    """

    def build(self, variables: list[tf.Variable]) -> None:
        """Prepare the averages of the variables' gradients."""
        self.exclude_from_weight_decay([v for v in variables if min(as_matrix(tuple(v.shape))) < SMALLEST])
        super().build(variables)

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """Update one variable with this step's gradient."""
        rows, columns = as_matrix(tuple(variable.shape))
        if min(rows, columns) < SMALLEST:
            super().update_step(gradient, variable, ADAM_SHARE * learning_rate)
            return
        momentum = self._momentums[self._get_variable_index(variable)]
        self.assign(momentum, MOMENTUM * momentum + gradient)
        ahead = gradient + MOMENTUM * momentum  # Nesterov's: where the momentum will be
        step = orthogonalised(ops.reshape(ahead, (rows, columns)))  # (rows, columns)
        size = ADAM_SIZE * math.sqrt(max(rows, columns)) * ops.cast(learning_rate, variable.dtype)
        self.assign_sub(variable, size * ops.reshape(step, variable.shape))


OPTIMIZERS = {"adamw": keras.optimizers.AdamW, "muon": Muon}
