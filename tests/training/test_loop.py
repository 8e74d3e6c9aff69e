"""A whole training: it learns, stops, resumes unasked, refuses another training's folder, and survives faults."""

import json
import os
import shutil
import signal
from typing import NamedTuple

import numpy as np
import pytest
from tqdm import tqdm

from helpers.checkpoints import load_denoiser, read_history
from helpers.tools.arrays import load_checkpoint
from helpers.tools.files import ASIDE
from helpers.tools.locks import held
from helpers.training import loop
from helpers.training.loop import train
from helpers.training.objective import TrainingConfig, validation_mse
from helpers.training.trainer import CHECKPOINT, Trainer
from tests.conftest import TINY, said
from tests.repository.disk import no_space_left, read_only
from tests.training.compiled_once import compiled_once

STOPS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
RECIPE = TrainingConfig(steps=12, batch_size=16, warmup_steps=2, learning_rate=3e-2)


@pytest.fixture(scope="module", autouse=True)
def one_compiled_step():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "Trainer", compiled_once())
        yield


@pytest.fixture(scope="module")
def few(mnist):
    return mnist.train_images[:100], mnist.train_labels[:100]


def run(few, out=None, progress=False, **options):
    return train(TINY, RECIPE, *few, out, history_every=5, progress=progress, **options)


class Whole(NamedTuple):
    """A training that nothing interrupted."""

    folder: object
    weights: list
    history: list


@pytest.fixture(scope="module")
def whole(few, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    ema, history = run(few, folder)
    return Whole(folder, ema.unet.get_weights(), history)


@pytest.fixture
def copied(whole, tmp_path):
    """A copy of its folder, for a test that writes to it."""
    shutil.copytree(whole.folder, tmp_path / "copy")
    return tmp_path / "copy"


def interrupt_after(steps, monkeypatch, stop=signal.SIGINT):
    """A real signal to this process, sent while step number `steps` is being counted."""
    update, seen = tqdm.update, []

    def counted(bar, n=1):
        seen.append(n)
        if len(seen) == steps:
            signal.raise_signal(stop)
        return update(bar, n)

    monkeypatch.setattr(tqdm, "update", counted)


def no_step(*_):
    pytest.fail("a finished training was trained further")


def assert_same_losses(history, expected):
    assert [row["step"] for row in history] == [row["step"] for row in expected]
    np.testing.assert_allclose([row["loss"] for row in history], [row["loss"] for row in expected], rtol=1e-5)


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# --- It learns, stops and resumes ---


def test_it_learns(mnist, whole):
    losses = [row["loss"] for row in whole.history]
    assert losses[-1] < 0.8 * losses[0]
    ema = load_denoiser(whole.folder)
    mse = validation_mse(ema, mnist.train_images[-100:], mnist.train_labels[-100:], per_image=2)
    assert mse.noise.mean() < 0.6


def test_resuming_gives_the_run_it_would_have_been(few, whole, tmp_path, monkeypatch):
    """The same call resumes, with the optimizer's averages and the losses since the last row of the history."""
    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt, match="Stopped after step 7, saved in"):
        interrupt_after(7, patch)
        run(few, tmp_path)
    assert [row["step"] for row in load_checkpoint(tmp_path / CHECKPOINT)[1]["history"]] == [5]
    load_denoiser(tmp_path)  # what was saved can be used as it is
    assert signal.getsignal(signal.SIGINT) is handler
    resumed, history = run(few, tmp_path)
    assert [row["step"] for row in history] == [5, 10, 12]
    assert_same_losses(history, whole.history)
    for mine, theirs in zip(resumed.unet.get_weights(), whole.weights, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)
    for mine, theirs in zip(load_denoiser(tmp_path).unet.get_weights(), resumed.unet.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("stop", STOPS)
def test_more_signals_while_it_saves_lose_nothing(stop, few, whole, copied, monkeypatch):
    """One ends the training after its step; others reach the saving, between any two of its files."""
    write, seen = os.replace, []

    def interrupted(*names):
        signal.raise_signal(stop)
        write(*names)
        signal.raise_signal(stop)
        seen.append(names)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt, match="Stopped after step 2, saved in"):
        interrupt_after(2, patch, stop)
        patch.setattr(os, "replace", interrupted)
        run(few, copied, replace=True)
    assert len(seen) >= 2 and load_checkpoint(copied / CHECKPOINT)[1]["step"] == 2
    load_denoiser(copied)
    assert not list(copied.glob(f"{ASIDE}*"))
    assert_same_losses(run(few, copied)[1], whole.history)


def test_the_bar_says_what_it_waits_for(few, monkeypatch, capsys):
    shown = []

    def first_step(trainer, *_):
        shown.append(capsys.readouterr().err)
        raise FloatingPointError("enough")

    monkeypatch.setattr(Trainer, "distributed_step", first_step)
    with pytest.raises(FloatingPointError, match="enough"):
        run(few, progress=True)
    assert "0/12" in shown[0] and "compiling the first step" in shown[0]


