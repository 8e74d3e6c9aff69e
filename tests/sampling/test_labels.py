"""What a request for samples may not be, and typed digits as labels. Classes with names: test_own_pictures.py."""

import numpy as np
import pytest

from helpers.request import read_digits
from helpers.sampling import sample


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        ([3, 10], {}, r"labels must be in 0\.\.9, or -1 for no digit given, not 10"),
        ([-2], {}, "not -2"),
        ([], {}, "labels must be a non-empty list"),
        ([1.5], {}, "whole numbers"),
        (3, {}, "labels must be a non-empty list"),
        ([3], {"steps": 0}, r"steps must be a whole number in 1\.\.100, not 0"),
        ([3], {"steps": 101}, "not 101"),
        ([3], {"steps": 2.5}, "not 2.5"),
        ([3], {"guidance_scale": -1.0}, "guidance_scale must be a number of at least 0, not -1.0"),
        ([3], {"guidance_scale": float("nan")}, "guidance_scale"),
        ([3], {"guidance_interval": (50, 10)}, "guidance_interval"),
        ([3], {"guidance_interval": (-1, 50)}, "guidance_interval"),
        ([3], {"eta": 1.5}, "eta must be in"),
        ([3], {"method": "euler"}, "method must be"),
        ([3], {"seed": -1}, "seed must be"),
        ([3], {"numbers": [0, 1]}, "numbers must be 1 whole numbers"),
        ([3], {"numbers": [-1]}, "numbers must be 1 whole numbers"),
        ([3], {"numbers": [0.5]}, "numbers must be 1 whole numbers"),
        ([3], {"keep": [20], "steps": 20}, "keep must name steps in 0..19"),
    ],
)
def test_bad_requests(lively_unet, schedule, labels, options, message):
    with pytest.raises(ValueError, match=message):
        sample(lively_unet, schedule, labels, **options)


def test_weights_that_are_not_numbers(lively_unet, schedule):
    weights = lively_unet.get_weights()
    weights[3].flat[0] = np.nan
    lively_unet.set_weights(weights)
    with pytest.raises(ValueError, match="weights that are not finite"):
        sample(lively_unet, schedule, [3])


@pytest.mark.parametrize("text", ["", "12a", "３", "²", "1 2", "-1", "٣"])
def test_digit_strings_refused(text):
    with pytest.raises(ValueError, match="digits must be"):
        read_digits(text)


def test_digit_string():
    np.testing.assert_array_equal(read_digits("3141"), [3, 1, 4, 1])
