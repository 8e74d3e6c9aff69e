"""The command `shapes`, and the way of pictures of your own through the commands `train` and `sample`."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from helpers.__main__ import main
from helpers.checkpoints import PRETRAINED, load_denoiser
from helpers.custom_data import NAMES, classify_shapes, draw_shapes, load_pictures
from helpers.data import digest_of, to_model_range
from helpers.display.images import decode_png
from helpers.sampling import sampler
from helpers.sampling.sampler import Samples
from helpers.training import loop
from helpers.unet import UNetConfig

ROOT = Path(__file__).resolve().parents[2]
# Two updates of the tiny network: enough for every file, not for a picture.
BRIEF = ["--steps", "2", "--batch-size", "16", "--widths", "8", "8", "--embedding-width", "16"]
BRIEF += ["--optimizer", "adamw", "--augmentation", "0"]  # a smaller graph to compile


def train(data, out, *options):
    return main(["train", "--data", str(data), "--out", str(out), *options])


def refusal(capsys, *arguments):
    """What a command says that fails: one line."""
    capsys.readouterr()
    assert main(list(map(str, arguments))) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    return error


def no_updates(trainer, images, labels, out, *_):
    """In place of the updates, which take ten seconds to compile: the network stays as it was, and is saved."""
    trainer.step = trainer.config.steps
    trainer.save(out)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a network for coloured shapes, beside their file, made by the two commands."""
    folder = tmp_path_factory.mktemp("shapes")
    assert main(["shapes", "--out", str(folder / "shapes.npz"), "--images", "32"]) == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "_run", no_updates)
        assert train(folder / "shapes.npz", folder / "trained", *BRIEF) == 0
    return folder / "trained"


# --- the data set ---


