"""Two small digit readers that measure the samples: one to tune by, one to judge by.

    python -m helpers.classifier --train            # both, from scratch, about half an hour on 2 cores
    python -m helpers.classifier --judge            # 10,000 guided and 2,000 unconditional samples, judged

Whatever is chosen by one network would flatter itself in that network's eyes, so "features" makes the
choices and "judge", of another architecture, gives the verdict. Used from notebook 05 on.
"""

import functools
import sys
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from helpers.checkpoints import SHIPPED, load_digits_unet
from helpers.command_line import CommandLine, one_line_errors
from helpers.data import held_out_split, in_model_range, load_mnist, make_dataset, to_model_range, training_split
from helpers.files import ASSETS, read_record, reason, sha256_of_file, write_aside, write_record
from helpers.sampling import sample

ROLES = ("features", "judge")
CLASSIFIERS = ASSETS / "classifiers"


def _features_layers() -> list[layers.Layer]:
    """Few layers, wide 5x5 windows, strides, an average over places: 0.38 M parameters."""
    stack: list[layers.Layer] = []
    for width, strides in ((24, 1), (48, 2), (96, 2), (96, 1)):
        stack += [layers.Conv2D(width, 5, strides, padding="same", use_bias=False), layers.BatchNormalization()]
        stack += [layers.Activation("relu")]
    return [*stack, layers.GlobalAveragePooling2D(), layers.Dropout(0.2), layers.Dense(10)]


def _judge_layers() -> list[layers.Layer]:
    """More layers, 3x3 windows, pooling, a dense layer that keeps positions: 0.17 M parameters."""
    stack: list[layers.Layer] = []
    for width in (24, "pool", 48, 48, "pool", 96, 96):
        if width == "pool":
            stack += [layers.MaxPooling2D()]
        else:
            stack += [layers.Conv2D(width, 3, padding="same", use_bias=False), layers.BatchNormalization()]
            stack += [layers.Activation("elu")]
    return [*stack, layers.AveragePooling2D(2), layers.Flatten(), layers.Dropout(0.3), layers.Dense(10)]


def build_classifier(role: str) -> keras.Model:
    """Images `(batch, 28, 28, 1)` in [-1, 1] -> ten logits `(batch, 10)`. `role`: "features" or "judge".

    Raises `ValueError` for another role.
    """
    if role not in ROLES:
        raise ValueError(f"role must be 'features' or 'judge', not {role!r}.")
    stack = _features_layers() if role == "features" else _judge_layers()
    return keras.Sequential([keras.Input((28, 28, 1)), *stack], name=role)


def load_classifier(role: str, folder: str | Path = CLASSIFIERS) -> keras.Model:
    """A trained classifier from `assets/`. Raises `ValueError` if its files are missing or damaged."""
    classifier = build_classifier(role)
    record, weights = Path(folder) / f"{role}.json", Path(folder) / f"{role}.weights.h5"
    try:
        recorded = read_record(record)["weights_sha256"]
        if sha256_of_file(weights) != recorded:
            raise ValueError("its SHA-256 isn't the recorded one")
        classifier.load_weights(weights)
    except (OSError, ValueError, KeyError) as error:
        remedy = "remake it with `python -m helpers.classifier --train`"
        raise ValueError(f"{weights} is missing or damaged ({reason(error)}); {remedy}.") from error
    return classifier


@functools.lru_cache(maxsize=8)  # compiled once for a classifier and an output
def _compiled(classifier: keras.Model, output: str) -> Callable[[np.ndarray], tf.Tensor]:
    if output == "features":
        before_logits = keras.Model(classifier.inputs, classifier.layers[-1].input)
        function = lambda batch: before_logits(batch, training=False)  # noqa: E731
    else:
        function = lambda batch: tf.argmax(classifier(batch, training=False), axis=-1)  # noqa: E731
    return tf.function(function, [tf.TensorSpec([None, 28, 28, 1], tf.float32)])


