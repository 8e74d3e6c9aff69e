"""What can go wrong, as a table: each row is a fault, and says what is told to the reader or what stays intact.

1. A file is missing, empty, cut off or altered.        4. A training diverges or is killed.
2. A config asks for something absurd.                  5. A request is too long.
3. A file can't be written: the disk is full.           6. What a measure is given is unfit: `test_unfit_inputs`.

Rows that need more than a line stand beside what they belong to: MNIST without a network, altered or holding objects
in `test_data`; weights of another shape and another recipe's checkpoint in `test_checkpoints` and `test_training`; a
report of other weights in `test_evaluation`; Ctrl-C in `test_training`, `test_digit_clip`, `test_recipes` and
`test_evaluation`; what each argument may be in the test file of its module.
"""

import functools
import os
import resource
import shutil
from contextlib import contextmanager
from multiprocessing import forkserver
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import said
from kill_and_resume import NETWORK as TINY
from kill_and_resume import RECIPE, count_survivors

import helpers.checkpoints as checkpoints
import helpers.classifier as classifier_module
import helpers.evaluation as evaluation
import helpers.sampling as sampling
import helpers.training as training
from helpers.benchmark import alone, peak_memory
from helpers.checkpoints import SHIPPED, load_checkpoint, load_unet, save_checkpoint, save_unet
from helpers.classifier import (
    CLASSIFIERS,
    build_classifier,
    load_classifier,
    save_classifier,
)
from helpers.clip import ClipUnavailable, load_clip
from helpers.data import DataError, load_mnist
from helpers.diffusion import cosine_schedule
from helpers.digit_clip import DIGIT_CLIP, DigitClipConfig, DigitClipTrainer, save_digit_clip
from helpers.evaluation import load_report
from helpers.files import ASIDE, ASSETS, read_record, write_record, write_rows
from helpers.request import MOST_DIGITS
from helpers.training import train
from helpers.unet import build_unet


def no_network():
    raise Exception("URL fetch failure: no network")