def test_workers_stop_after_the_same_step(few, tmp_path, monkeypatch):
    """The signal reached another worker."""
    asked = []

    def of_another(strategy, mine):
        asked.append(mine)
        return len(asked) == 3

    monkeypatch.setattr(loop, "any_worker", of_another)
    with pytest.raises(KeyboardInterrupt, match="Stopped after step 3, saved in"):
        run(few, tmp_path)
    assert asked == [False] * 3


def test_a_row_of_the_history_is_the_mean_since_the_last_one(few, monkeypatch):
    monkeypatch.setattr(Trainer, "distributed_step", lambda trainer, *_: float(trainer.step))
    assert [(row["step"], row["loss"]) for row in run(few)[1]] == [(5, 2.0), (10, 7.0), (12, 10.5)]


def test_without_a_folder_nothing_is_written(few, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt, match=r"^Stopped after step 2\.$"):
        interrupt_after(2, patch)
        run(few)
    assert list(tmp_path.iterdir()) == []


def test_a_finished_training_is_returned_as_it_is(few, whole, monkeypatch):
    before = bytes_of(whole.folder)
    monkeypatch.setattr(Trainer, "distributed_step", no_step)
    ema, history = run(few, whole.folder)
    assert history == whole.history
    for mine, theirs in zip(ema.unet.get_weights(), whole.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert bytes_of(whole.folder) == before


# --- It refuses another training's folder, and replaces it on request ---


def test_another_training_is_refused(few, whole, monkeypatch):
    """Here because of its data; `test_trainer` has another recipe."""
    before = bytes_of(whole.folder)
    monkeypatch.setattr(Trainer, "distributed_step", no_step)
    images, labels = few
    with pytest.raises(ValueError, match="belongs to another data set: .*--replace"):
        run((images, labels[::-1]), whole.folder)
    assert bytes_of(whole.folder) == before


def test_a_finished_network_without_a_checkpoint_is_refused(few, copied):
    """Such as a copy of a pre-trained one."""
    (copied / CHECKPOINT).unlink()
    before = bytes_of(copied)
    with pytest.raises(ValueError, match="holds a finished network: choose another folder, or .* --replace") as raised:
        run(few, copied)
    assert str(copied) in said(raised) and bytes_of(copied) == before


def test_a_network_copied_over_an_unfinished_training_is_refused(few, whole, copied):
    """The checkpoint alone would be resumed, and the copy lost."""
    (copied / "history.csv").write_text("step,loss,seconds\n1,0.5,1.0\n", encoding="utf-8")
    kept = bytes_of(copied)
    with pytest.raises(ValueError, match="holds a network of another training than checkpoint.npz; choose another"):
        run(few, copied)
    assert bytes_of(copied) == kept


@pytest.mark.parametrize("holds", ["this training", "another training", "a finished network"])
def test_replace_starts_anew(few, whole, copied, holds, monkeypatch):
    if holds == "a finished network":
        (copied / CHECKPOINT).unlink()
    elif holds == "another training":
        arrays = np.load(copied / CHECKPOINT)
        state = json.loads(str(arrays["state"]))
        state["recipe"]["training"]["seed"] = 7
        np.savez(copied / CHECKPOINT, **{**arrays, "state": json.dumps(state)})
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt, match="Stopped after step 5"):
        interrupt_after(5, patch)
        run(few, copied, replace=True)
    state = load_checkpoint(copied / CHECKPOINT)[1]
    assert state["step"] == 5 and state["recipe"]["training"]["seed"] == 0
    assert_same_losses(state["history"], whole.history[:1])
    assert read_history(copied / "history.csv")["step"].tolist() == [5]


