"""Which network, trained how: recipes compared after equally long training, on held-out training images.

    python -m helpers.recipes base patches --minutes 8 --out runs/recipes
    python -m helpers.recipes patches --seed 1 --out runs/recipes

Every recipe gets the updates that fit into the same minutes on this machine, and every row is measured like the
sampler's settings in `tuning`; the test set and the network "judge" stay out. A row that is there isn't made again,
and Ctrl-C loses nothing. What came of it is in `assets/recipes.csv` and at the end of notebook 04.
"""

import json
import sys
from pathlib import Path
from typing import NamedTuple

import keras

from helpers.command_line import CommandLine, one_line_errors
from helpers.data import load_mnist, training_split
from helpers.files import read_rows, write_aside, write_rows
from helpers.objective import TrainingConfig
from helpers.training import one_stream_a_core, train
from helpers.tuning import Setting, Yardstick
from helpers.unet import UNetConfig

SCALES = (1.0, 1.5)  # without guidance, and with enough of it to read nearly every digit right
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
    """How many updates fit into `minutes`, from the fastest of a few short stretches: other work only adds time."""
    images, labels = training_split(load_mnist())
    config = TrainingConfig(steps=50, **recipe.training)
    *_, history = train(
        UNetConfig(**recipe.unet), config, images, labels, streams=streams, history_every=10, progress=False
    )
    ends = [row["seconds"] for row in history]  # the first stretch holds the compilation
    return int(minutes * 60 / min(end - start for start, end in zip(ends, ends[1:], strict=False)) * 10)


def run(name: str, seed: int, minutes: float, yardstick: Yardstick, out: Path) -> dict:
    """Train one recipe, or go on with it, and measure it; returns its row."""
    recipe = RECIPES[name]
    streams = one_stream_a_core(recipe.training["batch_size"])
    plan = out / name / "updates.json"
    if not plan.exists():
        plan.parent.mkdir(parents=True, exist_ok=True)
        with write_aside(plan) as temporary:
            temporary.write_text(json.dumps(updates_in(minutes, recipe, streams)))
    folder = out / name / f"seed-{seed}"
    config = TrainingConfig(steps=json.loads(plan.read_text()), seed=seed, **recipe.training)
    images, labels = training_split(load_mnist())
    unet, schedule, history = train(
        UNetConfig(**recipe.unet),
        config,
        images,
        labels,
        folder,
        resume=(folder / "checkpoint.npz").exists(),
        streams=streams,
    )
    row = {"recipe": name, "seed": seed, "parameters": unet.count_params(), "updates": config.steps}
    row["images_per_second"] = round(config.batch_size * config.steps / (60 * minutes))
    for scale in SCALES:
        quality = yardstick.measure(unet, schedule, Setting("dpm++", 10, 0.0, scale))
        for measure in ("accuracy", "ratio", "coverage"):
            row[f"{measure}_at_{scale:g}"] = round(getattr(quality, measure), 4)
    return row | {"question": recipe.question}


@one_line_errors
def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = CommandLine(prog="python -m helpers.recipes", description="Compare recipes at equal compute.")
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help=f"some of {', '.join(RECIPES)} (default: all)")
    parser.add_argument("--minutes", type=float, default=8.0, help="of training, each (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", type=int, default=2_000, help="samples a measure (default %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the networks and recipes.csv")
    args = parser.parse_args(arguments)
    for name in args.recipes:
        if name not in RECIPES:
            raise ValueError(f"RECIPE must be one of {', '.join(RECIPES)}, not {name!r}.")
    if not args.minutes > 0:
        raise ValueError(f"--minutes must be above 0, not {args.minutes}.")
    table = args.out / "recipes.csv"
    rows = read_rows(table) if table.exists() else []
    one_stream_a_core(TrainingConfig.batch_size)  # before anything else uses TensorFlow
    yardstick = Yardstick(args.images, held_out=True)
    try:
        for name in args.recipes or RECIPES:
            if any((row["recipe"], int(row["seed"])) == (name, args.seed) for row in rows):
                continue
            rows.append(run(name, args.seed, args.minutes, yardstick, args.out))
            print(", ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
            write_rows(table, rows)
            keras.backend.clear_session()
    except KeyboardInterrupt:
        print(f"Stopped. {table} holds what is finished; the same command goes on.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