def everything_in(folder: Path) -> dict:
    """Each file's bytes by its path, and None for a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


# --- 1. A file is missing, empty, cut off or altered ---


def alter(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-40]),
    "altered": alter,
}
NETWORK, CLIP = ["config.json", "unet.weights.h5"], ["config.json", "model.safetensors", "tokenizer.json"]
FILES = [  # who reads them, what they raise, the folder that ships, its files
    (lambda folder: load_mnist(folder / "mnist.npz"), DataError, ASSETS, ["mnist.npz"]),
    (load_unet, ValueError, SHIPPED, NETWORK),
    (lambda folder: load_classifier("judge", folder), ValueError, CLASSIFIERS, ["judge.json", "judge.weights.h5"]),
    (load_clip, ClipUnavailable, DIGIT_CLIP, [*CLIP, "preprocessor_config.json", "tokenizer_config.json"]),
    (load_report, ValueError, ASSETS / "unet-noise", ["evaluation.json"]),
]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    ("read", "error", "shipped", "file"),
    [pytest.param(*row[:3], file, id=f"{row[2].name}/{file}") for row in FILES for file in row[3]],
)
def test_a_damaged_file_is_named(read, error, shipped, file, damage, tmp_path, monkeypatch):
    monkeypatch.setattr(keras.datasets.mnist, "load_data", no_network)
    folder = tmp_path / "copy"
    shutil.copytree(shipped, folder, ignore=lambda _, names: [name for name in names if (shipped / name).is_dir()])
    read(folder)
    DAMAGES[damage](folder / file)
    with pytest.raises(error) as raised:
        read(folder)
    assert str(folder) in said(raised)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_named(damage, tmp_path):
    path = tmp_path / "checkpoint.npz"
    save_checkpoint(path, {"unet": [np.arange(1000.0)]}, {"step": 3})
    load_checkpoint(path)
    DAMAGES[damage](path)
    with pytest.raises(ValueError, match="can't be resumed from") as raised:
        load_checkpoint(path)
    assert str(path) in said(raised)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("config.json", '"cosine"', '"linear"'),
        ("config.json", '"steps": 100', '"steps": 50'),
        ("config.json", '"predicts": "noise"', '"predicts": "velocity"'),
        ("evaluation.json", '"share": 0.9', '"share": 0.99'),
    ],
)
def test_an_altered_text_that_still_makes_sense_is_refused(file, old, new, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(ASSETS / "unet-noise", folder)
    text = (folder / file).read_text()
    (folder / file).write_text(text.replace(old, new, 1))
    assert (folder / file).read_text() != text
    with pytest.raises(ValueError, match="altered"):
        (load_unet if file == "config.json" else load_report)(folder)


@pytest.mark.parametrize("file", ["figures.json", "images-00000.npy"])
def test_a_damaged_part_of_an_unfinished_report_is_named(file, tmp_path):
    run = evaluation.describe_run(SHIPPED, 500, 0)
    work = evaluation.work_folder(run, tmp_path)
    write_record(work / "figures.json", {"seconds": {}})
    (work / "images-00000.npy").write_bytes(b"half an array")
    if file == "figures.json":
        (work / file).write_text("{")
    with pytest.raises(ValueError, match=f"{file} is damaged .*delete it to go on without it"):
        evaluation.evaluate(SHIPPED, 500, 0, tmp_path, progress=False)


# --- 2. A config asks for something absurd: refused before anything is built ---


@pytest.mark.parametrize(
    ("section", "values", "sentence"),
    [
        ("unet", {"widths": [16, 1_000_000, 96]}, "widths must be 2 to 4 whole numbers in 1..512"),
        ("unet", {"widths": [16] * 1_000}, "widths must be 2 to 4 whole numbers in 1..512"),
        ("unet", {"widths": "16"}, "widths must be"),
        ("unet", {"widths": 16}, "not iterable"),
        ("unet", {"num_classes": 10**9}, "num_classes must be a whole number in 1..1000"),
        ("unet", {"num_classes": float("nan")}, "num_classes must be"),
        ("unet", {"image_size": 2**20}, "image_size must be"),
        ("unet", {"embedding_width": -128}, "embedding_width must be"),
        ("unet", {"heads": True}, "heads must be"),
        ("unet", {"skip_connections": "no"}, "skip_connections must be True or False"),
        ("unet", {"predicts": ["noise"]}, "predicts must be"),
        ("unet", {"colour": "blue"}, "colour"),
        ("schedule", {"steps": -5}, "steps must be a whole number in 1..10000"),
        ("schedule", {"steps": 10**9}, "steps must be"),
        ("schedule", {"steps": "100"}, "steps must be"),
        ("schedule", {"steps": True}, "steps must be"),
        ("schedule", {"name": "square"}, "square"),
        ("schedule", {"name": ["cosine"]}, "unhashable"),
    ],
)
def test_a_config_that_asks_for_nonsense(section, values, sentence, tmp_path, monkeypatch):
    config = read_record(SHIPPED / "config.json")
    config[section] |= values
    said = refusal_of(lambda file: write_record(file, config), tmp_path, monkeypatch)
    assert sentence in said and len(said) < 500


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"{}", b"7", b"null", b'{"unet": []}', b"\xff\xfe", b"[" * 100_000, b"9" * 10_000],
    ids=lambda text: repr(text[:12]),
)
def test_a_config_that_is_not_one(text, tmp_path, monkeypatch):
    refusal_of(lambda file: file.write_bytes(text), tmp_path, monkeypatch)


def refusal_of(write_config, folder, monkeypatch) -> str:
    """What is said of the shipped network with another config."""
    for name in ("unet.weights.h5", "history.csv"):
        shutil.copy(SHIPPED / name, folder)
    write_config(folder / "config.json")
    monkeypatch.setattr(checkpoints, "build_unet", lambda config: pytest.fail("built before it was checked"))
    with pytest.raises(ValueError, match=r"config\.json is damaged") as raised:
        load_unet(folder)
    return said(raised)


# --- 3. A file can't be written ---


@contextmanager
def no_space_left():
    """No file may grow beyond 64 bytes: Python's own files and those of libraries fail in the middle."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@contextmanager
