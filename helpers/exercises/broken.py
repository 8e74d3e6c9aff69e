"""Five samplers with one thing wrong each, on purpose: the patients of notebook 05's break-it lab.

**If you are working on the lab, read no further: the names below are the diagnoses.**

Nothing here is to be copied. Each patient is `helpers.sampling.sample` itself, handed a network that was trained
wrongly, a network that is asked wrongly, or an option that was never meant to be switched off. The diagnoses, with
the reasoning, are in the solutions of notebook 05.
"""

import functools
import warnings
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np

from helpers.checkpoints import load_unet
from helpers.classifier import digit_accuracy
from helpers.files import ASSETS
from helpers.sampling import Samples, sample

Sampler = Callable[..., Samples]  # `sample` that has its network and schedule already: sampler(labels, seed=1)


def healthy() -> Sampler:
    """`sample` with the network that the course ships: what the patients are compared with."""
    return functools.partial(sample, *load_unet())


def unscaled_schedule() -> Sampler:
    """Trained with betas from 1e-4 to 0.02 over 100 steps: at t = 99 it always saw 60 % of the image's signal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the schedule itself says what is wrong with it
        return functools.partial(sample, *load_unet(ASSETS / "broken" / "unscaled-schedule"))


def unclipped() -> Sampler:
    """The x_0 of a network that predicts the noise is used as it comes, its errors magnified up to 2029 times."""
    return functools.partial(sample, *load_unet(ASSETS / "unet-noise"), clip_x_0=False)


def reversed_times() -> Sampler:
    """The network is told steps - 1 - t: of pure noise, that the image is almost clean."""
    unet, schedule = load_unet()

    def told_backwards(x_t: keras.KerasTensor, t: keras.KerasTensor, labels: keras.KerasTensor) -> keras.KerasTensor:
        return unet([x_t, schedule.steps - 1 - t, labels])

    return functools.partial(sample, _network(unet, told_backwards), schedule)


def no_label_dropout() -> Sampler:
    """Trained with a label on every image: what it answers to label -1 is nothing that it was ever taught."""
    return functools.partial(sample, *load_unet(ASSETS / "broken" / "no-label-dropout"))


def wrong_sign() -> Sampler:
    """noise_uncond - guidance_scale * (noise_cond - noise_uncond): away from the digit."""
    unet, schedule = load_unet()

    def mirrored(x_t: keras.KerasTensor, t: keras.KerasTensor, labels: keras.KerasTensor) -> keras.KerasTensor:
        # uncond - (cond - uncond) in place of cond, and uncond as it is, since it mirrors to itself: the right
        # formula makes the wrong one of these two, at every scale.
        uncond = unet([x_t, t, -keras.ops.ones_like(labels)])
        return 2 * uncond - unet([x_t, t, labels])

    return functools.partial(sample, _network(unet, mirrored), schedule)


def _network(unet: keras.Model, answer: Callable[..., keras.KerasTensor]) -> keras.Model:
    """A network with the inputs of `unet` and its configuration, that answers `answer(x_t, t, labels)`."""
    network = keras.Model(unet.inputs, answer(*unet.inputs))
    network.unet_config = unet.unet_config
    return network


PATIENTS = {
    "A": no_label_dropout,
    "B": reversed_times,
    "C": wrong_sign,
    "D": unscaled_schedule,
    "E": unclipped,
}


@functools.cache  # a network is loaded, and its loop compiled, once
def patient(name: str) -> Sampler:
    """Patient "A" to "E", or "healthy": called like `sample`, without network and schedule.

    Patient E's images `(n, 28, 28, 1)` float32 may leave [-1, 1]. Raises `ValueError` for any other name.
    """
    beds = {"healthy": healthy, **PATIENTS}
    if name not in beds:
        raise ValueError(f"name must be one of {', '.join(beds)}, not {name!r}.")
    return beds[name]()


class Symptoms(NamedTuple):
    """What a sampler's images show, whatever made them."""

    accuracy: float  # share of the digits that are read as asked; 0.1 by chance
    brightness: float  # their mean pixel
    roughness: float  # mean distance between a pixel and the one below it, in [0, 2]
    largest: float  # largest |pixel|, before clipping
    unasked: float  # mean pixel of the images that were drawn with label -1


def symptoms(images: np.ndarray, labels: np.ndarray, reader: keras.Model) -> Symptoms:
    """Measure images `(n, 28, 28, 1)` drawn with `labels` `(n,)`, among them digits as well as -1.

    `reader` is one of the two classifiers. What leaves [-1, 1] is clipped, as a screen does, for all but `largest`.
    """
    seen, asked = np.clip(images, -1, 1), labels >= 0
    return Symptoms(
        accuracy=digit_accuracy(reader, seen[asked], labels[asked]),
        brightness=float(seen[asked].mean()),
        roughness=float(np.abs(np.diff(seen[asked], axis=1)).mean()),
        largest=float(np.abs(images).max()),
        unasked=float(seen[~asked].mean()),
    )
