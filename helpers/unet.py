"""The network: a small U-Net that is given a noisy image, the time step and the digit.

It predicts the noise, or the velocity; the clean image follows from either. Derived in notebook 03, which follows one
residual block shape by shape.
"""

import helpers.tools.quiet  # noqa: F401

import reprlib
from dataclasses import dataclass
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from helpers.diffusion import Schedule, from_velocity, predict_x_0
from helpers.tools.checks import check_choice, check_name, check_whole

MOST_CLASSES = 1_000  # each is one map at full size in the network's input


@dataclass(frozen=True)
class UNetConfig:
    """Everything that fixes the network's shape. The defaults are those of the pre-trained network.

    Raises `ValueError` for an invalid setting, and for absurd sizes before any memory is taken.
    """

    image_size: int = 28  # pixels per side; halved at every level, so it must be divisible by 4
    channels: int = 1  # grey images
    num_classes: int = 10  # digits; label -1 means "no digit given"
    widths: tuple[int, ...] = (16, 32, 96)  # feature maps at 28x28, 14x14, 7x7: most where pixels are few
    blocks: int = 1  # residual blocks at each level, on the way down and again on the way up
    middle_blocks: int = 2  # at the last level, with self-attention between them
    embedding_width: int = 128  # numbers that carry (t, digit) into every block
    heads: int = 4  # of the self-attention at the last level
    class_in_embedding: bool = True  # the digit also enters through the embedding, not only as a map
    skip_connections: bool = True  # False only for notebook 03's experiment
    predicts: str = "velocity"  # the output: "noise" or "velocity"
    class_names: tuple[str, ...] = ()  # one per class; without names, classes are called by their numbers
    distilled_steps: int = 0  # the number of sampler steps that a distilled network was made for; 0: it is none

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))
        object.__setattr__(self, "class_names", tuple(map(check_name, self.class_names)))
        limits = {"image_size": 64, "channels": 3, "num_classes": MOST_CLASSES, "embedding_width": 1024, "heads": 16}
        limits |= {"blocks": 4, "middle_blocks": 8}
        for name, largest in limits.items():
            object.__setattr__(self, name, check_whole(name, getattr(self, name), 1, largest))
        object.__setattr__(self, "distilled_steps", check_whole("distilled_steps", self.distilled_steps, 0, 1_000))
        for name in ("class_in_embedding", "skip_connections"):
            if type(getattr(self, name)) is not bool:
                raise ValueError(f"{name} must be True or False, not {getattr(self, name)!r}.")
        if not 2 <= len(self.widths) <= 4 or not all(type(w) is int and 1 <= w <= 512 for w in self.widths):
            raise ValueError(f"widths must be 2 to 4 whole numbers in 1..512, not {reprlib.repr(self.widths)}.")
        smallest = 2 ** (len(self.widths) - 1)
        if self.image_size % smallest:
            raise ValueError(f"image_size must be divisible by {smallest}, not {self.image_size}.")
        if self.embedding_width % 2:
            raise ValueError(f"embedding_width must be even, not {self.embedding_width}.")
        if self.widths[-1] % self.heads:
            raise ValueError(f"heads must divide the last of widths ({self.widths[-1]}), not {self.heads}.")
        names = self.class_names
        if names and (len(names) != self.num_classes or len(set(names)) != len(names) or "" in names):
            raise ValueError(f"class_names must be {self.num_classes} different names or none, not {names}.")
        if any("," in name or name != name.strip() for name in names):
            raise ValueError(f"class_names must have no comma and no space at their ends, not {names}.")
        check_choice("predicts", self.predicts, ("noise", "velocity"))

    @property
    def classes(self) -> tuple[str, ...]:
        """The name of each class: its own, or without names its number."""
        return self.class_names or tuple(str(label) for label in range(self.num_classes))

    @property
    def kind(self) -> str:
        """The kind of class: a "digit", which is typed as one character, or a "class" with a longer name."""
        return "class" if self.class_names or self.num_classes > 10 else "digit"


