"""What may be asked of the sampler: typed text as labels, and one clear sentence for what can't be drawn."""

from collections.abc import Sequence

import keras
import numpy as np

from helpers.diffusion import Schedule
from helpers.solvers import METHODS
from helpers.unet import UNetConfig

MOST_DIGITS = 10_000  # of one request: their picture has 125 million pixels


def read_digits(text: str) -> np.ndarray:
    """ "314" -> [3, 1, 4] `(n,)` int32. Raises `ValueError` for no digit, over 10,000, or anything but 0 to 9."""
    if not text:
        raise ValueError("digits must be at least one of 0 to 9, not an empty string.")
    if len(text) > MOST_DIGITS:
        raise ValueError(f"digits must be at most {MOST_DIGITS:,}, not {len(text):,}: ask for them in parts.")
    for position, character in enumerate(text, 1):
        if character not in "0123456789":  # str.isdigit would let full-width and superscript digits through
            raise ValueError(f"digits must be 0 to 9 only, but character {position} is {character!r}.")
    return np.array([int(character) for character in text], np.int32)


def read_labels(text: str, config: UNetConfig) -> np.ndarray:
    """What to draw, as labels `(n,)` int32: "314", or for other networks "12, 3" or "red disc, blue square".

    Up to ten classes without names are read digit by digit. Raises `ValueError` for what the network doesn't know.
    """
    if config.kind == "digit":
        labels = read_digits(text)
        if labels.max() >= config.num_classes:
            raise ValueError(f"digits must be 0 to {config.num_classes - 1}, not {labels.max()}.")
        return labels
    asked = [name.strip() for name in text.split(",")]
    for name in asked:
        if name not in config.classes:
            few = ", ".join(config.classes[:5]) + (", ..." if config.num_classes > 5 else "")
            raise ValueError(f"{name!r} is none of the classes ({few}); separate several by commas.")
    return np.array([config.classes.index(name) for name in asked], np.int32)


def check_request(
    unet: keras.Model,
    schedule: Schedule,
    labels: Sequence[int] | np.ndarray,
    method: str,
    steps: int,
    eta: float,
    guidance_scale: float,
    guidance_interval: tuple[int, int] | None,
    seed: int,
    keep: Sequence[int] | None,
) -> np.ndarray:
    """The labels as `(n,)` int32, or a `ValueError` that names what is wrong with the request: see `sample`."""
    largest = unet.unet_config.num_classes - 1
    given, labels = labels, np.asarray(labels)
    if labels.ndim != 1 or len(labels) == 0 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels must be a non-empty list of whole numbers, not {given!r}.")
    if labels.min() < -1 or labels.max() > largest:
        wrong = labels[(labels < -1) | (labels > largest)][0]
        raise ValueError(f"labels must be in 0..{largest}, or -1 for no digit given, not {wrong}.")
    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS}, not {method!r}.")
    if not isinstance(steps, int | np.integer) or not 1 <= steps <= schedule.steps:
        raise ValueError(f"steps must be a whole number in 1..{schedule.steps}, not {steps!r}.")
    if not 0 <= eta <= 1:
        raise ValueError(f"eta must be in [0, 1], not {eta!r}.")
    if not 0 <= guidance_scale < np.inf:
        raise ValueError(f"guidance_scale must be a number of at least 0, not {guidance_scale!r}.")
    if guidance_interval is not None and not 0 <= guidance_interval[0] <= guidance_interval[1]:
        raise ValueError(f"guidance_interval must be (first, last) with 0 <= first <= last, not {guidance_interval!r}.")
    if not isinstance(seed, int | np.integer) or not 0 <= seed < 2**63:
        raise ValueError(f"seed must be a whole number of at least 0, not {seed!r}.")
    if keep is not None and not all(isinstance(k, int | np.integer) and 0 <= k < steps for k in keep):
        raise ValueError(f"keep must name steps in 0..{steps - 1}, not {list(keep)}.")
    if not all(np.isfinite(weight).all() for weight in unet.get_weights()):
        raise ValueError("unet has weights that are not finite numbers; load it again with load_unet().")
    return labels.astype(np.int32)


def check_numbers(numbers: Sequence[int] | np.ndarray | None, count: int) -> np.ndarray:
    """Which image of the request each one is, `(count,)` int64; `ValueError` for anything but whole numbers from 0."""
    numbers = np.arange(count) if numbers is None else np.asarray(numbers)
    if numbers.shape != (count,) or not np.issubdtype(numbers.dtype, np.integer) or numbers.min() < 0:
        raise ValueError(f"numbers must be {count} whole numbers of at least 0, one a label.")
    return numbers.astype(np.int64)
