"""What the tests of sliders share: links that work without a browser, and the look at what a slider shows."""

import base64
import logging
import re

import ipywidgets
import numpy as np
import pytest

from helpers.display.images import decode_png
from tests.conftest import TINY, lively


@pytest.fixture(scope="module")
def lively_denoiser(schedule):
    """One for all tests of a file, so that its sampler is compiled once."""
    return lively(TINY, schedule)


@pytest.fixture
def callbacks_raise(caplog):
    """ipywidgets only logs the error that a button's callback raises. Here it fails the test."""
    yield
    raised = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert not raised, raised[0].getMessage()


@pytest.fixture
def links_work(monkeypatch):
    """A browser keeps linked values equal; here Python does it."""
    monkeypatch.setattr(ipywidgets, "jslink", ipywidgets.link)


def text_of(widget):
    """The lines of an HTML widget, without tags."""
    return re.sub(r"<[^>]*>", "\n", widget.value).split("\n")


def page_of(scrubber):
    """The page in view."""
    return scrubber.pages.children[scrubber.pages.selected_index]


def png_of(scrubber):
    """The PNG file in view."""
    return base64.b64decode(
        re.fullmatch(r'.*<img [^>]*src="data:image/png;base64,([^"]+)".*', page_of(scrubber).value)[1]
    )


def pixels_of(scrubber):
    """The pixels in view."""
    return decode_png(png_of(scrubber))


def pixels_as(values, enlarge):
    """Values in the model's range, clipped, as the pixels of a PNG file that is enlarged this much."""
    pixels = np.rint((np.clip(values, -1, 1) + 1) * 127.5)
    return pixels.repeat(enlarge, axis=-3).repeat(enlarge, axis=-2)


def controls_of(widget):
    """A widget and all widgets inside it."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from controls_of(child)


def assert_controls_are_described(shown):
    """Every control has a description and a tooltip."""
    interactive = [w for w in controls_of(shown.widget) if "description" in w.keys and "disabled" in w.keys]
    assert len(interactive) >= 3
    for control in interactive:
        tooltip = getattr(control, "tooltip", None) or getattr(control, "description_tooltip", None)
        assert control.description and tooltip, control
