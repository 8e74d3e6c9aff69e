"""Algorithm 2 and its faster relatives: from pure noise to the digit that was asked for.

    python -m helpers.sampling "3141592653" --out digits.png

Derived in notebook 05. One compiled loop serves every solver: what distinguishes them is a table of numbers, see
`solvers`. What a request may be, and how typed text becomes labels, is in `request`.
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
from helpers.request import check_numbers, check_request, read_digits, read_labels
from helpers.solvers import scales_of_steps, solver_table
from helpers.unet import predict_noise

__all__ = [
    "Samples",
    "Trajectory",
    "default_settings",
    "default_steps",
    "guided_noise",
    "local_devices",
    "read_digits",
    "read_labels",
    "sample",
    "save_png",
    "solver_table",
]

BATCH_SIZE = 25  # images a batch: small enough that a 10x10 grid keeps every core busy
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
    """Network evaluations if none are asked for: Algorithm 2 takes every step, DDIM and DPM-Solver++ 20."""
    return schedule.steps if method == "ddpm" else min(20, schedule.steps)


def sample(
    unet: keras.Model,
    schedule: Schedule,
    labels: Sequence[int] | np.ndarray,
    *,
    method: str = "dpm++",
    steps: int | None = None,
    eta: float = 1.0,
    guidance_scale: float = 2.5,
    guidance_interval: tuple[int, int] | None = (40, 70),
    seed: int = 0,
    numbers: Sequence[int] | np.ndarray | None = None,
    keep: Sequence[int] | None = None,
    clip_x_0: bool = True,
) -> Samples:
    """Draw one image for each of `labels` `(n,)`: digits 0..9, or -1 for whatever digit comes.

    - `method`: "ddpm" (Algorithm 2), "ddim" (`eta` 0 is deterministic, 1 as noisy as ddpm) or "dpm++" (2M).
    - `steps`: network evaluations, 1..schedule.steps; default: all for "ddpm", 20 for "ddim" and "dpm++".
    - `guidance_scale`: 0 unconditional, 1 conditional, above 1 guided. What is above 1 acts
      only for t inside `guidance_interval` (first, last; Kynkäänniemi et al. 2024), outside it is 1. None: everywhere.
    - `seed`: image i depends on (seed, i) and its label alone, however many others are drawn with it.
    - `numbers` `(n,)`: draw these i of a larger request instead of 0..n-1.
    - `clip_x_0`: False only to show what goes wrong without; images may then leave [-1, 1].
    - `keep`: which steps (0 = the first one, pure noise) to return in `Samples.trajectory`.

    The default solver and guidance were chosen by accuracy, network passes and R, and last by what a CNN learns from
    the digits: `python -m helpers.tuning`.
    Raises `ValueError` for anything outside these, and for a network whose weights are not numbers.
    Derived in notebook 05.
    """
    steps = default_steps(schedule, method) if steps is None else steps
    labels = check_request(unet, schedule, labels, method, steps, eta, guidance_scale, guidance_interval, seed, keep)
    times, table = solver_table(schedule, method, steps, eta)
    scales = scales_of_steps(times, guidance_scale, guidance_interval)
    if np.all(labels == -1):
        scales = np.ones(steps)  # nothing to guide towards: one pass is enough

    numbers = check_numbers(numbers, len(labels))
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


def default_settings(schedule: Schedule) -> dict:
    """What `sample` does if it isn't told otherwise: method, steps, eta and guidance, by the names it takes."""
    names = ("method", "steps", "eta", "guidance_scale", "guidance_interval")
    settings = {name: sample.__kwdefaults__[name] for name in names}
    return settings | {"steps": default_steps(schedule, settings["method"])}


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
    parser.add_argument("--steps", type=int, help="network evaluations (default: dpm++ and ddim 20, ddpm 100)")
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
