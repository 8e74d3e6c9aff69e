"""Measures of strokes, on drawings whose length, width, lean and holes are known."""

import numpy as np
import pytest

from helpers.data import to_model_range
from helpers.evaluation.strokes import (
    STROKE_MEASURES,
    compactness,
    complexity,
    euler,
    ink_mass,
    skeleton_length,
    slant,
    stroke_width,
)

BAR = np.zeros((28, 28), np.uint8)
BAR[4:24, 12:15] = 255  # 20 high, 3 wide
RING = np.zeros((28, 28), np.uint8)
RING[6:22, 6:22] = 255
RING[10:18, 10:18] = 0
ROWS, COLUMNS = np.mgrid[:28, :28]


def leaning(tangent):
    """A line through the centre whose top leans to the right for a positive tangent."""
    return (np.abs(COLUMNS - 13.5 + tangent * (ROWS - 13.5)) < 1.5).astype(np.uint8) * 255


def test_a_bar():
    assert ink_mass(BAR) == 60
    assert skeleton_length(BAR) == pytest.approx(20, abs=2)
    assert stroke_width(BAR) == pytest.approx(3, abs=0.4)
    assert euler(BAR) == 1 and slant(BAR) == 0


def test_grey_counts_as_ink_mass_but_faint_pixels_are_no_stroke():
    faint = BAR // 3
    assert ink_mass(faint) == pytest.approx(20)
    assert skeleton_length(faint) == 0 and euler(faint) == 0


def test_holes_and_pieces():
    assert euler(RING) == 0
    two_rings = np.zeros((28, 28), np.uint8)
    for top in (2, 15):
        two_rings[top : top + 9, 8:17] = 255
        two_rings[top + 3 : top + 6, 11:14] = 0
    assert euler(two_rings) == 0  # two pieces minus two holes
    two_rings[10:16, 11:14] = 255
    assert euler(two_rings) == -1  # one piece, two holes: an eight
    assert euler(np.eye(28, dtype=np.uint8) * 255) == 1  # pixels that touch at corners are one stroke


@pytest.mark.parametrize("tangent", [-0.5, -0.2, 0, 0.3])
def test_slant_is_the_tangent_of_the_lean(tangent):
    assert slant(leaning(tangent)) == pytest.approx(tangent, abs=0.03)


def test_a_disc_is_the_most_compact():
    disc = ((ROWS - 13.5) ** 2 + (COLUMNS - 13.5) ** 2 < 100).astype(np.uint8) * 255
    assert compactness(disc) == pytest.approx(4 * np.pi, rel=0.1)
    assert compactness(BAR) > 1.5 * compactness(disc)


def test_nothing_drawn():
    blank = np.zeros((28, 28), np.uint8)
    assert [measure(blank) for measure in (ink_mass, skeleton_length, compactness, stroke_width, slant)] == [0] * 5


def test_complexity_names_every_measure(mnist):
    images = to_model_range(mnist.test_images[:20]).numpy()
    measured = complexity(images)
    assert tuple(measured) == STROKE_MEASURES and all(values.shape == (20,) for values in measured.values())
    assert measured["ink mass"][3] == pytest.approx(ink_mass(mnist.test_images[3]))
    with pytest.raises(ValueError, match="images must be"):
        complexity(images[..., 0])
