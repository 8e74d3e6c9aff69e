"""Networks on disk: a trained network as a folder that anyone can load, a running training as one file.

A folder holds `config.json` (network, schedule, training recipe), `unet.weights.h5` and `history.csv`.
`load_denoiser` builds the network from the numbers in `config.json` and fills in the weights. It never reads code from
a file, so a stranger's folder can't run any.
"""

import helpers.tools.quiet  # noqa: F401

import dataclasses
from pathlib import Path

import numpy as np

from helpers.data import TRAINING_DIGEST
from helpers.diffusion import SCHEDULES
from helpers.tools.checks import check_number
from helpers.tools.files import (
    ASSETS,
    as_path,
    atomic_files,
    newest,
    read_record,
    read_rows,
    reason,
    sha256_of_file,
    write_record,
    write_rows,
)
from helpers.tools.weights import load_weights
from helpers.unet import Denoiser, UNetConfig, build_denoiser

PRETRAINED = ASSETS / "unet-velocity"  # the better of the two that ship: see assets/README.md
PRETRAINED_NOISE = ASSETS / "unet-noise"  # predicts the noise, as notebook 04 derives it
DISTILLED = ASSETS / "unet-distilled"  # draws in four network passes: see workshop/distillation.py
SHIPPED = {"velocity": PRETRAINED, "noise": PRETRAINED_NOISE, "distilled": DISTILLED}  # by name; the last, not yet
WEIGHTS = "unet.weights.h5"
FILES = ("config.json", WEIGHTS, "history.csv")


def save_denoiser(folder: str | Path, denoiser: Denoiser, recipe: dict, history: list[dict]) -> None:
    """Write a trained network as a folder. `recipe` is kept for the record.

    Raises `ValueError` for a schedule that its name and number of steps don't describe.
    """
    unet, schedule, config = denoiser
    if schedule.name not in SCHEDULES or not np.array_equal(
        SCHEDULES[schedule.name](schedule.steps).betas, schedule.betas
    ):
        raise ValueError(
            f"schedule must be one of {sorted(SCHEDULES)} with its default betas: config.json holds its name."
        )
    with atomic_files(folder) as temporary:
        unet.save_weights(temporary / WEIGHTS)
        write_rows(temporary / "history.csv", history)
        record = {
            "unet": dataclasses.asdict(config),
            "schedule": {"name": schedule.name, "steps": schedule.steps},
            "training": recipe,
            "weights_sha256": sha256_of_file(temporary / WEIGHTS),
        }
        write_record(temporary / "config.json", record)


def folder_of(network: str | Path) -> Path:
    """The folder of a network: that of `SHIPPED` for one of its names, for anything else the path itself."""
    return SHIPPED.get(str(network)) or as_path(network)


def load_denoiser(network: str | Path = PRETRAINED) -> Denoiser:
    """The trained network in a folder, or with a name in `SHIPPED`, and its schedule; by default the pre-trained one.

    Raises `ValueError`, in one sentence, if a file is missing or damaged, or if the files don't belong together.
    """
    folder = folder_of(network)
    files = {name: newest(folder, name) for name in FILES}
    for name, file in files.items():
        if not file.is_file():
            raise ValueError(f"{folder} is not a trained network: {name} is missing.")
    weights = files[WEIGHTS]
    try:
        config = read_record(files["config.json"])
        schedule = SCHEDULES[config["schedule"]["name"]](config["schedule"]["steps"])
        unet_config = UNetConfig(**config["unet"])
        recorded = config["weights_sha256"]
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise ValueError(f"{folder / 'config.json'} is damaged: {reason(error)}.") from error
    denoiser = build_denoiser(unet_config, schedule)  # takes a second, in which a training could replace the weights
    if sha256_of_file(weights) != recorded:
        raise ValueError(
            f"{weights} is damaged or belongs to another config.json: its SHA-256 isn't the recorded one. If a "
            f"training is just saving it, try again."
        )
    try:
        load_weights(denoiser.unet, weights)
    except ValueError as error:
        raise ValueError(f"{weights} doesn't fit the network that config.json describes: {reason(error)}.") from error
    return denoiser


def load_digits_denoiser(network: str | Path = PRETRAINED) -> Denoiser:
    """`load_denoiser` for measures that only make sense for MNIST's digits: accuracy, report card, validation error.

    Raises `ValueError` for a network that was trained on anything but `training_split`, whatever the data was called.
    """
    folder, denoiser = folder_of(network), load_denoiser(network)
    recipe = read_record(newest(folder, "config.json")).get("training")
    recipe = recipe if isinstance(recipe, dict) else {}
    if recipe.get("data_sha256") != TRAINING_DIGEST:
        data = f"{recipe.get('data', 'its data')!r:.80}"
        raise ValueError(f"{folder} can't be judged as digits: by its SHA-256, {data} isn't MNIST's training set.")
    return denoiser


def read_history(path: str | Path) -> dict[str, np.ndarray]:
    """The columns of a `history.csv` by name, each `(rows,)` float64. Raises `ValueError` if the file is damaged."""
    if not (rows := read_rows(path, ("step", "loss", "seconds"))):
        return {}
    try:
        return {name: np.array([check_number(name, float(row[name]), -np.inf) for row in rows]) for name in rows[0]}
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {reason(error)}.") from error
