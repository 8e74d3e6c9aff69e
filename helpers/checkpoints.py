"""Networks on disk: a trained network as a folder that anyone can load, a running training as one file.

A folder holds `config.json` (network, schedule, training recipe), `unet.weights.h5` and `history.csv`.
`load_denoiser` builds the network from the numbers in `config.json` and fills in the weights. It never reads code from
a file, so a stranger's folder can't run any.
"""

import helpers.tools.quiet  # noqa: F401

import dataclasses
import json
import warnings
from pathlib import Path

import numpy as np

from helpers.diffusion import SCHEDULES
from helpers.tools.files import (
    ASSETS,
    atomic_write,
    read_record,
    read_rows,
    reason,
    sha256_of_file,
    write_record,
    write_rows,
)
from helpers.unet import Denoiser, UNetConfig, build_denoiser

PRETRAINED = ASSETS / "unet-velocity"  # the better of the two that ship: see assets/README.md
PRETRAINED_NOISE = ASSETS / "unet-noise"  # predicts the noise, as notebook 04 derives it
FILES = ("config.json", "unet.weights.h5", "history.csv")


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
    folder = Path(folder)
    # All three are written before the first is renamed: a full disk leaves the old network, not parts of both.
    with (
        atomic_write(folder / "config.json") as config_file,
        atomic_write(folder / "history.csv") as history_file,
        atomic_write(folder / "unet.weights.h5") as weights_file,
    ):
        unet.save_weights(weights_file)
        write_rows(history_file, history)
        record = {
            "unet": dataclasses.asdict(config),
            "schedule": {"name": schedule.name, "steps": schedule.steps},
            "training": recipe,
            "weights_sha256": sha256_of_file(weights_file),
        }
        write_record(config_file, record)


def load_denoiser(folder: str | Path = PRETRAINED) -> Denoiser:
    """The trained network in a folder, with its schedule; by default the pre-trained one.

    Raises `ValueError`, in one sentence, if a file is missing or damaged, or if the files don't belong together.
    """
    folder = Path(folder)
    for name in FILES:
        if not (folder / name).is_file():
            raise ValueError(f"{folder} is not a trained network: {name} is missing.")
    weights = folder / "unet.weights.h5"
    try:
        config = read_record(folder / "config.json")
        schedule = SCHEDULES[config["schedule"]["name"]](config["schedule"]["steps"])
        unet_config = UNetConfig(**config["unet"])
        recorded = config["weights_sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / 'config.json'} is damaged: {reason(error)}.") from error
    if sha256_of_file(weights) != recorded:
        raise ValueError(f"{weights} is damaged or belongs to another config.json: its SHA-256 isn't the recorded one.")
    denoiser = build_denoiser(unet_config, schedule)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras warns of every part that doesn't fit before it raises
            denoiser.unet.load_weights(weights)
    except (ValueError, OSError, KeyError) as error:
        raise ValueError(f"{weights} doesn't fit the network that config.json describes.") from error
    return denoiser


def load_digits_denoiser(folder: str | Path = PRETRAINED) -> Denoiser:
    """`load_denoiser` for measures that only make sense for MNIST's digits: accuracy, report card, validation error.

    Raises `ValueError` for a network that was trained on anything else, too.
    """
    denoiser = load_denoiser(folder)
    config, recipe = denoiser.config, read_record(Path(folder) / "config.json").get("training", {})
    data = recipe.get("data", "MNIST")
    if data != "MNIST" or (config.image_size, config.channels, config.num_classes) != (28, 1, 10):
        raise ValueError(f"{folder} was trained on {data}: only networks that draw MNIST's digits can be judged.")
    return denoiser


def read_history(path: str | Path) -> dict[str, np.ndarray]:
    """The columns of a `history.csv` by name, each `(rows,)` float64. Raises `ValueError` if the file is damaged."""
    try:
        rows = read_rows(path)
        return {name: np.array([float(row[name]) for row in rows]) for name in (rows[0] if rows else [])}
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is damaged: {reason(error)}.") from error


def save_checkpoint(path: Path, arrays: dict[str, list[np.ndarray]], state: dict) -> None:
    """Write everything that a training needs to resume: lists of arrays by name, and a JSON-able `state`, as `.npz`."""
    named = {f"{name}/{i}": array for name, values in arrays.items() for i, array in enumerate(values)}
    with atomic_write(path) as temporary:
        np.savez(temporary, state=json.dumps(state), **named)


def load_checkpoint(path: Path) -> tuple[dict[str, list[np.ndarray]], dict]:
    """The arrays and the state of a checkpoint. Raises `ValueError` if the file is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            state = json.loads(str(file["state"]))
            arrays: dict[str, list[np.ndarray]] = {}
            for key in file.files:
                if key != "state":
                    arrays.setdefault(key.rsplit("/", 1)[0], []).append(file[key])
    except Exception as error:  # a damaged archive can raise almost anything, from zlib.error to KeyError
        raise ValueError(f"{path} can't be resumed from ({error}); delete it, or choose another folder.") from error
    return arrays, state
