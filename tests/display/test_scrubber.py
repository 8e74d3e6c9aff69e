"""The slider without a browser: every position of every control, the bytes that it shows, and what it refuses."""

import logging

import ipywidgets
import numpy as np
import pytest

from helpers.display.images import as_pngs, encode_png
from helpers.display.scrubber import Scrubber
from tests.display.conftest import (
    assert_controls_are_described,
    controls_of,
    page_of,
    pixels_as,
    pixels_of,
    png_of,
    text_of,
)

pytestmark = pytest.mark.usefixtures("callbacks_raise", "links_work")
RANDOM = np.random.default_rng(0)
LINK_IN_THE_BROWSER = ipywidgets.jslink
FRAMES = RANDOM.uniform(-1, 1, (7, 8, 9, 1))
HOSTILE = '<u id="x">'


def test_dragging_shows_every_frame():
    scrubber = Scrubber(FRAMES, "Seven", lambda i: [f"frame {i}", f"{i} < 9"], titles=["x_t", "<x_0>"])
    assert png_of(scrubber) == as_pngs(FRAMES)[0] and "frame 0" in text_of(page_of(scrubber))
    for i in [*range(7), *reversed(range(7)), 3]:
        scrubber.slider.value = i
        np.testing.assert_array_equal(pixels_of(scrubber), pixels_as(FRAMES[i], 28))
        assert f"frame {i}" in text_of(page_of(scrubber)) and f"{i} &lt; 9" in text_of(page_of(scrubber))
        assert {"x_t", "&lt;x_0&gt;"} <= set(text_of(page_of(scrubber)))
        assert f'alt="frame {i}, {i} &lt; 9"' in page_of(scrubber).value


def test_frames_in_colour():
    frames = RANDOM.uniform(-1, 1, (2, 5, 6, 3))
    scrubber = Scrubber(frames)
    scrubber.slider.value = 1
    np.testing.assert_array_equal(pixels_of(scrubber), pixels_as(frames[1], 42))


def test_png_files_are_shown_as_they_are():
    colour = [encode_png(RANDOM.integers(0, 255, (5, 6, 3), np.uint8)) for _ in range(3)]
    scrubber = Scrubber(colour)
    assert scrubber.frames == colour and png_of(scrubber) == colour[0]


def test_buttons_step_through_all_frames_and_stop_at_the_ends():
    scrubber = Scrubber(FRAMES)
    seen = []
    for button, places in ((scrubber.next, [1, 2, 3, 4, 5, 6, 6]), (scrubber.previous, [5, 4, 3, 2, 1, 0, 0])):
        for place in places:
            button.click()
            assert scrubber.slider.value == place and png_of(scrubber) == scrubber.frames[place]
            seen.append(png_of(scrubber))
    assert len(set(seen)) == 7


def test_the_browser_turns_the_pages_alone(monkeypatch):
    """Playing and dragging are linked in the browser. The kernel, however busy, has nothing to answer."""
    monkeypatch.setattr(ipywidgets, "jslink", LINK_IN_THE_BROWSER)
    scrubber = Scrubber(FRAMES)
    slider = (scrubber.slider, "value")
    links = [(link.source, link.target) for link in scrubber.links]
    assert links == [((scrubber.play, "value"), slider), (slider, (scrubber.pages, "selected_index"))]
    assert (scrubber.play.min, scrubber.play.max, scrubber.slider.min, scrubber.slider.max) == (0, 6, 0, 6)
    assert scrubber.slider.continuous_update and len(scrubber.pages.children) == 7
    others = [widget for widget in controls_of(scrubber.widget) if widget is not scrubber.slider]
    assert not any(isinstance(widget, ipywidgets.Output) for widget in others)
    before = [widget.get_state() for widget in others]
    scrubber.slider.value = 5
    assert [widget.get_state() for widget in others] == before
    scrubber.play.value = 2
    assert scrubber.slider.value == 5


