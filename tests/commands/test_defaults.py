"""Choices and defaults are typed in the commands, because `--help` doesn't import TensorFlow. They are the code's."""

import argparse

from helpers.__main__ import build_parser
from helpers.diffusion import SCHEDULES
from helpers.sampling.sampler import FEW_STEPS, SamplerSettings
from helpers.sampling.solvers import METHODS
from helpers.tools.distributed import STRATEGIES
from helpers.training.objective import TrainingConfig
from helpers.training.optimizer import OPTIMIZERS
from helpers.unet import UNetConfig
from helpers.workshop import distillation
from helpers.workshop.digit_clip import DigitClipConfig


def options(command: str) -> dict[str, argparse.Action]:
    (commands,) = (action.choices for action in build_parser()._actions if isinstance(action.choices, dict))
    return {action.dest: action for action in commands[command]._actions}


def stated(action: argparse.Action) -> str:
    """The default that an option's help states, after the word."""
    return action.help.partition("default ")[2].partition(")")[0].partition(";")[0]


def test_sample():
    given, settings = options("sample"), SamplerSettings()
    assert tuple(given["method"].choices) == METHODS
    assert f"(default {settings.method})" in given["method"].help
    assert f"dpm++ and ddim {FEW_STEPS}, ddpm 100" in given["steps"].help
    assert stated(given["eta"]) == f"{settings.eta:g}"
    assert stated(given["guidance_scale"]) == f"{settings.guidance_scale:g}"
    assert stated(given["guidance_interval"]) == " ".join(map(str, settings.guidance_interval))


def test_train():
    given, recipe, network = options("train"), TrainingConfig(), UNetConfig()
    for choices, allowed in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("distribute", STRATEGIES)):
        assert set(given[choices].choices) == set(allowed)
    numbers = ["steps", "batch_size", "learning_rate", "augmentation", "augmented_from", "seed", "label_dropout"]
    for name in [*numbers, "optimizer", "schedule", "precision"]:
        value = getattr(recipe, name)
        assert stated(given[name]) == (value if isinstance(value, str) else f"{value:g}"), name
    assert stated(given["predicts"]) == network.predicts
    assert stated(given["widths"]) == " ".join(map(str, network.widths))
    assert stated(given["embedding_width"]) == str(network.embedding_width)


def test_distil():
    given = options("distil")
    assert (given["passes"].default, given["seed"].default) == (distillation.PASSES, distillation.STUDENT_RECIPE.seed)
    for name in ("steps", "batch_size", "learning_rate"):
        assert stated(given[name]) == f"{getattr(distillation.STUDENT_RECIPE, name):g}", name


def test_train_clip():
    given, recipe = options("train-clip"), DigitClipConfig()
    assert (given["epochs"].default, given["seed"].default) == (recipe.epochs, recipe.seed)