def test_a_data_set_is_written_and_only_replace_replaces_it(tmp_path, capsys):
    out = tmp_path / "shapes.npz"
    assert main(["shapes", "--out", str(out), "--images", "40", "--seed", "1"]) == 0
    assert capsys.readouterr().out == f"40 shapes of 4 classes in {out}\n"
    written, drawn = load_pictures(out), draw_shapes(40, seed=1)
    np.testing.assert_array_equal(written.images, drawn.images)
    np.testing.assert_array_equal(written.labels, drawn.labels)
    assert written.class_names == NAMES
    assert "exists already" in refusal(capsys, "shapes", "--out", out, "--images", 40)
    assert main(["shapes", "--out", str(out), "--images", "4", "--replace"]) == 0
    assert len(load_pictures(out).images) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either --out FILE.npz, to draw a data set, or a NETWORK to judge"),
        (["runs/mine", "--out", "shapes.npz"], "give either --out"),
        (["--out", "shapes.csv"], "--out must be a file that ends in .npz, not 'shapes.csv'"),
        (["--out", "shapes.npz", "--images", "3"], "--images must be a whole number in 4..100000, not 3"),
    ],
)
def test_a_data_set_that_is_refused(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert message in refusal(capsys, "shapes", *arguments)
    assert list(tmp_path.iterdir()) == []


# --- training on it ---


def test_the_network_fits_the_pictures_and_names_them(trained):
    size = {"image_size": 32, "channels": 3, "num_classes": 4, "class_names": NAMES}
    assert load_denoiser(trained).config == UNetConfig(widths=(8, 8), embedding_width=16, **size)
    recipe = json.loads((trained / "config.json").read_text(encoding="utf-8"))["training"]
    images, labels, _ = load_pictures(trained.parent / "shapes.npz")
    assert recipe["data"] == "shapes.npz" and recipe["data_sha256"] == digest_of(images, labels)


def test_the_same_command_resumes_and_other_pictures_are_refused(trained, tmp_path, capsys):
    folder = shutil.copytree(trained, tmp_path / "copy")
    assert train(trained.parent / "shapes.npz", folder, *BRIEF) == 0
    assert capsys.readouterr().out == f"Done: {folder} holds the trained network.\n"
    before = (folder / "checkpoint.npz").read_bytes()
    pictures = draw_shapes(32)
    np.savez(tmp_path / "other.npz", **pictures._replace(images=pictures.images[::-1])._asdict())
    assert train(tmp_path / "other.npz", folder, *BRIEF) == 2
    pattern = (
        r"error: .*checkpoint.npz belongs to another data set: 'shapes.npz' with SHA-256 '\w{12}...', "
        r"not 'other.npz' .* start anew with --replace\.\n"
    )
    assert re.fullmatch(pattern, capsys.readouterr().err)
    assert (folder / "checkpoint.npz").read_bytes() == before


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros((20, 16, 20), np.uint8), "labels": np.arange(20) % 2}, "images must be (n, size, size)"),
        (
            {"images": np.zeros((20, 16, 16), np.uint8), "labels": np.arange(20) % 2},
            "images must be at least as many as batch_size (64), not 20.",
        ),
    ],
    ids=["not square", "fewer than a batch"],
)
def test_unfit_pictures_are_refused_before_a_folder_is_made(arrays, message, tmp_path, capsys):
    np.savez(tmp_path / "mine.npz", **arrays)
    assert message in refusal(capsys, "train", "--data", tmp_path / "mine.npz", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- drawing and judging ---


def test_classes_are_requested_by_their_names(trained, tmp_path, capsys):
    out = tmp_path / "two.png"
    assert main(["sample", "blue cross, red disc", str(trained), "--steps", "2", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"2 pictures in {out}\n"
    picture = decode_png(out.read_bytes())
    assert picture.shape == (128, 256, 3)  # 32 pixels, four times as large, two pictures beside each other
    said = refusal(capsys, "sample", "green disc", trained, "--out", tmp_path / "none.png")
    assert "'green disc' is none of the classes (red disc, red cross, blue disc, blue cross)" in said


def test_shares_of_requested_colour_and_form_are_printed(trained, monkeypatch, capsys):
    def perfect(denoiser, labels, *, seed, progress):
        assert denoiser.config.class_names == NAMES and seed == 3
        drawn = draw_shapes(len(labels), seed=seed)
        np.testing.assert_array_equal(drawn.labels, labels)
        return Samples(to_model_range(drawn.images).numpy(), None)

    def all_discs(denoiser, labels, **options):
        images = perfect(denoiser, labels, **options).images
        return Samples(images[labels // 2 * 2], None)  # images 0 and 2 are discs

    for draw, form in ((perfect, "100.0%"), (all_discs, "50.0%")):
        monkeypatch.setattr(sampler, "sample", draw)
        assert main(["shapes", str(trained), "--images", "8", "--seed", "3"]) == 0
        said = capsys.readouterr().out
        assert said == f"8 samples: requested colour 100.0%, form {form}, both {form}\n"


def test_a_network_of_digits_is_not_judged_as_shapes(capsys):
    said = refusal(capsys, "shapes", PRETRAINED, "--images", 8)
    assert "must draw red disc, red cross, blue disc, blue cross, not 0, 1, 2" in said


def test_measures_of_digits_refuse_other_pictures(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for command in ("accuracy", "evaluate", "validate", "tune"):
        said = refusal(capsys, command, trained)
        assert said.endswith("can't be judged as digits: by its SHA-256, 'shapes.npz' isn't MNIST's training set.\n")
    assert list(tmp_path.iterdir()) == []


# --- real trainings ---


@pytest.mark.slow
def test_26_grey_letters_train_and_are_drawn(tmp_path, capsys):
    random, labels = np.random.default_rng(0), np.arange(130) % 26
    images = random.integers(0, 256, (130, 28, 28, 1), np.uint8)
    np.savez(tmp_path / "letters.npz", images=images, labels=labels)
    assert train(tmp_path / "letters.npz", tmp_path / "letters", *BRIEF) == 0
    config = load_denoiser(tmp_path / "letters").config
    assert (config.num_classes, config.image_size, config.channels) == (26, 28, 1)
    out = str(tmp_path / "two.png")
    assert main(["sample", "25, 3", str(tmp_path / "letters"), "--steps", "2", "--out", out]) == 0
    assert capsys.readouterr().out.endswith(f"2 pictures in {out}\n")


def run_command(*arguments):
    """What `python -m helpers ...` prints; it must succeed. A process of its own uses every core for the training."""
    command = [sys.executable, "-m", "helpers", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_minute_of_training_draws_what_is_requested(tmp_path):
    data, trained, out = tmp_path / "shapes.npz", tmp_path / "trained", tmp_path / "two.png"
    run_command("shapes", "--out", data)
    run_command("train", "--data", data, "--out", trained, "--steps", 1000, "--batch-size", 16)
    said = run_command("shapes", trained, "--images", 200, "--seed", 1)
    shares = [float(share) for share in re.findall(r"([\d.]+)%", said)]
    assert len(shares) == 3 and min(shares) >= 95
    run_command("sample", "blue cross, red disc", trained, "--out", out)
    picture = decode_png(out.read_bytes())
    np.testing.assert_array_equal(classify_shapes(np.stack([picture[:, :128], picture[:, 128:]])), [3, 0])