def sinusoidal_embedding(t: keras.KerasTensor, width: int) -> keras.KerasTensor:
    """t `(batch,)` -> `(batch, width)` float32 in [-1, 1]: sines and cosines of t at falling frequencies.

    Vaswani et al. 2017, section 3.5. The first pairs distinguish neighbouring steps, the last ones early
    from late. Derived in notebook 03.
    """
    # Wavelengths from 2 pi to almost 2 pi * 1000 steps: 100 steps never run once around the longest.
    frequencies = np.exp(-np.log(1000.0) * np.arange(width // 2) / (width // 2)).astype("float32")  # (width / 2,)
    angles = ops.cast(t, "float32")[:, None] * frequencies[None, :]  # (batch,) -> (batch, width / 2)
    return ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)  # (batch, width)


def class_map(labels: keras.KerasTensor, num_classes: int, size: int) -> keras.KerasTensor:
    """Labels `(batch,)` int -> one-hot feature maps `(batch, size, size, num_classes)` float32.

    The map of the requested digit is all ones, the others are all zeros. For label -1 every map is zero.
    """
    one_hot = ops.one_hot(labels, num_classes)  # (batch, num_classes)
    return ops.tile(one_hot[:, None, None, :], (1, size, size, 1))  # (batch, size, size, num_classes)


def residual_block(x: keras.KerasTensor, embedding: keras.KerasTensor, width: int) -> keras.KerasTensor:
    """`(batch, h, w, any)` -> `(batch, h, w, width)`: two convolutions whose result is added to the input.

    The embedding of (t, digit) scales and shifts the features between the two (Dhariwal & Nichol 2021,
    section 3.1). The last convolution starts at zero, so that an untrained block passes its input on.
    """
    h = layers.Activation("silu")(layers.RMSNormalization()(x))
    h = layers.Conv2D(width, 3, padding="same")(h)  # (batch, h, w, width)
    scale_and_shift = layers.Dense(2 * width, kernel_initializer="zeros")(embedding)  # (batch, 2 width)
    scale_and_shift = layers.Reshape((1, 1, 2 * width))(scale_and_shift)
    # Normalised per pixel over its channels: batch statistics would mix digits with "no digit given".
    h = layers.RMSNormalization()(h) * (1 + scale_and_shift[..., :width]) + scale_and_shift[..., width:]
    h = layers.Conv2D(width, 3, padding="same", kernel_initializer="zeros")(layers.Activation("silu")(h))
    if x.shape[-1] != width:
        x = layers.Conv2D(width, 1)(x)  # (batch, h, w, width): shapes must agree to be added
    return x + h


def self_attention(x: keras.KerasTensor, heads: int) -> keras.KerasTensor:
    """`(batch, h, w, width)` -> same: every pixel looks at every other one (Vaswani et al. 2017).

    Only for the smallest maps: h * w = 49 pixels make 49 x 49 weights per head.
    """
    height, width, features = x.shape[1:]
    pixels = layers.Reshape((height * width, features))(layers.RMSNormalization()(x))  # (batch, h * w, features)
    attention = layers.MultiHeadAttention(heads, features // heads)(pixels, pixels)
    attention = layers.Reshape((height, width, features))(attention)  # (batch, h, w, features)
    return x + attention  # added to x itself, not to its normalised copy


def build_unet(config: UNetConfig, precision: str = "float32") -> keras.Model:
    """The U-Net as a Keras model: `unet([x_t, t, labels])` -> noise or velocity, as `config.predicts` says.

    x_t and the result: `(batch, 28, 28, 1)` float32; t `(batch,)` int32 in 0..steps-1; labels `(batch,)`
    int32 in 0..9, or -1 for "no digit given". Untrained it predicts zero. `precision` "mixed_bfloat16" computes in
    16 bits, for a CPU or GPU that is faster with them; the weights stay float32. Drawn in notebook 03.
    """
    check_choice("precision", precision, ("float32", "mixed_bfloat16"))
    policy_before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        size = config.image_size
        x_t = keras.Input((size, size, config.channels), dtype="float32", name="x_t")
        t = keras.Input((), dtype="int32", name="t")
        labels = keras.Input((), dtype="int32", name="labels")
        return keras.Model([x_t, t, labels], _network(config, x_t, t, labels), name="unet")
    finally:
        keras.config.set_dtype_policy(policy_before)


def _embed(config: UNetConfig, t: keras.KerasTensor, labels: keras.KerasTensor) -> keras.KerasTensor:
    """The embedding that every block receives: (t, digit) `(batch,)` -> `(batch, embedding_width)`."""
    embedding = layers.Dense(config.embedding_width)(sinusoidal_embedding(t, config.embedding_width))
    if config.class_in_embedding:
        # No bias: label -1 adds exactly nothing, just as its map is all zeros.
        digit = layers.Dense(config.embedding_width, use_bias=False)(ops.one_hot(labels, config.num_classes))
        embedding = embedding + digit
    embedding = layers.Dense(config.embedding_width)(layers.Activation("silu")(embedding))
    return layers.Activation("silu")(embedding)  # (batch, embedding_width)


def _network(
    config: UNetConfig, x_t: keras.KerasTensor, t: keras.KerasTensor, labels: keras.KerasTensor
) -> keras.KerasTensor:
    embedding = _embed(config, t, labels)
    digit = class_map(labels, config.num_classes, config.image_size)
    x = layers.Concatenate()([x_t, digit])  # (batch, 28, 28, 1 + 10)
    x = layers.Conv2D(config.widths[0], 3, padding="same")(x)  # (batch, 28, 28, widths[0])

    skips = []
    for width in config.widths[:-1]:
        for _ in range(config.blocks):
            x = residual_block(x, embedding, width)
        skips.append(x)
        x = layers.Conv2D(width, 3, strides=2, padding="same")(x)  # half the height and width

    x = residual_block(x, embedding, config.widths[-1])  # (batch, 7, 7, widths[-1])
    for _ in range(config.middle_blocks - 1):
        x = self_attention(x, config.heads)
        x = residual_block(x, embedding, config.widths[-1])

    for width, skip in zip(reversed(config.widths[:-1]), reversed(skips), strict=True):
        x = layers.Conv2D(width, 1)(x)  # narrower before it gets larger: a quarter of the work
        x = layers.UpSampling2D()(x)  # twice the height and width
        if config.skip_connections:
            x = layers.Concatenate()([x, skip])  # (batch, h, w, 2 width): joined by the features of the way down
        for _ in range(config.blocks):
            x = residual_block(x, embedding, width)

    x = layers.Activation("silu")(layers.RMSNormalization()(x))
    # float32 whatever the layers compute in: the loss and the sampler need the precision.
    output = layers.Conv2D(
        config.channels, 3, padding="same", kernel_initializer="zeros", dtype="float32", name=config.predicts
    )
    return output(x)  # (batch, 28, 28, 1)


class Denoiser(NamedTuple):
    """A network with the schedule that it was trained on: all that sampling needs. See `load_denoiser`."""

    unet: keras.Model
    schedule: Schedule
    config: UNetConfig


def build_denoiser(config: UNetConfig, schedule: Schedule, precision: str = "float32") -> Denoiser:
    """An untrained network as a `Denoiser`; the arguments are those of `build_unet`."""
    return Denoiser(build_unet(config, precision), schedule, config)


def predict(denoiser: Denoiser, x_t: tf.Tensor, t: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The network's estimate of (x_0, noise) in x_t, whichever of noise and velocity it was trained to predict.

    Only a network that predicts the noise has its output divided, by sqrt(alpha_bar), which magnifies errors near
    t = T. x_t and both results `(batch, 28, 28, 1)` float32, x_0 not clipped; t and labels `(batch,)` int32, label
    -1 = no digit given. Raises `ValueError` for images of another size.
    """
    schedule, config = denoiser.schedule, denoiser.config
    expected = (config.image_size, config.image_size, config.channels)
    if tuple(x_t.shape[1:]) != expected:
        raise ValueError(f"x_t must be (batch, {', '.join(map(str, expected))}), not {tuple(x_t.shape)}.")
    # Keras takes either NumPy arrays or tensors, not both in one call.
    x_t, t, labels = tf.cast(x_t, tf.float32), tf.cast(t, tf.int32), tf.cast(labels, tf.int32)
    output = denoiser.unet([x_t, t, labels])
    if config.predicts == "noise":
        return predict_x_0(schedule, x_t, t, output), output
    return from_velocity(schedule, x_t, t, output)


def predict_noise(denoiser: Denoiser, x_t: tf.Tensor, t: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """The noise alone of `predict`."""
    return predict(denoiser, x_t, t, labels)[1]
