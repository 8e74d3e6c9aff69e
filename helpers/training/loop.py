"""Running Algorithm 1: updates, checkpoints and resuming, on one CPU, several GPUs or several machines.

Derived in notebook 04. `python -m helpers train` runs it.
"""

import helpers.tools.quiet  # noqa: F401

import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from helpers.checkpoints import FILES
from helpers.data import digest_of
from helpers.tools.checks import check_number, check_whole
from helpers.tools.distributed import any_worker, check_alike, is_chief, lost_workers_named, versions
from helpers.tools.files import as_path, newest
from helpers.tools.locks import held
from helpers.tools.progress import progress_bar
from helpers.tools.signals import stops_noted
from helpers.training.objective import ALGORITHM_1, Objective, TrainingConfig
from helpers.training.trainer import CHECKPOINT, Trainer, batches, recipe_of
from helpers.unet import Denoiser, UNetConfig

if TYPE_CHECKING:
    from tqdm import tqdm


def train(
    unet_config: UNetConfig,
    config: TrainingConfig,
    images: np.ndarray,
    labels: np.ndarray,
    out: str | Path | None = None,
    *,
    replace: bool = False,
    strategy: tf.distribute.Strategy | None = None,
    streams: int = 1,
    data_name: str = "MNIST",
    objective: Objective = ALGORITHM_1,
    history_every: int = 50,
    save_every_seconds: float = 180.0,
    progress: bool = True,
) -> tuple[Denoiser, list[dict]]:
    """Train on uint8 `images` `(n, 28, 28)` and `labels` `(n,)`; returns (the EMA network, its history).

    - `out`: the folder for checkpoints and the result. A checkpoint of the same recipe and data is resumed from, with
      the losses that an uninterrupted run would have had. Without a folder nothing is written.
    - `replace`: start anew, whatever the folder holds.
    - `streams`: pieces that a device cuts its batch into, to compute them side by side; see `one_stream_per_core`.
    - `data_name`: is written beside the data's SHA-256 into config.json, which decides what the data is.
    - `objective`: the loss and the first weights, if they aren't Algorithm 1's and random.
    - `history_every`: steps per row of the history, which has the step, the mean loss and the seconds of training.

    Ctrl-C saves, then raises `KeyboardInterrupt`. Pictures of another size or with colours, `(n, size, size, 3)`, need
    another `unet_config`: see `network_for`.
    Raises `FloatingPointError` if the loss is no longer a number; the last checkpoint is kept. Raises `ValueError` for
    images or labels that don't fit the network, a batch that can't be split evenly, a folder with another training or a
    finished network, a worker with other settings than the first; `WorkerLost` if another worker ended.
    """
    images, labels = _checked_data(images, labels, unet_config, config.batch_size)
    check_whole("streams", streams, 1)
    check_whole("history_every", history_every, 1)
    check_number("save_every_seconds", save_every_seconds, 0)
    strategy = strategy or tf.distribute.get_strategy()
    data = {"data": data_name, "data_sha256": digest_of(images, labels)}
    out = None if out is None else as_path(out)
    writes = out is not None and is_chief(strategy)
    with held(out) if writes else nullcontext(), lost_workers_named(strategy):
        if writes and not replace:
            _check_folder(out)
        # The version first, because only the same version has the same list of settings. And before there is a network,
        # because workers whose networks differ in shape couldn't even tell each other so.
        check_alike(strategy, {"version": versions()})
        recipe = recipe_of(unet_config, config, objective.facts)
        facts = {"data set (by SHA-256)": data["data_sha256"][:12], "--replace": replace}
        check_alike(strategy, recipe["unet"] | recipe["training"] | facts)
        trainer = Trainer(unet_config, config, strategy, streams, data, objective)
        if out is not None and not replace:
            trainer.restore(out)
        if trainer.step < config.steps:
            _run(trainer, images, labels, out, history_every, save_every_seconds, progress)
    if trainer.step < config.steps:
        raise KeyboardInterrupt(f"Stopped after step {trainer.step}" + (f", saved in {out}." if writes else "."))
    return trainer.ema, trainer.history


def _checked_data(
    images: np.ndarray, labels: np.ndarray, config: UNetConfig, batch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    images, labels = np.asarray(images), np.asarray(labels)
    expected = (config.image_size, config.image_size) + ((config.channels,) if config.channels > 1 else ())
    if images.shape[1:] != expected or images.dtype != np.uint8:
        raise ValueError(
            f"images must be (n, {', '.join(map(str, expected))}) uint8, not {images.shape} {images.dtype}."
        )
    if len(images) < batch_size:
        raise ValueError(f"images must be at least as many as batch_size ({batch_size}), not {len(images)}.")
    is_whole = labels.dtype.kind in "iu" and labels.shape == (len(images),)
    found = f"{labels.min()}..{labels.max()}" if is_whole else f"{labels.shape} {labels.dtype}"
    if not is_whole or labels.min() < 0 or labels.max() >= config.num_classes:
        raise ValueError(
            f"labels must be {len(images)} whole numbers in 0..{config.num_classes - 1}, one per image, not {found}."
        )
    return images, labels


def _check_folder(out: Path) -> None:
    if not (out / CHECKPOINT).exists() and any(newest(out, name).exists() for name in FILES):
        raise ValueError(f"{out} holds a finished network: choose another folder, or replace it with --replace.")


def _run(
    trainer: Trainer,
    images: np.ndarray,
    labels: np.ndarray,
    out: Path | None,
    history_every: int,
    save_every_seconds: float,
    progress: bool,
) -> None:
    """Train from the trainer's step to the last one, or to Ctrl-C, and save."""
    config = trainer.config
    dataset = trainer.strategy.distribute_datasets_from_function(
        lambda context: batches(images, labels, config, trainer.step, context)
    )
    first = "compiling the first step, about a minute"
    bar = progress_bar(total=config.steps, done=trainer.step, shown=progress and trainer.is_chief, first=first)
    started, last_save = time.monotonic() - trainer.seconds, time.monotonic()
    with bar, stops_noted() as stopped:
        for batch in dataset:
            _advance(trainer, batch, bar, started, history_every)
            if any_worker(trainer.strategy, stopped.is_set()):
                break
            if out is not None and time.monotonic() - last_save > save_every_seconds:
                trainer.save(out)
                last_save = time.monotonic()
        if out is not None:
            trainer.save(out)


def _advance(trainer: Trainer, batch: tuple, bar: "tqdm", started: float, history_every: int) -> None:
    loss = float(trainer.distributed_step(*batch))
    if not np.isfinite(loss):
        raise FloatingPointError(f"the loss at step {trainer.step} is {loss}: no good weights come after that.")
    trainer.recent.append(loss)
    trainer.step, trainer.seconds = trainer.step + 1, time.monotonic() - started
    bar.update()
    if trainer.step % history_every == 0 or trainer.step == trainer.config.steps:
        row = {
            "step": trainer.step,
            "loss": round(float(np.mean(trainer.recent)), 6),
            "seconds": round(trainer.seconds, 1),
        }
        trainer.history.append(row)
        trainer.recent = []
        rate = trainer.config.batch_size * trainer.step / trainer.seconds
        bar.set_postfix_str(f"loss {row['loss']:.4f}, {rate:.0f} images/s")
