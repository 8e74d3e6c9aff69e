"""Algorithm 2 and its faster relatives: from pure noise to the digit that was asked for.

    python -m helpers.sampling "3141592653" --out digits.png

Derived in notebook 05. Every solver here is a table: four numbers per step that say how much of x_t, of the
predicted x_0, of the x_0 predicted one step before, and of fresh noise make up the next image. One compiled
loop serves them all.
"""

import functools
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from helpers.checkpoints import SHIPPED, load_unet
from helpers.command_line import CommandLine, one_line_errors
from helpers.data import to_pixels
from helpers.diffusion import Schedule, keyed_noise, predict_x_0
from helpers.files import write_aside
from helpers.pictures import encode_png, enlargement, image_grid
from helpers.unet import UNetConfig, predict_noise

BATCH_SIZE = 25  # images a batch: small enough that a 10x10 grid keeps every core busy
MOST_DIGITS = 10_000  # of one request: their picture has 125 million pixels
THREADS = 2 * (os.cpu_count() or 1)  # batches at a time: one batch alone leaves cores waiting after each operation


class Trajectory(NamedTuple):
    """What the sampler saw at the steps that `keep` named, in the order of sampling: t falls."""

    t: np.ndarray  # (kept,) int32
    x_t: np.ndarray  # (kept, n, 28, 28, 1) float32: the noisy images that the network was shown
    x_0: np.ndarray  # (kept, n, 28, 28, 1) float32: the clean images it predicted there, clipped


class Samples(NamedTuple):
    """`images` `(n, 28, 28, 1)` float32 in [-1, 1], in the order of the labels; `trajectory` if asked for."""

    images: np.ndarray
    trajectory: Trajectory | None


def sampling_times(schedule: Schedule, steps: int) -> np.ndarray:
    """The t at which the network is asked, `(steps,)` int32, falling, evenly spaced, from the last step on.

    "Trailing" spacing (Lin et al. 2024, section 3.3): it always starts where training saw the most noise.
    """
    return np.rint(np.arange(steps, 0, -1) * schedule.steps / steps).astype(np.int32) - 1


