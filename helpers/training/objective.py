"""What is learned, and how well: the loss of Algorithm 1, the averaged weights, the error on held-out images.

Derived in notebook 04. How the loss is brought down, and for how long, is `training`'s business.
"""

from dataclasses import dataclass
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from helpers.augmentation import DRAWS, augment
from helpers.data import to_model_range
from helpers.diffusion import SCHEDULES, Schedule, add_noise, keyed_noise, predict_x_0, velocity
from helpers.optimizer import OPTIMIZERS
from helpers.unet import predict_noise


@dataclass(frozen=True)
class TrainingConfig:
    """The recipe of one training. The defaults are those of the network that `load_unet()` returns.

    Raises `ValueError` that names the setting which no training can have.
    """

    steps: int = 34_000  # updates: 40 epochs
    batch_size: int = 64  # images an update, over all devices together
    optimizer: str = "muon"  # see `optimizer`: it learns more from as many images than the usual "adamw"
    learning_rate: float = 6e-3  # the peak; AdamW wants a third of it
    warmup_steps: int = 200  # updates until the peak: the averages of past gradients are unreliable at first
    weight_decay: float = 0.01  # decoupled, as in AdamW; others were not tried
    gradient_clip: float = 1.0  # largest norm of the gradient of all weights together
    label_dropout: float = 0.1  # share of the samples that see label -1: guidance needs both networks
    times: str = "middle"  # which t training sees: half of them drawn where digits take shape; or all alike, "uniform"
    augmentation: float = 1.0  # how much images are turned, stretched and moved, see `augment`: 1 is a little
    augmented_from: int = 40  # the smallest t that sees them so; below, strokes are drawn, and real ones are the model
    ema_decay: float = 0.998  # averages the weights over about the last 500 updates
    schedule: str = "cosine"  # leaves no signal at the last step, unlike the unscaled linear one
    diffusion_steps: int = 100  # T
    precision: str = "float32"  # or "mixed_bfloat16", on hardware that is faster with it
    seed: int = 0  # fixes the weights' start, the order of the images, every t, noise and dropped label

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "diffusion_steps"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, not {getattr(self, name)!r}.")
        for name in ("learning_rate", "gradient_clip"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name} must be a positive number, not {getattr(self, name)!r}.")
        for name in ("label_dropout", "ema_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 0 and below 1, not {getattr(self, name)!r}.")
        choices = {
            "optimizer": tuple(OPTIMIZERS),
            "times": ("uniform", "middle"),
            "schedule": sorted(SCHEDULES),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, not {getattr(self, name)!r}.")
        if not 0 <= self.augmentation <= 4:
            raise ValueError(f"augmentation must be from 0 to 4, not {self.augmentation!r}.")
        if type(self.augmented_from) is not int or not 0 <= self.augmented_from < self.diffusion_steps:
            allowed = f"a whole number in 0..{self.diffusion_steps - 1}"
            raise ValueError(f"augmented_from must be {allowed}, not {self.augmented_from!r}.")
        if self.warmup_steps < 0 or self.weight_decay < 0 or self.seed < 0:
            raise ValueError("warmup_steps, weight_decay and seed must not be negative.")


def draw_times(uniform: tf.Tensor, steps: int, times: str) -> tf.Tensor:
    """Uniform draws `(batch,)` in [0, 1) -> t `(batch,)` int32 in 0..steps-1.

    "uniform" is Algorithm 1, line 3. "middle" draws every second t from a logit-normal distribution instead
    (Esser et al. 2024, section 3.1): in the middle of the chain the digit is decided, and errors are dearest.
    """
    if times == "middle":
        # One draw gives both the choice and, stretched to [0, 1) again, the position.
        position = tf.clip_by_value(2 * uniform % 1, 1e-6, 1 - 1e-6)
        uniform = tf.where(uniform < 0.5, position, tf.sigmoid(tf.math.ndtri(position)))
    return tf.cast(uniform * steps, tf.int32)


def training_loss(
    unet: keras.Model, schedule: Schedule, config: TrainingConfig, numbers: tf.Tensor, x_0: tf.Tensor, labels: tf.Tensor
) -> tf.Tensor:
    """Algorithm 1, lines 2 to 5: the mean squared error on one batch of `x_0` `(batch, 28, 28, 1)` in [-1, 1].

    All randomness follows from (config.seed, numbers), so a sample meets the same t, noise and label
    dropout on whichever device, and after whichever pause, it is computed. Derived in notebook 04.
    """
    uniform = keyed_noise(config.seed, numbers, (2,), step=1, draw=tf.random.stateless_uniform)  # (batch, 2)
    t = draw_times(uniform[:, 0], schedule.steps, config.times)  # (batch,)
    noise = keyed_noise(config.seed, numbers, tuple(x_0.shape[1:]))  # (batch, 28, 28, 1)
    if config.augmentation:
        changed = augment(x_0, keyed_noise(config.seed, numbers, (DRAWS,), step=2), config.augmentation)
        x_0 = tf.where(tf.reshape(t >= config.augmented_from, (-1, 1, 1, 1)), changed, x_0)  # (batch, 28, 28, 1)
    # Each sample on its own forgets its label, so that every batch trains both networks that guidance needs.
    labels = tf.where(uniform[:, 1] < config.label_dropout, -1, labels)
    x_t = add_noise(schedule, x_0, t, noise)
    target = noise if unet.unet_config.predicts == "noise" else velocity(schedule, x_0, t, noise)
    return tf.reduce_mean(tf.square(unet([x_t, t, labels]) - target))


def update_average(average: keras.Model, unet: keras.Model, step: tf.Tensor, max_decay: float) -> None:
    """Move the EMA weights towards the network's; young averages forget faster, or they'd remember the start."""
    step = tf.cast(step, tf.float32)
    decay = tf.minimum(max_decay, (1 + step) / (10 + step))
    for slow, fast in zip(average.weights, unet.weights, strict=True):
        slow.assign(decay * slow + (1 - decay) * fast)


class HeldOutMse(NamedTuple):
    """Mean squared errors for each t, `(steps,)` float64 each, on images that no training saw."""

    noise: np.ndarray  # of the predicted noise: predicting zero scores 1
    x_0: np.ndarray  # of the predicted image, clipped to [-1, 1] as the sampler does: what sampling needs


def held_out_mse(
    unet: keras.Model, schedule: Schedule, images: np.ndarray, labels: np.ndarray, *, per_image: int = 20, seed: int = 0
) -> HeldOutMse:
    """How wrong the network is on images `(n, 28, 28)` uint8 with labels `(n,)`, n at least schedule.steps.

    Every image is asked at `per_image` different t, spread so that each t sees equally many images.
    """
    if len(images) < schedule.steps:
        raise ValueError(f"images must be at least {schedule.steps}, one for each t, not {len(images)}.")

    @tf.function(reduce_retracing=True)
    def errors(x_0: tf.Tensor, t: tf.Tensor, y: tf.Tensor, noise: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        x_t = add_noise(schedule, x_0, t, noise)
        predicted = predict_noise(unet, schedule, x_t, t, y)
        image = tf.clip_by_value(predict_x_0(schedule, x_t, t, predicted), -1.0, 1.0)
        both = [noise - predicted, x_0 - image]  # (batch, 28, 28, 1) each
        return tuple(tf.reduce_mean(tf.square(error), axis=(1, 2, 3)) for error in both)  # (batch,) each

    total, count, batch_size = np.zeros((2, schedule.steps)), np.zeros(schedule.steps), 250
    for first in range(0, len(images), batch_size):
        x_0 = to_model_range(images[first : first + batch_size])
        y = tf.constant(labels[first : first + batch_size], tf.int32)
        numbers = np.arange(first, first + len(x_0))
        for round_ in range(per_image):
            t = ((numbers + round_ * schedule.steps // per_image) % schedule.steps).astype(np.int32)
            noise = keyed_noise(seed, numbers, tuple(x_0.shape[1:]), step=round_)
            for row, error in zip(total, errors(x_0, tf.constant(t), y, noise), strict=True):
                np.add.at(row, t, error.numpy())
            np.add.at(count, t, 1)
    return HeldOutMse(*(total / count))
