"""Running Algorithm 1: updates, checkpoints, resuming, on one CPU, several GPUs or several machines.

    python -m helpers.training --out runs/mine            # the shipped recipe, from scratch
    python -m helpers.training --out runs/mine --resume   # go on after Ctrl-C
    python -m helpers.training --held-out runs/mine       # MSE on images that no training saw
    python -m helpers.training --data FILE.npz --out runs/own    # pictures of your own: see `load_pictures`
    python -m helpers.training --distribute multiworker --out runs/two    # several machines: see `workers`

Derived in notebook 04.
"""

import math
import sys
import threading
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from helpers.checkpoints import load_digits_unet, load_unet, save_unet
from helpers.command_line import CommandLine, interrupts_noted, one_line_errors
from helpers.data import Pictures, digest_of, held_out_split, load_mnist, load_pictures, training_split
from helpers.diffusion import SCHEDULES, Schedule
from helpers.objective import TrainingConfig, held_out_mse, training_loss
from helpers.optimizer import OPTIMIZERS
from helpers.trainer import Trainer, batches, one_stream_a_core, recipe_of, train_step
from helpers.unet import UNetConfig
from helpers.workers import STRATEGIES, check_alike, is_chief, lost_workers_named, make_strategy, versions

__all__ = [
    "Trainer",
    "TrainingConfig",
    "batches",
    "held_out_mse",
    "load_unet",
    "make_strategy",
    "one_stream_a_core",
    "save_unet",
    "train",
    "train_step",
    "training_loss",
]


def train(
    unet_config: UNetConfig,
    config: TrainingConfig,
    images: np.ndarray,
    labels: np.ndarray,
    out: str | Path | None = None,
    *,
    resume: bool = False,
    strategy: tf.distribute.Strategy | None = None,
    streams: int = 1,
    data_name: str = "MNIST",
    history_every: int = 50,
    save_every_seconds: float = 180.0,
    progress: bool = True,
) -> tuple[keras.Model, Schedule, list[dict]]:
    """Train on uint8 `images` `(n, 28, 28)` and `labels` `(n,)`; returns (EMA network, schedule, history).

    Pictures of another size or with colours, `(n, size, size, 3)`, want another `unet_config`: see `network_for`.
    `out` is the folder for checkpoints and the result; without it nothing is written. Ctrl-C saves, then
    raises `KeyboardInterrupt`; `resume=True` goes on to the losses that the run would have had. The history
    has a row for every `history_every` steps: step, mean loss of those steps, seconds of training.
    `streams`: pieces that a device cuts its batch into, to compute them side by side; see `one_stream_a_core`.
    `data_name` is written beside the data's SHA-256 into config.json; measures of digits ask for "MNIST".
    Raises `FloatingPointError` if the loss is no longer a number; the last checkpoint is kept. Raises `ValueError` for
    images or labels that don't fit the network, a batch that can't be cut evenly, a checkpoint of another recipe or
    data set, `resume` without `out`, a worker with other settings than the first one; `WorkerLost` if another ended.
    """
    _check_data(images, labels, unet_config, config.batch_size)
    if resume and out is None:
        raise ValueError("resume=True needs out: the folder with the checkpoint to go on from.")
    strategy = strategy or tf.distribute.get_strategy()
    data = {"data": data_name, "data_sha256": digest_of(images, labels)}
    out = None if out is None else Path(out)
    with lost_workers_named(strategy):
        # First of all, because only the same version has the same list of settings, and before there is a network,
        # because workers whose networks differ in shape couldn't even tell each other so.
        check_alike(strategy, {"version": versions()})
        recipe = recipe_of(unet_config, config)
        facts = {"data set (by SHA-256)": data["data_sha256"][:12], "--resume": resume}
        check_alike(strategy, recipe["unet"] | recipe["training"] | facts)
        trainer = Trainer(unet_config, config, strategy, streams, data)
        if out is not None and trainer.is_chief:
            out.mkdir(parents=True, exist_ok=True)  # now rather than after three minutes, if it can't be made
        if resume:
            trainer.restore(out)
        dataset = strategy.distribute_datasets_from_function(
            lambda context: batches(images, labels, config, trainer.step, context)
        )
        hidden = not (progress and trainer.is_chief)
        bar = tqdm(total=config.steps, initial=trainer.step, unit="step", disable=hidden, mininterval=1)
        with bar, interrupts_noted() as interrupted:
            _run(trainer, dataset, bar, interrupted, out, history_every, save_every_seconds)
            if out is not None:
                trainer.save(out)
    if trainer.step < config.steps:
        raise KeyboardInterrupt(f"Stopped after step {trainer.step}" + (f", saved in {out}." if out else "."))
    return trainer.average, trainer.schedule, trainer.history


def _check_data(images: np.ndarray, labels: np.ndarray, config: UNetConfig, batch_size: int) -> None:
    expected = (config.image_size, config.image_size) + ((config.channels,) if config.channels > 1 else ())
    if images.shape[1:] != expected or images.dtype != np.uint8:
        raise ValueError(
            f"images must be (n, {', '.join(map(str, expected))}) uint8, not {images.shape} {images.dtype}."
        )
    if len(images) < batch_size:
        raise ValueError(f"images must be at least as many as batch_size ({batch_size}), not {len(images)}.")
    if labels.shape != (len(images),) or labels.min() < 0 or labels.max() >= config.num_classes:
        raise ValueError(f"labels must be one of 0..{config.num_classes - 1} for each of {len(images)} images.")


