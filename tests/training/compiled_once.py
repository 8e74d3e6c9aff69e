"""Trainings of one recipe share a compiled step: to compile one takes ten seconds, a tiny step only milliseconds."""

from collections.abc import Callable

import keras
import numpy as np

from helpers.training.objective import ALGORITHM_1
from helpers.training.trainer import Trainer


def compiled_once() -> Callable[..., Trainer]:
    """A stand-in for the class `Trainer` in `helpers.training.loop`.

    A trainer of a recipe that was seen before isn't built anew: it is put back to its first state, weights, averages
    and optimizer included, so nothing of an earlier training is left in it.
    """
    made = {}

    def trainer(unet_config, config, strategy, streams=1, data=None, objective=ALGORITHM_1):
        key = unet_config, config, streams, str(objective.facts)
        if key not in made:
            new = Trainer(unet_config, config, strategy, streams, data, objective)
            made[key] = new, values_of(new)
        found, at_first = made[key]
        for variable, value in zip(variables_of(found), at_first, strict=True):
            variable.assign(value)
        found.step, found.seconds, found.history, found.recent = 0, 0.0, [], []
        found.data = data or {}
        return found

    return trainer


def variables_of(trainer: Trainer) -> list[keras.Variable]:
    """Everything that an update changes."""
    return [*trainer.denoiser.unet.weights, *trainer.ema.unet.weights, *trainer.optimizer.variables]


def values_of(trainer: Trainer) -> list[np.ndarray]:
    """Their values."""
    return [variable.value.numpy() for variable in variables_of(trainer)]
