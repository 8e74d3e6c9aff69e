"""Checks of arguments that several modules share. Each raises `ValueError`: one sentence that names the argument."""

import unicodedata
from collections.abc import Sequence

import numpy as np

LONGEST_NAME = 100  # characters
LARGEST_FLOAT = float(np.finfo(np.float64).max)  # infinity isn't at most this, and neither is the whole number 10**400


def check_whole(name: str, value: object, lowest: int, highest: int | None = None) -> int:
    """The value as an int. Raises `ValueError` unless it is a whole number in lowest..highest. True isn't."""
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_whole or value < lowest or (highest is not None and value > highest):
        allowed = f"of at least {lowest}" if highest is None else f"in {lowest}..{highest}"
        raise ValueError(f"{name} must be a whole number {allowed}, not {value!r}.")
    return int(value)


def check_number(
    name: str, value: object, lowest: float, highest: float = np.inf, *, above: bool = False, below: bool = False
) -> float:
    """The value as a float. Raises `ValueError` unless it is a finite number from `lowest` to `highest`.

    `above` excludes the lowest, `below` the highest value.
    """
    value = value.item() if isinstance(value, np.generic) else value
    is_number = isinstance(value, int | float | np.longdouble) and not isinstance(value, bool)
    too_low = not is_number or not (value > lowest if above else value >= lowest)  # NaN is neither
    if too_low or abs(value) > LARGEST_FLOAT or value > highest or (below and value == highest):
        allowed = f"above {lowest:g}" if above else f"of at least {lowest:g}" if np.isfinite(lowest) else ""
        if np.isfinite(highest):
            allowed += f" and below {highest:g}" if below else f" and at most {highest:g}"
        raise ValueError(f"{name} must be a finite number{allowed and ' ' + allowed}, not {value!r}.")
    return float(value)


def check_choice(name: str, value: object, allowed: Sequence[str]) -> None:
    """Raises `ValueError` unless the value is one of those allowed."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, not {value!r}.")


def check_name(name: object) -> str:
    """A class name in Unicode's composed form (NFC), in which "é" is one character however it was typed.

    Raises `ValueError` for anything but a text of at most 100 printable characters: names reach terminals and pages.
    """
    if not isinstance(name, str):
        raise ValueError(f"class_names must be texts, not {name!r:.60}.")
    name = unicodedata.normalize("NFC", name)
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise ValueError(f"class_names must be at most {LONGEST_NAME} printable characters each, not {name[:40]!r}.")
    return name


def check_finite(name: str, values: np.ndarray, dimensions: int, dtype: type | None = np.float64) -> np.ndarray:
    """The values as an array of `dtype`, or of their own type for None.

    Raises `ValueError` unless they are finite numbers of shape `(n,)` or, for 2 dimensions, `(n, d)`, and not empty.
    """
    values = np.asarray(values)
    if not np.issubdtype(values.dtype, np.integer) and not np.issubdtype(values.dtype, np.floating):
        raise ValueError(f"{name} must be real numbers, not {values.dtype}.")
    values = values if dtype is None else values.astype(dtype, copy=False)
    if values.ndim != dimensions or values.size == 0:
        raise ValueError(f"{name} must be {('(n,)', '(n, d)')[dimensions - 1]} and not empty, not {values.shape}.")
    if not np.isfinite(values).all():
        wrong = np.count_nonzero(~np.isfinite(values))
        raise ValueError(f"{name} must be finite numbers, not NaN or infinite in {wrong} of {values.size} places.")
    return values


def check_pair(
    name: str, points: np.ndarray, other: str, others: np.ndarray, dtype: type | None = np.float64
) -> list[np.ndarray]:
    """Points `(n, d)` and others `(m, d)` by `check_finite`. Raises `ValueError` for a differing d too."""
    points, others = check_finite(name, points, 2, dtype), check_finite(other, others, 2, dtype)
    if points.shape[1] != others.shape[1]:
        raise ValueError(f"{name} must have {others.shape[1]} columns like {other}, not {points.shape[1]}.")
    return [points, others]


def in_model_range(images: np.ndarray) -> bool:
    """True if all values are in [-1, 1], up to rounding, and none is NaN."""
    return bool(np.all(np.abs(images) <= 1.001))


def check_images(images: np.ndarray, name: str = "images") -> np.ndarray:
    """The images as float32. Raises `ValueError` unless they are `(n, 28, 28, 1)` float in [-1, 1], n at least 1."""
    images = np.asarray(images)
    shape_fits = images.ndim == 4 and images.shape[1:] == (28, 28, 1) and len(images) > 0
    if not shape_fits or not np.issubdtype(images.dtype, np.floating):
        raise ValueError(f"{name} must be (n, 28, 28, 1) float, n at least 1, not {images.shape} {images.dtype}.")
    if not in_model_range(images):
        raise ValueError(f"{name} must be numbers in [-1, 1], not {images.min():g}..{images.max():g}.")
    return images.astype(np.float32, copy=False)


def check_labels(labels: np.ndarray, name: str = "labels", count: int | None = None) -> np.ndarray:
    """The labels as an array. Raises `ValueError` unless they are `(n,)` whole numbers of at least 0, n = `count`."""
    labels = np.asarray(labels)
    if labels.ndim != 1 or len(labels) == 0 or labels.dtype.kind not in "iu":
        raise ValueError(f"{name} must be (n,) whole numbers, n at least 1, not {labels.shape} {labels.dtype}.")
    if labels.min() < 0:
        raise ValueError(f"{name} must be classes from 0 on, not {labels.min()}.")
    if count is not None and len(labels) != count:
        raise ValueError(f"{name} must be {count} like the images, not {len(labels)}.")
    return labels
