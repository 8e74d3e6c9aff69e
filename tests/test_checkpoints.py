"""A trained network's folder loads as it was saved, and is refused, in one sentence, when anything is wrong with it."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from helpers.checkpoints import (
    FILES,
    PRETRAINED,
    PRETRAINED_NOISE,
    folder_of,
    load_denoiser,
    load_digits_denoiser,
    read_history,
    save_denoiser,
)
from helpers.data import TRAINING_DIGEST, digest_of, training_split
from helpers.diffusion import linear_schedule
from helpers.tools.arrays import load_checkpoint, save_checkpoint
from helpers.tools.files import ASSETS, READY, read_record, settle, write_record, write_rows
from helpers.unet import build_denoiser
from tests.conftest import TINY, Payload, lively, said
from tests.maintenance.network_outputs import OUTPUTS, outputs_of

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


def test_a_name_stands_for_what_ships_and_anything_else_for_a_folder(tmp_path, monkeypatch):
    assert folder_of("velocity") == folder_of(Path("velocity")) == PRETRAINED and folder_of("noise") == PRETRAINED_NOISE
    assert folder_of("runs/velocity") == Path("runs/velocity") and folder_of(tmp_path / "noise") == tmp_path / "noise"
    with pytest.raises(ValueError, match="must not be empty"):
        folder_of("")
    with pytest.raises(ValueError, match="distiled is not a trained network"):
        load_denoiser("distiled")


def test_a_network_from_before_there_were_students_is_none(folder, denoiser):
    record = read_record(folder / "config.json")
    del record["unet"]["distilled_steps"]
    write_record(folder / "config.json", record)
    assert load_denoiser(folder).config == denoiser.config


def test_damaged_history(folder):
    (folder / "history.csv").write_text("step,loss\n50,0.5\n100\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"history\.csv is damaged"):
        read_history(folder / "history.csv")
    (folder / "history.csv").unlink()
    with pytest.raises(ValueError, match=r"network is not a trained network: history\.csv is missing"):
        load_denoiser(folder)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("step,loss,seconds\n50,0.5\n", "a row lacks seconds"),
        ("step,loss\n50,0.5\n", "a row lacks seconds"),
        ("step,loss,seconds\n50,low,1\n", "could not convert string to float"),
        ("step,loss,seconds\n50,nan,1\n", "loss must be a finite number, not nan"),
        ("step,loss,seconds\n50,0.5,inf\n", "seconds must be a finite number, not inf"),
        ("step,loss,seconds\n50,,1\n", "could not convert string to float"),
        ("step,loss,seconds\n50,0.5,1,2\n", "a row lacks a value, or has too many"),
        ("step,loss,seconds,note\n50,0.5,1,\u00e9\n", "could not convert string to float"),
    ],
)
def test_a_history_of_another_form(folder, text, why):
    (folder / "history.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=rf"history\.csv is damaged: {why}") as raised:
        read_history(folder / "history.csv")
    said(raised)


@pytest.mark.parametrize("last", range(9))
def test_a_power_cut_between_any_two_renames_of_the_files_leaves_a_network_that_loads(
    last, folder, denoiser, monkeypatch
):
    """Two files are renamed aside, then the folder of all three, which counts, then each of them into its place."""
    rename, done, counts = os.replace, [], []

    def renamed_until(source, target):
        if len(done) == last:
            raise SystemExit("power cut")
        done.append(target)
        counts.append(Path(target).name == READY)
        rename(source, target)

    new, history = lively(TINY, denoiser.schedule), [row | {"loss": 0.125} for row in HISTORY]
    new.unet.set_weights([weight + 1 for weight in denoiser.unet.get_weights()])
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", renamed_until)
        try:
            save_denoiser(folder, new, {"steps": 100}, history)
            assert last >= 6
        except SystemExit:
            assert last < 6
    found, is_new = load_denoiser(folder), any(counts)
    np.testing.assert_array_equal(found.unet.get_weights()[0], (new if is_new else denoiser).unet.get_weights()[0])
    assert read_history(folder / "history.csv")["loss"][0] == (0.125 if is_new else 0.5)
    assert sorted(file.name for file in folder.iterdir()) == sorted(FILES)


def test_a_history_that_a_viewer_keeps_open(folder, denoiser, monkeypatch):
    """As on Windows: the new network is complete and loads, and its history follows once the file is closed."""
    rename = os.replace

    def replace(source, target):
        if Path(target) == folder / "history.csv":
            raise PermissionError(13, "Permission denied", str(target))
        rename(source, target)

    new = lively(TINY, denoiser.schedule)
    new.unet.set_weights([weight + 1 for weight in denoiser.unet.get_weights()])
    monkeypatch.setattr(settle, "__defaults__", (0.0,))
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace)
        with pytest.raises(
            OSError, match=r"history\.csv can't be replaced .*: close the program that uses it"
        ) as raised:
            save_denoiser(folder, new, {"steps": 100}, [row | {"loss": 0.125} for row in HISTORY])
        said(raised)
        np.testing.assert_array_equal(load_denoiser(folder).unet.get_weights()[0], new.unet.get_weights()[0])
    load_denoiser(folder)
    assert read_history(folder / "history.csv")["loss"][0] == 0.125


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


@pytest.mark.parametrize("name", ["MNIST", "my_digits.npz"])
def test_the_digest_decides_what_digits_are(folder, denoiser, name):
    change(folder, "training", data=name, data_sha256=TRAINING_DIGEST)
    assert load_digits_denoiser(folder).config == denoiser.config
    for digest in ("0" * 64, None, 7, [TRAINING_DIGEST]):
        change(folder, "training", data_sha256=digest)
        with pytest.raises(ValueError, match=f"by its SHA-256, '{name}' isn't MNIST's training set") as raised:
            load_digits_denoiser(folder)
        said(raised)


@pytest.mark.parametrize("recipe", [None, [], "MNIST", {}, {"data": "x\n\x1b[2J" * 1000}], ids=lambda it: repr(it)[:12])
def test_no_digest_is_no_digits(folder, recipe):
    record = read_record(folder / "config.json")
    write_record(folder / "config.json", record | {"training": recipe})
    with pytest.raises(ValueError, match="isn't MNIST's training set") as raised:
        load_digits_denoiser(folder)
    assert "\x1b" not in said(raised) and len(said(raised)) < 400


def test_the_digest_is_that_of_the_training_images(mnist):
    assert digest_of(*training_split(mnist)) == TRAINING_DIGEST


def test_checkpoint_round_trip(tmp_path):
    path = tmp_path / "checkpoint.npz"
    arrays = {"unet": [np.arange(3.0), np.float32(2)], "optimizer": [np.int64(7)]}
    save_checkpoint(path, arrays, {"step": 3})
    loaded, state = load_checkpoint(path)
    assert state == {"step": 3} and loaded.keys() == arrays.keys()
    np.testing.assert_array_equal(loaded["unet"][0], [0, 1, 2])


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    """Python's pickles can call any function; NumPy reads them from arrays of objects, if it is allowed to."""
    path, file = tmp_path / "checkpoint.npz", tmp_path / "made by the payload"
    np.savez(path, **{"state": json.dumps({"step": 3}), "unet/0": np.array([Payload(file)], object)})
    with pytest.raises(ValueError, match=r"checkpoint\.npz can't be resumed from"):
        load_checkpoint(path)
    assert not file.exists()


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


@pytest.mark.parametrize("predicts", ["velocity", "noise"])
def test_shipped_networks_answer_as_they_did(predicts):
    """Halves or channels in another order fit the weights as well, and give other images."""
    recorded = json.loads(OUTPUTS.read_text(encoding="utf-8"))
    np.testing.assert_allclose(outputs_of(ASSETS / f"unet-{predicts}"), recorded[f"unet-{predicts}"], atol=1e-3)
