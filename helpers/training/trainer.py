"""One training: the update, the batches, the state and its checkpoint, on any number of devices.

Derived in notebook 04. `loop` runs it.
"""

import helpers.tools.quiet  # noqa: F401

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from helpers.checkpoints import load_checkpoint, save_checkpoint, save_denoiser
from helpers.data import make_dataset
from helpers.diffusion import SCHEDULES
from helpers.tools.distributed import broadcast, is_alone, is_chief
from helpers.tools.files import remove_strays
from helpers.training.objective import TrainingConfig, training_loss, update_ema
from helpers.training.optimizer import OPTIMIZERS
from helpers.unet import UNetConfig, build_denoiser

CHECKPOINT = "checkpoint.npz"


def train_step(
    unet: keras.Model, optimizer: keras.optimizers.Optimizer, clip_norm: float, loss_function: Callable[[], tf.Tensor]
) -> tf.Tensor:
    """One update from this device's share of the batch; returns the loss of its share."""
    with tf.GradientTape() as tape:
        loss = loss_function()
    replica = tf.distribute.get_replica_context()
    gradients = tape.gradient(loss, unet.trainable_variables)
    # Clipping applies to the gradient of the whole batch, so the mean over the devices comes first. The optimizer
    # sums the devices' gradients, which the division undoes.
    gradients = replica.all_reduce(tf.distribute.ReduceOp.MEAN, gradients)
    gradients, _ = tf.clip_by_global_norm(gradients, clip_norm)
    optimizer.apply([gradient / replica.num_replicas_in_sync for gradient in gradients], unet.trainable_variables)
    return loss


def batches(
    images: np.ndarray, labels: np.ndarray, config: TrainingConfig, first_step: int, context: tf.distribute.InputContext
) -> tf.data.Dataset:
    """This worker's (sample_ids, x_0, labels), one device's share of a global batch after the other.

    `sample_ids` `(n,)` int64 number the samples of the whole training: step s holds batch_size of them from
    s * batch_size on. x_0 `(n, 28, 28, 1)` and labels `(n,)` are those of `make_dataset`; n is batch_size over the
    number of devices.
    """
    images_each = config.batch_size // context.num_replicas_in_sync
    local = context.num_replicas_in_sync // context.num_input_pipelines

    def ids_of(piece: tf.Tensor) -> tf.Tensor:
        step, device = first_step + piece // local, context.input_pipeline_id * local + piece % local
        return step * config.batch_size + device * images_each + tf.range(images_each, dtype=tf.int64)  # (n,)

    sample_ids = tf.data.Dataset.range((config.steps - first_step) * local).map(ids_of)
    pictures = make_dataset(images, labels, images_each, config.seed, sample_ids)
    return tf.data.Dataset.zip(sample_ids, pictures).map(lambda ids, pair: (ids, *pair))


def recipe_of(unet_config: UNetConfig, config: TrainingConfig) -> dict[str, dict]:
    """Network and training settings. Two trainings with the same recipe and data give the same result."""
    unet = dataclasses.asdict(unet_config)
    unet |= {name: list(value) for name, value in unet.items() if isinstance(value, tuple)}  # as JSON gives it back
    return {"unet": unet, "training": dataclasses.asdict(config)}