def no_renaming():
    """The files are complete, but can't get their names."""

    def refuse(*_):
        raise OSError("No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        yield


def save_network(folder, number):
    history = [{"step": step, "loss": number} for step in range(20)]
    save_unet(folder / "network", build_unet(TINY), cosine_schedule(), {"number": number}, history)


def save_data_set(folder, number):
    """Only ever written where there is none."""
    if number > 1:
        load_mnist(folder / "mnist.npz")


def save_clip(folder, number):
    clip = load_clip()
    save_digit_clip(folder / "clip", clip.model, clip.tokenizer)


def save_clip_checkpoint(folder, number):
    digits = np.random.default_rng(number).integers(0, 255, (16, 28, 28), np.uint8), np.arange(16) % 10
    trainer = DigitClipTrainer(DigitClipConfig(batch_size=16, merges=5), *digits)
    trainer.step = number
    trainer.save_checkpoint(folder / "checkpoint.pt")


WRITES = {
    "network": save_network,
    "checkpoint": lambda folder, number: save_checkpoint(
        folder / "checkpoint.npz", {"unet": [np.full(1000, number)]}, {"step": number}
    ),
    "rows": lambda folder, number: write_rows(folder / "rows.csv", [{"step": number}] * 100),
    "report": lambda folder, number: write_record(folder / "evaluation.json", {"images": [number] * 100}),
    "data set": save_data_set,
    "classifier": lambda folder, number: save_classifier(build_classifier("judge"), folder),
    "digit-clip": save_clip,
    "digit-clip's checkpoint": save_clip_checkpoint,
    "picture": lambda folder, number: sampling.save_png(
        folder / "digits.png", np.random.default_rng(number).uniform(-1, 1, (2, 28, 28, 1))
    ),
}


@pytest.mark.parametrize("failing", [no_space_left, no_renaming], ids=lambda failing: failing.__name__)
@pytest.mark.parametrize("what", WRITES)
def test_a_failing_write_leaves_what_was_there(what, failing, tmp_path, mnist, monkeypatch):
    kept = (mnist.train_images, mnist.train_labels), (mnist.test_images, mnist.test_labels)
    monkeypatch.setattr(keras.datasets.mnist, "load_data", lambda: kept)
    monkeypatch.setattr(classifier_module, "digit_accuracy", lambda *_: 0.5)
    WRITES[what](tmp_path, 1)
    before = everything_in(tmp_path)
    with pytest.raises(Exception, match=r"(?i)large|space|written|write|pos"), failing():
        WRITES[what](tmp_path, 2)
    assert everything_in(tmp_path) == before
    WRITES[what](tmp_path, 2)
    assert everything_in(tmp_path).keys() >= before.keys()


# --- 4. A training diverges or is killed ---


@pytest.fixture(scope="module")
def few(mnist):
    return mnist.train_images[:100], mnist.train_labels[:100]


SAVE_EVERY_STEP = {"history_every": 1, "save_every_seconds": 0.0, "progress": False}


@pytest.fixture(scope="module")
def whole(few, tmp_path_factory):
    """The folder of a training that was left alone."""
    folder = tmp_path_factory.mktemp("whole")
    train(TINY, RECIPE, *few, folder, **SAVE_EVERY_STEP)
    return folder


def test_a_loss_that_is_not_a_number_stops_and_keeps_the_last_checkpoint(few, tmp_path, monkeypatch):
    step = training.Trainer.distributed_step

    def diverging(trainer, *batch):
        return step(trainer, *batch) if trainer.step < 7 else np.nan

    monkeypatch.setattr(training.Trainer, "distributed_step", diverging)
    with pytest.raises(FloatingPointError, match="the loss at step 7 is nan"):
        train(TINY, RECIPE, *few, tmp_path, **SAVE_EVERY_STEP)
    _, state = load_checkpoint(tmp_path / "checkpoint.npz")
    assert state["step"] == 7 and [row["step"] for row in state["history"]] == [1, 2, 3, 4, 5, 6, 7]
    load_unet(tmp_path)
    monkeypatch.setattr(training.Trainer, "distributed_step", step)
    *_, history = train(TINY, RECIPE, *few, tmp_path, resume=True, **SAVE_EVERY_STEP)
    assert [row["step"] for row in history] == list(range(1, 13))


def test_weights_that_are_not_numbers_are_not_saved(few, tmp_path, monkeypatch):
    """The loss is that of the weights before the update: the update itself may be what fails."""
    step = training.Trainer.distributed_step

    def diverging(trainer, *batch):
        loss = step(trainer, *batch)
        if trainer.step == 6:  # the seventh
            trainer.unet.weights[0].assign(trainer.unet.weights[0] * np.nan)
        return loss

    monkeypatch.setattr(training.Trainer, "distributed_step", diverging)
    with pytest.raises(FloatingPointError, match="the weights after step 7 are not finite"):
        train(TINY, RECIPE, *few, tmp_path, **SAVE_EVERY_STEP)
    assert load_checkpoint(tmp_path / "checkpoint.npz")[1]["step"] == 6


def test_digit_clips_training_stops_too(few):
    trainer = DigitClipTrainer(DigitClipConfig(batch_size=16, merges=5), *few)
    trainer.advance()
    trainer.model.visual_projection.weight.data *= np.nan
    with pytest.raises(FloatingPointError, match="the loss at step 1 is nan"):
        trainer.advance()


def test_a_full_disk_in_the_middle_of_a_training(few, whole, tmp_path, monkeypatch):
    """The old checkpoint stays, and the training goes on from there once there is space, and clears up."""
    save = training.Trainer.save

    def failing(trainer, folder):
        if trainer.step == 5:
            with no_space_left():
                save(trainer, folder)
        save(trainer, folder)

    with monkeypatch.context() as patch, pytest.raises(OSError, match="large"):
        patch.setattr(training.Trainer, "save", failing)
        train(TINY, RECIPE, *few, tmp_path / "parts", **SAVE_EVERY_STEP)
    assert load_checkpoint(tmp_path / "parts" / "checkpoint.npz")[1]["step"] == 4
    load_unet(tmp_path / "parts")
    stray = tmp_path / "parts" / f"{ASIDE}killed" / "checkpoint.npz"  # as SIGKILL would leave it
    stray.parent.mkdir()
    stray.write_bytes(b"half")
    train(TINY, RECIPE, *few, tmp_path / "parts", resume=True, **SAVE_EVERY_STEP)
    assert not stray.parent.exists()
    losses = [checkpoints.read_history(path / "history.csv")["loss"] for path in (whole, tmp_path / "parts")]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)


