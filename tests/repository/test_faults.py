"""What can go wrong, as a table: each row is a fault, and says what the reader is told or what stays intact.

1. A file is missing, empty, cut off or altered.        4. A training diverges or is killed.
2. A config asks for something absurd.                  5. A request is too long.
3. A file can't be written: the disk is full.           6. A measure is given unfit input: `test_unfit_inputs`.

Rows that need more than a line stand in the test file of their module: MNIST without a network, altered or holding
objects in `test_data`; weights of another shape in `test_checkpoints`; another recipe's checkpoint in `test_trainer`;
a training that diverges, or whose disk is full, in `test_loop`; a report of other weights in `test_report_card`; too
many digits in `test_labels`; Ctrl-C in `test_loop`, `test_digit_clip`, `test_recipes` and `test_report_card`.
"""

import functools
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from helpers import checkpoints
from helpers.__main__ import build_parser, main
from helpers.checkpoints import PRETRAINED, PRETRAINED_NOISE, load_denoiser, save_denoiser
from helpers.data import DataError, load_mnist
from helpers.diffusion import cosine_schedule
from helpers.evaluation.classifiers import CLASSIFIERS, build_classifier, load_classifier
from helpers.evaluation.clip import DIGIT_CLIP, ClipUnavailable, load_clip
from helpers.evaluation.report_card import describe_run, load_report
from helpers.sampling.labels import MOST_DIGITS
from helpers.tools.arrays import load_checkpoint, save_checkpoint
from helpers.tools.files import ASSETS, read_record, write_record, write_rows
from helpers.unet import build_denoiser
from helpers.workshop import classifier_training
from helpers.workshop.classifier_training import save_classifier
from helpers.workshop.digit_clip import DigitClipConfig, DigitClipTrainer, save_digit_clip
from helpers.workshop.reporting import evaluate, work_folder
from tests.benchmarks.processes import alone, peak_memory
from tests.conftest import OF_DIGITS, TINY, said
from tests.maintenance.kill_and_resume import count_survivors, end_server
from tests.repository.disk import no_renaming, no_space_left


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
FILES = [  # the reader, the error that it raises, the folder that ships, its files
    (lambda folder: load_mnist(folder / "mnist.npz"), DataError, ASSETS, ["mnist.npz"]),
    (load_denoiser, ValueError, PRETRAINED, NETWORK),
    (lambda folder: load_classifier("judge", folder), ValueError, CLASSIFIERS, ["judge.json", "judge.weights.h5"]),
    (load_clip, ClipUnavailable, DIGIT_CLIP, [*CLIP, "preprocessor_config.json", "tokenizer_config.json"]),
    (load_report, ValueError, PRETRAINED_NOISE, ["evaluation.json"]),
]


@pytest.mark.parametrize(("read", "error", "shipped", "files"), [pytest.param(*row, id=row[2].name) for row in FILES])
def test_a_damaged_file_is_named(read, error, shipped, files, tmp_path, monkeypatch):
    monkeypatch.setattr(keras.datasets.mnist, "load_data", no_network)
    folder = tmp_path / "copy"
    shutil.copytree(shipped, folder, ignore=lambda _, names: [name for name in names if (shipped / name).is_dir()])
    read(folder)
    for file in files:
        intact = (folder / file).read_bytes()
        for name, damage in DAMAGES.items():
            damage(folder / file)
            with pytest.raises(error) as raised:
                read(folder)
                pytest.fail(f"{file} was accepted, although {name}")
            assert str(folder) in said(raised)
            (folder / file).write_bytes(intact)


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
    shutil.copytree(PRETRAINED_NOISE, folder)
    text = (folder / file).read_text(encoding="utf-8")
    (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    assert (folder / file).read_text(encoding="utf-8") != text
    with pytest.raises(ValueError, match="altered"):
        (load_denoiser if file == "config.json" else load_report)(folder)


@pytest.mark.parametrize("file", ["figures.json", "images-00000.npy"])
def test_a_damaged_part_of_an_unfinished_report_is_named(file, lively_denoiser, tmp_path):
    network = tmp_path / "network"
    save_denoiser(network, lively_denoiser, OF_DIGITS, [])
    work = work_folder(describe_run(network, lively_denoiser, 500, 0), tmp_path)
    write_record(work / "figures.json", {"seconds": {}})
    (work / "images-00000.npy").write_bytes(b"half an array")
    if file == "figures.json":
        (work / file).write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=f"{file} is damaged .*delete it to make it again"):
        evaluate(network, 500, 0, tmp_path, progress=False)


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
    config = read_record(PRETRAINED / "config.json")
    config[section] |= values
    refusal = refusal_of(lambda file: write_record(file, config), tmp_path, monkeypatch)
    assert sentence in refusal and len(refusal) < 500


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"{}", b"7", b"null", b'{"unet": []}', b"\xff\xfe", b"[" * 100_000, b"9" * 10_000],
    ids=lambda text: repr(text[:12]),
)
def test_a_config_that_is_not_one(text, tmp_path, monkeypatch):
    refusal_of(lambda file: file.write_bytes(text), tmp_path, monkeypatch)