def _in_batches(classifier: keras.Model, output: str, images: np.ndarray, batch_size: int) -> np.ndarray:
    images = check_images(images)
    network = _compiled(classifier, output)
    return np.concatenate([network(images[i : i + batch_size]).numpy() for i in range(0, len(images), batch_size)])


def check_images(images: np.ndarray, name: str = "images") -> np.ndarray:
    """The images as float32; `ValueError` about `name` unless they are `(n, 28, 28, 1)` float in [-1, 1], n above 0."""
    images = np.asarray(images)
    shape_fits = images.ndim == 4 and images.shape[1:] == (28, 28, 1) and len(images) > 0
    if not shape_fits or not np.issubdtype(images.dtype, np.floating):
        raise ValueError(f"{name} must be (n, 28, 28, 1) float, n at least 1, not {images.shape} {images.dtype}.")
    if not in_model_range(images):
        raise ValueError(f"{name} must be numbers in [-1, 1], not {images.min():g}..{images.max():g}.")
    return images.astype(np.float32, copy=False)


def check_labels(labels: np.ndarray, name: str = "labels", count: int | None = None) -> np.ndarray:
    """The labels as an array; `ValueError` about `name` unless they are whole numbers from 0 on, `(n,)`."""
    labels = np.asarray(labels)
    if labels.ndim != 1 or len(labels) == 0 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"{name} must be (n,) whole numbers, n at least 1, not {labels.shape} {labels.dtype}.")
    if labels.min() < 0:
        raise ValueError(f"{name} must be classes from 0 on, not {labels.min()}.")
    if count is not None and len(labels) != count:
        raise ValueError(f"{name} must be {count} like the images, not {len(labels)}.")
    return labels


def read_images(classifier: keras.Model, images: np.ndarray, batch_size: int = 500) -> np.ndarray:
    """The digit that the classifier reads in each image: `(n, 28, 28, 1)` in [-1, 1] -> `(n,)` int64."""
    return _in_batches(classifier, "digit", images, batch_size)


def extract_features(classifier: keras.Model, images: np.ndarray, batch_size: int = 500) -> np.ndarray:
    """What the classifier's last layer decides from: `(n, 28, 28, 1)` in [-1, 1] -> `(n, d)` float32.

    d is 96 for "features": averages over the image of what its last convolution found.
    """
    return _in_batches(classifier, "features", images, batch_size)


def digit_accuracy(classifier: keras.Model, images: np.ndarray, labels: np.ndarray) -> float:
    """The share of images `(n, 28, 28, 1)` in [-1, 1] in which the classifier reads the label, in [0, 1].

    Raises `ValueError` for images of another shape or range, and for labels that aren't `(n,)` whole numbers from 0.
    """
    images = check_images(images)
    labels = check_labels(labels, count=len(images))
    return float(np.mean(read_images(classifier, images) == labels))


def pixel_spread(images: np.ndarray, labels: np.ndarray) -> float:
    """How much images `(n, 28, 28, 1)` of one digit differ: each pixel's standard deviation within a digit, in RMS.

    Each of the ten digits must occur at least twice in `labels` `(n,)`; the estimate doesn't depend on how often.
    A crude measure of diversity that needs no network. Raises `ValueError` as `digit_accuracy` does, and if one is
    rarer.
    """
    images = check_images(images)
    labels = check_labels(labels, count=len(images))
    if np.bincount(labels, minlength=10).min() < 2:
        raise ValueError("labels must hold each digit at least twice.")
    return float(np.sqrt(np.mean([images[labels == digit].var(axis=0, ddof=1).mean() for digit in range(10)])))


