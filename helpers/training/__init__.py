"""04 Training: Algorithm 1 on real data.

`objective` holds the recipe and the loss, `optimizer` and `augmentation` two of its parts, `trainer` one update and the
state, `loop` the whole run.
"""

from helpers.training.loop import train
from helpers.training.objective import TrainingConfig, training_loss, validation_mse
from helpers.training.trainer import Trainer, batches

__all__ = ["TrainingConfig", "training_loss", "validation_mse", "Trainer", "batches", "train"]
