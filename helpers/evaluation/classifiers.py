"""Three small digit classifiers that measure the samples: one to tune by, two to judge by.

A sampler that is tuned to please one network scores too well with that network. So "features" makes the choices. The
verdict comes from two networks of other architectures that take no part in tuning: "judge" recognises the digits, and
the features of "critic" show how real they look, and whether they sit where real ones do. Used from notebook 05 on.
"""

import helpers.tools.quiet  # noqa: F401

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from helpers.tools.checks import check_choice, check_images, check_labels
from helpers.tools.files import ASSETS, as_path, newest, read_record, reason, sha256_of_file
from helpers.tools.once import made_once
from helpers.tools.weights import load_weights

ROLES = ("features", "judge", "critic")
CLASSIFIERS = ASSETS / "classifiers"


def _convolution(width: int, size: int = 3, strides: int = 1, activation: str = "relu") -> list[layers.Layer]:
    convolution = layers.Conv2D(width, size, strides, padding="same", use_bias=False)
    return [convolution, layers.BatchNormalization(), layers.Activation(activation)]


def _features_layers() -> list[layers.Layer]:
    """Few layers, wide 5x5 windows, strides, an average over places: 0.38 M parameters."""
    stack: list[layers.Layer] = []
    for width, strides in ((24, 1), (48, 2), (96, 2), (96, 1)):
        stack += _convolution(width, 5, strides)
    return [*stack, layers.GlobalAveragePooling2D(), layers.Dropout(0.2), layers.Dense(10)]


def _judge_layers() -> list[layers.Layer]:
    """More layers, 3x3 windows, pooling, a dense layer that keeps positions: 0.17 M parameters."""
    stack: list[layers.Layer] = []
    for width in (24, "pool", 48, 48, "pool", 96, 96):
        stack += [layers.MaxPooling2D()] if width == "pool" else _convolution(width, activation="elu")
    return [*stack, layers.AveragePooling2D(2), layers.Flatten(), layers.Dropout(0.3), layers.Dense(10)]


def _critic_layers() -> list[layers.Layer]:
    """Averages over 4x4 pixels, then 80 features that weigh every place on its own: 0.14 M parameters."""
    stack: list[layers.Layer] = []
    for width in (24, "pool", 32, 32, "pool"):
        stack += [layers.AveragePooling2D(2)] if width == "pool" else _convolution(width)
    return [*stack, layers.Flatten(), layers.Dropout(0.3), layers.Dense(80, activation="relu"), layers.Dense(10)]


def build_classifier(role: str) -> keras.Model:
    """Images `(batch, 28, 28, 1)` in [-1, 1] -> ten logits `(batch, 10)`. `role`: one of `ROLES`.

    Raises `ValueError` for another role.
    """
    check_choice("role", role, ROLES)
    stack = {"features": _features_layers, "judge": _judge_layers, "critic": _critic_layers}[role]
    return keras.Sequential([keras.Input((28, 28, 1)), *stack()], name=role)


def load_classifier(role: str, folder: str | Path = CLASSIFIERS) -> keras.Model:
    """A trained classifier from `assets/`. Raises `ValueError` if its files are missing or damaged."""
    classifier, folder = build_classifier(role), as_path(folder)
    weights = newest(folder, f"{role}.weights.h5")
    try:
        recorded = read_record(newest(folder, f"{role}.json"))["weights_sha256"]
        if sha256_of_file(weights) != recorded:
            raise ValueError("its SHA-256 isn't the recorded one")
        load_weights(classifier, weights)
    except (OSError, ValueError, KeyError) as error:
        remedy = f"restore it, or train it with `python -m helpers train-classifiers --out {folder} --replace`"
        raise ValueError(f"{weights} is missing or damaged ({reason(error)}); {remedy}.") from error
    return classifier


@made_once  # compiled once per classifier and output
def _compiled(classifier: keras.Model, output: str) -> Callable[[np.ndarray], tf.Tensor]:
    if output == "features":
        before_logits = keras.Model(classifier.inputs, classifier.layers[-1].input)
        function = lambda batch: before_logits(batch, training=False)  # noqa: E731
    else:
        function = lambda batch: tf.argmax(classifier(batch, training=False), axis=-1)  # noqa: E731
    spec = tf.TensorSpec([None, 28, 28, 1], tf.float32)
    return tf.function(function, [spec]).get_concrete_function()


def _in_batches(classifier: keras.Model, output: str, images: np.ndarray, batch_size: int) -> np.ndarray:
    images = check_images(images)
    network = _compiled(classifier, output)
    starts = range(0, len(images), batch_size)
    return np.concatenate([network(tf.constant(images[i : i + batch_size])).numpy() for i in starts])


def classify(classifier: keras.Model, images: np.ndarray, batch_size: int = 500) -> np.ndarray:
    """The most likely digit in each image: `(n, 28, 28, 1)` in [-1, 1] -> `(n,)` int64."""
    return _in_batches(classifier, "digit", images, batch_size)


def extract_features(classifier: keras.Model, images: np.ndarray, batch_size: int = 500) -> np.ndarray:
    """The input of the classifier's last layer: `(n, 28, 28, 1)` in [-1, 1] -> `(n, d)` float32.

    d is 96 for "features", the outputs of its last convolution averaged over the image, and 80 for "critic".
    """
    return _in_batches(classifier, "features", images, batch_size)


def digit_accuracy(classifier: keras.Model, images: np.ndarray, labels: np.ndarray) -> float:
    """The share of images `(n, 28, 28, 1)` in [-1, 1] that are classified as their label, in [0, 1].

    Raises `ValueError` for images of another shape or range, and for labels that aren't `(n,)` whole numbers from 0.
    """
    images = check_images(images)
    labels = check_labels(labels, count=len(images))
    return float(np.mean(classify(classifier, images) == labels))


def pixel_spread(images: np.ndarray, labels: np.ndarray) -> float:
    """The root mean square of the pixels' standard deviations within each digit, for images `(n, 28, 28, 1)`.

    A crude measure of diversity that needs no network. Each of the ten digits must occur at least twice in `labels`
    `(n,)`; the estimate doesn't depend on how often. Raises `ValueError` as `digit_accuracy` does, and for a rarer
    digit.
    """
    images = check_images(images)
    labels = check_labels(labels, count=len(images))
    if np.bincount(labels, minlength=10).min() < 2:
        raise ValueError("labels must hold each digit at least twice.")
    return float(np.sqrt(np.mean([images[labels == digit].var(axis=0, ddof=1).mean() for digit in range(10)])))
