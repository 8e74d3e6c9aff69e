"""Noise schedules, the forward process that destroys an image, and the posterior that undoes one step.

Equation numbers are those of Ho et al. 2020, "Denoising Diffusion Probabilistic Models", with one
shift: the paper counts t from 1 to T, the code from 0 to steps - 1. Derived in notebook 02.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import tensorflow as tf


@dataclass(frozen=True, eq=False)
class Schedule:
    """How much noise each of the steps adds: `betas` `(steps,)` float64, each in (0, 1).

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
    _check_steps(steps)
    first = 1e-4 * 1000 / steps if first is None else first
    last = 0.02 * 1000 / steps if last is None else last
    if not 0 < first <= last < 1:
        raise ValueError(
            f"first and last must satisfy 0 < first <= last < 1, not {first:g} and {last:g} ({steps} steps)."
        )
    return Schedule(np.linspace(first, last, steps), "linear")


def cosine_schedule(steps: int = 100) -> Schedule:
    """alpha_bar falls like a squared cosine, betas capped at 0.999 (Nichol & Dhariwal 2021, eq. 17)."""
    _check_steps(steps)
    offset = 0.008  # keeps the first steps from being too small to see, as in the paper
    angle = (np.arange(steps + 1) / steps + offset) / (1 + offset) * np.pi / 2  # (steps + 1,)
    alpha_bars = np.cos(angle) ** 2
    return Schedule(np.minimum(1 - alpha_bars[1:] / alpha_bars[:-1], 0.999), "cosine")  # (steps,)


def naive_linear_schedule(steps: int = 100) -> Schedule:
    """The famous betas, 1e-4 to 0.02, whatever the number of steps: below 1000 of them, a trap. It warns.

    Here for the experiment of notebook 02, and for a patient of notebook 05.
    """
    _check_steps(steps)
    return Schedule(np.linspace(1e-4, 0.02, steps), "naive-linear")


SCHEDULES = {"cosine": cosine_schedule, "linear": linear_schedule, "naive-linear": naive_linear_schedule}


def _check_steps(steps: int) -> None:
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or not 1 <= steps <= 10_000:
        raise ValueError(f"steps must be a whole number in 1..10000, not {steps}.")


def at(values: np.ndarray, t: int | np.ndarray | tf.Tensor) -> tf.Tensor:
    """`values[t]` as float32, shaped so that it multiplies images: t int or `(batch,)` -> `(batch or 1, 1, 1, 1)`.

    Raises `ValueError` for a t outside 0..steps-1 (unless it is known only while a compiled function runs).
    """
    if not tf.is_symbolic_tensor(t):
        t = np.asarray(t)
        if not np.issubdtype(t.dtype, np.integer) or t.ndim > 1 or np.any((t < 0) | (t >= len(values))):
            raise ValueError(f"t must be a whole number, or a list of them, in 0..{len(values) - 1}, not {t}.")
    return tf.reshape(tf.gather(tf.constant(values, tf.float32), t), (-1, 1, 1, 1))


def keyed_noise(
    seed: int | tf.Tensor,
    numbers: tf.Tensor,
    shape: tuple[int, ...],
    step: int | tf.Tensor = 0,
    draw: Callable[..., tf.Tensor] = tf.random.stateless_normal,
) -> tf.Tensor:
    """Standard normal noise `(batch, *shape)` float32, where row i depends on (seed, numbers[i], step) alone.

    `numbers` `(batch,)` int are the samples' own numbers: however a batch is split, they get the same noise.
    Another stateless op as `draw` gives another distribution.
    """
    key = tf.random.fold_in([tf.cast(seed, tf.int64), 0], step)  # (2,)

    def one(number: tf.Tensor) -> tf.Tensor:
        return draw(shape, tf.random.fold_in(key, number))

    return tf.map_fn(one, tf.cast(numbers, tf.int64), fn_output_signature=tf.TensorSpec(shape, tf.float32))


def add_noise(schedule: Schedule, x_0: tf.Tensor, t: int | tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
    """The forward process in one jump (eq. 4): x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) noise.

    `x_0`, `noise` and the result: `(batch, 28, 28, 1)` float32, x_0 in [-1, 1]; `t` int or `(batch,)`.
    """
    return at(np.sqrt(schedule.alpha_bars), t) * x_0 + at(np.sqrt(1 - schedule.alpha_bars), t) * noise


def predict_x_0(schedule: Schedule, x_t: tf.Tensor, t: int | tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
    """`add_noise` solved for x_0 (eq. 15): what the image is, if the noise in x_t is known. Not clipped."""
    return (x_t - at(np.sqrt(1 - schedule.alpha_bars), t) * noise) / at(np.sqrt(schedule.alpha_bars), t)


def noise_from_x_0(schedule: Schedule, x_t: tf.Tensor, t: int | tf.Tensor, x_0: tf.Tensor) -> tf.Tensor:
    """`add_noise` solved for the noise: what was added, if the image is known."""
    return (x_t - at(np.sqrt(schedule.alpha_bars), t) * x_0) / at(np.sqrt(1 - schedule.alpha_bars), t)


def posterior(schedule: Schedule, x_0: tf.Tensor, x_t: tf.Tensor, t: int | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean `(batch, 28, 28, 1)` and variance `(batch or 1, 1, 1, 1)` of x_{t-1} given x_t and x_0 (eqs. 6, 7).

    At t = 0 the mean is x_0 and the variance zero: one step before step 0 is the clean image.
    """
    from_x_0 = np.sqrt(schedule.alpha_bars_before) * schedule.betas / (1 - schedule.alpha_bars)
    from_x_t = np.sqrt(schedule.alphas) * (1 - schedule.alpha_bars_before) / (1 - schedule.alpha_bars)
    return at(from_x_0, t) * x_0 + at(from_x_t, t) * x_t, at(schedule.posterior_variance, t)


def velocity(schedule: Schedule, x_0: tf.Tensor, t: int | tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
    """v = sqrt(alpha_bar_t) noise - sqrt(1 - alpha_bar_t) x_0 (Salimans & Ho 2022, section 4).

    (x_0, noise) turned by an angle into (x_t, v): where the one is mostly image, the other is mostly noise.
    """
    return at(np.sqrt(schedule.alpha_bars), t) * noise - at(np.sqrt(1 - schedule.alpha_bars), t) * x_0


def from_velocity(schedule: Schedule, x_t: tf.Tensor, t: int | tf.Tensor, v: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """(x_0, noise), by turning (x_t, v) back; nothing is divided, so it is exact at every t."""
    signal, sigma = at(np.sqrt(schedule.alpha_bars), t), at(np.sqrt(1 - schedule.alpha_bars), t)
    return signal * x_t - sigma * v, sigma * x_t + signal * v
