"""Algorithm 2 and its faster relatives: from pure noise to the requested digit.

One compiled loop serves every solver; the solvers differ only in a table of numbers, see `solvers`. Derived in
notebook 05.
"""

import helpers.tools.quiet  # noqa: F401

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from joblib import cpu_count

from helpers.diffusion import Schedule, per_sample_noise
from helpers.sampling.labels import check_keep, check_request_labels, check_sample_ids
from helpers.sampling.solvers import METHODS, nfe, sampling_times, scales_of_steps, solver_table
from helpers.tools.checks import check_choice, check_number, check_whole
from helpers.tools.once import made_once
from helpers.tools.progress import progress_bar
from helpers.unet import Denoiser, UNetConfig, predict

BATCH_SIZE = 25  # images per batch: small enough that a 10x10 grid keeps every core busy
THREADS = 2 * cpu_count()  # batches at a time: one batch alone leaves cores waiting after each operation
FEW_STEPS = 20  # of "ddim" and "dpm++", if no number is given


@dataclass(frozen=True)
class SamplerSettings:
    """The solver, its steps and the guidance. The defaults are the course's choice, made without the test set.

    `python -m helpers tune` measured what they were chosen by: accuracy, NFE, R, and how well a CNN learns from the
    digits. Raises `ValueError` for an invalid setting.
    """

    method: str = "dpm++"  # "ddpm" is Algorithm 2, "ddim" Song et al.'s solver, "dpm++" DPM-Solver++(2M)
    steps: int | None = None  # 1..schedule.steps; None: all of them for "ddpm", 20 for the others
    eta: float = 0.0  # share of fresh noise in "ddim" and "dpm++": 0 is deterministic, 1 as noisy as "ddpm"
    guidance_scale: float = 2.5  # 0 unconditional, 1 conditional, above 1 guided
    guidance_interval: tuple[int, int] | None = (40, 70)  # the t, first to last, where a scale above 1 acts; None: all

    def __post_init__(self) -> None:
        check_choice("method", self.method, METHODS)
        if self.steps is not None:
            object.__setattr__(self, "steps", check_whole("steps", self.steps, 1))
        check_number("eta", self.eta, 0, 1)
        check_number("guidance_scale", self.guidance_scale, 0, 1e6)
        interval = self.guidance_interval
        if interval is not None:
            if not isinstance(interval, tuple | list) or len(interval) != 2:
                raise ValueError(f"guidance_interval must be (first, last) or None, not {interval!r}.")
            first = check_whole("guidance_interval's first t", interval[0], 0)
            last = check_whole("guidance_interval's last t", interval[1], first)
            object.__setattr__(self, "guidance_interval", (first, last))

    def on(self, schedule: Schedule) -> "SamplerSettings":
        """The same settings with the number of steps filled in.

        Raises `ValueError` for more steps than the schedule has.
        """
        steps = self.steps
        if steps is None:
            steps = schedule.steps if self.method == "ddpm" else min(FEW_STEPS, schedule.steps)
        return replace(self, steps=check_whole("steps", steps, 1, schedule.steps))

    def scales(self, schedule: Schedule) -> np.ndarray:
        """The guidance scale of each step, `(steps,)` float64."""
        times = sampling_times(schedule, self.on(schedule).steps)
        return scales_of_steps(times, self.guidance_scale, self.guidance_interval)

    def nfe(self, schedule: Schedule) -> int:
        """Network passes per image: one per step, and two where guidance acts."""
        return nfe(self.scales(schedule))


def default_settings(config: UNetConfig) -> SamplerSettings:
    """What `sample` does with a network if no settings are given: the course's choice, or what it was distilled for."""
    steps = config.distilled_steps
    return SamplerSettings("ddim", steps, eta=0.0, guidance_scale=1.0) if steps else SamplerSettings()


class Trajectory(NamedTuple):
    """The sampler's images at the steps in `keep`, in the order of sampling: t falls."""

    t: np.ndarray  # (kept,) int32
    x_t: np.ndarray  # (kept, n, 28, 28, 1) float32: the noisy images that entered the network
    x_0: np.ndarray  # (kept, n, 28, 28, 1) float32: the clean images predicted from them, clipped


