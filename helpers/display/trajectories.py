"""The sampler's path from noise to a digit, recorded once so that it can be looked at often."""

import helpers.tools.quiet  # noqa: F401

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from helpers.sampling.sampler import SamplerSettings, sample
from helpers.unet import Denoiser, predict_noise

STEPS = 20  # of "ddim", whatever the default sampler is: enough pictures to watch a digit appear


class Trajectories(NamedTuple):
    """The sampler's images on the way to some digits at some guidance scales: s scales, k steps, n digits.

    The images are `(s, k + 1, n, 28, 28, 1)` float32: those of each step, and the finished digits.
    """

    digits: np.ndarray  # (n,) int32
    scales: np.ndarray  # (s,) float64
    t: np.ndarray  # (k,) int32, falling
    alpha_bars: np.ndarray  # (k,) float64
    x_t: np.ndarray  # the noisy images
    x_0: np.ndarray  # the clean images that the network predicted there, clipped to [-1, 1]
    difference: np.ndarray  # noise_cond - noise_uncond there; zero for the finished digits
    names: tuple[str, ...]  # the n names of the digits, or of the classes of your own pictures
    kind: str = "digit"  # or "class"


def record_trajectories(
    denoiser: Denoiser,
    digits: Sequence[int] | None = None,
    scales: Sequence[float] = (0.0, 1.0, 2.0, 4.0),
    steps_kept: Sequence[int] | None = None,
    seed: int = 0,
) -> Trajectories:
    """Draw each of `digits` at each guidance scale with DDIM in 20 steps and eta 1, and keep the images on the way.

    `digits` are labels (default: all, or the first ten), `steps_kept` some of the steps (default: all).
    Raises `ValueError` as `sample` does, and for no scale or no step.
    """
    config = denoiser.config
    digits = range(min(10, config.num_classes)) if digits is None else digits
    kept = range(STEPS) if steps_kept is None else steps_kept
    if len(scales) == 0 or len(kept) == 0:
        raise ValueError("scales and steps_kept must each name at least one.")
    labels = np.asarray(digits, np.int32)  # (n,)

    @tf.function  # uncompiled, TensorFlow would keep every layer's intermediate results: half a gigabyte
    def difference_at(x_t: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
        t = tf.fill(labels.shape, t)  # () -> (n,)
        return predict_noise(denoiser, x_t, t, labels) - predict_noise(denoiser, x_t, t, 0 * labels - 1)

    pictures: dict[str, list[np.ndarray]] = {"x_t": [], "x_0": [], "difference": []}
    for scale in scales:
        settings = SamplerSettings("ddim", STEPS, 1.0, scale, None)  # guided at every step
        images, seen = sample(denoiser, list(digits), settings, seed=seed, keep=kept)
        differences = [difference_at(tf.constant(x_t), tf.constant(t)) for x_t, t in zip(seen.x_t, seen.t, strict=True)]
        pictures["x_t"].append(np.stack([*seen.x_t, images]))
        pictures["x_0"].append(np.stack([*seen.x_0, images]))
        pictures["difference"].append(np.stack([*differences, np.zeros_like(images)]))
    recorded = {name: np.stack(values) for name, values in pictures.items()}
    recorded |= {"names": tuple(config.classes[d] if d >= 0 else "not given" for d in digits), "kind": config.kind}
    return Trajectories(
        np.asarray(digits, np.int32),
        np.asarray(scales, float),
        seen.t,
        denoiser.schedule.alpha_bars[seen.t],
        **recorded,
    )
