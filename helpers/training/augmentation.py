"""Light augmentation: training images are rotated, stretched, slanted and shifted a little, differently each time.

Guided digits vary less than handwritten ones. A network trained on slightly more variety than MNIST has may make up for
some of that. The changed images are used only at the noisy steps, where the digit's shape is decided
(`TrainingConfig.augmented_from`); strokes are learned from real images. Notebook 04, "What we tried", has the effect.
"""

import helpers.tools.quiet  # noqa: F401

import numpy as np
import tensorflow as tf

# Standard deviations at strength 1.
TURN = np.deg2rad(5.0)
STRETCH = 0.05  # of the logarithm of each side's factor
SLANT = 0.05  # columns a row
SHIFT = 0.5  # pixels, in each direction

DRAWS = 6  # random numbers per image
FINER = 3  # odd, so that every pixel's centre is one of the finer grid's


def augment(x_0: tf.Tensor, normal: tf.Tensor, strength: float) -> tf.Tensor:
    """Images `(batch, h, w, c)` float32 in [-1, 1] -> same, each changed by its row of `normal` `(batch, 6)`.

    `normal` is standard normal noise. With zeros, or with `strength` 0, the images stay as they are. Pixels from beyond
    the border repeat the border.
    """
    size = x_0.shape[1:3]
    turn, log_x, log_y, slant, shift_x, shift_y = tf.unstack(strength * normal, axis=1)  # (batch,) each
    turn, slant, stretch_x, stretch_y = TURN * turn, SLANT * slant, tf.exp(STRETCH * log_x), tf.exp(STRETCH * log_y)
    cosine, sine = tf.cos(turn), tf.sin(turn)
    # Where the new image's pixel (x, y), seen from the centre, was in the old one: first slanted and stretched, then
    # turned. The rotation's rows times the columns (stretch_x, 0) and (slant, stretch_y).
    rows = [
        (cosine * stretch_x, cosine * slant - sine * stretch_y, SHIFT * shift_x),
        (sine * stretch_x, sine * slant + cosine * stretch_y, SHIFT * shift_y),
    ]
    centre_x, centre_y = (size[1] - 1) / 2, (size[0] - 1) / 2
    transform = []
    for (by_x, by_y, shift), centre in zip(rows, (centre_x, centre_y), strict=True):
        offset = centre - by_x * centre_x - by_y * centre_y + shift
        transform += [FINER * by_x, FINER * by_y, FINER * offset + FINER // 2]  # in pixels of the finer grid
    transform = tf.stack([*transform, tf.zeros_like(turn), tf.zeros_like(turn)], axis=1)  # (batch, 8): no perspective
    # Interpolating between pixels blurs. On a finer grid, made by cubic interpolation, it hardly does.
    fine = tf.image.resize(x_0, [FINER * side for side in size], "bicubic")  # (batch, 3 h, 3 w, c)
    changed = tf.raw_ops.ImageProjectiveTransformV3(
        images=fine,
        transforms=transform,
        output_shape=size,
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )  # (batch, h, w, c)
    return tf.clip_by_value(changed, -1.0, 1.0)  # cubic interpolation overshoots
