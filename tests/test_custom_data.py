"""Pictures of one's own: what is refused, and coloured shapes that come out in the asked colour and form."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import helpers.classifier as classifier
import helpers.evaluation as evaluation
import helpers.shapes as shapes
import helpers.training as training
import helpers.tuning as tuning
from helpers.checkpoints import SHIPPED, load_digits_unet, load_unet, save_unet
from helpers.data import DataError, digest_of, load_pictures, to_model_range, to_pixels
from helpers.pictures import decode_png
from helpers.request import read_labels
from helpers.sampling import main as draw
from helpers.sampling import sample
from helpers.shapes import NAMES, draw_shapes, read_shapes, share_as_asked
from helpers.training import main, network_for
from helpers.unet import UNetConfig

ROOT = Path(__file__).resolve().parent.parent

NARROW = ["--steps", "2", "--batch-size", "16", "--widths", "8", "8", "--embedding-width", "16"]


def written(path, **arrays):
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="module")
def shapes_folder(tmp_path_factory):
    """A network that was trained on 2,000 coloured shapes for a minute of two quiet cores, by the two commands."""
    folder = tmp_path_factory.mktemp("shapes")
    data, trained = folder / "shapes.npz", folder / "trained"
    assert run_command("helpers.shapes", "--out", data) == f"2000 shapes of 4 classes in {data}\n"
    said = run_command("helpers.training", "--data", data, "--out", trained, "--steps", 1000, "--batch-size", 16)
    assert said == f"Done: {trained} holds the trained network.\n"
    return trained


def run_command(module, *arguments):
    """What `python -m module` prints; it must succeed."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_rules_read_the_shapes_and_nothing_else():
    images, labels, _ = draw_shapes(1000, seed=3)
    np.testing.assert_array_equal(read_shapes(images), labels)
    grey = images.max(axis=-1, keepdims=True).repeat(3, axis=-1)
    green = images[labels < 2][..., [2, 0, 1]]
    halves = np.concatenate([images[:, :, :16], np.zeros_like(images[:, :, 16:])], axis=2)
    noise = np.random.default_rng(0).integers(0, 256, (100, 32, 32, 3)).astype(np.uint8)
    for other in (grey, green, halves, noise, 0 * images, 0 * images + 255):
        assert np.mean(read_shapes(other) == -1) > 0.95


def test_a_minute_of_training_draws_what_is_asked(shapes_folder, tmp_path, capsys):
    unet, schedule = load_unet(shapes_folder)
    assert unet.unet_config == UNetConfig(image_size=32, channels=3, num_classes=4, class_names=NAMES)
    colour, form, both = share_as_asked(shapes_folder, 200, seed=1)
    assert colour >= 0.95 and form >= 0.95 and both >= 0.95
    out = tmp_path / "two.png"
    assert draw(["blue cross, red disc", "--weights", str(shapes_folder), "--out", str(out)]) == 0
    assert capsys.readouterr().out.startswith("2 pictures in ")
    picture = decode_png(out.read_bytes())  # 32 pixels, four times as large, two pictures beside each other
    assert picture.shape == (128, 256, 3)
    np.testing.assert_array_equal(read_shapes(np.stack([picture[:, :128], picture[:, 128:]])), [3, 0])
    assert draw(["green disc", "--weights", str(shapes_folder)]) == 2
    assert "'green disc' is none of the classes (red disc, red cross, blue disc, blue cross)" in capsys.readouterr().err
    assert shapes.main(["--judge", str(shapes_folder), "--images", "8"]) == 0
    assert capsys.readouterr().out.startswith("8 samples: colour as asked 100.0%")


def test_measures_of_digits_refuse_other_pictures(shapes_folder, tmp_path, capsys):
    config = json.loads((shapes_folder / "config.json").read_text())
    images, labels, _ = load_pictures(shapes_folder.parent / "shapes.npz")
    assert config["training"]["data"] == "shapes.npz"
    assert config["training"]["data_sha256"] == digest_of(images, labels)
    for module, arguments in (
        (evaluation, ["--work", str(tmp_path / "work"), "--weights"]),
        (classifier, ["--judge", "--weights"]),
        (tuning, ["--weights"]),
        (training, ["--held-out"]),
    ):
        assert module.main([*arguments, str(shapes_folder)]) == 2
        sentence = "was trained on shapes.npz: only networks that draw MNIST's digits can be judged.\n"
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.endswith(sentence) and error.count("\n") == 1
    assert not (tmp_path / "work").exists()
    assert shapes.main(["--judge", str(SHIPPED)]) == 2
    assert "must draw red disc, red cross, blue disc, blue cross, not 0, 1, 2" in capsys.readouterr().err


