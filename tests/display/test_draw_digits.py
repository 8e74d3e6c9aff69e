"""Digits drawn as they are typed, by a tiny network. What fails, and what is shown at first: test_untrusted."""

import base64
import re
from types import SimpleNamespace

import numpy as np
import pytest

from helpers.display import draw_digits
from helpers.display.draw_digits import DrawDigits
from helpers.display.images import decode_png, image_grid
from helpers.sampling.sampler import sample
from helpers.unet import UNetConfig
from tests.display.conftest import assert_controls_are_described, text_of

pytestmark = pytest.mark.usefixtures("callbacks_raise")


@pytest.fixture
def drawing(lively_denoiser):
    """The widget, and everything that it said and showed, in order."""
    widget, log = DrawDigits(lively_denoiser), []
    widget.message.observe(lambda change: log.append(change["new"]), "value")
    widget.picture.observe(lambda change: log.append(picture_of(widget)), "value")
    return widget, log


def picture_of(widget):
    """The pixels that are shown, or None."""
    found = re.search(r'src="data:image/png;base64,([^"]+)"', widget.picture.value)
    return None if found is None else decode_png(base64.b64decode(found[1]))


def expected_of(denoiser, labels, seed, enlarge):
    pixels = np.rint((sample(denoiser, labels, seed=seed).images + 1) * 127.5).astype(np.uint8)
    return image_grid(pixels, 10, enlarge)


def test_typed_digits_are_drawn(drawing, lively_denoiser):
    widget, log = drawing
    assert_controls_are_described(widget)
    # By these classes the script finds the widget and its live region.
    assert "course-widget" in widget.widget._dom_classes and "course-message" in widget.message._dom_classes
    assert widget.text.continuous_update is widget.seed.continuous_update is False  # not at every key
    widget.text.value = " 31415 "
    assert log[0] == "Drawing 31415 ..." and log[2:] == ["31415, seed 4"]
    expected = expected_of(lively_denoiser, [3, 1, 4, 1, 5], 4, enlarge=6)
    np.testing.assert_array_equal(log[1][..., 0], expected[..., 0])
    widget.seed.value = "1"
    assert log[-1] == "31415, seed 1" and not np.array_equal(log[-2], log[1])


def test_rows_have_ten_digits(drawing, lively_denoiser):
    widget, _ = drawing
    widget.text.value = "012345678901"
    drawn, expected = picture_of(widget), expected_of(lively_denoiser, [*range(10), 0, 1], 4, enlarge=3)
    np.testing.assert_array_equal(drawn[..., 0], expected[..., 0])
    assert drawn.shape[:2] == (2 * 84, 10 * 84) and not drawn[84:, 2 * 84 :, 1].any()  # transparent


def test_the_button_draws_too(drawing):
    widget, log = drawing
    widget.button.click()
    assert log == ["Drawing 2024 ...", "2024, seed 4"]  # the same picture again


def test_wrong_digits_get_a_sentence_and_no_picture(drawing):
    widget, log = drawing
    for text, sentence in (
        ("12<b>", "digits must be 0 to 9 only, but character 3 is &#x27;&lt;&#x27;."),
        ("²", "digits must be 0 to 9 only, but character 1 is &#x27;²&#x27;."),
        ("1" * 41, "digits must be at most 40, not 41."),
        ("   ", "digits must be at least one of 0 to 9, not an empty string."),
    ):
        widget.text.value = "7"
        assert picture_of(widget) is not None
        widget.text.value = text
        assert log[-1] == sentence and picture_of(widget) is None
    widget.text.value = "1" * 40
    assert log[-1] == "1" * 40 + ", seed 4" and picture_of(widget) is not None


def test_typed_names_are_drawn(shapes_denoiser):
    widget = DrawDigits(shapes_denoiser)
    assert widget.text.placeholder == "such as red disc, red cross, then Enter" and widget.text.description == "classes"
    widget.text.value = "blue cross, red disc"
    assert text_of(widget.message) == ["blue cross, red disc, seed 4"]
    np.testing.assert_array_equal(picture_of(widget)[..., :3], expected_of(shapes_denoiser, [3, 0], 4, enlarge=13))
    for text, sentence in (
        ("7", "&#x27;7&#x27; is none of the classes (red disc, red cross, blue disc, blue cross); separate several"),
        ("red disc, " * 40 + "red disc", "classes must be at most 40, not 41."),
    ):
        widget.text.value = text
        assert text_of(widget.message)[0].startswith(sentence) and picture_of(widget) is None


def test_names_stay_texts(monkeypatch):
    """The names of classes come with a network, which may be a stranger's."""
    name = '<u id="x">'
    stranger = SimpleNamespace(config=UNetConfig(num_classes=2, class_names=(name, "cat")))
    monkeypatch.setattr(draw_digits, "sample", lambda *_, **__: SimpleNamespace(images=np.zeros((1, 28, 28, 1))))
    widget = DrawDigits(stranger, name)
    assert widget.message.value == "&lt;u id=&quot;x&quot;&gt;, seed 4"
    assert "<u" not in widget.picture.value and 'alt="&lt;u id=&quot;x&quot;&gt;, seed 4,' in widget.picture.value
