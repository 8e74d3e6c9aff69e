"""digit-clip's captions are true of their images, and none of the prompts that it is tested with is among them."""

import numpy as np
import pytest

from helpers.evaluation.clip import NUMERALS, UNSEEN_PROMPTS, WORDS
from helpers.workshop.captions import (
    ENDINGS,
    LEFT,
    OPENINGS,
    RIGHT,
    SUBJECTS,
    THICK,
    THIN,
    describe,
    slant,
    stroke_width,
    write_captions,
)


def test_captions_say_what_is_on_the_image():
    labels, widths, leans = np.array([7, 7, 3, 0]), np.array([0, 2, 1, 0]), np.array([2, 0, 1, 1])
    seen = set()
    for seed in range(200):
        captions = write_captions(labels, widths, leans, np.random.default_rng(seed))
        for caption, label, width, lean in zip(captions, labels, widths, leans, strict=True):
            assert (
                sum(name in caption.split() or f'"{name}"' in caption for name in (NUMERALS[label], WORDS[label])) <= 1
            )
            assert NUMERALS[label] in caption or WORDS[label] in caption
            for phrases, is_true in ((THIN, width == 0), (THICK, width == 2), (LEFT, lean == 0), (RIGHT, lean == 2)):
                assert is_true or not any(phrase in caption for phrase in phrases)
        # A batch has one style: images with the same facts share a caption, another digit has another one.
        again = write_captions(labels[[0, 0]], widths[[0, 0]], leans[[0, 0]], np.random.default_rng(seed))
        assert again[0] == again[1] == captions[0] and len({captions[0], captions[2], captions[3]}) == 3
        seen.update(captions)
    everything = " ".join(seen)
    assert all(phrase in everything for phrase in (*THIN, *THICK, *LEFT, *RIGHT))


def test_description_of_drawn_strokes():
    rows, columns = np.mgrid[:28, :28]
    lines = [
        (np.abs(columns - 13.5 + lean * (rows - 13.5)) < width).astype(np.uint8) * 255
        for width, lean in ((1, 0.6), (4, -0.6), (1.5, 0.15))
    ]
    widths, leans = describe(np.stack(lines))
    assert widths.tolist() == [0, 2, 1] and leans.tolist() == [2, 0, 1]


def test_the_captions_hold_no_unseen_prompt():
    ours = " ".join([*OPENINGS, *SUBJECTS, *ENDINGS])
    assert not any(prompt in ours for prompt in UNSEEN_PROMPTS)


ROWS, COLUMNS = np.mgrid[:28, :28]


def leaning(tangent):
    """A line through the centre whose top leans to the right for a positive tangent."""
    return (np.abs(COLUMNS - 13.5 + tangent * (ROWS - 13.5)) < 1.5).astype(np.uint8) * 255


@pytest.mark.parametrize("tangent", [-0.5, -0.2, 0, 0.3])
def test_slant_is_the_tangent_of_the_lean(tangent):
    assert slant(leaning(tangent)) == pytest.approx(tangent, abs=0.03)


def test_width_and_slant_of_a_bar_and_of_nothing():
    bar = np.zeros((28, 28), np.uint8)
    bar[4:24, 12:15] = 255  # 20 high, 3 wide
    assert stroke_width(bar) == pytest.approx(3, abs=0.4) and slant(bar) == 0
    assert stroke_width(0 * bar) == slant(0 * bar) == 0
