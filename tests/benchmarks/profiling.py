"""Where the time goes: a network's arithmetic, this machine's peak at it, and the time of each kind of layer."""

import helpers.tools.quiet  # noqa: F401

import statistics
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from helpers.unet import Denoiser

# 3x3 convolutions as (size, features). The one that suits a machine best is its peak.
PEAK_SHAPES = ((28, 64), (14, 128), (7, 192))
KINDS = {
    layers.Conv2D: "convolutions",
    layers.RMSNormalization: "normalisation",
    layers.Activation: "activations",
    layers.MultiHeadAttention: "attention",
    layers.Concatenate: "concatenation",
    layers.UpSampling2D: "upsampling",
}


def seconds_of(function: Callable[[], object], repeats: int = 3) -> list[float]:
    """Wall-clock seconds of `repeats` calls, after one that compiles and isn't counted."""
    function()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return times


def median_seconds(function: Callable[[], object], repeats: int = 3) -> float:
    """The median of `seconds_of`."""
    return statistics.median(seconds_of(function, repeats))


def convolution_flops(unet: keras.Model) -> int:
    """Floating-point operations of all convolutions for one image; a multiplication and its addition count as two."""
    return sum(
        2 * int(np.prod(layer.output.shape[1:3])) * int(np.prod(layer.kernel.shape))
        for layer in unet.layers
        if isinstance(layer, layers.Conv2D)
    )


def convolution_peak(batch_size: int = 200, repeats: int = 5) -> float:
    """The most floating-point operations per second that TensorFlow's 3x3 convolution reaches here, in float32."""
    fastest = 0.0
    for size, features in PEAK_SHAPES:
        x = tf.random.normal((batch_size, size, size, features))
        kernel = tf.random.normal((3, 3, features, features)) / np.sqrt(9 * features)
        # Several in a row, because a call from Python takes time without doing arithmetic.
        several = tf.function(lambda x, kernel: _repeatedly(x, kernel, 4), reduce_retracing=True)
        operations = 4 * batch_size * 2 * size**2 * 9 * features**2
        fastest = max(fastest, operations / min(seconds_of(lambda: several(x, kernel), repeats)))  # noqa: B023
    return fastest


def _repeatedly(x: tf.Tensor, kernel: tf.Tensor, times: int) -> tf.Tensor:
    for _ in range(times):
        x = tf.nn.conv2d(x, kernel, strides=1, padding="SAME")
    return x


def seconds_by_kind(denoiser: Denoiser, batch_size: int = 200, repeats: int = 3) -> dict[str, float]:
    """Median seconds of one network pass over a batch, and of each kind of its layers when they run on their own.

    "the rest" is the time of the pass beyond the layers of `KINDS`: scaling, shifting, adding, the embedding. It can
    be negative, because TensorFlow joins some operations that run apart here.
    """
    unet, _, config = denoiser
    t = tf.zeros(batch_size, tf.int32)
    inputs = [tf.random.normal((batch_size, config.image_size, config.image_size, config.channels)), t, t]
    seconds = {"the whole pass": median_seconds(_compiled(unet, inputs), repeats)}
    for layer in unet.layers:
        if (kind := KINDS.get(type(layer))) is None:
            continue
        given = layer.input if isinstance(layer.input, list | tuple) else [layer.input]
        tensors = [tf.random.normal((batch_size, *tensor.shape[1:])) for tensor in given]
        if isinstance(layer, layers.Concatenate):
            tensors = [tensors]  # it takes its inputs as one list
        seconds[kind] = seconds.get(kind, 0.0) + median_seconds(_compiled(layer, *tensors), repeats)
    seconds["the rest"] = 2 * seconds["the whole pass"] - sum(seconds.values())
    return seconds


def _compiled(layer: Callable[..., tf.Tensor], *inputs: object) -> Callable[[], tf.Tensor]:
    return tf.function(lambda: layer(*inputs))