# --- Faults ---


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("size", r"images must be \(n, 28, 28\) uint8, not \(100, 24, 28\) uint8"),
        ("type", r"images must be \(n, 28, 28\) uint8, not \(100, 28, 28\) float64"),
        ("number", r"images must be at least as many as batch_size \(16\), not 15"),
        ("label", r"labels must be 100 whole numbers in 0\.\.9, one per image, not 0\.\.10"),
        ("below zero", r"labels must be 100 whole numbers in 0\.\.9, one per image, not -2\.\.9"),
        ("length", r"labels must be 100 whole numbers in 0\.\.9, one per image, not \(99,\) int64"),
        ("half", r"labels must be 100 whole numbers .* not \(100,\) float64"),
        ("NaN", r"labels must be 100 whole numbers .* not \(100,\) float64"),
        ("bool", r"labels must be 100 whole numbers .* not \(100,\) bool"),
        ("seconds", r"labels must be 100 whole numbers .* not \(100,\) timedelta64"),
        ("text", r"labels must be 100 whole numbers .* not \(100,\) <U"),
    ],
)
def test_data_that_does_not_fit_the_network(few, wrong, reason):
    images, labels = few[0], few[1].astype(int)
    if wrong == "size":
        images = images[:, :24]
    elif wrong == "type":
        images = images / 255
    elif wrong == "number":
        images, labels = images[:15], labels[:15]
    elif wrong == "label":
        labels[3] = 10
    elif wrong == "below zero":
        labels[3] = -2
    elif wrong in ("half", "NaN"):
        labels = labels.astype(float)
        labels[3] = 3.5 if wrong == "half" else np.nan
    elif wrong in ("bool", "seconds", "text"):
        labels = labels.astype({"bool": bool, "seconds": "m8[s]", "text": str}[wrong])
    else:
        labels = labels[:99]
    with pytest.raises(ValueError, match=reason) as raised:
        run((images, labels))
    said(raised)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"streams": 0}, "streams must be a whole number of at least 1, not 0"),
        ({"streams": 1.5}, "streams must be a whole number of at least 1, not 1.5"),
        ({"streams": 3}, "batch_size must be divisible by devices times streams .1 x 3., not 16"),
        ({"history_every": 0}, "history_every must be a whole number of at least 1, not 0"),
        ({"history_every": True}, "history_every must be a whole number of at least 1, not True"),
        ({"save_every_seconds": float("nan")}, "save_every_seconds must be a finite number of at least 0, not nan"),
        ({"save_every_seconds": "3"}, "save_every_seconds must be a finite number of at least 0, not '3'"),
        ({"out": ""}, "the path must not be empty"),
        ({"out": " "}, "the path must not be empty"),
    ],
)
def test_unfit_options(few, options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Trainer, "distributed_step", no_step)
    options = {"history_every": 5, "progress": False} | options
    with pytest.raises(ValueError, match=message) as raised:
        train(TINY, RECIPE, *few, **options)
    said(raised)
    assert list(tmp_path.iterdir()) == []


def test_a_list_of_labels_is_as_good_as_an_array(few, whole):
    images, labels = few
    assert_same_losses(run((list(images), labels.tolist()))[1], whole.history)


def test_home_is_the_home_folder(few, whole, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.copytree(whole.folder, tmp_path / "runs" / "mine")
    monkeypatch.chdir(tmp_path)
    assert run(few, "~/runs/mine")[1] == whole.history  # the finished training of that folder
    load_denoiser("~/runs/mine")
    assert not (tmp_path / "~").exists()


def test_a_second_training_into_one_folder_is_refused_and_told_who_holds_it(few, copied):
    """Whatever it asks for. The first one isn't disturbed."""
    before = bytes_of(copied)
    with held(copied):
        for options in ({}, {"replace": True}):
            with pytest.raises(
                ValueError, match=rf"copy is in use by process {os.getpid()} on .* since \d{{4}}-"
            ) as raised:
                run(few, copied, **options)
            said(raised)
    assert bytes_of(copied) == before  # no lock is left either
    run(few, copied)


def test_a_folder_that_cannot_be_written_is_noticed_before_the_first_step(few, tmp_path, monkeypatch):
    monkeypatch.setattr(Trainer, "distributed_step", no_step)
    with (
        pytest.raises(ValueError, match="^(.*)/runs/mine can't be written: Read-only file system") as raised,
        read_only(),
    ):
        run(few, tmp_path / "runs" / "mine")
    said(raised)


SAVE_EVERY_STEP = {"save_every_seconds": 0.0}


@pytest.mark.parametrize("loss", [np.nan, np.inf])
def test_a_loss_that_is_not_a_number_stops_and_keeps_the_last_checkpoint(few, whole, tmp_path, monkeypatch, loss):
    step = Trainer.distributed_step

    def diverging(trainer, *batch):
        return step.__get__(trainer, Trainer)(*batch) if trainer.step < 7 else loss

    with monkeypatch.context() as patch, pytest.raises(FloatingPointError, match=f"the loss at step 7 is {loss}"):
        patch.setattr(Trainer, "distributed_step", diverging)
        run(few, tmp_path, **SAVE_EVERY_STEP)
    assert load_checkpoint(tmp_path / CHECKPOINT)[1]["step"] == 7
    load_denoiser(tmp_path)
    assert_same_losses(run(few, tmp_path)[1], whole.history)


def test_a_full_disk_in_the_middle_of_a_training(few, whole, tmp_path, monkeypatch):
    """The old checkpoint stays, and the training resumes from it once there is space."""
    save = Trainer.save

    def failing(trainer, folder):
        if trainer.step == 5:
            with no_space_left():
                save(trainer, folder)
        save(trainer, folder)

    with monkeypatch.context() as patch, pytest.raises(OSError, match="large"):
        patch.setattr(Trainer, "save", failing)
        run(few, tmp_path, **SAVE_EVERY_STEP)
    assert load_checkpoint(tmp_path / CHECKPOINT)[1]["step"] == 4
    load_denoiser(tmp_path)
    assert_same_losses(run(few, tmp_path)[1], whole.history)
