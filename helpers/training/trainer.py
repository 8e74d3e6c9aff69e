"""One training: the update, the batches, the state and its checkpoint, on any number of devices.

Derived in notebook 04. `loop` runs it.
"""

import helpers.tools.quiet  # noqa: F401

import dataclasses
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from helpers.checkpoints import FILES, save_denoiser
from helpers.data import make_dataset
from helpers.diffusion import SCHEDULES
from helpers.tools.arrays import load_checkpoint, save_checkpoint
from helpers.tools.checks import check_number, check_whole
from helpers.tools.distributed import broadcast, is_alone, is_chief, versions
from helpers.tools.files import newest, read_rows, reason, remove_strays
from helpers.training.objective import ALGORITHM_1, Objective, TrainingConfig, update_ema
from helpers.training.optimizer import OPTIMIZERS
from helpers.unet import UNetConfig, build_denoiser

CHECKPOINT = "checkpoint.npz"
HISTORY = ("step", "loss", "seconds")  # the columns of the history


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


def recipe_of(unet_config: UNetConfig, config: TrainingConfig, facts: dict[str, str] | None = None) -> dict[str, dict]:
    """Network and training settings, and an objective's facts. With the same data they give the same result."""
    unet = dataclasses.asdict(unet_config)
    unet |= {name: list(value) for name, value in unet.items() if isinstance(value, tuple)}  # as JSON gives it back
    return {"unet": unet, "training": dataclasses.asdict(config) | (facts or {})}


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
        objective: Objective = ALGORITHM_1,
    ) -> None:
        if config.batch_size % (strategy.num_replicas_in_sync * streams):
            raise ValueError(
                f"batch_size must be divisible by devices times streams "
                f"({strategy.num_replicas_in_sync} x {streams}), not {config.batch_size}."
            )
        self.config, self.strategy, self.streams, self.data = config, strategy, streams, data or {}
        self.objective, self.recipe = objective, recipe_of(unet_config, config, objective.facts)
        schedule = SCHEDULES[config.schedule](config.diffusion_steps)
        with strategy.scope():
            keras.utils.set_random_seed(config.seed)  # fixes the initial weights
            self.denoiser = build_denoiser(unet_config, schedule, config.precision)
            if objective.weights is not None:
                self.denoiser.unet.set_weights(objective.weights)
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
                losses = [self.objective.loss(self.denoiser, self.config, *piece) for piece in pieces]
                return tf.add_n(losses) / self.streams

            return train_step(self.denoiser.unet, self.optimizer, self.config.gradient_clip, loss)

        losses = self.strategy.run(on_one_device, args=(sample_ids, x_0, labels))
        update_ema(self.ema.unet, self.denoiser.unet, self.optimizer.iterations, self.config.ema_decay)
        return self.strategy.reduce(tf.distribute.ReduceOp.MEAN, losses, axis=None)

    def _parts(self) -> dict[str, list[keras.Variable]]:
        return {"unet": self.denoiser.unet.weights, "ema": self.ema.unet.weights, "optimizer": self.optimizer.variables}

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
        state |= {"recipe": self.recipe, "data": self.data, "versions": versions()}
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
        remedy = "choose another folder, or start anew with --replace"
        if (recipe := state.get("recipe")) != self.recipe:
            theirs, mine = (_settings(recipe) for recipe in (recipe, self.recipe))
            changed = [name for name in mine if theirs.get(name) != mine[name]]
            other = [f"{name} {theirs.get(name)!r:.60}, not {mine[name]!r}" for name in changed]
            other = other or [f"unknown {sorted(theirs.keys() - mine.keys())!r:.60}"]
            raise ValueError(f"{path} belongs to another recipe: {', '.join(other)}; {remedy}.")
        if _digest(data := state.get("data")) != _digest(self.data):
            raise ValueError(
                f"{path} belongs to another data set: {_described(data)}, not {_described(self.data)}; {remedy}."
            )
        parts = self._parts()
        mine = {name: [(tuple(variable.shape), variable.dtype) for variable in parts[name]] for name in parts}
        if mine != {name: [(array.shape, array.dtype.name) for array in arrays.get(name, ())] for name in parts}:
            raise ValueError(
                f"{path} was written by {state.get('versions')!r:.200}, not by {versions()}, and doesn't fit; {remedy}."
            )
        try:
            if not all(np.isfinite(array).all() for name in parts for array in arrays[name]):
                raise ValueError("not all of its numbers are finite")
            self.step = check_whole("step", state["step"], 0, self.config.steps)
            self.seconds = check_number("seconds", state["seconds"], 0)
            self.recent = [check_number("recent", loss, -np.inf) for loss in state["recent"]]
            self.history = [
                {name: check_number(name, row[name], -np.inf) for name in HISTORY} for row in state["history"]
            ]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is damaged: {reason(error)}; {remedy}.") from None
        self.history = [row | {"step": int(row["step"])} for row in self.history]
        if not _begins_with(self.history, path.parent):
            raise ValueError(f"{path.parent} holds a network of another training than {path.name}; {remedy}.")
        for name, variables in parts.items():
            for variable, value in zip(variables, arrays[name], strict=True):
                variable.assign(value)

    def _receive(self) -> None:
        """Give every worker the chief's step and variables."""
        variables = [variable for part in self._parts().values() for variable in part]
        mine = [np.array([self.step]), *(keras.ops.convert_to_numpy(variable) for variable in variables)]
        step, *values = broadcast(self.strategy, mine)
        self.step = int(step[0])
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def _settings(recipe: object) -> dict:
    """All settings of a recipe in one dictionary; empty if it has another form."""
    parts = [recipe.get(name) for name in ("unet", "training")] if isinstance(recipe, dict) else []
    return {name: value for part in parts if isinstance(part, dict) for name, value in part.items()}


def _begins_with(history: list[dict], folder: Path) -> bool:
    """Whether the network in a folder, if there is one, is an earlier state of the training with this history."""
    if not any(newest(folder, name).exists() for name in FILES):
        return True
    rows = read_rows(newest(folder, "history.csv"), HISTORY)
    return rows == [{name: str(value) for name, value in row.items()} for row in history[: len(rows)]]


def _digest(data: object) -> object:
    """The SHA-256 of a data set, whatever its file is called."""
    return data.get("data_sha256") if isinstance(data, dict) else None


def _described(data: object) -> str:
    """A data set for a sentence: its name and the beginning of its SHA-256."""
    data = data if isinstance(data, dict) else {}
    return f"{data.get('data', 'an unknown one')!r:.80} with SHA-256 {data.get('data_sha256', '')!r:.13}...'"