def train_classifier(
    role: str, epochs: int = 16, batch_size: int = 128, seed: int = 0, verbose: int = 2
) -> keras.Model:
    """Train on the training split, slightly turned and moved; the last rate is zero, nothing is selected."""
    mnist = load_mnist()
    images, labels = training_split(mnist)
    keras.utils.set_random_seed(seed)
    classifier = build_classifier(role)
    vary = keras.Sequential(
        [
            layers.RandomRotation(0.03, fill_mode="constant", fill_value=-1.0),  # +-11 degrees
            layers.RandomTranslation(0.08, 0.08, fill_mode="constant", fill_value=-1.0),
        ]
    )
    steps = epochs * (len(images) // batch_size)
    numbers = tf.data.Dataset.range(steps * batch_size).batch(batch_size)
    data = (
        make_dataset(images, labels, batch_size, seed, numbers)
        .map(lambda x, y: (vary(x, training=True), y))
        .prefetch(2)
    )
    # Keras counts the decay from the end of the warm-up.
    rate = keras.optimizers.schedules.CosineDecay(
        1e-4, steps - steps // 20, warmup_target=4e-3, warmup_steps=steps // 20
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    classifier.compile(keras.optimizers.AdamW(rate, weight_decay=0.01), loss, metrics=["accuracy"])
    classifier.fit(data.repeat(), epochs=epochs, steps_per_epoch=steps // epochs, verbose=verbose)
    return classifier


def save_classifier(classifier: keras.Model, folder: Path = CLASSIFIERS) -> dict:
    """Write weights and a record of its accuracy on held-out and test images; returns the record."""
    mnist = load_mnist()
    held_out_images, held_out_labels = held_out_split(mnist)
    bare = build_classifier(classifier.name)  # a trained one would save its optimizer's moments too, twice its size
    bare.set_weights(classifier.get_weights())
    record = {
        "parameters": classifier.count_params(),
        "held_out_accuracy": digit_accuracy(classifier, to_model_range(held_out_images), held_out_labels),
        "test_accuracy": digit_accuracy(classifier, to_model_range(mnist.test_images), mnist.test_labels),
    }
    # Both are written before the first is renamed: a full disk leaves the old classifier, not parts of both.
    with (
        write_aside(folder / f"{classifier.name}.json") as record_file,
        write_aside(folder / f"{classifier.name}.weights.h5") as weights_file,
    ):
        bare.save_weights(weights_file)
        record["weights_sha256"] = sha256_of_file(weights_file)
        write_record(record_file, record)
    return record


def judge(folder: Path, images: int) -> None:
    """Print the digit accuracy of `images` samples at default settings, and the digits that label -1 draws."""
    unet, schedule = load_digits_unet(folder)
    classifier = load_classifier("judge")
    labels = np.arange(images) % 10
    started = time.monotonic()
    read = read_images(classifier, sample(unet, schedule, labels).images)
    print(f"{images} guided samples, default settings: digit accuracy {np.mean(read == labels):.2%}")
    print("  per digit: " + ", ".join(f"{d}: {np.mean(read[labels == d] == d):.1%}" for d in range(10)))
    unlabelled = np.full(images // 5, -1)
    read = read_images(classifier, sample(unet, schedule, unlabelled).images)
    print(f"{images // 5} unconditional samples, share read as each digit:")
    print("  " + ", ".join(f"{d}: {np.mean(read == d):.1%}" for d in range(10)))
    print(f"({time.monotonic() - started:.0f} s)")


@one_line_errors
def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = CommandLine(prog="python -m helpers.classifier", description="Measure samples with digit CNNs.")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--train", action="store_true", help="train both classifiers into assets/")
    action.add_argument("--judge", action="store_true", help="judge the default settings")
    parser.add_argument("--weights", type=Path, default=SHIPPED, help="folder of a trained U-Net")
    parser.add_argument("--images", type=int, default=10_000, help="samples to judge (default %(default)s)")
    args = parser.parse_args(arguments)
    if args.images < 20:
        raise ValueError(f"--images must be at least 20, not {args.images}.")
    if args.train:
        for role in ROLES:
            print(role, save_classifier(train_classifier(role)))
    else:
        judge(args.weights, args.images)
    return 0


if __name__ == "__main__":
    sys.exit(main())
