"""Running Algorithm 1: updates, checkpoints, resuming, on one CPU, several GPUs or several machines.

    python -m helpers.training --out runs/mine            # the shipped recipe, from scratch
    python -m helpers.training --out runs/mine --resume   # go on after Ctrl-C
    python -m helpers.training --held-out runs/mine       # MSE on images that no training saw

Derived in notebook 04.
"""

import dataclasses
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from helpers.checkpoints import load_checkpoint, load_unet, save_checkpoint, save_unet
from helpers.command_line import CommandLine, interrupts_noted, one_line_errors
from helpers.data import held_out_split, load_mnist, make_dataset, training_split
from helpers.diffusion import SCHEDULES, Schedule
from helpers.objective import TrainingConfig, held_out_mse, training_loss, update_average
from helpers.unet import UNetConfig, build_unet

__all__ = [
    "TrainingConfig",
    "held_out_mse",
    "load_unet",
    "make_strategy",
    "save_unet",
    "train",
    "train_step",
    "training_loss",
]


def train_step(
    unet: keras.Model, optimizer: keras.optimizers.Optimizer, clip_norm: float, loss_function: Callable[[], tf.Tensor]
) -> tf.Tensor:
    """One update from this device's share of the batch; returns the loss of its share."""
    with tf.GradientTape() as tape:
        loss = loss_function()
    replica = tf.distribute.get_replica_context()
    gradients = tape.gradient(loss, unet.trainable_variables)
    # The gradient of the whole batch is clipped, not each device's: so the mean comes first. The optimizer
    # then adds up what the devices hand it, which the division undoes.
    gradients = replica.all_reduce(tf.distribute.ReduceOp.MEAN, gradients)
    gradients, _ = tf.clip_by_global_norm(gradients, clip_norm)
    optimizer.apply([gradient / replica.num_replicas_in_sync for gradient in gradients], unet.trainable_variables)
    return loss


def batches(
    images: np.ndarray, labels: np.ndarray, config: TrainingConfig, first_step: int, context: tf.distribute.InputContext
) -> tf.data.Dataset:
    """This worker's (sample numbers, x_0, labels), one device's share of a global batch after the other.

    Sample numbers run on through the whole training: step s is made of s * batch_size and those after it.
    """
    share = config.batch_size // context.num_replicas_in_sync
    local = context.num_replicas_in_sync // context.num_input_pipelines

    def numbers_of(piece: tf.Tensor) -> tf.Tensor:
        step, device = first_step + piece // local, context.input_pipeline_id * local + piece % local
        return step * config.batch_size + device * share + tf.range(share, dtype=tf.int64)  # (share,)

    numbers = tf.data.Dataset.range((config.steps - first_step) * local).map(numbers_of)
    pictures = make_dataset(images, labels, share, config.seed, numbers)
    return tf.data.Dataset.zip(numbers, pictures).map(lambda numbers, pair: (numbers, *pair))


