"""Pictures of your own in place of MNIST, and coloured shapes to try it with.

Shown at the end of notebook 04.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from helpers.data import DataError, to_pixels
from helpers.tools.arrays import Form, forms_of, read_arrays
from helpers.tools.checks import LONGEST_NAME, check_name
from helpers.tools.files import as_path, reason
from helpers.unet import MOST_CLASSES, UNetConfig

ARRAYS = ("images", "labels", "class_names")
NAMELESS = Form((0,), np.dtype(str))
MOST_IMAGES = 1_000_000
LONGEST_TEXT = 16 * LONGEST_NAME  # bytes, of 4 for each character: composed, "é" is one of them, not two
REMEDY = (
    "it must be what np.savez(path, images=..., labels=...) writes, with plain arrays, not objects "
    "(which pictures of different sizes would be)"
)


class Pictures(NamedTuple):
    """Pictures of one size with a class each, and the names of the classes, if they have any."""

    images: np.ndarray  # (n, size, size) or (n, size, size, 3) uint8 in 0..255
    labels: np.ndarray  # (n,) int32 in 0..classes-1
    class_names: tuple[str, ...]  # one per class, or () if they only have numbers


def load_pictures(path: str | Path) -> Pictures:
    """Pictures of your own from an `.npz` file with `images`, `labels` and, if you like, `class_names`.

    `images` `(n, size, size)` or `(n, size, size, channels)` uint8, size divisible by 4 from 16 to 64, 1 or 3
    channels; `labels` `(n,)` whole numbers from 0 to 999; `class_names` texts, the first for class 0.
    Raises `DataError` for a file that can't be read, and `ValueError` that says what is wrong with its arrays.
    """
    path = as_path(path)
    if not path.exists():
        raise DataError(f"{path} doesn't exist.")
    try:
        forms = forms_of(path, ARRAYS)
    except Exception as error:  # a damaged archive can raise almost anything, from zlib.error to KeyError
        raise DataError(f"{path} can't be read ({reason(error)}); {REMEDY}.") from error
    _check_forms(path, forms)
    try:
        arrays = read_arrays(path, forms)
        names = arrays["class_names"].tolist() if "class_names" in arrays else []  # fails beyond Unicode
    except Exception as error:
        raise DataError(f"{path} can't be read ({reason(error)}); {REMEDY}.") from error
    images, labels = arrays["images"], arrays["labels"]
    if labels.min() < 0 or len(np.unique(labels)) < 2:
        raise ValueError(f"labels must be of at least 2 classes, from 0 on, not {np.unique(labels)[:5].tolist()}.")
    if labels.max() >= MOST_CLASSES:
        raise ValueError(f"labels must be below {MOST_CLASSES:,}, not {labels.max()}: number the classes from 0 on.")
    names = tuple(map(check_name, names))
    if names and len(names) <= labels.max():
        raise ValueError(f"class_names must name the classes 0..{labels.max()}, but there are only {len(names)}.")
    return Pictures(
        images[..., 0] if images.ndim == 4 and images.shape[3] == 1 else images, labels.astype(np.int32), names
    )


def _check_forms(path: Path, forms: dict[str, Form]) -> None:
    """What can be said before anything is unpacked."""
    for name in ("images", "labels"):
        if name not in forms:
            raise ValueError(f"{path} must hold an array {name!r}; it holds {sorted(forms) or 'none'}.")
    _check_pictures(*forms["images"])
    images, labels, names = forms["images"], forms["labels"], forms.get("class_names", NAMELESS)
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise ValueError(
            f"labels must be ({images.shape[0]},) whole numbers, one per picture, "
            f"not {labels.shape} {str(labels.dtype):.60}."
        )
    if len(names.shape) != 1 or names.dtype.kind != "U":
        raise ValueError(f"class_names must be a list of texts, not {names.shape} {str(names.dtype):.60}.")
    if names.shape[0] > MOST_CLASSES or names.dtype.itemsize > LONGEST_TEXT:
        raise ValueError(
            f"class_names must be at most {MOST_CLASSES:,} names of at most {LONGEST_NAME} characters, "
            f"not {names.shape[0]:,} of up to {names.dtype.itemsize // 4:,}."
        )


def _check_pictures(shape: tuple[int, ...], dtype: np.dtype) -> None:
    if dtype != np.uint8:
        raise ValueError(f"images must be uint8 in 0..255, not {str(dtype):.60}.")
    if len(shape) not in (3, 4) or shape[0] == 0 or shape[1] != shape[2]:
        raise ValueError(f"images must be (n, size, size) or (n, size, size, channels), not {shape}.")
    size, channels = shape[1], shape[3] if len(shape) == 4 else 1
    if size % 4 or not 16 <= size <= 64:
        raise ValueError(f"images must have a size from 16 to 64 that is divisible by 4, not {size}.")
    if channels not in (1, 3):
        raise ValueError(f"images must have 1 or 3 channels, not {channels}.")
    if shape[0] > MOST_IMAGES:
        raise ValueError(f"images must be at most {MOST_IMAGES:,}, not {shape[0]:,}.")


def network_for(pictures: Pictures, **options: object) -> UNetConfig:
    """The shipped recipe's network, for pictures of another size, with colours, or of other classes."""
    _, size, _, *channels = pictures.images.shape
    return UNetConfig(
        image_size=size,
        channels=channels[0] if channels else 1,
        num_classes=len(pictures.class_names) or int(pictures.labels.max()) + 1,
        class_names=pictures.class_names,
        **options,
    )


