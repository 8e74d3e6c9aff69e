"""Choosing the recipe: networks and trainings compared after equally long training, on the validation images.

Every recipe gets the updates that fit into the same minutes on this machine. Every row is measured like the sampler's
settings in `tuning`; the test set and the classifier "judge" take no part. The results are in `assets/recipes.csv` and
at the end of notebook 04. `python -m helpers recipes` runs it.
"""

import json
from pathlib import Path
from typing import NamedTuple

from helpers.data import load_mnist, training_split
from helpers.sampling.sampler import SamplerSettings
from helpers.tools.checks import check_whole
from helpers.tools.cores import one_stream_per_core
from helpers.tools.files import as_file, atomic_write, read_rows, reason
from helpers.training.loop import train
from helpers.training.objective import TrainingConfig
from helpers.unet import UNetConfig
from helpers.workshop.tuning import Yardstick

GUIDANCE_SCALES = (1.0, 1.5)  # without guidance, and with enough for nearly full accuracy
BASE, NARROW = {"widths": (16, 48, 96)}, {"widths": (16, 32, 96)}
PLAIN = {"optimizer": "adamw", "batch_size": 128, "learning_rate": 3e-3, "times": "uniform"}
PLAIN |= {"augmentation": 0.0, "augmented_from": 0}
MIDDLE = {"times": "middle"}
SMALL_BATCH = {"batch_size": 64, "learning_rate": 2e-3}
MUON = {"optimizer": "muon", "learning_rate": 6e-3}


class Recipe(NamedTuple):
    """A question, and the fields of both configurations that make the recipe."""

    question: str
    unet: dict
    training: dict


RECIPES = {
    "base": Recipe("28x28 with few maps, then 14x14 and 7x7", BASE, PLAIN),
    "narrow": Recipe("a third fewer maps at 14x14, more updates", NARROW, PLAIN),
    "middle-times": Recipe("more often where digits take shape", BASE, PLAIN | MIDDLE),
    "small-batch": Recipe("half the batch at two thirds of the rate: twice the updates", BASE, PLAIN | SMALL_BATCH),
    "noise": Recipe("predicts the noise instead of the velocity", BASE | {"predicts": "noise"}, PLAIN),
    "together": Recipe(
        "what helped: narrow, small batches, the middle of the chain", NARROW, PLAIN | SMALL_BATCH | MIDDLE
    ),
    "muon": Recipe(
        "the same by Muon: a step of equal size in every direction", NARROW, PLAIN | SMALL_BATCH | MIDDLE | MUON
    ),
    "augmented": Recipe(
        "by Muon, from images turned and moved a little where the noise hides strokes",
        NARROW,
        PLAIN | SMALL_BATCH | MIDDLE | MUON | {"augmentation": 1.0, "augmented_from": 40},
    ),
}


def updates_in(minutes: float, recipe: Recipe, streams: int) -> int:
    """The number of updates that fit into `minutes`, by the fastest of a few short stretches."""
    images, labels = training_split(load_mnist())
    config = TrainingConfig(steps=50, **recipe.training)
    _, history = train(
        UNetConfig(**recipe.unet), config, images, labels, streams=streams, history_every=10, progress=False
    )
    ends = [row["seconds"] for row in history]  # the first stretch holds the compilation
    seconds = min(end - start for start, end in zip(ends, ends[1:], strict=False))  # of ten updates
    return max(1, int(10 * minutes * 60 / seconds))


def _planned(plan: Path) -> int:
    """The number of updates that was written down. Raises `ValueError` if the file is damaged."""
    try:
        return check_whole("the number of updates", json.loads(as_file(plan).read_text(encoding="utf-8")), 1)
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{plan} is damaged ({reason(error)}); delete it to count the updates again.") from error


def finished_rows(path: Path) -> list[dict[str, str]]:
    """The finished rows of a comparison. Raises `ValueError`, which names the file, if it is damaged."""
    rows = read_rows(path, ("recipe", "seed"))
    for row in rows:
        if not row["seed"].isdecimal():
            raise ValueError(f"{path} is damaged: seed must be a whole number, not {row['seed']!r:.60}.")
    return rows


def run(name: str, seed: int, minutes: float, yardstick: Yardstick, out: Path) -> dict:
    """Train one recipe, or resume its training, and measure it; returns its row."""
    recipe = RECIPES[name]
    streams = one_stream_per_core(recipe.training["batch_size"])
    plan = out / name / "updates.json"
    if not plan.exists():
        with atomic_write(plan) as temporary:
            temporary.write_text(json.dumps(updates_in(minutes, recipe, streams)), encoding="utf-8")
    config = TrainingConfig(steps=_planned(plan), seed=seed, **recipe.training)
    images, labels = training_split(load_mnist())
    denoiser, _ = train(UNetConfig(**recipe.unet), config, images, labels, out / name / f"seed-{seed}", streams=streams)
    row = {"recipe": name, "seed": seed, "parameters": denoiser.unet.count_params(), "updates": config.steps}
    row["images_per_second"] = round(config.batch_size * config.steps / (60 * minutes))
    for scale in GUIDANCE_SCALES:
        quality = yardstick.measure(denoiser, SamplerSettings("dpm++", 10, 0.0, scale, None))
        for measure in ("accuracy", "ratio", "coverage", "density"):
            row[f"{measure}_at_{scale:g}"] = round(getattr(quality, measure), 4)
    return row | {"question": recipe.question}
