"""The objective: the recipe of a training, the loss of Algorithm 1, the averaged weights, the validation error.

To change the recipe, change `TrainingConfig`. Derived in notebook 04. `trainer` and `loop` minimise the loss.
"""

import helpers.tools.quiet  # noqa: F401

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from helpers.data import to_model_range
from helpers.diffusion import SCHEDULES, add_noise, per_sample_noise, velocity
from helpers.tools.checks import check_choice, check_number, check_whole
from helpers.training.augmentation import DRAWS, augment
from helpers.training.optimizer import OPTIMIZERS
from helpers.unet import Denoiser, predict


@dataclass(frozen=True)
class TrainingConfig:
    """The recipe of one training. The defaults are those of the network that `load_denoiser()` returns.

    Raises `ValueError` that names an invalid setting.
    """

    steps: int = 34_000  # updates: 40 epochs
    batch_size: int = 64  # images an update, over all devices together
    optimizer: str = "muon"  # learns more from the same number of images than the usual "adamw"
    learning_rate: float = 6e-3  # the peak; AdamW wants a third of it
    warmup_steps: int = 200  # updates until the peak: averages of past gradients are unreliable at first
    weight_decay: float = 0.01  # decoupled, as in AdamW; others were not tried
    gradient_clip: float = 1.0  # largest norm of the gradient of all weights together
    label_dropout: float = 0.1  # share of the samples whose label becomes -1: guidance needs both networks
    times: str = "middle"  # how t is drawn: half of them where digits take shape, or "uniform"
    augmentation: float = 1.0  # how far images are rotated, stretched and shifted: 1 is a little, 0 not at all
    augmented_from: int = 40  # the smallest t with augmented images; below it strokes are learned from real ones
    ema_decay: float = 0.998  # averages the weights over about the last 500 updates
    schedule: str = "cosine"  # leaves no signal at the last step, unlike the unscaled linear one
    diffusion_steps: int = 100  # T
    precision: str = "float32"  # or "mixed_bfloat16", on hardware that is faster with it
    seed: int = 0  # fixes the initial weights, the order of the images, and every t, noise and dropped label

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "diffusion_steps"):
            object.__setattr__(self, name, check_whole(name, getattr(self, name), 1))
        for name in ("warmup_steps", "seed"):
            object.__setattr__(self, name, check_whole(name, getattr(self, name), 0))
        object.__setattr__(
            self, "augmented_from", check_whole("augmented_from", self.augmented_from, 0, self.diffusion_steps - 1)
        )
        for name in ("learning_rate", "gradient_clip"):
            check_number(name, getattr(self, name), 0, above=True)
        for name in ("label_dropout", "ema_decay"):
            check_number(name, getattr(self, name), 0, 1, below=True)
        check_number("weight_decay", self.weight_decay, 0)
        check_number("augmentation", self.augmentation, 0, 4)
        check_choice("optimizer", self.optimizer, tuple(OPTIMIZERS))
        check_choice("times", self.times, ("uniform", "middle"))
        check_choice("schedule", self.schedule, tuple(SCHEDULES))
        check_choice("precision", self.precision, ("float32", "mixed_bfloat16"))


def draw_times(uniform: tf.Tensor, steps: int, times: str) -> tf.Tensor:
    """Uniform draws `(batch,)` in [0, 1) -> t `(batch,)` int32 in 0..steps-1.

    "uniform" is Algorithm 1, line 3. "middle" draws every second t from a logit-normal distribution instead
    (Esser et al. 2024, section 3.1): the middle of the chain decides the digit, and errors cost most there.
    """
    if times == "middle":
        # One draw gives both the choice and, stretched to [0, 1) again, the position.
        position = tf.clip_by_value(2 * uniform % 1, 1e-6, 1 - 1e-6)
        uniform = tf.where(uniform < 0.5, position, tf.sigmoid(tf.math.ndtri(position)))
    return tf.cast(uniform * steps, tf.int32)