NAMES = ("red disc", "red cross", "blue disc", "blue cross")


def draw_shapes(count: int, size: int = 32, seed: int = 0) -> Pictures:
    """Discs and crosses in red or blue, of several places, sizes and brightnesses: images `(count, size, size, 3)`."""
    random = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int32) % len(NAMES)
    y, x = np.mgrid[:size, :size]
    images = np.zeros((count, size, size, 3), np.uint8)
    for image, label in zip(images, labels, strict=True):
        centre_y, centre_x = random.uniform(0.46 * size, 0.54 * size, 2)
        radius = random.uniform(0.28, 0.36) * size
        down, across = np.abs(y - centre_y), np.abs(x - centre_x)
        disc = np.hypot(down, across) < radius
        cross = (np.minimum(down, across) < 0.06 * size) & (np.maximum(down, across) < radius)
        image[..., 0 if label < 2 else 2] = np.where(cross if label % 2 else disc, random.uniform(180, 255), 0)
    return Pictures(images, labels, NAMES)


def classify_shapes(images: np.ndarray) -> np.ndarray:
    """The labels `(n,)` of `images` `(n, size, size, 3)` uint8 by simple rules; -1 for an image that fits none.

    Only bright pixels count, in rows and columns with at least two of them. Nine tenths of their light must be red, or
    blue. Their box must be about as high as it is wide; a disc fills pi / 4 of it, a cross about a third.
    """
    labels = np.full(len(images), -1)
    for i, image in enumerate(images):
        bright = image.max(axis=-1) > 128  # (size, size)
        light = image[bright].sum(axis=0, dtype=float)  # (3,): red, green, blue
        rows, columns = np.flatnonzero(bright.sum(axis=1) > 1), np.flatnonzero(bright.sum(axis=0) > 1)
        colour = int(np.argmax(light))
        if len(rows) == 0 or len(columns) == 0 or colour == 1 or light[colour] < 0.9 * light.sum():
            continue
        height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
        filled = bright.sum() / (height * width)
        if abs(height - width) > 0.25 * max(height, width):
            continue
        if 0.65 < filled < 0.9:
            labels[i] = colour  # 0 or 2
        elif 0.2 < filled < 0.55:
            labels[i] = colour + 1
    return labels


def share_as_requested(images: np.ndarray, labels: np.ndarray) -> tuple[float, float, float]:
    """The shares of images `(n, size, size, 3)` in [-1, 1] with the requested colour, form, and both, in [0, 1]."""
    found = classify_shapes(to_pixels(images))
    is_shape = found >= 0
    colour, form = is_shape & (found // 2 == labels // 2), is_shape & (found % 2 == labels % 2)
    return float(colour.mean()), float(form.mean()), float((colour & form).mean())
