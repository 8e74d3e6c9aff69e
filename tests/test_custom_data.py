"""Pictures of your own: what `load_pictures` refuses, and coloured shapes that simple rules classify."""

import numpy as np
import pytest

from helpers.checkpoints import load_denoiser, save_denoiser
from helpers.custom_data import NAMES, classify_shapes, draw_shapes, load_pictures, network_for, share_as_requested
from helpers.data import DataError, to_model_range, to_pixels
from helpers.sampling.labels import parse_labels
from helpers.tools import arrays
from helpers.tools.files import read_record, write_record
from helpers.unet import UNetConfig
from tests.conftest import lively, said


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


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", "b\x1b[2J", "c"], "printable characters each, not 'b\\x1b[2J'"),
        (["a", "b\nc", "d"], "printable characters each, not 'b\\nc'"),
        (["a", "b\u202ec", "d"], "printable characters each, not 'b\\u202ec'"),  # writes from right to left
        (["a", "b\u2028c", "d"], "printable characters each"),
        (["a", "b\ud800", "c"], "printable characters each"),
        (["a", "b" * 101, "c"], "at most 100 printable characters each, not 'bbbb"),
        (["a", "b" * 100_000, "c"], "at most 1,000 names of at most 100 characters, not 3 of up to 100,000"),
        (["a"] * 1_001, "at most 1,000 names of at most 100 characters, not 1,001 of up to 1"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_names_that_are_no_names(names, message, tmp_path):
    path = written(tmp_path / "mine.npz", images=IMAGES, labels=LABELS, class_names=np.array(names))
    with pytest.raises(ValueError) as raised:
        load_pictures(path)
    assert message in said(raised) and "\x1b" not in said(raised) and len(said(raised)) < 300


def test_names_that_no_text_can_hold(tmp_path):
    """Numbers beyond the last character of Unicode."""
    names = np.frombuffer(np.uint32([97, 98, 0x110000]).tobytes(), "<U1")
    with pytest.raises((ValueError, DataError)) as raised:
        load_pictures(written(tmp_path / "mine.npz", images=IMAGES, labels=LABELS, class_names=names))
    said(raised)


@pytest.mark.parametrize(
    ("forms", "message"),
    [
        ({"images": ((2_000_000, 64, 64), "|u1")}, "images must be at most 1,000,000, not 2,000,000"),
        ({"images": ((200, 16, 16), "|V1000000")}, "images must be uint8 in 0..255, not |V1000000"),
        ({"labels": ((10**9,), "<i8")}, "labels must be (200,) whole numbers, one per picture, not (1000000000,)"),
        ({"labels": ((200,), "<U1000000")}, "labels must be (200,) whole numbers"),
        ({"labels": ((200,), "<m8[s]")}, "labels must be (200,) whole numbers, one per picture, not (200,) timedelta"),
        ({"labels": ((200,), "|b1")}, "labels must be (200,) whole numbers, one per picture, not (200,) bool"),
        ({"class_names": ((10**9,), "<U1")}, "class_names must be at most 1,000 names"),
        ({"class_names": ((3,), "<U100000000")}, "class_names must be at most 1,000 names of at most 100 characters"),
        ({"class_names": ((3,), "|S5")}, "class_names must be a list of texts, not (3,) |S5"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_forms_are_refused_before_anything_is_unpacked(forms, message, tmp_path, monkeypatch):
    """Their entries are as large as their headers say, so that this is not what is refused."""
    whole = {"images": ((200, 16, 16), "|u1"), "labels": ((200,), "<i8"), "class_names": ((3,), "<U1")}
    monkeypatch.setattr(arrays, "_form", lambda file, name, size: arrays.Form(*whole_forms[name]))
    monkeypatch.setattr(np.lib.format, "read_array", lambda *_, **__: pytest.fail("unpacked before it was refused"))
    whole_forms = {name: (shape, np.dtype(dtype)) for name, (shape, dtype) in (whole | forms).items()}
    with pytest.raises(ValueError) as raised:
        load_pictures(written(tmp_path / "mine.npz", images=IMAGES, labels=LABELS, class_names=["a", "b", "c"]))
    assert message in said(raised)


COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


@pytest.mark.parametrize("form", [COMPOSED, DECOMPOSED])
def test_a_name_is_the_same_however_its_accent_was_typed(form, tmp_path):
    path = written(tmp_path / "mine.npz", images=IMAGES, labels=LABELS, class_names=[form, "th\u00e9", "\uac00"])
    config = network_for(load_pictures(path), widths=(8, 8), heads=2)
    assert config.class_names == (COMPOSED, "th\u00e9", "\uac00")
    assert UNetConfig(num_classes=3, class_names=(form, "the\u0301", "\u1100\u1161")).class_names == config.class_names
    for text in (COMPOSED, DECOMPOSED, f"{COMPOSED}, {DECOMPOSED}", "the\u0301", "\u1100\u1161"):
        assert set(parse_labels(text, config)) <= {0, 1, 2} and parse_labels(text, config)[0] in (0, 1, 2)
    np.testing.assert_array_equal(parse_labels(f"{DECOMPOSED},{COMPOSED},the\u0301", config), [0, 0, 1])


def test_names_that_differ_only_in_their_accents_typing_are_the_same_name():
    with pytest.raises(ValueError, match="class_names must be 2 different names or none"):
        UNetConfig(num_classes=2, class_names=(COMPOSED, DECOMPOSED))
    names = (COMPOSED * 25, DECOMPOSED * 25)  # 100 and 125 characters: both are the same 100
    with pytest.raises(ValueError, match="different names"):
        UNetConfig(num_classes=2, class_names=names)


@pytest.mark.parametrize("form", [COMPOSED, DECOMPOSED])
def test_a_networks_folder_keeps_its_names_in_either_form(form, schedule, tmp_path):
    config = UNetConfig(widths=(8, 8), embedding_width=16, heads=2, num_classes=2, class_names=(COMPOSED, "th\u00e9"))
    save_denoiser(tmp_path, lively(config, schedule), {}, [])
    record = read_record(tmp_path / "config.json")
    record["unet"]["class_names"] = [form, "the\u0301"]
    write_record(tmp_path / "config.json", record)
    assert load_denoiser(tmp_path).config == config


@pytest.mark.parametrize("names", [[1, 2], ["a", None], ["a", ["b"]], "ab", {"a": 1, "b\n": 2}, 7, None])
def test_a_config_whose_names_are_none(names, schedule, tmp_path):
    config = UNetConfig(widths=(8, 8), embedding_width=16, heads=2, num_classes=2)
    save_denoiser(tmp_path, lively(config, schedule), {}, [])
    record = read_record(tmp_path / "config.json")
    record["unet"]["class_names"] = names
    write_record(tmp_path / "config.json", record)
    if names == "ab":  # two names of one character
        assert load_denoiser(tmp_path).config.class_names == ("a", "b")
        return
    with pytest.raises(ValueError, match=r"config\.json is damaged") as raised:
        load_denoiser(tmp_path)
    said(raised)
