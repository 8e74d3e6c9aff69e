"""Digits as they are typed: whatever is asked for or fails ends in a picture or a sentence."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

import helpers.display.draw_digits as draw_digits
from helpers.custom_data import NAMES
from helpers.display.draw_digits import DrawDigits, parse_seed
from helpers.sampling.sampler import sample
from helpers.unet import UNetConfig
from tests.conftest import TINY
from tests.display.test_untrusted import PAYLOAD, Stripped, pixels_of

DIGITS = SimpleNamespace(config=TINY)  # a network that `pretend` draws for
SHAPES = SimpleNamespace(config=UNetConfig(num_classes=4, class_names=NAMES))


@pytest.fixture
def pretend(monkeypatch):
    """Stands in for the sampler: grey squares, brighter with the label and the seed."""

    def draw(denoiser, labels, *, seed):
        values = (np.asarray(labels) + seed % 7) / 10 - 1
        return SimpleNamespace(images=np.broadcast_to(values[:, None, None, None], (len(labels), 28, 28, 1)))

    monkeypatch.setattr(draw_digits, "sample", draw)


def shown(widget):
    """The pixels that DrawDigits shows, or None."""
    source = re.search(r'<img [^>]*src="([^"]*)"', widget.picture.value)
    return None if source is None else pixels_of(source[1])


def test_it_opens_with_a_finished_drawing(lively_denoiser):
    widget = DrawDigits(lively_denoiser)
    assert (widget.text.value, widget.seed.value, widget.message.value) == ("2024", "4", "2024, seed 4")
    images = sample(lively_denoiser, [2, 0, 2, 4], seed=4).images
    expected = np.rint((images[..., 0] + 1) * 127.5)
    np.testing.assert_allclose(shown(widget)[3::7, 3::7, 0], np.concatenate(list(expected), axis=1), atol=1)


def test_it_opens_with_what_it_is_told(pretend):
    widget = DrawDigits(DIGITS, "7", seed=1)
    assert widget.message.value == "7, seed 1" and shown(widget).shape == (252, 252, 2)
    assert DrawDigits(SHAPES).message.value == "red disc, red cross, seed 4"


@pytest.mark.parametrize("text", ["12 34", " 1 2 3 4 ", "12\u00a034", "12\u300034", "1\t2 34"])
def test_spaces_between_digits_are_ignored(pretend, text):
    widget, plain = DrawDigits(DIGITS, text), DrawDigits(DIGITS, "1234")
    assert widget.message.value == "1234, seed 4" and widget.picture.value == plain.picture.value


@pytest.mark.parametrize(
    "seed", ["1e3", "-1", "1.5", "", " ", "0x10", "1_000", "+1", "２", "²", "2147483648", "9" * 5000, "<b>", "None"]
)
def test_wrong_seeds_get_a_sentence(pretend, seed):
    with pytest.raises(ValueError, match=r"^seed must be a whole number in 0\.\.2147483647, not .{0,60}\.$"):
        parse_seed(seed)
    widget = DrawDigits(DIGITS, "7")
    widget.seed.value = seed
    assert widget.message.value.startswith("seed must be a whole number") and "<" not in widget.message.value
    assert shown(widget) is None
    widget.other.click()
    assert widget.message.value.startswith("seed must be a whole number") and widget.seed.value == seed
    widget.seed.value = " 7 "
    assert widget.message.value == "7, seed 7" and shown(widget) is not None


def test_new_handwriting_draws_with_the_next_seed(pretend):
    widget = DrawDigits(DIGITS, "31", seed=5)
    before = shown(widget)
    widget.other.click()
    assert widget.seed.value == "6" and widget.message.value == "31, seed 6"
    assert not np.array_equal(shown(widget), before)
    widget.seed.value = str(2**31 - 1)
    widget.other.click()
    assert widget.message.value == "31, seed 0"


@pytest.mark.parametrize(
    ("denoiser", "text", "name"),
    [
        (DIGITS, "2024", "2024-seed-4.png"),
        (SHAPES, "red disc, blue cross", "red-disc-blue-cross-seed-4.png"),
        (DIGITS, "1" * 40, "1" * 40 + "-seed-4.png"),
    ],
)
def test_the_picture_can_be_downloaded(pretend, denoiser, text, name):
    picture = Stripped(DrawDigits(denoiser, text).picture.value)
    (link,), (image,) = picture.all("a"), picture.all("img")
    assert link["download"] == name and link["href"] == image["src"]
    assert image["alt"] == f"{text}, seed 4, as the network draws it"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (MemoryError(), "There isn't enough memory for so many digits; draw fewer at once."),
        (
            tf.errors.ResourceExhaustedError(None, None, "OOM when allocating\n<at> line 2"),
            "There isn't enough memory for",
        ),
        (tf.errors.InvalidArgumentError(None, None, "shapes <1> and <2>"), "couldn't be drawn: shapes <1> and <2>"),
        (ZeroDivisionError(), "This couldn't be drawn: ZeroDivisionError"),
        (KeyError("x" * 1000), "This couldn't be drawn: 'xxx"),
        (OSError(28, "No space left on device"), "This couldn't be drawn: [Errno 28] No space left on device"),
        (KeyboardInterrupt(), "Stopped before the picture was finished."),
        (SystemExit(3), "This couldn't be drawn: 3"),
        (ValueError(PAYLOAD), PAYLOAD),
        (ValueError(), "ValueError"),
        (ValueError("one\ntwo"), "one"),
    ],
)
def test_every_exception_ends_in_a_sentence_and_the_button_works_again(monkeypatch, pretend, error, sentence):
    def fail(*_, **__):
        raise error

    widget = DrawDigits(DIGITS, "7")
    with monkeypatch.context() as patch:
        patch.setattr(draw_digits, "sample", fail)
        widget.text.value = "8"
        message = Stripped(widget.message.value)
        assert sentence in message.text and len(message.text) < 350 and "\n" not in message.text
        assert not message.elements and "Drawing" not in message.text and shown(widget) is None
        opened = DrawDigits(DIGITS, "7")  # failing at once, it appears all the same
        assert sentence in Stripped(opened.message.value).text
    widget.button.click()
    assert widget.message.value == "8, seed 4" and shown(widget) is not None and not widget.button.disabled
    opened.button.click()
    assert opened.message.value == "7, seed 4"
