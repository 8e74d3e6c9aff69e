"""PNG files, grids and histograms, to the pixel."""

import numpy as np
import tensorflow as tf

from helpers.pictures import decode_png, encode_png, histogram, image_grid


def test_png_round_trip():
    pixels = np.random.default_rng(0).integers(0, 255, (5, 7), np.uint8)
    np.testing.assert_array_equal(decode_png(encode_png(pixels))[..., 0], pixels)
    assert tf.io.decode_png(encode_png(pixels)).dtype == tf.uint8


def test_image_grid_leaves_gaps_between_and_paper_at_the_end():
    grid = image_grid(np.arange(1, 4, dtype=np.uint8).reshape(3, 1, 1), 2, enlarge=2, gap=1, fill=9)
    np.testing.assert_array_equal(grid, [[1, 1, 9, 2, 2], [1, 1, 9, 2, 2], [9] * 5, [3, 3, 9, 9, 9], [3, 3, 9, 9, 9]])


def test_histogram_counts():
    values = np.repeat([-1.0, 2.0, 9.0], [90, 10, 100])  # 9 is outside, and counts all the same
    bars = histogram(values, size=168, highest=5.0)
    heights = (bars == 170).sum(axis=0)
    expected = np.zeros(168)
    for value, share in ((-1.0, 0.45), (2.0, 0.05)):
        first = int((value + 3) / 6 * 42 + 1e-9) * 4
        expected[first : first + 4] = share / (6 / 42) / 5 * 168
    np.testing.assert_allclose(heights, expected, atol=3)  # the curve hides up to two pixels
