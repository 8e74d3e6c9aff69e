"""Noise schedules, the forward process that destroys an image, and the posterior that undoes one step.

Equation numbers are those of Ho et al. 2020, "Denoising Diffusion Probabilistic Models", with one
shift: the paper counts t from 1 to T, the code from 0 to steps - 1. Derived in notebook 02.
"""

import helpers.tools.quiet  # noqa: F401

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import tensorflow as tf

from helpers.tools.checks import check_whole


@dataclass(frozen=True, eq=False)
class Schedule:
    """The noise that each step adds: `betas` `(steps,)` float64, each in (0, 1).

    `alpha_bars[t]` is the share of the image's variance left after step t, t in 0..steps-1. All arrays are
    float64 NumPy, computed once; TensorFlow code casts them once. Raises `ValueError` for betas outside
    (0, 1), and warns if the last step leaves a visible image: sampling starts from pure noise, which such a
    network never saw (Lin et al. 2024).
    """

    betas: np.ndarray
    name: str = "custom"

    def __post_init__(self) -> None:
        betas = np.array(self.betas, dtype=np.float64)
        if betas.ndim != 1 or len(betas) == 0 or not np.all((betas > 0) & (betas < 1)):
            raise ValueError(f"betas must be a non-empty list of numbers strictly between 0 and 1, not {self.betas}.")
        betas.flags.writeable = False
        object.__setattr__(self, "betas", betas)
        signal_left = np.sqrt(self.alpha_bars[-1])
        if signal_left > 0.05:
            warnings.warn(
                f"The {self.name} schedule ends with {signal_left:.0%} of the signal left: sampling starts from "
                "pure noise, which training on it never shows. Scale its betas by 1000 / steps.",
                stacklevel=2,
            )

    @property
    def steps(self) -> int:
        """The number of diffusion steps T."""
        return len(self.betas)

    @cached_property
    def alphas(self) -> np.ndarray:
        """`(steps,)` float64: 1 - beta, the share of variance that one step keeps."""
        return 1.0 - self.betas

    @cached_property
    def alpha_bars(self) -> np.ndarray:
        """`(steps,)` float64: the product of all alphas up to and including t (defined above eq. 4)."""
        return np.cumprod(self.alphas)

    @cached_property
    def alpha_bars_before(self) -> np.ndarray:
        """`(steps,)` float64: alpha_bar one step earlier; 1 before step 0, because nothing was added yet."""
        return np.concatenate([[1.0], self.alpha_bars[:-1]])

    @cached_property
    def logsnr(self) -> np.ndarray:
        """`(steps,)` float64: log of signal variance over noise variance; 0 where they are equal."""
        return np.log(self.alpha_bars) - np.log1p(-self.alpha_bars)

    @cached_property
    def posterior_variance(self) -> np.ndarray:
        """`(steps,)` float64: the variance of one exact reverse step (eq. 7); zero at t = 0."""
        return self.betas * (1.0 - self.alpha_bars_before) / (1.0 - self.alpha_bars)


def linear_schedule(steps: int = 100, first: float | None = None, last: float | None = None) -> Schedule:
    """Betas that rise evenly from `first` to `last` (Ho et al. 2020, section 4).

    The paper's 1e-4 and 0.02 were made for 1000 steps, so the defaults are those times 1000 / steps.
    `linear_schedule(100, 1e-4, 0.02)` is the T = 100 trap: it warns. Raises `ValueError` below 21 steps,
    where the scaled betas would reach 1.
    """
    check_whole("steps", steps, 1, 10_000)
    first = 1e-4 * 1000 / steps if first is None else first
    last = 0.02 * 1000 / steps if last is None else last
    if not 0 < first <= last < 1:
        raise ValueError(
            f"first and last must satisfy 0 < first <= last < 1, not {first:g} and {last:g} ({steps} steps)."
        )
    return Schedule(np.linspace(first, last, steps), "linear")


def cosine_schedule(steps: int = 100) -> Schedule:
    """alpha_bar falls like a squared cosine, betas capped at 0.999 (Nichol & Dhariwal 2021, eq. 17)."""
    check_whole("steps", steps, 1, 10_000)
    offset = 0.008  # keeps the first steps from being too small to see, as in the paper
    angle = (np.arange(steps + 1) / steps + offset) / (1 + offset) * np.pi / 2  # (steps + 1,)
    alpha_bars = np.cos(angle) ** 2
    return Schedule(np.minimum(1 - alpha_bars[1:] / alpha_bars[:-1], 0.999), "cosine")  # (steps,)


def naive_linear_schedule(steps: int = 100) -> Schedule:
    """The famous betas, 1e-4 to 0.02, for any number of steps. Below 1000 steps they are a trap, and it warns.

    For the experiment in notebook 02 and one of the patients in notebook 05.
    """
    check_whole("steps", steps, 1, 10_000)
    return Schedule(np.linspace(1e-4, 0.02, steps), "naive-linear")