class Samples(NamedTuple):
    """`images` `(n, 28, 28, 1)` float32 in [-1, 1], in the order of the labels; a `trajectory` if `keep` was given."""

    images: np.ndarray
    trajectory: Trajectory | None


def guided(
    denoiser: Denoiser, x_t: tf.Tensor, t: tf.Tensor, labels: tf.Tensor, guidance_scale: float | tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """(x_0, noise), each uncond + guidance_scale * (cond - uncond): Ho & Salimans 2022, eq. 6, with w = scale - 1.

    x_0 is linear in the noise, so the same formula guides both. Scale 0 is unconditional and 1 conditional, in one
    network pass; any other scale takes both in one doubled batch. Shapes as in `predict`. Derived in notebook 05.
    """

    def one_pass() -> tuple[tf.Tensor, tf.Tensor]:
        return predict(denoiser, x_t, t, tf.where(tf.equal(guidance_scale, 0.0), -1, labels))

    def mixture(both: tf.Tensor) -> tf.Tensor:
        cond, uncond = tf.split(both, 2)  # (batch, ...) each
        return uncond + guidance_scale * (cond - uncond)

    def two_passes() -> tuple[tf.Tensor, tf.Tensor]:
        both_labels = tf.concat([labels, -tf.ones_like(labels)], axis=0)  # (2 batch,)
        both_x_t, both_t = tf.concat([x_t, x_t], axis=0), tf.concat([t, t], axis=0)  # (2 batch, ...)
        x_0, noise = predict(denoiser, both_x_t, both_t, both_labels)
        return mixture(x_0), mixture(noise)

    return tf.cond(tf.equal(guidance_scale, 0.0) | tf.equal(guidance_scale, 1.0), one_pass, two_passes)


def guided_noise(
    denoiser: Denoiser, x_t: tf.Tensor, t: tf.Tensor, labels: tf.Tensor, guidance_scale: float | tf.Tensor
) -> tf.Tensor:
    """The noise alone of `guided`: noise_uncond + guidance_scale * (noise_cond - noise_uncond)."""
    return guided(denoiser, x_t, t, labels, guidance_scale)[1]


@made_once  # compiled once per network, then used for any labels, solver and guidance
def _compiled_loop(denoiser: Denoiser, clip_x_0: bool, record: bool) -> Callable[..., tuple]:
    config = denoiser.config
    shape = (config.image_size, config.image_size, config.channels)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.int32),  # labels
            tf.TensorSpec([None], tf.int64),  # sample_ids: the number of each image in its request
            tf.TensorSpec([], tf.int64),  # seed
            tf.TensorSpec([None], tf.int32),  # times
            tf.TensorSpec([None, 4], tf.float32),  # the solver's table
            tf.TensorSpec([None], tf.float32),  # guidance scale of each step
        ]
    )
    def loop(
        labels: tf.Tensor, sample_ids: tf.Tensor, seed: tf.Tensor, times: tf.Tensor, table: tf.Tensor, scales: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        x_t = per_sample_noise(seed, sample_ids, shape)  # Algorithm 2, line 1
        x_0_before = tf.zeros_like(x_t)
        x_ts = tf.TensorArray(tf.float32, tf.shape(times)[0], element_shape=(None, *shape))
        x_0s = tf.TensorArray(tf.float32, tf.shape(times)[0], element_shape=(None, *shape))
        for i in tf.range(tf.shape(times)[0]):
            t = tf.fill(tf.shape(labels), times[i])  # (batch,)
            x_0, _ = guided(denoiser, x_t, t, labels, scales[i])
            if clip_x_0:
                # No image is outside [-1, 1]. The tables are written in x_0: the noise follows from the clipped x_0.
                x_0 = tf.clip_by_value(x_0, -1.0, 1.0)
            if record:
                x_ts, x_0s = x_ts.write(i, x_t), x_0s.write(i, x_0)
            x_t = table[i, 0] * x_t + table[i, 1] * x_0 + table[i, 2] * x_0_before
            if table[i, 3] > 0:
                x_t += table[i, 3] * per_sample_noise(seed, sample_ids, shape, step=times[i] + 1)
            x_0_before = x_0
        return x_t, (x_ts.stack(), x_0s.stack()) if record else ()  # (steps, batch, 28, 28, 1) each

    return loop.get_concrete_function()  # compiled here, once


def local_devices() -> list[str]:
    """The devices that share a request's batches: every GPU, or without one the CPU."""
    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    return [device.name for device in tf.config.list_logical_devices(kind)]


def sample(
    denoiser: Denoiser,
    labels: Sequence[int] | np.ndarray,
    settings: SamplerSettings | None = None,
    *,
    seed: int = 0,
    sample_ids: Sequence[int] | np.ndarray | None = None,
    keep: Sequence[int] | None = None,
    clip_x_0: bool = True,
    progress: bool = False,
) -> Samples:
    """Draw one image for each of `labels` `(n,)`: digits 0..9, or -1 for any digit.

    - `settings`: solver, steps and guidance, see `SamplerSettings`; None: see `default_settings`. A distilled network
      has no others.
    - `seed`: image i depends only on (seed, i) and its label, however many others are drawn with it.
    - `sample_ids` `(n,)`: draw these i of a larger request instead of 0..n-1.
    - `keep`: the steps (0 = the first one, pure noise) to return in `Samples.trajectory`.
    - `clip_x_0`: False only to show what goes wrong without clipping; images may then leave [-1, 1].

    Raises `ValueError` for anything outside these, and for a network whose weights are not finite numbers.
    Derived in notebook 05.
    """
    labels = check_request_labels(labels, denoiser.config)
    default = default_settings(denoiser.config)
    settings = default if settings is None else settings
    if not isinstance(settings, SamplerSettings):
        raise ValueError(f"settings must be SamplerSettings(...), not {settings!r:.60}.")
    settings = settings.on(denoiser.schedule)
    if denoiser.config.distilled_steps and settings != default:
        raise ValueError(f"settings must be left out: the network was distilled for {default}, not for {settings}.")
    check_whole("seed", seed, 0, 2**63 - 1)
    sample_ids = check_sample_ids(sample_ids, len(labels))
    kept = None if keep is None else check_keep(keep, settings.steps, len(labels))
    if not all(np.isfinite(weight).all() for weight in denoiser.unet.get_weights()):
        raise ValueError("denoiser has weights that are not finite numbers; load it again with load_denoiser().")
    times, table = solver_table(denoiser.schedule, settings.method, settings.steps, settings.eta)
    scales = settings.scales(denoiser.schedule)
    if np.all(labels == -1):
        scales = np.ones(settings.steps)  # nothing to guide towards: one pass is enough
    loop = _compiled_loop(denoiser, clip_x_0, kept is not None)
    devices = local_devices()

    def draw(start: int) -> tuple[np.ndarray, ...]:
        part = slice(start, start + BATCH_SIZE)
        request = (labels[part], sample_ids[part], np.int64(seed), times, np.float32(table), np.float32(scales))
        with tf.device(devices[start // BATCH_SIZE % len(devices)]):  # the weights are read from where they lie
            drawn, frames = loop(*request)
        return drawn.numpy(), *(frame.numpy()[kept] for frame in frames)  # x_t and x_0: (kept, batch, 28, 28, 1)

    starts = range(0, len(labels), BATCH_SIZE)
    with ThreadPoolExecutor(THREADS) as pool:  # TensorFlow computes outside Python's lock
        batches = progress_bar(pool.map(draw, starts), total=len(starts), unit="batch", shown=progress)
        images, *frames = zip(*batches, strict=True)
    trajectory = None
    if kept is not None:
        trajectory = Trajectory(times[kept], *(np.concatenate(frame, axis=1) for frame in frames))
    return Samples(np.concatenate(images), trajectory)