class Trainer:
    """The state of one training: the network, its EMA, the optimizer, the step and the history.

    Raises `ValueError` if `batch_size` can't be split evenly into a piece for each of the devices' `streams`.
    """

    def __init__(
        self,
        unet_config: UNetConfig,
        config: TrainingConfig,
        strategy: tf.distribute.Strategy,
        streams: int = 1,
        data: dict[str, str] | None = None,  # name and SHA-256 of the data set, for the record
    ) -> None:
        if config.batch_size % (strategy.num_replicas_in_sync * streams):
            raise ValueError(
                f"batch_size must be divisible by devices times streams "
                f"({strategy.num_replicas_in_sync} x {streams}), not {config.batch_size}."
            )
        self.config, self.strategy, self.streams, self.data = config, strategy, streams, data or {}
        self.recipe = recipe_of(unet_config, config)
        schedule = SCHEDULES[config.schedule](config.diffusion_steps)
        with strategy.scope():
            keras.utils.set_random_seed(config.seed)  # fixes the initial weights
            self.denoiser = build_denoiser(unet_config, schedule, config.precision)
            self.ema = build_denoiser(unet_config, schedule)
            self.ema.unet.set_weights(self.denoiser.unet.get_weights())
            rate = keras.optimizers.schedules.CosineDecay(
                0.0 if config.warmup_steps else config.learning_rate,
                max(1, config.steps - config.warmup_steps),
                warmup_target=config.learning_rate if config.warmup_steps else None,
                warmup_steps=config.warmup_steps,
            )
            self.optimizer = OPTIMIZERS[config.optimizer](rate, weight_decay=config.weight_decay)
            self.optimizer.build(self.denoiser.unet.trainable_variables)
        self.step, self.seconds, self.history = 0, 0.0, []
        self.recent: list[float] = []  # losses since the last row of the history
        self.is_chief = is_chief(strategy)

    @tf.function
    def distributed_step(self, sample_ids: tf.Tensor, x_0: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """One update on all devices; returns the loss of the whole batch."""

        def on_one_device(sample_ids: tf.Tensor, x_0: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
            def loss() -> tf.Tensor:
                # Pieces that don't wait for each other: TensorFlow computes them side by side.
                pieces = zip(*(tf.split(part, self.streams) for part in (sample_ids, x_0, labels)), strict=True)
                losses = [training_loss(self.denoiser, self.config, *piece) for piece in pieces]
                return tf.add_n(losses) / self.streams

            return train_step(self.denoiser.unet, self.optimizer, self.config.gradient_clip, loss)

        losses = self.strategy.run(on_one_device, args=(sample_ids, x_0, labels))
        update_ema(self.ema.unet, self.denoiser.unet, self.optimizer.iterations, self.config.ema_decay)
        return self.strategy.reduce(tf.distribute.ReduceOp.MEAN, losses, axis=None)

    def _parts(self) -> dict[str, list[keras.Variable]]:
        return {
            "unet": self.denoiser.unet.weights,
            "ema": self.ema.unet.weights,
            "optimizer": self.optimizer.variables,
        }

    def save(self, folder: Path) -> None:
        """Write the checkpoint, for `restore`, and the network as it is now, ready for sampling.

        Raises `FloatingPointError` if a weight isn't a finite number; the last checkpoint is kept.
        """
        if not self.is_chief:
            return
        arrays = {name: [keras.ops.convert_to_numpy(v) for v in variables] for name, variables in self._parts().items()}
        if not all(np.isfinite(array).all() for array in arrays["unet"]):
            raise FloatingPointError(f"the weights after step {self.step} are not finite: {folder} stays as it was.")
        state = {name: getattr(self, name) for name in ("step", "seconds", "history", "recent")}
        state |= {"recipe": self.recipe, "data": self.data}
        save_checkpoint(folder / CHECKPOINT, arrays, state)
        save_denoiser(folder, self.ema, self.recipe["training"] | self.data, self.history)

    def restore(self, folder: Path) -> None:
        """Resume from the checkpoint in `folder`, if there is one.

        With several workers only the chief reads the file, and hands its state to the others.
        Raises `ValueError` for a damaged checkpoint, and for one of another recipe or data set.
        """
        if self.is_chief and (folder / CHECKPOINT).exists():
            self._read(folder / CHECKPOINT)
        if not is_alone(self.strategy):
            self._receive()

    def _read(self, path: Path) -> None:
        arrays, state = load_checkpoint(path)
        remove_strays(path.parent)
        remedy = "choose another folder, or replace it with --replace"
        if state["recipe"] != self.recipe:
            theirs, mine = ({**recipe["unet"], **recipe["training"]} for recipe in (state["recipe"], self.recipe))
            other = [
                f"{name} {theirs.get(name)!r}, not {mine[name]!r}" for name in mine if theirs.get(name) != mine[name]
            ]
            raise ValueError(f"{path} belongs to another recipe: {', '.join(other)}; {remedy}.")
        if state.get("data") != self.data:
            theirs, mine = (_described(data) for data in (state.get("data") or {}, self.data))
            raise ValueError(f"{path} belongs to another data set: {theirs}, not {mine}; {remedy}.")
        for name, variables in self._parts().items():
            for variable, value in zip(variables, arrays[name], strict=True):
                variable.assign(value)
        for name in ("step", "seconds", "history", "recent"):
            setattr(self, name, state[name])

    def _receive(self) -> None:
        """Give every worker the chief's step and variables."""
        variables = [variable for part in self._parts().values() for variable in part]
        mine = [np.array([self.step]), *(keras.ops.convert_to_numpy(variable) for variable in variables)]
        step, *values = broadcast(self.strategy, mine)
        self.step = int(step[0])
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def _described(data: dict[str, str]) -> str:
    """A data set for a sentence: its name and the beginning of its SHA-256."""
    return f"{data.get('data', 'an unknown one')} with SHA-256 {data.get('data_sha256', '')[:12]}..."


def one_stream_per_core(batch_size: int) -> int:
    """Give each core its own piece of every batch, which is faster without a GPU; returns the number of pieces.

    By default TensorFlow splits each operation over the cores, which then wait for each other after every one of
    hundreds. Only the first use of TensorFlow in a process can change that; later calls return 1.
    """
    if tf.config.list_physical_devices("GPU"):
        return 1
    if tf.config.threading.get_intra_op_parallelism_threads() != 1:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(1)
        except RuntimeError:  # TensorFlow's threads have started already
            return 1
    # Not os.cpu_count(): a job, or a worker, may have been given only some of the machine's cores.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(streams for streams in range(1, cores + 1) if batch_size % streams == 0)