def test_ten_classes_of_28x28_are_not_digits_by_their_shape_alone(tmp_path, lively_unet, schedule):
    save_unet(tmp_path, lively_unet, schedule, {"data": "letters.npz"}, [])
    with pytest.raises(ValueError, match=r"was trained on letters\.npz: only networks that draw MNIST's digits"):
        load_digits_unet(tmp_path)
    save_unet(tmp_path, lively_unet, schedule, {"data": "MNIST"}, [])
    assert load_digits_unet(tmp_path)[0].unet_config == lively_unet.unet_config


def test_resuming_with_other_pictures_is_refused(tmp_path, capsys):
    pictures = draw_shapes(130, size=16)
    one = written(tmp_path / "one.npz", **pictures._asdict())
    other = written(tmp_path / "other.npz", **pictures._replace(images=pictures.images[::-1])._asdict())
    arguments = ["--out", str(tmp_path / "out"), *NARROW]
    assert main(["--data", str(one), *arguments]) == 0
    before = (tmp_path / "out" / "checkpoint.npz").read_bytes()
    capsys.readouterr()
    assert main(["--data", str(other), *arguments, "--resume"]) == 2
    pattern = (
        r"error: .*checkpoint.npz belongs to another data set: one.npz with SHA-256 \w{12}..., not other.npz .*\.\n"
    )
    assert re.fullmatch(pattern, capsys.readouterr().err)
    assert (tmp_path / "out" / "checkpoint.npz").read_bytes() == before
    assert main(["--data", str(one), *arguments, "--resume"]) == 0


def test_26_grey_letters_train_and_are_drawn(tmp_path, capsys):
    random = np.random.default_rng(0)
    labels = np.arange(130) % 26
    images = random.integers(0, 256, (130, 28, 28, 1), np.uint8)
    data = written(tmp_path / "letters.npz", images=images, labels=labels)
    folder = tmp_path / "letters"
    assert main(["--data", str(data), "--out", str(folder), *NARROW]) == 0
    config = json.loads((folder / "config.json").read_text())["unet"]
    assert (config["num_classes"], config["image_size"], config["channels"]) == (26, 28, 1)
    unet, schedule = load_unet(folder)
    assert sample(unet, schedule, [25, 0, -1], steps=2).images.shape == (3, 28, 28, 1)
    with pytest.raises(ValueError, match=r"labels must be in 0..25, or -1 for no digit given, not 26"):
        sample(unet, schedule, [26])
    assert draw(["25, 3", "--weights", str(folder), "--steps", "2", "--out", str(tmp_path / "two.png")]) == 0


def test_labels_are_read_as_the_network_knows_them():
    np.testing.assert_array_equal(read_labels("314", UNetConfig()), [3, 1, 4])
    np.testing.assert_array_equal(read_labels("12, 3", UNetConfig(num_classes=26)), [12, 3])
    named = UNetConfig(num_classes=2, class_names=("cat", "black dog"))
    np.testing.assert_array_equal(read_labels("black dog,cat", named), [1, 0])
    for text, config, message in (
        ("5", UNetConfig(num_classes=4), "digits must be 0 to 3, not 5"),
        ("26", UNetConfig(num_classes=26), "'26' is none of the classes (0, 1, 2, 3, 4, ...)"),
        ("cat dog", named, "'cat dog' is none of the classes (cat, black dog)"),
    ):
        with pytest.raises(ValueError) as error:
            read_labels(text, config)
        assert message in str(error.value)


def test_colour_goes_to_the_models_range_and_back():
    images = draw_shapes(4).images
    there = to_model_range(images)
    assert there.shape == (4, 32, 32, 3) and there.numpy().min() == -1
    np.testing.assert_array_equal(to_pixels(there), images)