class Trainer:
    """The state of one training: the network, its average, the optimizer, the step and the history."""

    def __init__(
        self, unet_config: UNetConfig, config: TrainingConfig, strategy: tf.distribute.Strategy, streams: int = 1
    ) -> None:
        if config.batch_size % (strategy.num_replicas_in_sync * streams):
            raise ValueError(
                f"batch_size must be divisible by devices times streams "
                f"({strategy.num_replicas_in_sync} x {streams}), not {config.batch_size}."
            )
        self.config, self.strategy, self.streams = config, strategy, streams
        self.schedule = SCHEDULES[config.schedule](config.diffusion_steps)
        with strategy.scope():
            keras.utils.set_random_seed(config.seed)  # the start of the weights
            self.unet = build_unet(unet_config, config.precision)
            self.average = build_unet(unet_config)
            self.average.set_weights(self.unet.get_weights())
            rate = keras.optimizers.schedules.CosineDecay(
                0.0 if config.warmup_steps else config.learning_rate,
                max(1, config.steps - config.warmup_steps),
                warmup_target=config.learning_rate if config.warmup_steps else None,
                warmup_steps=config.warmup_steps,
            )
            self.optimizer = keras.optimizers.AdamW(rate, weight_decay=config.weight_decay)
            self.optimizer.build(self.unet.trainable_variables)
        self.step, self.seconds, self.history = 0, 0.0, []
        self.recent: list[float] = []  # losses since the last row of the history
        # Only one of several workers writes files.
        resolver = strategy.cluster_resolver
        self.is_chief = resolver is None or resolver.task_type in (None, "", "chief")
        if not self.is_chief and "chief" not in resolver.cluster_spec().jobs:
            self.is_chief = resolver.task_type == "worker" and resolver.task_id == 0

    @tf.function
    def distributed_step(self, numbers: tf.Tensor, x_0: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """One update on all devices; returns the loss of the whole batch."""

        def on_one_device(numbers: tf.Tensor, x_0: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
            def loss() -> tf.Tensor:
                # Pieces that don't wait for each other: TensorFlow computes them side by side.
                pieces = zip(*(tf.split(part, self.streams) for part in (numbers, x_0, labels)), strict=True)
                losses = [training_loss(self.unet, self.schedule, self.config, *piece) for piece in pieces]
                return tf.add_n(losses) / self.streams

            return train_step(self.unet, self.optimizer, self.config.gradient_clip, loss)

        losses = self.strategy.run(on_one_device, args=(numbers, x_0, labels))
        update_average(self.average, self.unet, self.optimizer.iterations, self.config.ema_decay)
        return self.strategy.reduce(tf.distribute.ReduceOp.MEAN, losses, axis=None)

    def _parts(self) -> dict[str, list[keras.Variable]]:
        return {"unet": self.unet.weights, "average": self.average.weights, "optimizer": self.optimizer.variables}

    def save(self, folder: Path) -> None:
        """Write the checkpoint, from which `restore` goes on, and the network as it is now, which can be used."""
        if not self.is_chief:
            return
        arrays = {name: [keras.ops.convert_to_numpy(v) for v in variables] for name, variables in self._parts().items()}
        state = {name: getattr(self, name) for name in ("step", "seconds", "history", "recent")}
        state["recipe"] = self.recipe()
        save_checkpoint(folder / "checkpoint.npz", arrays, state)
        save_unet(folder, self.average, self.schedule, self.recipe()["training"], self.history)

    def restore(self, folder: Path) -> None:
        """Go on where `save` stopped. Raises `ValueError` for a damaged checkpoint or another recipe."""
        path = folder / "checkpoint.npz"
        arrays, state = load_checkpoint(path)
        if state["recipe"] != self.recipe():
            theirs, mine = ({**recipe["unet"], **recipe["training"]} for recipe in (state["recipe"], self.recipe()))
            other = [
                f"{name} {theirs.get(name)!r}, not {mine[name]!r}" for name in mine if theirs.get(name) != mine[name]
            ]
            raise ValueError(f"{path} belongs to another recipe: {', '.join(other)}.")
        for name, variables in self._parts().items():
            for variable, value in zip(variables, arrays[name], strict=True):
                variable.assign(value)
        for name in ("step", "seconds", "history", "recent"):
            setattr(self, name, state[name])

    def recipe(self) -> dict:
        """Network and training settings; two trainings with the same recipe and data take the same course."""
        unet = {**dataclasses.asdict(self.unet.unet_config), "widths": list(self.unet.unet_config.widths)}
        return {"unet": unet, "training": dataclasses.asdict(self.config)}


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
    history_every: int = 50,
    save_every_seconds: float = 180.0,
    progress: bool = True,
) -> tuple[keras.Model, Schedule, list[dict]]:
    """Train on uint8 `images` `(n, 28, 28)` and `labels` `(n,)`; returns (EMA network, schedule, history).

    `out` is the folder for checkpoints and the result; without it nothing is written. Ctrl-C saves, then
    raises `KeyboardInterrupt`; `resume=True` goes on to the losses that the run would have had. The history
    has a row for every `history_every` steps: step, mean loss of those steps, seconds of training.
    `streams`: pieces that a device cuts its batch into, to compute them side by side; see `one_stream_a_core`.
    Raises `FloatingPointError` if the loss is no longer a number; the last checkpoint is kept.
    """
    _check_data(images, labels, unet_config)
    strategy = strategy or tf.distribute.get_strategy()
    trainer = Trainer(unet_config, config, strategy, streams)
    out = None if out is None else Path(out)
    if resume:
        trainer.restore(out)
    data = strategy.distribute_datasets_from_function(
        lambda context: batches(images, labels, config, trainer.step, context)
    )
    bar = tqdm(
        total=config.steps,
        initial=trainer.step,
        unit="step",
        disable=not (progress and trainer.is_chief),
        mininterval=1,
    )
    with bar, interrupts_noted() as interrupted:
        _run(trainer, data, bar, interrupted, out, history_every, save_every_seconds)
        if out is not None:
            trainer.save(out)
    if trainer.step < config.steps:
        raise KeyboardInterrupt(f"Stopped after step {trainer.step}" + (f", saved in {out}." if out else "."))
    return trainer.average, trainer.schedule, trainer.history


def _check_data(images: np.ndarray, labels: np.ndarray, config: UNetConfig) -> None:
    size = config.image_size
    if images.ndim != 3 or images.shape[1:] != (size, size) or images.dtype != np.uint8:
        raise ValueError(f"images must be (n, {size}, {size}) uint8, not {images.shape} {images.dtype}.")
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


def one_stream_a_core(batch_size: int) -> int:
    """Give each core its own piece of every batch; returns how many pieces: faster, without a GPU.

    By default TensorFlow splits each operation over the cores, and they wait for each other after every one of
    hundreds. Only the first use of TensorFlow in a process can change that: later ones keep 1 stream.
    """
    if tf.config.list_physical_devices("GPU"):
        return 1
    if tf.config.threading.get_intra_op_parallelism_threads() != 1:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(1)
        except RuntimeError:  # TensorFlow's threads have started already
            return 1
    return max(streams for streams in range(1, os.cpu_count() + 1) if batch_size % streams == 0)


def make_strategy(name: str) -> tf.distribute.Strategy:
    """ "none": one device; "mirrored": all local GPUs; "multiworker": all machines that TF_CONFIG names."""
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    if name == "multiworker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    if name != "none":
        raise ValueError(f"distribute must be 'none', 'mirrored' or 'multiworker', not {name!r}.")
    return tf.distribute.get_strategy()


def _print_held_out(folder: Path) -> None:
    unet, schedule = load_unet(folder)
    images, labels = held_out_split(load_mnist())
    mse = held_out_mse(unet, schedule, images, labels)
    for name, values in (("noise (predicting zero: 1.0)", mse.noise), ("x_0, clipped", mse.x_0)):
        print(f"MSE of the predicted {name}, {len(images)} held-out images, mean of all t: {values.mean():.4f}")
        for t in range(0, schedule.steps, 10):
            print(f"  t = {t:2d}..: " + " ".join(f"{value:.4f}" for value in values[t : t + 10]))


# The command line's options that are fields of the two configurations, and checked there.
RECIPE_OPTIONS = ("steps", "seed", "schedule", "precision", "label_dropout")
NETWORK_OPTIONS = ("predicts", "widths", "embedding_width")


@one_line_errors
def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    recipe = TrainingConfig()
    parser = CommandLine(prog="python -m helpers.training", description="Train the U-Net on MNIST.")
    parser.add_argument("--out", type=Path, help="folder for checkpoints and the trained network")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    parser.add_argument("--steps", type=int, default=recipe.steps, help="updates (default %(default)s)")
    parser.add_argument("--seed", type=int, default=recipe.seed, help="default %(default)s")
    network = UNetConfig()
    parser.add_argument("--predicts", choices=["noise", "velocity"], default=network.predicts)
    parser.add_argument("--widths", type=int, nargs="+", default=network.widths, help=f"default {network.widths}")
    parser.add_argument("--embedding-width", type=int, default=network.embedding_width, help="default %(default)s")
    parser.add_argument("--label-dropout", type=float, default=recipe.label_dropout, help="default %(default)s")
    parser.add_argument("--schedule", choices=sorted(SCHEDULES), default=recipe.schedule, help="default %(default)s")
    parser.add_argument("--map-only", action="store_true", help="ablation: the digit enters as a map alone")
    parser.add_argument("--precision", choices=["float32", "mixed_bfloat16"], default=recipe.precision)
    parser.add_argument("--distribute", choices=["none", "mirrored", "multiworker"], default="none")
    parser.add_argument("--held-out", type=Path, metavar="FOLDER", help="only print a trained network's held-out MSE")
    args = parser.parse_args(arguments)
    try:
        if args.held_out:
            _print_held_out(args.held_out)
            return 0
        if args.out is None:
            raise ValueError("--out is needed: the folder for checkpoints and the trained network.")
        if not args.resume and (args.out / "checkpoint.npz").exists():
            raise ValueError(f"{args.out} holds a training already: add --resume, or choose another folder.")
        config = TrainingConfig(**{name: getattr(args, name) for name in RECIPE_OPTIONS})
        unet_config = UNetConfig(
            class_in_embedding=not args.map_only, **{name: getattr(args, name) for name in NETWORK_OPTIONS}
        )
        args.out.mkdir(parents=True, exist_ok=True)  # now rather than after three minutes, if it can't be made
        strategy = make_strategy(args.distribute)  # before anything else touches a device
        streams = one_stream_a_core(config.batch_size) if args.distribute == "none" else 1
        images, labels = training_split(load_mnist())
        train(unet_config, config, images, labels, args.out, resume=args.resume, strategy=strategy, streams=streams)
        print(f"Done: {args.out} holds the trained network.")
    except KeyboardInterrupt as interrupt:
        if interrupt.args:
            print(f"{interrupt} To go on, run the same command with --resume.")
        else:
            print("Stopped before there was anything new to save.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
