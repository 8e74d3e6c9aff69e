"""Measures of strokes, on drawings whose length, holes, centre, size and pieces are known."""

import numpy as np
import pytest

from helpers.data import to_model_range
from helpers.evaluation.strokes import (
    RULE,
    STROKE_MEASURES,
    compactness,
    complexity,
    displacement,
    euler,
    ink_mass,
    longest_side,
    pieces,
    rule_measures,
    skeleton_length,
)

BAR = np.zeros((28, 28), np.uint8)
BAR[4:24, 12:15] = 255  # 20 high, 3 wide
RING = np.zeros((28, 28), np.uint8)
RING[6:22, 6:22] = 255
RING[10:18, 10:18] = 0
ROWS, COLUMNS = np.mgrid[:28, :28]


def test_a_bar():
    assert ink_mass(BAR) == 60
    assert skeleton_length(BAR) == pytest.approx(20, abs=2)
    assert euler(BAR) == 1


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


def test_a_disc_is_the_most_compact():
    disc = ((ROWS - 13.5) ** 2 + (COLUMNS - 13.5) ** 2 < 100).astype(np.uint8) * 255
    assert compactness(disc) == pytest.approx(4 * np.pi, rel=0.1)
    assert compactness(BAR) > 1.5 * compactness(disc)


def test_nothing_drawn():
    blank = np.zeros((28, 28), np.uint8)
    measures = (ink_mass, skeleton_length, compactness, displacement, longest_side, pieces)
    assert [measure(blank) for measure in measures] == [0] * len(measures)


def test_complexity_names_every_measure(mnist):
    images = to_model_range(mnist.test_images[:20]).numpy()
    measured = complexity(images)
    assert tuple(measured) == STROKE_MEASURES and all(values.shape == (20,) for values in measured.values())
    assert measured["ink mass"][3] == pytest.approx(ink_mass(mnist.test_images[3]))
    with pytest.raises(ValueError, match="images must be"):
        complexity(images[..., 0])


def test_the_displacement_of_a_drawing_with_a_known_centre():
    centred = np.zeros((28, 28), np.uint8)
    centred[13:16, 12:17] = 200  # rows 13 to 15, columns 12 to 16: the centre is row 14, column 14
    assert displacement(centred) == 0
    for pixels in (1, 3):
        for axis in (0, 1):
            assert (
                displacement(np.roll(centred, pixels, axis)) == displacement(np.roll(centred, -pixels, axis)) == pixels
            )
    assert displacement(np.roll(centred, (3, -2), (0, 1))) == 3  # the larger of the two
    assert displacement(BAR) == pytest.approx(1)  # its middle is row 13.5, column 13
    heavier = np.zeros((28, 28), np.uint8)
    heavier[14, 10], heavier[14, 20] = 50, 200  # weighed by brightness: 10 + 0.8 * 10 = 18
    assert displacement(heavier) == pytest.approx(4)


def test_the_longest_side_is_that_of_the_box_of_strokes():
    assert longest_side(BAR) == longest_side(BAR.T) == 20
    assert longest_side(RING) == 16
    longer = BAR.copy()
    longer[3, 13], longer[24, 13] = 128, 127  # half bright belongs to a stroke, darker grey doesn't
    assert longest_side(longer) == 21
    corners = np.zeros((28, 28), np.uint8)
    corners[2, 3], corners[5, 27] = 255, 255
    assert longest_side(corners) == 25


def test_the_number_of_pieces():
    assert pieces(BAR) == pieces(RING) == pieces(np.eye(28, dtype=np.uint8) * 255) == 1
    parted = BAR.copy()
    parted[10] = 0
    assert pieces(parted) == 2
    parted[10] = 32  # grey still joins
    assert pieces(parted) == 1
    parted[10] = 31
    parted[20] = 0
    assert pieces(parted) == 3


def test_the_rule_holds_for_real_digits(mnist):
    """As MNIST was made: moved by whole pixels, so that both offsets are uniform up to half a pixel, and 20 long."""
    measured = rule_measures(to_model_range(mnist.test_images[:2_000]).numpy())
    assert tuple(measured) == tuple(RULE) and all(values.shape == (2_000,) for values in measured.values())
    away, size, count = measured.values()
    assert away.max() <= 0.5 and away.mean() == pytest.approx(1 / 3, abs=0.01)  # the larger of two uniform ones
    assert size.max() == 20 and np.mean(size == 20) > 0.98
    assert np.mean(count > 1) < 0.04
    over = [np.mean(values > most) for values, most in zip(measured.values(), RULE.values(), strict=True)]
    assert over[:2] == [0, 0] and over[2] < 0.04
    with pytest.raises(ValueError, match="images must be"):
        rule_measures(mnist.test_images[:3])
