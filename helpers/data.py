"""MNIST: verified loading, the scaling of pixels to [-1, 1] and back, and reproducible batches.

Derived in notebook 01.
"""

import helpers.tools.quiet  # noqa: F401

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from helpers.tools.arrays import read_arrays
from helpers.tools.files import ASSETS, as_path, atomic_write, reason

# SHA-256 of the raw bytes of each array, which doesn't depend on how the file is compressed.
DIGESTS = {
    "x_train": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
    "y_train": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
    "x_test": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
    "y_test": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
}
# The last training images are held out: recipes are compared on them, so that the test set stays untouched.
VALIDATION_IMAGES = 5_000
# `digest_of` the images and labels of `training_split`: networks trained on them draw MNIST's digits.
TRAINING_DIGEST = "33133a9fbd4b707dff3a12159c2786a92c46f2efc7fb864d7eff5d43dfbc8e2f"


class DataError(RuntimeError):
    """The data set is missing or is not MNIST; the message names the file and the remedy."""


class Mnist(NamedTuple):
    """The four arrays: images `(n, 28, 28)` uint8 in 0..255 (ink is bright), labels `(n,)` uint8 in 0..9."""

    train_images: np.ndarray  # (60000, 28, 28)
    train_labels: np.ndarray  # (60000,)
    test_images: np.ndarray  # (10000, 28, 28)
    test_labels: np.ndarray  # (10000,)


def load_mnist(path: str | Path = ASSETS / "mnist.npz") -> Mnist:
    """MNIST from `path`, or downloaded by Keras and saved there if that file doesn't exist.

    Returns 60,000 training and 10,000 test images with their labels (see `Mnist`).
    Raises `DataError` if the file is damaged or altered, or is missing and can't be downloaded.
    Notebook 01 opens with it.
    """
    path = as_path(path)
    if not path.exists():
        arrays = _download(path)
        _check(arrays, f"Keras's download for {path}", "try again later")
        with atomic_write(path) as temporary:
            np.savez_compressed(temporary, **arrays)
    else:
        remedy = "delete it to download it anew, or restore it with `git checkout assets/mnist.npz`"
        try:
            found = read_arrays(path, DIGESTS)
            arrays = {name: found[name] for name in DIGESTS}
        except Exception as error:  # a damaged archive can raise almost anything, from zlib.error to KeyError
            raise DataError(f"{path} can't be read as MNIST ({reason(error)}); {remedy}.") from error
        _check(arrays, str(path), remedy)
    return Mnist(*(arrays[name] for name in DIGESTS))


def _download(path: Path) -> dict[str, np.ndarray]:
    import keras  # only here: whoever has the file doesn't wait for this import

    try:
        (x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
    except Exception as error:  # Keras raises a bare Exception when it can't reach the host
        raise DataError(
            f"{path} is missing and MNIST couldn't be downloaded ({error}); "
            "connect to the internet once, or restore it with `git checkout assets/mnist.npz`."
        ) from error
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}


def _check(arrays: dict[str, np.ndarray], source: str, remedy: str) -> None:
    for name, digest in DIGESTS.items():
        array = arrays[name]
        found = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
        if array.dtype != np.uint8 or array.ndim != (3 if name.startswith("x") else 1) or found != digest:
            raise DataError(
                f"{source} is not MNIST: array {name} has SHA-256 {found[:12]}..., not {digest[:12]}...; {remedy}."
            )


def digest_of(images: np.ndarray, labels: np.ndarray) -> str:
    """The SHA-256 of images and labels, whatever whole numbers the labels are stored as: 64 hexadecimal digits."""
    found = hashlib.sha256(repr(images.shape).encode() + np.ascontiguousarray(images).tobytes())
    found.update(np.asarray(labels, np.int32).tobytes())
    return found.hexdigest()


def training_split(mnist: Mnist) -> tuple[np.ndarray, np.ndarray]:
    """The 55,000 images `(55000, 28, 28)` uint8 and labels `(55000,)` that networks are trained on."""
    return mnist.train_images[:-VALIDATION_IMAGES], mnist.train_labels[:-VALIDATION_IMAGES]


