"""A trained network's folder loads as it was saved, and is refused, in one sentence, when anything is wrong with it."""

import json

import numpy as np
import pytest

from helpers.checkpoints import (
    SHIPPED,
    load_checkpoint,
    load_unet,
    read_history,
    save_checkpoint,
    save_unet,
)
from helpers.diffusion import linear_schedule
from helpers.files import ASSETS, read_record, write_record, write_rows

HISTORY = [{"step": 50, "loss": 0.5, "seconds": 1.5}, {"step": 100, "loss": 0.25, "seconds": 3.0}]


@pytest.fixture
def folder(lively_unet, schedule, tmp_path):
    save_unet(tmp_path / "network", lively_unet, schedule, {"steps": 100}, HISTORY)
    return tmp_path / "network"


def test_round_trip(folder, lively_unet, schedule):
    unet, loaded_schedule = load_unet(folder)
    for mine, theirs in zip(unet.get_weights(), lively_unet.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert unet.unet_config == lively_unet.unet_config
    np.testing.assert_array_equal(loaded_schedule.betas, schedule.betas)
    np.testing.assert_array_equal(read_history(folder / "history.csv")["loss"], [0.5, 0.25])
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "history.csv", "unet.weights.h5"]


def test_damaged_history(folder):
    (folder / "history.csv").write_text("step,loss\n50,0.5\n100\n")
    with pytest.raises(ValueError, match=r"history\.csv is damaged"):
        read_history(folder / "history.csv")
    (folder / "history.csv").unlink()
    with pytest.raises(ValueError, match=r"network is not a trained network: history\.csv is missing"):
        load_unet(folder)


def test_a_schedule_that_could_not_be_loaded_is_not_saved(lively_unet, tmp_path):
    with pytest.raises(ValueError, match="schedule must be one of"):
        save_unet(tmp_path, lively_unet, linear_schedule(100, 1e-3, 0.1), {}, HISTORY)
    assert list(tmp_path.iterdir()) == []


def test_no_folder_at_all(tmp_path):
    with pytest.raises(ValueError, match="nowhere is not a trained network"):
        load_unet(tmp_path / "nowhere")


def change(folder, section, **values):
    config = read_record(folder / "config.json")
    config[section].update(values)
    write_record(folder / "config.json", config)


def test_weights_of_another_shape(folder):
    change(folder, "unet", widths=[8, 8, 16])
    with pytest.raises(ValueError, match="doesn't fit the network that config.json describes"):
        load_unet(folder)


def test_weights_of_another_depth(folder):
    change(folder, "unet", widths=[8, 8])
    with pytest.raises(ValueError, match="doesn't fit"):
        load_unet(folder)


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
    unet, schedule = load_unet(ASSETS / f"unet-{predicts}")
    assert unet.unet_config.predicts == predicts and schedule.steps == 100
    assert unet.count_params() <= 2_000_000
    history = read_history(ASSETS / f"unet-{predicts}" / "history.csv")
    recipe = json.loads((ASSETS / f"unet-{predicts}" / "config.json").read_text())["training"]
    assert history["step"][-1] == recipe["steps"]
    assert np.all(np.diff(history["seconds"]) > 0)  # how fast it is, `helpers.benchmark` says
    assert SHIPPED.is_dir()
