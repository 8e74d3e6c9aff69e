"""A trained network's folder loads as it was saved, and is refused, in one sentence, when anything is wrong with it."""

import shutil

import numpy as np
import pytest

from helpers.checkpoints import (
    PRETRAINED,
    load_checkpoint,
    load_denoiser,
    load_digits_denoiser,
    read_history,
    save_checkpoint,
    save_denoiser,
)
from helpers.diffusion import linear_schedule
from helpers.tools.files import ASSETS, read_record, write_record, write_rows
from helpers.unet import build_denoiser
from tests.conftest import TINY, lively

HISTORY = [{"step": 50, "loss": 0.5, "seconds": 1.5}, {"step": 100, "loss": 0.25, "seconds": 3.0}]


@pytest.fixture(scope="module")
def denoiser(schedule):
    return lively(TINY, schedule)


@pytest.fixture(scope="module")
def saved(denoiser, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "network"
    save_denoiser(folder, denoiser, {"steps": 100}, HISTORY)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    """A copy of the saved network, to be damaged."""
    return shutil.copytree(saved, tmp_path / "network")


def change(folder, section, **values):
    config = read_record(folder / "config.json")
    config[section] |= values
    write_record(folder / "config.json", config)


def test_round_trip(folder, denoiser):
    unet, schedule, config = load_denoiser(folder)
    for mine, theirs in zip(unet.get_weights(), denoiser.unet.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert config == denoiser.config
    np.testing.assert_array_equal(schedule.betas, denoiser.schedule.betas)
    np.testing.assert_array_equal(read_history(folder / "history.csv")["loss"], [0.5, 0.25])
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "history.csv", "unet.weights.h5"]


def test_damaged_history(folder):
    (folder / "history.csv").write_text("step,loss\n50,0.5\n100\n")
    with pytest.raises(ValueError, match=r"history\.csv is damaged"):
        read_history(folder / "history.csv")
    (folder / "history.csv").unlink()
    with pytest.raises(ValueError, match=r"network is not a trained network: history\.csv is missing"):
        load_denoiser(folder)


def test_a_schedule_that_could_not_be_loaded_is_not_saved(denoiser, tmp_path):
    of_another_schedule = denoiser._replace(schedule=linear_schedule(100, 1e-3, 0.15))
    with pytest.raises(ValueError, match="schedule must be one of"):
        save_denoiser(tmp_path, of_another_schedule, {}, HISTORY)
    assert list(tmp_path.iterdir()) == []


def test_no_folder_at_all(tmp_path):
    with pytest.raises(ValueError, match="nowhere is not a trained network"):
        load_denoiser(tmp_path / "nowhere")


@pytest.mark.parametrize("widths", [[8, 16], [8, 8, 8]], ids=["another shape", "another depth"])
def test_weights_of_another_network(folder, widths):
    change(folder, "unet", widths=widths)
    with pytest.raises(ValueError, match="doesn't fit the network that config.json describes"):
        load_denoiser(folder)


def test_weights_of_another_training(folder, schedule):
    build_denoiser(TINY, schedule).unet.save_weights(folder / "unet.weights.h5")  # they would fit
    with pytest.raises(ValueError, match=r"is damaged or belongs to another config\.json"):
        load_denoiser(folder)


def test_ten_classes_of_28x28_are_not_digits_by_their_shape_alone(folder, denoiser):
    change(folder, "training", data="MNIST")
    assert load_digits_denoiser(folder).config == denoiser.config
    change(folder, "training", data="letters.npz")
    with pytest.raises(ValueError, match=r"was trained on letters\.npz: only networks that draw MNIST's digits"):
        load_digits_denoiser(folder)


def test_checkpoint_round_trip(tmp_path):
    path = tmp_path / "checkpoint.npz"
    arrays = {"unet": [np.arange(3.0), np.float32(2)], "optimizer": [np.int64(7)]}
    save_checkpoint(path, arrays, {"step": 3})
    loaded, state = load_checkpoint(path)
    assert state == {"step": 3} and loaded.keys() == arrays.keys()
    np.testing.assert_array_equal(loaded["unet"][0], [0, 1, 2])


def test_empty_history(tmp_path):
    write_rows(tmp_path / "history.csv", [])
    assert read_history(tmp_path / "history.csv") == {}


@pytest.mark.parametrize("predicts", ["velocity", "noise"])
def test_shipped_networks(predicts):
    folder = ASSETS / f"unet-{predicts}"
    unet, schedule, config = load_digits_denoiser(folder)
    assert config.predicts == predicts and schedule.steps == 100
    assert unet.count_params() <= 2_000_000
    history = read_history(folder / "history.csv")
    recipe = read_record(folder / "config.json")["training"]
    assert history["step"][-1] == recipe["steps"]
    assert np.all(np.diff(history["seconds"]) > 0)  # tests/benchmarks/speed.py says how fast the training is
    assert PRETRAINED.is_dir()