def _run(
    trainer: Trainer,
    data: tf.data.Dataset,
    bar: tqdm,
    interrupted: threading.Event,
    out: Path | None,
    history_every: int,
    save_every: float,
) -> None:
    started, last_save = time.monotonic() - trainer.seconds, time.monotonic()
    for batch in data:
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
        if out is not None and time.monotonic() - last_save > save_every:
            trainer.save(out)
            last_save = time.monotonic()
        if interrupted.is_set():
            return


def network_for(pictures: Pictures, **options: object) -> UNetConfig:
    """The shipped recipe's network, for pictures of another size, with colours, or of other classes."""
    _, size, _, *channels = pictures.images.shape
    return UNetConfig(
        image_size=size,
        channels=channels[0] if channels else 1,
        num_classes=len(pictures.class_names) or int(pictures.labels.max()) + 1,
        class_names=pictures.class_names,
        **options,
    )


def _print_held_out(folder: Path) -> None:
    unet, schedule = load_digits_unet(folder)
    images, labels = held_out_split(load_mnist())
    mse = held_out_mse(unet, schedule, images, labels)
    for name, values in (("noise (predicting zero: 1.0)", mse.noise), ("x_0, clipped", mse.x_0)):
        print(f"MSE of the predicted {name}, {len(images)} held-out images, mean of all t: {values.mean():.4f}")
        for t in range(0, schedule.steps, 10):
            print(f"  t = {t:2d}..: " + " ".join(f"{value:.4f}" for value in values[t : t + 10]))


# The command line's options that are fields of the two configurations, and checked there.
RECIPE_OPTIONS = ["steps", "batch_size", "optimizer", "learning_rate", "augmentation", "augmented_from"]
RECIPE_OPTIONS += ["label_dropout", "schedule", "precision", "seed"]
NETWORK_OPTIONS = ("predicts", "widths", "embedding_width")


@one_line_errors
def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    recipe = TrainingConfig()
    parser = CommandLine(prog="python -m helpers.training", description="Train the U-Net on MNIST.")
    parser.add_argument("--out", type=Path, help="folder for checkpoints and the trained network")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    parser.add_argument("--data", type=Path, metavar="FILE.npz", help="train on pictures of your own, not on MNIST")
    parser.add_argument("--steps", type=int, default=recipe.steps, help="updates (default %(default)s)")
    parser.add_argument(
        "--batch-size", type=int, default=recipe.batch_size, help="over all devices (default %(default)s)"
    )
    parser.add_argument("--optimizer", choices=sorted(OPTIMIZERS), default=recipe.optimizer, help="default %(default)s")
    parser.add_argument("--learning-rate", type=float, default=recipe.learning_rate, help="default %(default)s")
    parser.add_argument(
        "--augmentation",
        type=float,
        default=recipe.augmentation,
        help="turn, stretch and move the images: 1 is a little (default %(default)s)",
    )
    parser.add_argument(
        "--augmented-from", type=int, default=recipe.augmented_from, help="only for t from here (default %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=recipe.seed, help="default %(default)s")
    network = UNetConfig()
    parser.add_argument(
        "--predicts", choices=["noise", "velocity"], default=network.predicts, help="default %(default)s"
    )
    parser.add_argument("--widths", type=int, nargs="+", default=network.widths, help=f"default {network.widths}")
    parser.add_argument("--embedding-width", type=int, default=network.embedding_width, help="default %(default)s")
    parser.add_argument("--label-dropout", type=float, default=recipe.label_dropout, help="default %(default)s")
    parser.add_argument("--schedule", choices=sorted(SCHEDULES), default=recipe.schedule, help="default %(default)s")
    parser.add_argument("--map-only", action="store_true", help="ablation: the digit enters as a map alone")
    parser.add_argument(
        "--precision", choices=["float32", "mixed_bfloat16"], default=recipe.precision, help="default %(default)s"
    )
    parser.add_argument(
        "--distribute", choices=STRATEGIES, default="none", help="over GPUs (mirrored) or machines (the other two)"
    )
    parser.add_argument("--held-out", type=Path, metavar="FOLDER", help="only print a trained network's held-out MSE")
    args = parser.parse_args(arguments)
    try:
        if args.held_out:
            _print_held_out(args.held_out)
            return 0
        if args.out is None:
            raise ValueError("--out is needed: the folder for checkpoints and the trained network.")
        config = TrainingConfig(**{name: getattr(args, name) for name in RECIPE_OPTIONS})
        streams = one_stream_a_core(config.batch_size)
        # Before anything touches a device, and before anything that may be wrong with one worker alone: what ends
        # after this the others notice.
        strategy = make_strategy(args.distribute)
        if is_chief(strategy) and not args.resume and (args.out / "checkpoint.npz").exists():
            raise ValueError(f"{args.out} holds a training already: add --resume, or choose another folder.")
        pictures = load_pictures(args.data) if args.data else Pictures(*training_split(load_mnist()), ())
        chosen = {name: getattr(args, name) for name in NETWORK_OPTIONS}
        unet_config = network_for(pictures, class_in_embedding=not args.map_only, **chosen)
        streams = math.gcd(streams, config.batch_size // strategy.num_replicas_in_sync)
        name = args.data.name if args.data else "MNIST"
        options = {"resume": args.resume, "strategy": strategy, "streams": streams, "data_name": name}
        train(unet_config, config, pictures.images, pictures.labels, args.out, **options)
        print(f"Done: {args.out if is_chief(strategy) else 'the first worker'} holds the trained network.")
    except KeyboardInterrupt as interrupt:
        if interrupt.args:
            print(f"{interrupt} To go on, run the same command with --resume.")
        else:
            print("Stopped before there was anything new to save.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