def validation_split(mnist: Mnist) -> tuple[np.ndarray, np.ndarray]:
    """The 5,000 validation images `(5000, 28, 28)` uint8 and their labels. No network is trained on them."""
    return mnist.train_images[-VALIDATION_IMAGES:], mnist.train_labels[-VALIDATION_IMAGES:]


def to_model_range(images: np.ndarray | tf.Tensor) -> tf.Tensor:
    """Pixels `(batch, 28, 28)` uint8 in 0..255 -> `(batch, 28, 28, 1)` float32 in [-1, 1], background -1.

    Colour pictures `(batch, size, size, 3)` keep their shape. Noise is symmetric around zero, so the images should be
    too (Ho et al. 2020, section 3.3). Raises `ValueError` for another type or shape. Derived in notebook 01.
    """
    shape = tuple(images.shape)
    if images.dtype != np.uint8 or not (len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)):
        raise ValueError(
            f"images must be (batch, height, width), or the same with 3 colours, uint8, not {shape} {images.dtype}."
        )
    if len(shape) == 3:
        images = images[..., np.newaxis]  # (batch, 28, 28) -> (batch, 28, 28, 1)
    return tf.cast(images, tf.float32) / 127.5 - 1.0


def to_pixels(images: np.ndarray | tf.Tensor) -> np.ndarray:
    """The inverse: `(batch, 28, 28, 1)` float in [-1, 1] -> `(batch, 28, 28)` uint8; values outside are clipped.

    Three channels are kept. Raises `ValueError` for another shape, or for NaN. Derived in notebook 01.
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or not np.issubdtype(images.dtype, np.floating):
        raise ValueError(f"images must be (batch, height, width, 1 or 3) float, not {images.shape} {images.dtype}.")
    if np.isnan(images).any():
        raise ValueError("images must be numbers in [-1, 1], but some are NaN.")
    pixels = np.rint((np.clip(images, -1, 1) + 1) * 127.5).astype(np.uint8)
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels  # (batch, 28, 28, 1) -> (batch, 28, 28)


def shuffled_index(sample_ids: tf.Tensor, count: int, seed: int) -> tf.Tensor:
    """Positions `(batch,)` in 0..count-1 of the samples `sample_ids` `(batch,)` int64 in an endless shuffled sequence.

    Sample k belongs to epoch k // count, and each epoch is a permutation of its own of all images. The position of any
    sample can be computed directly, so a resumed run, or one of several workers, starts at the right place.
    """
    epoch = sample_ids // count  # (batch,)
    same = tf.zeros_like(epoch)
    seeds = tf.stack([same + seed, epoch, same], axis=-1)  # (batch, 3): the op wants three numbers
    # The raw op, because the wrapper tf.random.experimental.index_shuffle takes only one seed for all.
    return tf.raw_ops.RandomIndexShuffle(index=sample_ids % count, seed=seeds, max_index=same + count - 1, rounds=4)


def make_dataset(
    images: np.ndarray, labels: np.ndarray, batch_size: int, seed: int, sample_ids: tf.data.Dataset | None = None
) -> tf.data.Dataset:
    """Shuffled batches of images `(batch, 28, 28, 1)` float32 in [-1, 1] and labels `(batch,)` int32.

    Without `sample_ids`, one epoch that visits every image exactly once; the last batch may be short. Otherwise the
    batches of sample numbers that `sample_ids` yields, see `shuffled_index`. The images stay uint8 until their batch is
    made, which takes a quarter of the memory. Raises `ValueError` for lengths that differ and for a batch size outside
    1..n.
    """
    if len(images) != len(labels):
        raise ValueError(f"images and labels must have the same length, not {len(images)} and {len(labels)}.")
    if not 1 <= batch_size <= len(images):
        raise ValueError(f"batch_size must be in 1..{len(images)} (the number of images), not {batch_size}.")
    all_images, all_labels = tf.constant(images), tf.constant(labels, tf.int32)
    if sample_ids is None:
        sample_ids = tf.data.Dataset.range(len(images)).batch(batch_size)

    def fetch(ids: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        index = shuffled_index(ids, len(images), seed)
        return to_model_range(tf.gather(all_images, index)), tf.gather(all_labels, index)

    return sample_ids.map(fetch).prefetch(tf.data.AUTOTUNE)
