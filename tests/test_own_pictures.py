"""Pictures of one's own: what is refused, and coloured shapes that come out in the asked colour and form."""

import json

import numpy as np
import pytest

from helpers.checkpoints import load_unet
from helpers.data import DataError, load_pictures, to_model_range, to_pixels
from helpers.sampling import main as draw
from helpers.sampling import read_labels, sample
from helpers.training import main, network_for
from helpers.unet import UNetConfig

NAMES = ("red disc", "red cross", "blue disc", "blue cross")


def shapes(count=2000, size=32, seed=0):
    """Discs and crosses in red or blue, at random places and sizes: `(count, size, size, 3)` uint8 and labels."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 4
    y, x = np.mgrid[:size, :size]
    images = np.zeros((count, size, size, 3), np.uint8)
    for image, label in zip(images, labels, strict=True):
        centre_y, centre_x = random.uniform(12, size - 12, 2)
        radius = random.uniform(7, 10)
        down, across = np.abs(y - centre_y), np.abs(x - centre_x)
        disc = np.hypot(down, across) < radius
        cross = (np.minimum(down, across) < 2.5) & (np.maximum(down, across) < radius)
        image[..., 0 if label < 2 else 2] = np.where(cross if label % 2 else disc, random.uniform(180, 255), 0)
    return images, labels.astype(np.int32)


def measured_labels(pixels):
    """Rules for pixels `(n, size, size, 3)` uint8: the colour that sums to more, and how much of its box is ink."""
    labels = []
    for image in pixels:
        ink = image.max(axis=-1) > 100
        rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
        if len(rows) == 0:
            labels.append(-1)
            continue
        box = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
        blue = image[..., 2].sum(dtype=int) > image[..., 0].sum(dtype=int)
        labels.append(2 * blue + (ink.sum() / box < 0.65))  # a disc fills pi / 4 of its box
    return np.array(labels)


def written(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_the_rules_read_the_shapes_themselves():
    images, labels = shapes()
    np.testing.assert_array_equal(measured_labels(images), labels)


def test_a_minute_of_training_draws_what_is_asked(tmp_path, capsys):
    images, labels = shapes()
    data = written(tmp_path / "shapes.npz", images=images, labels=labels, class_names=NAMES)
    folder = tmp_path / "shapes"
    assert main(["--data", str(data), "--out", str(folder), "--steps", "250"]) == 0
    unet, schedule = load_unet(folder)
    assert unet.unet_config.class_names == NAMES and unet.unet_config.channels == 3
    asked = np.arange(200) % 4
    drawn = to_pixels(sample(unet, schedule, asked, seed=1).images)
    assert drawn.shape == (200, 32, 32, 3)
    assert np.mean(measured_labels(drawn) == asked) >= 0.95
    capsys.readouterr()
    assert draw(["blue cross, red disc", "--weights", str(folder), "--out", str(tmp_path / "two.png")]) == 0
    assert capsys.readouterr().out.startswith("2 pictures in ")
    assert draw(["green disc", "--weights", str(folder)]) == 2
    assert "'green disc' is none of the classes (red disc, red cross, blue disc, blue cross)" in capsys.readouterr().err


def test_26_grey_letters_train_and_are_drawn(tmp_path, capsys):
    random = np.random.default_rng(0)
    labels = np.arange(130) % 26
    images = random.integers(0, 256, (130, 28, 28, 1), np.uint8)
    data = written(tmp_path / "letters.npz", images=images, labels=labels)
    folder = tmp_path / "letters"
    assert main(["--data", str(data), "--out", str(folder), "--steps", "2"]) == 0
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
    images, _ = shapes(4)
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
        ({"images": IMAGES, "labels": LABELS[:100]}, "labels must be (200,) whole numbers, not (100,)"),
        ({"images": IMAGES, "labels": LABELS * 1.0}, "labels must be (200,) whole numbers, not (200,) float64"),
        ({"images": IMAGES, "labels": LABELS * 0}, "at least 2 classes, from 0 on, not [0]"),
        ({"images": IMAGES, "labels": LABELS - 1}, "at least 2 classes, from 0 on, not [-1, 0, 1]"),
        ({"images": IMAGES, "labels": LABELS, "class_names": ["a", "b"]}, "classes 0..2, but there are only 2"),
    ],
)
def test_refused_with_a_sentence(arrays, message, tmp_path, capsys):
    data = written(tmp_path / "mine.npz", **arrays)
    with pytest.raises(ValueError) as error:
        load_pictures(data)
    assert message in str(error.value)
    assert main(["--data", str(data), "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_object_arrays_are_never_unpickled(tmp_path):
    different = np.empty(2, object)
    different[:] = [np.zeros((16, 16), np.uint8), np.zeros((20, 20), np.uint8)]
    data = written(tmp_path / "mine.npz", images=different, labels=np.arange(2))
    with pytest.raises(DataError, match="plain arrays, not objects"):
        load_pictures(data)
    with pytest.raises(DataError, match="doesn't exist"):
        load_pictures(tmp_path / "none.npz")


def test_fewer_images_than_a_batch(tmp_path, capsys):
    data = written(tmp_path / "mine.npz", images=IMAGES[:20], labels=LABELS[:20])
    assert main(["--data", str(data), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == "error: images must be at least as many as a batch (128), not 20.\n"


def test_names_that_would_confuse_are_refused():
    for names in (("cat",), ("cat", "cat"), ("cat", ""), ("cat", "a, b"), ("cat", " dog")):
        with pytest.raises(ValueError, match="class_names must"):
            UNetConfig(num_classes=2, class_names=names)
    images, labels = shapes(8)
    pictures = load_pictures_of(images, labels)
    assert network_for(pictures).class_names == NAMES


def load_pictures_of(images, labels):
    from helpers.data import Pictures

    return Pictures(images, labels, NAMES)