def _alpha_bars(schedule: Schedule, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """alpha_bar at each of the times and at the one after it, where "after the last" is the clean image: 1."""
    here = schedule.alpha_bars[times]  # (steps,)
    return here, np.append(here[1:], 1.0)  # (steps,)


def ancestral_table(schedule: Schedule, times: np.ndarray) -> np.ndarray:
    """Ho et al. 2020, Algorithm 2 with the posterior's mean and variance (eqs. 6, 7): `(steps, 4)` float64.

    Between times that are not neighbours, beta is that of the jump from one to the other.
    """
    alpha_bar, alpha_bar_next = _alpha_bars(schedule, times)
    beta = 1 - alpha_bar / alpha_bar_next
    from_x_t = np.sqrt(1 - beta) * (1 - alpha_bar_next) / (1 - alpha_bar)
    from_x_0 = np.sqrt(alpha_bar_next) * beta / (1 - alpha_bar)
    sigma = np.sqrt(beta * (1 - alpha_bar_next) / (1 - alpha_bar))
    return np.stack([from_x_t, from_x_0, np.zeros_like(beta), sigma], axis=-1)  # (steps, 4)


def ddim_table(schedule: Schedule, times: np.ndarray, eta: float) -> np.ndarray:
    """Song et al. 2021 (DDIM), eq. 12 with sigma from eq. 16: `(steps, 4)` float64. eta 0: no fresh noise.

    Their noise prediction is written as (x_t - sqrt(alpha_bar) x_0) / sqrt(1 - alpha_bar), so that it follows
    the clipped x_0.
    """
    alpha_bar, alpha_bar_next = _alpha_bars(schedule, times)
    sigma = eta * np.sqrt((1 - alpha_bar_next) / (1 - alpha_bar) * (1 - alpha_bar / alpha_bar_next))
    # eta = 1 at the last step is 1 - 1 - 0: rounding may put it a hair below zero.
    of_noise = np.sqrt(np.maximum(1 - alpha_bar_next - sigma**2, 0))
    from_x_t = of_noise / np.sqrt(1 - alpha_bar)
    from_x_0 = np.sqrt(alpha_bar_next) - from_x_t * np.sqrt(alpha_bar)
    return np.stack([from_x_t, from_x_0, np.zeros_like(sigma), sigma], axis=-1)  # (steps, 4)


def dpm_solver_table(schedule: Schedule, times: np.ndarray) -> np.ndarray:
    """Lu et al. 2022 (DPM-Solver++), Algorithm 2 ("2M"): `(steps, 4)` float64, second order, no fresh noise.

    The first step has no earlier prediction, and the last one ends at zero noise, where the formula's step
    in log(signal / noise) is infinite: both are first-order.
    """
    alpha_bar, alpha_bar_next = _alpha_bars(schedule, times)
    half_logsnr = schedule.logsnr[times] / 2  # their lambda
    h = np.append(np.diff(half_logsnr), np.inf)  # (steps,)
    of_prediction = np.sqrt(alpha_bar_next) * -np.expm1(-h)
    half_slope = np.zeros(len(times))  # 1 / (2 r) with r = h_before / h
    half_slope[1:-1] = h[1:-1] / (2 * h[:-2])
    from_x_t = np.sqrt((1 - alpha_bar_next) / (1 - alpha_bar))
    columns = [from_x_t, of_prediction * (1 + half_slope), -of_prediction * half_slope, np.zeros(len(times))]
    return np.stack(columns, axis=-1)  # (steps, 4)


def solver_table(schedule: Schedule, method: str, steps: int, eta: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """(times `(steps,)`, table `(steps, 4)`) of "ddpm", "ddim" or "dpm++"; `eta` matters to "ddim" alone."""
    times = sampling_times(schedule, steps)
    if method == "ddim":
        return times, ddim_table(schedule, times, eta)
    return times, {"ddpm": ancestral_table, "dpm++": dpm_solver_table}[method](schedule, times)


def guided_noise(
    unet: keras.Model,
    schedule: Schedule,
    x_t: tf.Tensor,
    t: tf.Tensor,
    labels: tf.Tensor,
    guidance_scale: float | tf.Tensor,
) -> tf.Tensor:
    """noise_uncond + guidance_scale * (noise_cond - noise_uncond): Ho & Salimans 2022, eq. 6, with w = scale - 1.

    Scale 0 is unconditional and 1 conditional, in one network pass; anything else takes both in one doubled
    batch. Shapes as in `predict_noise`. Derived in notebook 05.
    """

    def one_pass() -> tf.Tensor:
        return predict_noise(unet, schedule, x_t, t, tf.where(tf.equal(guidance_scale, 0.0), -1, labels))

    def both() -> tf.Tensor:
        both_labels = tf.concat([labels, -tf.ones_like(labels)], axis=0)  # (2 batch,)
        both_x_t, both_t = tf.concat([x_t, x_t], axis=0), tf.concat([t, t], axis=0)  # (2 batch, ...)
        noise_cond, noise_uncond = tf.split(
            predict_noise(unet, schedule, both_x_t, both_t, both_labels), 2
        )  # (batch, ...)
        return noise_uncond + guidance_scale * (noise_cond - noise_uncond)

    return tf.cond(tf.equal(guidance_scale, 0.0) | tf.equal(guidance_scale, 1.0), one_pass, both)


@functools.lru_cache(maxsize=8)  # compiled once for a network, then used for any labels, solver and guidance
def _compiled_loop(unet: keras.Model, schedule: Schedule, clip_x_0: bool, record: bool) -> Callable[..., tuple]:
    config = unet.unet_config
    shape = (config.image_size, config.image_size, config.channels)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.int32),  # labels
            tf.TensorSpec([None], tf.int64),  # numbers: which image of the request each one is
            tf.TensorSpec([], tf.int64),  # seed
            tf.TensorSpec([None], tf.int32),  # times
            tf.TensorSpec([None, 4], tf.float32),  # the solver's table
            tf.TensorSpec([None], tf.float32),  # guidance scale of each step
        ]
    )
    def loop(
        labels: tf.Tensor,
        numbers: tf.Tensor,
        seed: tf.Tensor,
        times: tf.Tensor,
        table: tf.Tensor,
        scales: tf.Tensor,
    ) -> tuple[tf.Tensor, tuple]:
        x_t = keyed_noise(seed, numbers, shape)  # Algorithm 2, line 1
        x_0_before = tf.zeros_like(x_t)
        x_ts = tf.TensorArray(tf.float32, tf.shape(times)[0], element_shape=(None, *shape))
        x_0s = tf.TensorArray(tf.float32, tf.shape(times)[0], element_shape=(None, *shape))
        for i in tf.range(tf.shape(times)[0]):
            t = tf.fill(tf.shape(labels), times[i])  # (batch,)
            x_0 = predict_x_0(schedule, x_t, t, guided_noise(unet, schedule, x_t, t, labels, scales[i]))
            if clip_x_0:
                # Near t = T the division by sqrt(alpha_bar) blows errors up; no image is outside [-1, 1]. The
                # noise is recomputed from the clipped x_0: the tables are written in x_0 for that reason.
                x_0 = tf.clip_by_value(x_0, -1.0, 1.0)
            if record:
                x_ts, x_0s = x_ts.write(i, x_t), x_0s.write(i, x_0)
            x_t = table[i, 0] * x_t + table[i, 1] * x_0 + table[i, 2] * x_0_before
            if table[i, 3] > 0:
                x_t += table[i, 3] * keyed_noise(seed, numbers, shape, step=times[i] + 1)
            x_0_before = x_0
        return x_t, (x_ts.stack(), x_0s.stack()) if record else ()  # (steps, batch, 28, 28, 1) each

    return loop.get_concrete_function()  # compiled here and once: threads that meet a new function all compile it


