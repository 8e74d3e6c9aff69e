"""Pictures of your own: what `load_pictures` refuses, and coloured shapes that simple rules classify."""

import numpy as np
import pytest

from helpers.custom_data import NAMES, classify_shapes, draw_shapes, load_pictures, network_for, share_as_requested
from helpers.data import DataError, to_model_range, to_pixels
from helpers.unet import UNetConfig
from tests.conftest import said


def written(path, **arrays):
    np.savez(path, **arrays)
    return path


# --- coloured shapes ---


def test_the_rules_classify_the_shapes_and_nothing_else():
    images, labels, names = draw_shapes(200, seed=3)
    assert names == NAMES
    np.testing.assert_array_equal(classify_shapes(images), labels)
    grey = images.max(axis=-1, keepdims=True).repeat(3, axis=-1)
    green = images[labels < 2][..., [2, 0, 1]]
    halves = np.concatenate([images[:, :, :16], np.zeros_like(images[:, :, 16:])], axis=2)
    noise = np.random.default_rng(0).integers(0, 256, (100, 32, 32, 3)).astype(np.uint8)
    for other in (grey, green, halves, noise, 0 * images, 0 * images + 255):
        assert np.mean(classify_shapes(other) == -1) > 0.95


def test_shapes_differ_and_follow_their_seed():
    images = draw_shapes(8, size=16, seed=1).images
    np.testing.assert_array_equal(images, draw_shapes(8, size=16, seed=1).images)
    assert np.any(images != draw_shapes(8, size=16, seed=2).images) and np.any(images[:4] != images[4:])


def test_shares_of_requested_colour_and_form():
    pictures = draw_shapes(200)
    images, labels = to_model_range(pictures.images).numpy(), pictures.labels
    assert share_as_requested(images, labels) == (1, 1, 1)
    assert share_as_requested(images, labels ^ 1) == (1, 0, 0)  # discs for crosses
    assert share_as_requested(images, labels ^ 2) == (0, 1, 0)  # red for blue
    wrong = np.where(np.arange(200) < 50, labels ^ 1, labels)
    assert share_as_requested(images, wrong) == (1, 0.75, 0.75)
    assert share_as_requested(np.zeros_like(images), labels) == (0, 0, 0)  # neither disc nor cross


def test_colours_go_to_the_models_range_and_back():
    images = draw_shapes(4).images
    there = to_model_range(images)
    assert there.shape == (4, 32, 32, 3) and there.numpy().min() == -1
    np.testing.assert_array_equal(to_pixels(there), images)


# --- pictures from a file ---

IMAGES, LABELS = np.zeros((200, 16, 16), np.uint8), np.arange(200) % 3


def test_pictures_come_back_as_training_takes_them(tmp_path):
    images, labels, names = load_pictures(written(tmp_path / "a.npz", images=IMAGES[..., None], labels=LABELS))
    assert images.shape == (200, 16, 16) and images.dtype == np.uint8 and labels.dtype == np.int32 and names == ()
    shapes = draw_shapes(8)
    back = load_pictures(written(tmp_path / "b.npz", **shapes._asdict()))
    np.testing.assert_array_equal(back.images, shapes.images)
    np.testing.assert_array_equal(back.labels, shapes.labels)
    assert back.class_names == NAMES


def test_the_network_fits_the_pictures(tmp_path):
    config = network_for(draw_shapes(8), widths=(8, 8), heads=2)
    assert config == UNetConfig(image_size=32, channels=3, num_classes=4, class_names=NAMES, widths=(8, 8), heads=2)
    grey = load_pictures(written(tmp_path / "grey.npz", images=IMAGES, labels=LABELS))
    assert network_for(grey) == UNetConfig(image_size=16, num_classes=3)


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
        ({"images": IMAGES, "labels": LABELS[:100]}, "(200,) whole numbers, one per picture, not (100,)"),
        ({"images": IMAGES, "labels": LABELS * 1.0}, "(200,) whole numbers, one per picture, not (200,) float64"),
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
def test_refused_with_a_sentence(arrays, message, tmp_path):
    with pytest.raises(ValueError) as raised:
        load_pictures(written(tmp_path / "mine.npz", **arrays))
    assert message in said(raised)


def test_object_arrays_are_never_unpickled(tmp_path):
    different = np.empty(2, object)
    different[:] = [np.zeros((16, 16), np.uint8), np.zeros((20, 20), np.uint8)]
    data = written(tmp_path / "mine.npz", images=different, labels=np.arange(2))
    with pytest.raises(DataError, match="not objects .which pictures of different sizes would be") as raised:
        load_pictures(data)
    said(raised)


def test_a_missing_file_and_no_archive(tmp_path):
    with pytest.raises(DataError, match=r"mine\.npz doesn't exist"):
        load_pictures(tmp_path / "mine.npz")
    (tmp_path / "mine.npz").write_bytes(b"PK\x03\x04 half an archive")
    with pytest.raises(DataError, match=r"mine\.npz can't be read .*np\.savez"):
        load_pictures(tmp_path / "mine.npz")