def test_killed_trainings_go_on(tmp_path, whole):
    """One by Ctrl-C, one by SIGKILL; `python tests/kill_and_resume.py` does ten."""
    try:
        assert count_survivors(2, 0, tmp_path, whole) == 2
    finally:
        forkserver._forkserver._stop()  # it would keep its 0.7 GB as long as we live


# --- 5. A request is too long ---


def draw_untrained(*counts: int, out: str) -> list[float]:
    """The command, for so many digits each time; returns the peak of memory after each, in GiB.

    With an untrained network of two narrow levels: memory is that of the pictures.
    """
    network, peaks = (build_unet(TINY), cosine_schedule()), []
    sampling.load_unet = lambda folder: network
    for digits in counts:
        assert sampling.main(["7" * digits, "--steps", "1", "--guidance-scale", "1", "--out", out]) == 0
        peaks.append(peak_memory())
    return peaks


def test_ten_thousand_digits_are_drawn_in_bounded_memory(tmp_path):
    (peak_of_ten, peak), _ = alone(functools.partial(draw_untrained, out=str(tmp_path / "digits.png")), 10, MOST_DIGITS)
    assert peak - peak_of_ten < 1.0  # GiB
    height, width = np.frombuffer((tmp_path / "digits.png").read_bytes()[16:24], ">u4")[::-1]
    assert (height, width) == (500 * 28 * 4, 20 * 28 * 4)


def test_more_digits_are_told_the_limit(tmp_path, capsys):
    assert sampling.main(["7" * (MOST_DIGITS + 1), "--out", str(tmp_path / "digits.png")]) == 2
    assert capsys.readouterr().err == "error: digits must be at most 10,000, not 10,001: ask for them in parts.\n"