def training_loss(
    denoiser: Denoiser, config: TrainingConfig, sample_ids: tf.Tensor, x_0: tf.Tensor, labels: tf.Tensor
) -> tf.Tensor:
    """Algorithm 1, lines 2 to 5: the mean squared error on one batch of `x_0` `(batch, 28, 28, 1)` in [-1, 1].

    All randomness follows from (config.seed, sample_ids), so a sample gets the same t, noise and label dropout on any
    device and after any interruption. Derived in notebook 04.
    """
    unet, schedule, network = denoiser
    uniform = per_sample_noise(config.seed, sample_ids, (2,), step=1, draw=tf.random.stateless_uniform)  # (batch, 2)
    t = draw_times(uniform[:, 0], schedule.steps, config.times)  # (batch,)
    noise = per_sample_noise(config.seed, sample_ids, tuple(x_0.shape[1:]))  # (batch, 28, 28, 1)
    if config.augmentation:
        changed = augment(x_0, per_sample_noise(config.seed, sample_ids, (DRAWS,), step=2), config.augmentation)
        x_0 = tf.where(tf.reshape(t >= config.augmented_from, (-1, 1, 1, 1)), changed, x_0)  # (batch, 28, 28, 1)
    # Labels are dropped per sample, so that every batch trains both networks that guidance needs.
    labels = tf.where(uniform[:, 1] < config.label_dropout, -1, labels)
    x_t = add_noise(schedule, x_0, t, noise)
    target = noise if network.predicts == "noise" else velocity(schedule, x_0, t, noise)
    return tf.reduce_mean(tf.square(unet([x_t, t, labels]) - target))


class Objective(NamedTuple):
    """What a training minimises, and where it starts. `workshop.distillation` has another one than Algorithm 1."""

    loss: Callable[[Denoiser, TrainingConfig, tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor] = training_loss
    weights: list[np.ndarray] | None = None  # of the network at the start; None: random ones
    facts: dict[str, str] = {}  # what the result depends on besides, for the record


ALGORITHM_1 = Objective()


def update_ema(ema: keras.Model, unet: keras.Model, step: tf.Tensor, max_decay: float) -> None:
    """Move the averaged weights towards the network's. Early on the decay is smaller, to forget the random start."""
    step = tf.cast(step, tf.float32)
    decay = tf.minimum(max_decay, (1 + step) / (10 + step))
    for slow, fast in zip(ema.weights, unet.weights, strict=True):
        slow.assign(decay * slow + (1 - decay) * fast)


class ValidationMse(NamedTuple):
    """Mean squared errors at each t, `(steps,)` float64 each, on images outside the training set."""

    noise: np.ndarray  # of the predicted noise: predicting zero scores 1
    x_0: np.ndarray  # of the predicted clean image, clipped to [-1, 1] as in sampling


def validation_mse(
    denoiser: Denoiser, images: np.ndarray, labels: np.ndarray, *, per_image: int = 20, seed: int = 0
) -> ValidationMse:
    """The network's errors on images `(n, 28, 28)` uint8 with labels `(n,)`, n at least schedule.steps.

    Every image is noised to `per_image` different t, spread so that each t sees equally many images.
    Raises `ValueError` for fewer images.
    """
    schedule = denoiser.schedule
    if len(images) < schedule.steps:
        raise ValueError(f"images must be at least {schedule.steps}, one for each t, not {len(images)}.")

    @tf.function(reduce_retracing=True)
    def errors(
        x_0: tf.Tensor, t: tf.Tensor, y: tf.Tensor, sample_ids: tf.Tensor, round_: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        noise = per_sample_noise(seed, sample_ids, tuple(x_0.shape[1:]), step=round_)  # (batch, 28, 28, 1)
        x_t = add_noise(schedule, x_0, t, noise)
        image, predicted = predict(denoiser, x_t, t, y)
        both = [noise - predicted, x_0 - tf.clip_by_value(image, -1.0, 1.0)]  # (batch, 28, 28, 1) each
        return tuple(tf.reduce_mean(tf.square(error), axis=(1, 2, 3)) for error in both)  # (batch,) each

    total, count, batch_size = np.zeros((2, schedule.steps)), np.zeros(schedule.steps), 250
    for first in range(0, len(images), batch_size):
        x_0 = to_model_range(images[first : first + batch_size])
        y = tf.constant(labels[first : first + batch_size], tf.int32)
        sample_ids = np.arange(first, first + len(x_0))
        for round_ in range(per_image):
            t = ((sample_ids + round_ * schedule.steps // per_image) % schedule.steps).astype(np.int32)
            found = errors(x_0, tf.constant(t), y, tf.constant(sample_ids), tf.constant(round_))
            for row, error in zip(total, found, strict=True):
                np.add.at(row, t, error.numpy())
            np.add.at(count, t, 1)
    return ValidationMse(*(total / count))
