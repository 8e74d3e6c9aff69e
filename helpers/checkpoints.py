"""Keeping networks on disk: a trained one as a folder that anyone can load, a running training as one file.

A folder holds `config.json` (network, schedule, training recipe), `unet.weights.h5` and `history.csv`.
Loading builds the network from the numbers in the JSON and fills in weights: no code is ever read from
a file, so a stranger's folder can't run any.
"""

import dataclasses
import json
import warnings
from pathlib import Path

import keras
import numpy as np

from helpers.diffusion import SCHEDULES, Schedule
from helpers.files import ASSETS, read_record, read_rows, reason, sha256_of_file, write_aside, write_record, write_rows
from helpers.unet import UNetConfig, build_unet

SHIPPED = ASSETS / "unet-velocity"  # the better of the two on held-out images: see README, "Two networks ship"


def save_unet(folder: str | Path, unet: keras.Model, schedule: Schedule, recipe: dict, history: list[dict]) -> None:
    """Write a trained network as a folder, its files aside and then renamed. `recipe` is kept for the record.

    Raises `ValueError` for a schedule that its name and number of steps don't describe.
    """
    if schedule.name not in SCHEDULES or not np.array_equal(
        SCHEDULES[schedule.name](schedule.steps).betas, schedule.betas
    ):
        raise ValueError(
            f"schedule must be one of {sorted(SCHEDULES)} with its default betas: config.json holds its name."
        )
    folder = Path(folder)
    # All three are written before the first is renamed: a full disk leaves the old network, not parts of both.
    with (
        write_aside(folder / "config.json") as config_file,
        write_aside(folder / "history.csv") as history_file,
        write_aside(folder / "unet.weights.h5") as weights_file,
    ):
        unet.save_weights(weights_file)
        write_rows(history_file, history)
        config = {
            "unet": dataclasses.asdict(unet.unet_config),
            "schedule": {"name": schedule.name, "steps": schedule.steps},
            "training": recipe,
            "weights_sha256": sha256_of_file(weights_file),
        }
        write_record(config_file, config)


def load_unet(folder: str | Path = SHIPPED) -> tuple[keras.Model, Schedule]:
    """(unet, schedule) from a folder that `save_unet` wrote; by default the network that the course ships.

    Raises `ValueError`, in one sentence, if a file is missing or damaged, or if they don't belong together.
    """
    folder = Path(folder)
    weights = folder / "unet.weights.h5"
    for file in (folder / "config.json", weights, folder / "history.csv"):
        if not file.is_file():
            raise ValueError(f"{folder} is not a trained network: {file.name} is missing.")
    try:
        config = read_record(folder / "config.json")
        schedule = SCHEDULES[config["schedule"]["name"]](config["schedule"]["steps"])
        unet_config = UNetConfig(**config["unet"])
        recorded = config["weights_sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / 'config.json'} is damaged: {reason(error)}.") from error
    if sha256_of_file(weights) != recorded:
        raise ValueError(f"{weights} is damaged or belongs to another config.json: its SHA-256 isn't the recorded one.")
    unet = build_unet(unet_config)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras warns of every part that doesn't fit before it raises
            unet.load_weights(weights)
    except (ValueError, OSError, KeyError) as error:
        raise ValueError(f"{weights} doesn't fit the network that config.json describes.") from error
    return unet, schedule


def load_digits_unet(folder: str | Path) -> tuple[keras.Model, Schedule]:
    """`load_unet`, for what speaks of MNIST's digits alone: accuracy, the report card, held-out errors.

    Raises `ValueError` for a network that draws anything else, too.
    """
    unet, schedule = load_unet(folder)
    config, recipe = unet.unet_config, json.loads((Path(folder) / "config.json").read_text()).get("training", {})
    data = recipe.get("data", "MNIST")
    if data != "MNIST" or (config.image_size, config.channels, config.num_classes) != (28, 1, 10):
        raise ValueError(f"{folder} was trained on {data}: only networks that draw MNIST's digits can be judged.")
    return unet, schedule


def read_history(path: str | Path) -> dict[str, np.ndarray]:
    """The columns of a `history.csv` by name, each `(rows,)` float64. Raises `ValueError` if the file is damaged."""
    try:
        rows = read_rows(path)
        return {name: np.array([float(row[name]) for row in rows]) for name in (rows[0] if rows else [])}
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is damaged: {reason(error)}.") from error


def save_checkpoint(path: Path, arrays: dict[str, list[np.ndarray]], state: dict) -> None:
    """All that a training needs to go on: named lists of arrays, and a JSON-able `state`, as one `.npz`."""
    named = {f"{name}/{i}": array for name, values in arrays.items() for i, array in enumerate(values)}
    with write_aside(path) as temporary:
        np.savez(temporary, state=json.dumps(state), **named)


def load_checkpoint(path: Path) -> tuple[dict[str, list[np.ndarray]], dict]:
    """What `save_checkpoint` wrote. Raises `ValueError` if the file is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            state = json.loads(str(file["state"]))
            arrays: dict[str, list[np.ndarray]] = {}
            for key in file.files:
                if key != "state":
                    arrays.setdefault(key.rsplit("/", 1)[0], []).append(file[key])
    except Exception as error:  # a damaged archive can raise almost anything, from zlib.error to KeyError
        raise ValueError(f"{path} can't be resumed from ({error}); start anew without --resume.") from error
    return arrays, state