def test_the_slider_is_never_written_while_it_moves():
    scrubber = Scrubber(FRAMES)
    written = []
    scrubber.slider.observe(lambda change: written.append(change["new"]), "value")
    for i in (3, 6, 1):
        scrubber.slider.value = i
    assert written == [3, 6, 1]


def test_every_control_says_what_it_is():
    assert_controls_are_described(Scrubber(FRAMES))


def test_texts_stay_texts():
    """Label, readout and titles may be anyone's: none of them becomes an element of the page."""
    scrubber = Scrubber(FRAMES[:2], HOSTILE, lambda i: [HOSTILE, HOSTILE], titles=[HOSTILE])
    texts = [widget for widget in controls_of(scrubber.widget) if isinstance(widget, ipywidgets.HTML)]
    assert len(texts) == 3  # the heading and two pages
    for widget in texts:
        assert "<u" not in widget.value and "&lt;u id=&quot;x&quot;&gt;" in widget.value


def test_the_live_region_waits_until_a_frame_has_stayed():
    """Longer than a frame while they play, or every one would be announced."""
    for milliseconds, wait in ((200, 500), (1_000, 2_000)):
        title = Scrubber(FRAMES, milliseconds=milliseconds).widget.children[0]
        assert f'data-wait="{wait}"' in title.value and title.value.count('role="status"') == 1


def test_the_script_finds_what_it_names():
    """It starts with the style sheet and looks for its widget, the pages, their text and the live region by class."""
    scrubber = Scrubber(FRAMES)
    title = scrubber.widget.children[0].value
    assert 'onload="const root = this.closest(' in title and 'class="frame-status unseen"' in title
    assert "course-widget" in scrubber.widget._dom_classes and "frame-pages" in scrubber.pages._dom_classes
    assert 'class="frame-text"' in page_of(scrubber).value


def test_frames_are_numbered_from_one():
    assert Scrubber(FRAMES).readouts[0] == ["frame 1 of 7"] and Scrubber(FRAMES).readouts[6] == ["frame 7 of 7"]


def test_a_callback_that_raises_is_noticed(caplog):
    """A slider's error reaches the test. A button's reaches only the log, where `callbacks_raise` looks."""
    scrubber = Scrubber(FRAMES)
    scrubber.slider.observe(lambda change: FRAMES[99], "value")
    with pytest.raises(IndexError):
        scrubber.slider.value = 1
    scrubber.next.click()
    assert any(record.levelno >= logging.WARNING for record in caplog.records)
    caplog.clear()


@pytest.mark.parametrize(
    ("frames", "options", "sentence"),
    [
        ([], {}, "frames must be at least one picture"),
        (np.zeros((2, 8)), {}, r"frames must be \(h, w\) or \(h, w, 1 or 3\)"),
        (np.zeros((2, 8, 8, 2)), {}, r"frames must be \(h, w\) or \(h, w, 1 or 3\)"),
        ([np.zeros((8, 8)), np.zeros((8, 9))], {}, "frames must have one size"),
        (np.full((2, 8, 8), np.nan), {}, r"frames must be numbers in \[-1, 1\]"),
        (np.full((2, 8, 8), 255.0), {}, r"frames must be numbers in \[-1, 1\]"),
        ([encode_png(np.zeros((8, width), np.uint8)) for width in (8, 9)], {}, "frames must have one size"),
        ([b"GIF89a"], {}, "a picture must be the bytes of a PNG file"),
        (FRAMES, {"readout": lambda i: i}, "readout must give a text"),
        (FRAMES, {"readout": lambda i: [i]}, "readout must give a text"),
        (FRAMES, {"count": 8}, r"count must be a whole number in 1\.\.7, not 8"),
        (FRAMES, {"milliseconds": 0}, "milliseconds must be a whole number of at least 1"),
    ],
)
def test_refuses(frames, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        Scrubber(frames, **options)