def local_devices() -> list[str]:
    """What a request's batches are dealt out to: every GPU; without one, the CPU."""
    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    return [device.name for device in tf.config.list_logical_devices(kind)]


def default_steps(schedule: Schedule, method: str) -> int:
    """Network evaluations if none are asked for: Algorithm 2 takes every step, DDIM 20, DPM-Solver++ 10."""
    return min({"ddim": 20, "dpm++": 10}.get(method, schedule.steps), schedule.steps)


def sample(
    unet: keras.Model,
    schedule: Schedule,
    labels: Sequence[int] | np.ndarray,
    *,
    method: str = "dpm++",
    steps: int | None = None,
    eta: float = 1.0,
    guidance_scale: float = 1.5,
    guidance_interval: tuple[int, int] | None = None,
    seed: int = 0,
    numbers: Sequence[int] | np.ndarray | None = None,
    keep: Sequence[int] | None = None,
    clip_x_0: bool = True,
) -> Samples:
    """Draw one image for each of `labels` `(n,)`: digits 0..9, or -1 for whatever digit comes.

    - `method`: "ddpm" (Algorithm 2), "ddim" (`eta` 0 is deterministic, 1 as noisy as ddpm) or "dpm++" (2M).
    - `steps`: network evaluations, 1..schedule.steps; default: all for "ddpm", 20 for "ddim", 10 for "dpm++".
    - `guidance_scale`: 0 unconditional, 1 conditional, above 1 guided; only for t inside
      `guidance_interval` (first, last), 1 outside it. Default: everywhere.
    - `seed`: image i depends on (seed, i) and its label alone, however many others are drawn with it.
    - `numbers` `(n,)`: draw these i of a larger request instead of 0..n-1.
    - `keep`: which steps (0 = the first one, pure noise) to return in `Samples.trajectory`.

    The default solver and scale were chosen by accuracy, R and coverage together: `python -m helpers.tuning`.
    Raises `ValueError` for anything outside these, and for a network whose weights are not numbers.
    Derived in notebook 05.
    """
    steps = default_steps(schedule, method) if steps is None else steps
    labels = _check_request(unet, schedule, labels, method, steps, eta, guidance_scale, guidance_interval, seed, keep)
    times, table = solver_table(schedule, method, steps, eta)
    first, last = guidance_interval or (0, schedule.steps - 1)
    scales = np.where((times >= first) & (times <= last), guidance_scale, 1.0)  # (steps,)
    if np.all(labels == -1):
        scales = np.ones(steps)  # nothing to guide towards: one pass is enough

    numbers = _check_numbers(numbers, len(labels))
    loop = _compiled_loop(unet, schedule, clip_x_0, keep is not None)
    devices = local_devices()

    def draw(start: int) -> tuple[np.ndarray, ...]:
        part = slice(start, start + BATCH_SIZE)
        request = (labels[part], numbers[part], np.int64(seed), times, np.float32(table), np.float32(scales))
        with tf.device(devices[start // BATCH_SIZE % len(devices)]):  # the weights are read from where they lie
            drawn, frames = loop(*request)
        return drawn.numpy(), *(kept.numpy()[list(keep)] for kept in frames)  # x_t and x_0: (kept, batch, 28, 28, 1)

    with ThreadPoolExecutor(THREADS) as pool:  # TensorFlow computes outside Python's lock
        images, *frames = zip(*pool.map(draw, range(0, len(labels), BATCH_SIZE)), strict=True)
    trajectory = None
    if keep is not None:
        trajectory = Trajectory(times[list(keep)], *(np.concatenate(kept, axis=1) for kept in frames))
    return Samples(np.concatenate(images), trajectory)


def _check_request(
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
    """The labels as `(n,)` int32, or a `ValueError` that names what is wrong with the request."""
    largest = unet.unet_config.num_classes - 1
    given, labels = labels, np.asarray(labels)
    if labels.ndim != 1 or len(labels) == 0 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels must be a non-empty list of whole numbers, not {given!r}.")
    if labels.min() < -1 or labels.max() > largest:
        wrong = labels[(labels < -1) | (labels > largest)][0]
        raise ValueError(f"labels must be in 0..{largest}, or -1 for no digit given, not {wrong}.")
    if method not in ("ddpm", "ddim", "dpm++"):
        raise ValueError(f"method must be 'ddpm', 'ddim' or 'dpm++', not {method!r}.")
    if not isinstance(steps, int | np.integer) or not 1 <= steps <= schedule.steps:
        raise ValueError(f"steps must be a whole number in 1..{schedule.steps}, not {steps!r}.")
    if not 0 <= eta <= 1:
        raise ValueError(f"eta must be in [0, 1], not {eta!r}.")
    if not 0 <= guidance_scale < np.inf:
        raise ValueError(f"guidance_scale must be a number of at least 0, not {guidance_scale!r}.")
    if guidance_interval is not None and not 0 <= guidance_interval[0] <= guidance_interval[1] < schedule.steps:
        raise ValueError(
            f"guidance_interval must be (first, last) with 0 <= first <= last <= {schedule.steps - 1}, "
            f"not {guidance_interval!r}."
        )
    if not isinstance(seed, int | np.integer) or not 0 <= seed < 2**63:
        raise ValueError(f"seed must be a whole number of at least 0, not {seed!r}.")
    if keep is not None and not all(isinstance(k, int | np.integer) and 0 <= k < steps for k in keep):
        raise ValueError(f"keep must name steps in 0..{steps - 1}, not {list(keep)}.")
    if not all(np.isfinite(weight).all() for weight in unet.get_weights()):
        raise ValueError("unet has weights that are not finite numbers; load it again with load_unet().")
    return labels.astype(np.int32)


def _check_numbers(numbers: Sequence[int] | np.ndarray | None, count: int) -> np.ndarray:
    numbers = np.arange(count) if numbers is None else np.asarray(numbers)
    if numbers.shape != (count,) or not np.issubdtype(numbers.dtype, np.integer) or numbers.min() < 0:
        raise ValueError(f"numbers must be {count} whole numbers of at least 0, one a label.")
    return numbers.astype(np.int64)


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


def save_png(path: str | Path, images: np.ndarray, columns: int = 20, enlarge: int = 4) -> None:
    """Write images `(n, 28, 28, 1 or 3)` in [-1, 1] as one PNG, row by row, each pixel `enlarge` times as large."""
    picture = image_grid(to_pixels(images), columns, enlarge)
    with write_aside(path) as temporary:
        temporary.write_bytes(encode_png(picture))


@one_line_errors
def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = CommandLine(prog="python -m helpers.sampling", description="Draw handwritten digits.")
    parser.add_argument("digits", help='what to draw: "3141592653", or class names with commas between them')
    parser.add_argument("--out", type=Path, default=Path("digits.png"), help="PNG to write (default %(default)s)")
    parser.add_argument("--weights", type=Path, default=SHIPPED, help="folder of a trained network")
    defaults = sample.__kwdefaults__
    parser.add_argument("--method", default=defaults["method"], help="ddpm, ddim or dpm++ (default %(default)s)")
    parser.add_argument("--steps", type=int, help="network evaluations (default: dpm++ 10, ddim 20, ddpm 100)")
    parser.add_argument("--guidance-scale", type=float, default=defaults["guidance_scale"])
    parser.add_argument("--seed", type=int, default=0, help="another seed draws other digits")
    parser.add_argument("--moments", type=int, default=1, help="how many of the way from noise, one below the other")
    args = parser.parse_args(arguments)
    if args.out.suffix != ".png" or args.out.is_dir():
        raise ValueError(f"--out must be a file that ends in .png, not {args.out.name!r}.")
    unet, schedule = load_unet(args.weights)
    config = unet.unet_config
    labels = read_labels(args.digits, config)
    steps = default_steps(schedule, args.method) if args.steps is None else args.steps
    if not 1 <= args.moments <= steps + 1:
        raise ValueError(f"--moments must be in 1..{steps + 1} with {steps} steps, not {args.moments}.")
    options = {"method": args.method, "steps": steps, "guidance_scale": args.guidance_scale, "seed": args.seed}
    # The finished digits are the last moment; the others are spread over the steps, the noise first.
    keep = np.linspace(0, steps, args.moments, dtype=int)[:-1] if args.moments > 1 else None
    images, trajectory = sample(unet, schedule, labels, **options, keep=keep)
    if trajectory is not None:
        images = np.concatenate([*trajectory.x_t, images])  # (moments n, 28, 28, 1)
    columns = 20 if trajectory is None else len(labels)
    save_png(args.out, images, columns, enlargement(config.image_size, 112))
    print(f"{len(labels)} {'digits' if config.kind == 'digit' else 'pictures'} in {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