def refusal_of(write_config, folder, monkeypatch) -> str:
    """The error of the pre-trained network with another config."""
    for name in ("unet.weights.h5", "history.csv"):
        shutil.copy(PRETRAINED / name, folder)
    write_config(folder / "config.json")
    monkeypatch.setattr(checkpoints, "build_denoiser", lambda *_: pytest.fail("built before it was checked"))
    with pytest.raises(ValueError, match=r"config\.json is damaged") as raised:
        load_denoiser(folder)
    return said(raised)


# --- 3. A file can't be written ---


@functools.cache
def tiny_denoiser():
    return build_denoiser(TINY, cosine_schedule())


def save_network(folder, number):
    history = [{"step": step, "loss": number} for step in range(20)]
    save_denoiser(folder / "network", tiny_denoiser(), {"number": number}, history)


def save_data_set(folder, number):
    """Only ever written where there is none."""
    if number > 1:
        load_mnist(folder / "mnist.npz")


def save_clip(folder, number):
    clip = load_clip()
    save_digit_clip(folder / "clip", clip.model, clip.tokenizer)


@functools.cache
def digit_clip_trainer():
    digits = np.random.default_rng(0).integers(0, 255, (16, 28, 28), np.uint8), np.arange(16) % 10
    return DigitClipTrainer(DigitClipConfig(batch_size=16, merges=5), *digits)


def save_clip_checkpoint(folder, number):
    digit_clip_trainer().step = number
    digit_clip_trainer().save_checkpoint(folder / "checkpoint.pt")


def save_picture(folder, number):
    """By the command, whose error isn't caught here."""
    arguments = ["sample", "7", "--steps", "1", "--seed", str(number), "--out", str(folder / "digits.png")]
    parsed = build_parser().parse_args(arguments)
    parsed.command(parsed)


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
    "picture": save_picture,
}


@pytest.mark.parametrize("what", WRITES)
def test_a_failing_write_leaves_what_was_there(what, tmp_path, mnist, monkeypatch):
    kept = (mnist.train_images, mnist.train_labels), (mnist.test_images, mnist.test_labels)
    monkeypatch.setattr(keras.datasets.mnist, "load_data", lambda: kept)
    monkeypatch.setattr(np, "savez_compressed", np.savez)  # compressing MNIST takes seconds
    monkeypatch.setattr(classifier_training, "load_mnist", lambda: mnist)
    monkeypatch.setattr(classifier_training, "digit_accuracy", lambda *_: 0.5)
    monkeypatch.setattr(checkpoints, "load_denoiser", lambda _: tiny_denoiser())
    WRITES[what](tmp_path, 1)
    before = everything_in(tmp_path)
    for failing in (no_space_left, no_renaming):
        with pytest.raises(Exception, match=r"(?i)large|space|written|write|pos"), failing():
            WRITES[what](tmp_path, 2)
        assert everything_in(tmp_path) == before
    WRITES[what](tmp_path, 2)
    assert everything_in(tmp_path).keys() >= before.keys()


# --- 4. A training diverges or is killed: see also `test_loop` ---


def test_digit_clips_training_stops_too(mnist):
    trainer = DigitClipTrainer(
        DigitClipConfig(batch_size=16, merges=5), mnist.train_images[:100], mnist.train_labels[:100]
    )
    trainer.advance()
    trainer.model.visual_projection.weight.data *= np.nan
    with pytest.raises(FloatingPointError, match="the loss at step 1 is nan"):
        trainer.advance()


@pytest.mark.slow
def test_killed_trainings_resume(tmp_path):
    """One by Ctrl-C, one by SIGKILL; `python -m tests.maintenance.kill_and_resume` kills ten."""
    try:
        assert count_survivors(2, 0, tmp_path) == 2
    finally:
        end_server()


# --- 5. A request is too long ---


def draw_untrained(*counts: int, out: str) -> list[float]:
    """The command, for so many digits each time; returns the peak of memory after each, in GiB.

    With an untrained network of two narrow levels: memory is that of the pictures.
    """
    peaks = []
    checkpoints.load_denoiser = lambda _: tiny_denoiser()
    for digits in counts:
        assert main(["sample", "7" * digits, "--steps", "1", "--guidance-scale", "1", "--out", out]) == 0
        peaks.append(peak_memory())
    return peaks


@pytest.mark.slow
def test_ten_thousand_digits_are_drawn_in_bounded_memory(tmp_path):
    """In a process of its own: a peak of memory never falls."""
    (peak_of_ten, peak), _ = alone(functools.partial(draw_untrained, out=str(tmp_path / "digits.png")), 10, MOST_DIGITS)
    assert peak - peak_of_ten < 1.0  # GiB
    height, width = np.frombuffer((tmp_path / "digits.png").read_bytes()[16:24], ">u4")[::-1]
    assert (height, width) == (500 * 28 * 4, 20 * 28 * 4)
