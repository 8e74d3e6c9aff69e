"""PNG files, animations, grids and histograms, to the pixel."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from helpers.display.images import (
    decode_png,
    encode_animation,
    encode_png,
    enlargement,
    first_panel,
    histogram,
    image_grid,
)


def test_png_round_trip():
    pixels = np.random.default_rng(0).integers(0, 255, (5, 7), np.uint8)
    np.testing.assert_array_equal(decode_png(encode_png(pixels))[..., 0], pixels)
    assert tf.io.decode_png(encode_png(pixels)).dtype == tf.uint8


@pytest.mark.parametrize(("suffix", "form"), [(".gif", "GIF"), (".webp", "WEBP")])
def test_an_animation_holds_its_pictures_and_rests_at_the_last(suffix, form):
    pictures = [np.random.default_rng(i).integers(0, 255, (5, 7), np.uint8) for i in range(3)]
    with Image.open(io.BytesIO(encode_animation(pictures, suffix, milliseconds=60, rest=900))) as animation:
        assert (animation.format, animation.n_frames, animation.info["loop"]) == (form, 3, 0)
        for i, (picture, milliseconds) in enumerate(zip(pictures, (60, 60, 900), strict=True)):
            animation.seek(i)
            animation.load()
            assert animation.info["duration"] == milliseconds
            np.testing.assert_array_equal(np.asarray(animation.convert("L")), picture)


def test_a_colour_animation_keeps_its_colours():
    pictures = np.random.default_rng(0).integers(0, 255, (2, 5, 7, 3), np.uint8)
    with Image.open(io.BytesIO(encode_animation(pictures, ".webp"))) as animation:
        np.testing.assert_array_equal(np.asarray(animation.convert("RGB")), pictures[0])


def test_image_grid_leaves_gaps_between_and_paper_at_the_end():
    grid = image_grid(np.arange(1, 4, dtype=np.uint8).reshape(3, 1, 1), 2, enlarge=2, gap=1, fill=9)
    np.testing.assert_array_equal(grid, [[1, 1, 9, 2, 2], [1, 1, 9, 2, 2], [9] * 5, [3, 3, 9, 9, 9], [3, 3, 9, 9, 9]])


def test_enlargement_is_whole_and_at_least_one():
    assert [enlargement(size, 112) for size in (28, 32, 64, 300)] == [4, 4, 2, 1]


def test_the_first_panel_ends_at_the_first_clear_column():
    picture = np.full((3, 6, 2), 255, np.uint8)
    np.testing.assert_array_equal(first_panel(picture), picture)  # no gap at all
    picture[:, [2, 4], 1] = 0
    assert first_panel(picture).shape == (3, 2, 2)
    picture[:, 0, 1] = 0
    assert first_panel(picture).shape == (3, 6, 2)  # a picture that begins with a gap is kept whole


def test_the_curve_is_the_density_of_pure_noise():
    picture = histogram(np.full(784, 9.0), size=252)  # no bar
    top = np.argmax(picture == 255, axis=0)
    height = max(row for row in range(252) if (picture[row] == 255).all())  # where the axis begins
    place = (np.arange(252) + 0.5) / 42 - 3
    density = np.exp(-(place**2) / 2) / np.sqrt(2 * np.pi)
    np.testing.assert_allclose((height - top) / height * 0.8, density, atol=2 / height)


def test_histogram_counts():
    values = np.repeat([-1.0, 2.0, 9.0], [90, 10, 100])  # 9 is outside and gets no bar, but counts as one of the values
    bars = histogram(values, size=168, highest=5.0)
    heights = (bars == 170).sum(axis=0)
    expected = np.zeros(168)
    for value, share in ((-1.0, 0.45), (2.0, 0.05)):
        first = int((value + 3) / 6 * 42 + 1e-9) * 4
        expected[first : first + 4] = share / (6 / 42) / 5 * 152  # the axis has the other 16 rows
    np.testing.assert_allclose(heights, expected, atol=3)  # the curve hides up to two pixels
