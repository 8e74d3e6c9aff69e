"""Five samplers with one deliberate fault each: the patients of notebook 05's break-it lab.

**If you are working on the lab, read no further: the names below are the diagnoses.**

Don't copy anything from here. Each patient is `helpers.sampling.sample` itself with a badly trained network, a network
that receives wrong inputs, or an option that should never be switched off. The solutions of notebook 05 explain the
diagnoses.
"""

import helpers.tools.quiet  # noqa: F401

import functools
import warnings
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np

from helpers.checkpoints import PRETRAINED_NOISE, load_denoiser
from helpers.evaluation.classifiers import digit_accuracy
from helpers.sampling.sampler import Samples, sample
from helpers.tools.files import ASSETS
from helpers.unet import Denoiser

Sampler = Callable[..., Samples]  # `sample` with its denoiser filled in: sampler(labels, seed=1)


def healthy() -> Sampler:
    """`sample` with the pre-trained network, to compare the patients with."""
    return functools.partial(sample, load_denoiser())


def unscaled_schedule() -> Sampler:
    """Trained with betas from 1e-4 to 0.02 over 100 steps: even at t = 99, 60 % of the image's signal was left."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the schedule itself warns of its fault
        return functools.partial(sample, load_denoiser(ASSETS / "broken" / "unscaled-schedule"))


def unclipped() -> Sampler:
    """The predicted x_0 isn't clipped. The network predicts the noise, so x_0 magnifies its errors up to 2029 times."""
    return functools.partial(sample, load_denoiser(PRETRAINED_NOISE), clip_x_0=False)


def reversed_times() -> Sampler:
    """The network receives steps - 1 - t: for pure noise it is told that the image is almost clean."""
    denoiser = load_denoiser()
    last = denoiser.schedule.steps - 1
    return _sampler(denoiser, lambda x_t, t, labels: denoiser.unet([x_t, last - t, labels]))


def no_label_dropout() -> Sampler:
    """Trained with a label on every image: the network never saw label -1."""
    return functools.partial(sample, load_denoiser(ASSETS / "broken" / "no-label-dropout"))


def wrong_sign() -> Sampler:
    """noise_uncond - guidance_scale * (noise_cond - noise_uncond), which guides away from the digit."""
    denoiser = load_denoiser()

    def mirrored(x_t: keras.KerasTensor, t: keras.KerasTensor, labels: keras.KerasTensor) -> keras.KerasTensor:
        # This replaces cond by uncond - (cond - uncond), and leaves uncond as it is. Put into the correct formula, the
        # two give the wrong one at every scale.
        uncond = denoiser.unet([x_t, t, -keras.ops.ones_like(labels)])
        return 2 * uncond - denoiser.unet([x_t, t, labels])

    return _sampler(denoiser, mirrored)


def _sampler(denoiser: Denoiser, answer: Callable[..., keras.KerasTensor]) -> Sampler:
    """`sample` with a network that returns `answer(x_t, t, labels)` instead of the denoiser's own output."""
    network = keras.Model(denoiser.unet.inputs, answer(*denoiser.unet.inputs))
    return functools.partial(sample, denoiser._replace(unet=network))


PATIENTS = {
    "A": no_label_dropout,
    "B": reversed_times,
    "C": wrong_sign,
    "D": unscaled_schedule,
    "E": unclipped,
}


@functools.cache  # loads each network and compiles its loop only once
def patient(name: str) -> Sampler:
    """The sampler of patient "A" to "E", or of "healthy". It is called like `sample`, but without a denoiser.

    Patient E's images `(n, 28, 28, 1)` float32 may leave [-1, 1]. Raises `ValueError` for any other name.
    """
    beds = {"healthy": healthy, **PATIENTS}
    if name not in beds:
        raise ValueError(f"name must be one of {', '.join(beds)}, not {name!r}.")
    return beds[name]()


class Symptoms(NamedTuple):
    """Measures of a sampler's images."""

    accuracy: float  # share of the digits that are classified as requested; 0.1 by chance alone
    brightness: float  # their mean pixel
    roughness: float  # mean distance between a pixel and the one below it, in [0, 2]
    largest: float  # largest |pixel| before clipping
    unlabelled: float  # mean pixel of the images drawn with label -1


def symptoms(images: np.ndarray, labels: np.ndarray, classifier: keras.Model) -> Symptoms:
    """Measure images `(n, 28, 28, 1)` drawn with `labels` `(n,)`, which must hold digits as well as -1.

    `classifier` is one of the two of `load_classifier`. As on a screen, values outside [-1, 1] are clipped for every
    measure except `largest`.
    """
    seen, labelled = np.clip(images, -1, 1), labels >= 0
    return Symptoms(
        accuracy=digit_accuracy(classifier, seen[labelled], labels[labelled]),
        brightness=float(seen[labelled].mean()),
        roughness=float(np.abs(np.diff(seen[labelled], axis=1)).mean()),
        largest=float(np.abs(images).max()),
        unlabelled=float(seen[~labelled].mean()),
    )