IMAGES, LABELS = np.zeros((200, 16, 16), np.uint8), np.arange(200) % 3


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"images": IMAGES}, "must hold an array 'labels'; it holds ['images']"),
        ({"labels": LABELS}, "must hold an array 'images'; it holds ['labels']"),
        ({"images": np.zeros((200, 16, 20), np.uint8), "labels": LABELS}, "images must be (n, size, size)"),
        ({"images": np.zeros((200, 18, 18), np.uint8), "labels": LABELS}, "divisible by 4, not 18"),
        ({"images": np.zeros((200, 12, 12), np.uint8), "labels": LABELS}, "size from 16 to 64"),
        ({"images": np.zeros((200, 68, 68), np.uint8), "labels": LABELS}, "size from 16 to 64"),
        ({"images": np.zeros((200, 16, 16, 4), np.uint8), "labels": LABELS}, "1 or 3 channels, not 4"),
        ({"images": IMAGES.astype(np.float32), "labels": LABELS}, "images must be uint8 in 0..255, not float32"),
        ({"images": IMAGES, "labels": LABELS[:100]}, "(200,) whole numbers, one a picture, not (100,)"),
        (
            {"images": IMAGES, "labels": LABELS * 1.0},
            "(200,) whole numbers, one a picture, not (200,) float64",
        ),
        ({"images": IMAGES, "labels": LABELS * 0}, "at least 2 classes, from 0 on, not [0]"),
        ({"images": IMAGES, "labels": LABELS - 1}, "at least 2 classes, from 0 on, not [-1, 0, 1]"),
        ({"images": IMAGES, "labels": LABELS + 998}, "labels must be below 1,000, not 1000"),
        ({"images": IMAGES, "labels": LABELS + 2**32}, "labels must be below 1,000, not 4294967298"),
        ({"images": IMAGES, "labels": LABELS, "class_names": ["a", "b"]}, "classes 0..2, but there are only 2"),
        ({"images": IMAGES, "labels": LABELS, "class_names": "abc"}, "must be a list of texts, not () <U3"),
        ({"images": IMAGES, "labels": LABELS, "class_names": [["a"], ["b"], ["c"]]}, "list of texts, not (3, 1)"),
        ({"images": IMAGES, "labels": LABELS, "class_names": [1, 2, 3]}, "list of texts, not (3,) int64"),
    ],
)
def test_refused_with_a_sentence(arrays, message, tmp_path, capsys):
    data = written(tmp_path / "mine.npz", **arrays)
    with pytest.raises(ValueError) as error:
        load_pictures(data)
    assert message in str(error.value)
    assert main(["--data", str(data), "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_object_arrays_are_never_unpickled(tmp_path, capsys):
    different = np.empty(2, object)
    different[:] = [np.zeros((16, 16), np.uint8), np.zeros((20, 20), np.uint8)]
    data = written(tmp_path / "mine.npz", images=different, labels=np.arange(2))
    with pytest.raises(DataError, match="not objects .which pictures of different sizes would be"):
        load_pictures(data)
    assert main(["--data", str(data), "--out", str(tmp_path / "out")]) == 2
    assert "pictures of different sizes" in capsys.readouterr().err and not (tmp_path / "out").exists()
    data.write_bytes(data.read_bytes()[:-200])
    with pytest.raises(DataError, match="can't be read"):
        load_pictures(data)
    with pytest.raises(DataError, match="doesn't exist"):
        load_pictures(tmp_path / "none.npz")


def test_fewer_images_than_a_batch(tmp_path, capsys):
    data = written(tmp_path / "mine.npz", images=IMAGES[:20], labels=LABELS[:20])
    assert main(["--data", str(data), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == "error: images must be at least as many as batch_size (64), not 20.\n"


def test_names_that_would_confuse_are_refused():
    for names in (("cat",), ("cat", "cat"), ("cat", ""), ("cat", "a, b"), ("cat", " dog")):
        with pytest.raises(ValueError, match="class_names must"):
            UNetConfig(num_classes=2, class_names=names)
    assert network_for(draw_shapes(8)).class_names == NAMES
