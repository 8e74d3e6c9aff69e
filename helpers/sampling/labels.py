"""From typed text to labels, and one clear sentence for a request that can't be drawn."""

import unicodedata
from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np

from helpers.tools.checks import check_whole
from helpers.unet import UNetConfig

MOST_KEPT = 100_000  # images of a trajectory: with 28x28 pixels 0.6 GB
MOST_DIGITS = 10_000  # in one request: their picture has 125 million pixels


def parse_digits(text: str) -> np.ndarray:
    """ "314" -> [3, 1, 4] `(n,)` int32. Raises `ValueError` for no digit, over 10,000, or anything but 0 to 9."""
    if not text:
        raise ValueError("digits must be at least one of 0 to 9, not an empty string.")
    if len(text) > MOST_DIGITS:
        raise ValueError(f"digits must be at most {MOST_DIGITS:,}, not {len(text):,}: ask for them in parts.")
    for position, character in enumerate(text, 1):
        if character not in "0123456789":  # str.isdigit would let full-width and superscript digits through
            raise ValueError(f"digits must be 0 to 9 only, but character {position} is {character!r}.")
    return np.array([int(character) for character in text], np.int32)


def parse_labels(text: str, config: UNetConfig) -> np.ndarray:
    """Labels `(n,)` int32 from text: "314", or for other networks "12, 3" or "red disc, blue square".

    Up to ten classes without names are parsed digit by digit. Raises `ValueError` for an unknown class.
    """
    if config.kind == "digit":
        labels = parse_digits(text)
        if labels.max() >= config.num_classes:
            raise ValueError(f"digits must be 0 to {config.num_classes - 1}, not {labels.max()}.")
        return labels
    if len(text) > MOST_DIGITS:
        raise ValueError(f"the text must have at most {MOST_DIGITS:,} characters, not {len(text):,}.")
    names = [name.strip() for name in unicodedata.normalize("NFC", text).split(",")]
    for name in names:
        if name not in config.classes:
            few = ", ".join(config.classes[:5]) + (", ..." if config.num_classes > 5 else "")
            raise ValueError(f"{name!r} is none of the classes ({few}); separate several by commas.")
    return np.array([config.classes.index(name) for name in names], np.int32)


def check_request_labels(labels: Sequence[int] | np.ndarray, config: UNetConfig) -> np.ndarray:
    """The labels as `(n,)` int32. Raises `ValueError` unless they are classes of the network, or -1 for none."""
    given, labels, largest = labels, np.asarray(labels), config.num_classes - 1
    if labels.ndim != 1 or len(labels) == 0 or labels.dtype.kind not in "iu":
        raise ValueError(f"labels must be a non-empty list of whole numbers, not {given!r}.")
    if labels.min() < -1 or labels.max() > largest:
        wrong = labels[(labels < -1) | (labels > largest)][0]
        raise ValueError(f"labels must be in 0..{largest}, or -1 for no digit given, not {wrong}.")
    return labels.astype(np.int32)


def check_sample_ids(sample_ids: Sequence[int] | np.ndarray | None, count: int) -> np.ndarray:
    """The number of each image in its request, `(count,)` int64. Raises `ValueError` unless they are at least 0."""
    sample_ids = np.arange(count) if sample_ids is None else np.asarray(sample_ids)
    if sample_ids.shape != (count,) or not np.issubdtype(sample_ids.dtype, np.integer) or sample_ids.min() < 0:
        raise ValueError(f"sample_ids must be {count} whole numbers of at least 0, one per label.")
    return sample_ids.astype(np.int64)


def check_keep(keep: Iterable[int], steps: int, images: int) -> list[int]:
    """The steps to keep, as a list.

    Raises `ValueError` unless they are in 0..steps-1, at most `steps` of them, and not too many for so many images.
    """
    try:
        kept = list(islice(keep, steps + 1))  # an iterator may never end
    except TypeError:
        raise ValueError(f"keep must be a list of steps, not {keep!r}.") from None
    check_whole("the number of steps in keep", len(kept), 0, steps)
    if images * len(kept) > MOST_KEPT:
        raise ValueError(f"labels times steps in keep must be at most {MOST_KEPT:,}, not {images:,} x {len(kept)}.")
    return [check_whole("keep", step, 0, steps - 1) for step in kept]