SCHEDULES = {"cosine": cosine_schedule, "linear": linear_schedule, "naive-linear": naive_linear_schedule}


def extract(values: np.ndarray, t: int | np.ndarray | tf.Tensor) -> tf.Tensor:
    """`values[t]` as float32, shaped so that it multiplies images: t int or `(batch,)` -> `(batch or 1, 1, 1, 1)`.

    Raises `ValueError` for a t outside 0..steps-1, except inside a compiled function, where t has no value yet.
    """
    if not tf.is_symbolic_tensor(t):
        t = np.asarray(t)
        if not np.issubdtype(t.dtype, np.integer) or t.ndim > 1 or np.any((t < 0) | (t >= len(values))):
            raise ValueError(f"t must be a whole number, or a list of them, in 0..{len(values) - 1}, not {t}.")
    return tf.reshape(tf.gather(tf.constant(values, tf.float32), t), (-1, 1, 1, 1))


def per_sample_noise(
    seed: int | tf.Tensor,
    sample_ids: tf.Tensor,
    shape: tuple[int, ...],
    step: int | tf.Tensor = 0,
    draw: Callable[..., tf.Tensor] = tf.random.stateless_normal,
) -> tf.Tensor:
    """Standard normal noise `(batch, *shape)` float32. Row i depends only on (seed, sample_ids[i], step).

    `sample_ids` `(batch,)` int number the samples: each gets the same noise however the batch is split.
    Another stateless op as `draw` gives another distribution.
    """
    key = tf.random.fold_in([tf.cast(seed, tf.int64), 0], step)  # (2,)

    def one(sample_id: tf.Tensor) -> tf.Tensor:
        return draw(shape, tf.random.fold_in(key, sample_id))

    return tf.map_fn(one, tf.cast(sample_ids, tf.int64), fn_output_signature=tf.TensorSpec(shape, tf.float32))


def add_noise(schedule: Schedule, x_0: tf.Tensor, t: int | tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
    """The forward process in one jump (eq. 4): x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) noise.

    `x_0`, `noise` and the result: `(batch, 28, 28, 1)` float32, x_0 in [-1, 1]; `t` int or `(batch,)`.
    """
    return extract(np.sqrt(schedule.alpha_bars), t) * x_0 + extract(np.sqrt(1 - schedule.alpha_bars), t) * noise


def predict_x_0(schedule: Schedule, x_t: tf.Tensor, t: int | tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
    """`add_noise` solved for x_0 (eq. 15): the clean image that goes with this noise. Not clipped."""
    return (x_t - extract(np.sqrt(1 - schedule.alpha_bars), t) * noise) / extract(np.sqrt(schedule.alpha_bars), t)


def noise_from_x_0(schedule: Schedule, x_t: tf.Tensor, t: int | tf.Tensor, x_0: tf.Tensor) -> tf.Tensor:
    """`add_noise` solved for the noise: the noise that goes with this clean image."""
    return (x_t - extract(np.sqrt(schedule.alpha_bars), t) * x_0) / extract(np.sqrt(1 - schedule.alpha_bars), t)


def posterior(schedule: Schedule, x_0: tf.Tensor, x_t: tf.Tensor, t: int | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean `(batch, 28, 28, 1)` and variance `(batch or 1, 1, 1, 1)` of x_{t-1} given x_t and x_0 (eqs. 6, 7).

    At t = 0 the mean is x_0 and the variance zero, because the clean image comes before step 0.
    """
    from_x_0 = np.sqrt(schedule.alpha_bars_before) * schedule.betas / (1 - schedule.alpha_bars)
    from_x_t = np.sqrt(schedule.alphas) * (1 - schedule.alpha_bars_before) / (1 - schedule.alpha_bars)
    return extract(from_x_0, t) * x_0 + extract(from_x_t, t) * x_t, extract(schedule.posterior_variance, t)


def velocity(schedule: Schedule, x_0: tf.Tensor, t: int | tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
    """v = sqrt(alpha_bar_t) noise - sqrt(1 - alpha_bar_t) x_0 (Salimans & Ho 2022, section 4).

    A rotation turns (x_0, noise) into (x_t, v): where x_t is mostly image, v is mostly noise.
    """
    return extract(np.sqrt(schedule.alpha_bars), t) * noise - extract(np.sqrt(1 - schedule.alpha_bars), t) * x_0


def from_velocity(schedule: Schedule, x_t: tf.Tensor, t: int | tf.Tensor, v: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """(x_0, noise), by rotating (x_t, v) back. Nothing is divided, so it is accurate at every t."""
    signal, sigma = extract(np.sqrt(schedule.alpha_bars), t), extract(np.sqrt(1 - schedule.alpha_bars), t)
    return signal * x_t - sigma * v, sigma * x_t + signal * v
