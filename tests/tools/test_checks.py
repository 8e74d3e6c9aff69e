"""What the shared checks accept and refuse. Each refusal is one sentence that names the argument.

The callers have one test each that they use them: in `test_unfit_inputs` and beside the callers.
"""

import numpy as np
import pytest

from helpers.tools.checks import (
    check_choice,
    check_finite,
    check_images,
    check_labels,
    check_number,
    check_whole,
    in_model_range,
)
from tests.conftest import said


def refusal(check, *arguments, **options) -> str:
    with pytest.raises(ValueError) as raised:
        check(*arguments, **options)
    return said(raised)


# --- numbers and choices ---


def test_whole_numbers():
    for value in (1, np.int64(5), np.uint8(9)):
        found = check_whole("steps", value, 1, 9)
        assert found == value and type(found) is int
    assert check_whole("seed", 2**70, 0) == 2**70


@pytest.mark.parametrize("value", [0, 10, 1.0, 1.5, np.float64(3), True, np.True_, "3", None, float("nan"), [3]])
def test_whole_numbers_refused(value):
    assert refusal(check_whole, "steps", value, 1, 9) == f"steps must be a whole number in 1..9, not {value!r}."


def test_a_whole_number_without_a_highest():
    assert refusal(check_whole, "steps", -1, 0) == "steps must be a whole number of at least 0, not -1."


def test_numbers():
    for value in (0, 0.5, np.float32(0.25), 1):
        found = check_number("eta", value, 0, 1)
        assert found == value and type(found) is float
    assert check_number("scale", 1e300, 0) == 1e300


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), float("inf"), True, "0.5", None, 0.5j, [0.5], 10**400])
def test_numbers_refused(value):
    assert refusal(check_number, "eta", value, 0, 1) == (
        f"eta must be a finite number of at least 0 and at most 1, not {value!r}."
    )


@pytest.mark.parametrize(
    "value", [np.float32("nan"), np.float32("inf"), np.complex64(0.5), np.bool_(True), np.str_("1")]
)
def test_numpys_numbers_refused(value):
    assert refusal(check_number, "scale", value, 0, 1) == (
        f"scale must be a finite number of at least 0 and at most 1, not {value.item()!r}."
    )


def test_a_whole_number_that_is_no_float():
    assert refusal(check_number, "scale", 10**400, 0).startswith(
        "scale must be a finite number of at least 0, not 1000"
    )
    assert refusal(check_number, "loss", -(10**400), -np.inf).startswith("loss must be a finite number, not -1000")


def test_limits_that_are_excluded():
    assert check_number("rate", 1e-9, 0, above=True) == 1e-9
    assert refusal(check_number, "rate", 0, 0, above=True) == "rate must be a finite number above 0, not 0."
    assert refusal(check_number, "rate", float("inf"), 0, above=True).endswith("above 0, not inf.")
    assert check_number("share", 0.999, 0, 1, below=True) == 0.999
    assert refusal(check_number, "share", 1, 0, 1, below=True) == (
        "share must be a finite number of at least 0 and below 1, not 1."
    )


def test_choices():
    check_choice("method", "ddim", ("ddpm", "ddim"))
    assert refusal(check_choice, "method", "euler", ("ddpm", "ddim")) == (
        "method must be one of 'ddpm', 'ddim', not 'euler'."
    )
    refusal(check_choice, "method", ["ddim"], ("ddpm", "ddim"))


# --- images and labels ---

IMAGES, LABELS = np.zeros((20, 28, 28, 1), np.float32), np.arange(20) % 10
UNFIT_IMAGES = {
    "bytes": IMAGES.astype(np.uint8),
    "text": IMAGES.astype(str),
    "complex numbers": IMAGES.astype(complex),
    "no channel": IMAGES[..., 0],
    "no batch": IMAGES[0],
    "a number": np.float32(0),
    "none at all": IMAGES[:0],
    "pixels in 0..255": IMAGES + 255,
    "NaN": np.where(np.arange(28) == 3, np.nan, IMAGES[..., 0])[..., np.newaxis],
    "infinite": IMAGES - np.inf,
}


def test_images():
    images = np.linspace(-1.0005, 1.0005, 20 * 784).reshape(20, 28, 28, 1)  # rounding is forgiven
    found = check_images(images)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, images, atol=1e-6)
    assert check_images(found) is found
    assert in_model_range(images) and not in_model_range(images * 1.01) and not in_model_range(images * np.nan)


@pytest.mark.parametrize("images", UNFIT_IMAGES)
def test_unfit_images(images):
    assert refusal(check_images, UNFIT_IMAGES[images], "test_images").startswith("test_images must be ")


UNFIT_LABELS = {
    "not whole": LABELS / 1.0,
    "text": LABELS.astype(str),
    "columns": LABELS[:, np.newaxis],
    "too few": LABELS[:19],
    "none at all": LABELS[:0],
    "below zero": LABELS - 1,
}


def test_labels():
    np.testing.assert_array_equal(check_labels(LABELS.astype(np.uint8).tolist(), count=20), LABELS)
    np.testing.assert_array_equal(check_labels(LABELS[:7]), LABELS[:7])


@pytest.mark.parametrize("labels", UNFIT_LABELS)
def test_unfit_labels(labels):
    assert refusal(check_labels, UNFIT_LABELS[labels], "wanted", count=20).startswith("wanted must be ")


# --- arrays of numbers ---

POINTS = np.random.default_rng(0).normal(size=(30, 4))
UNFIT_POINTS = {
    "text": POINTS.astype(str),
    "complex numbers": POINTS.astype(complex),
    "objects": POINTS.astype(object),
    "images": IMAGES,
    "one point": POINTS[0],
    "none at all": POINTS[:0],
    "without numbers": POINTS[:, :0],
    "NaN": np.where(np.arange(4) == 3, np.nan, POINTS),
    "infinite": np.where(np.arange(4) == 3, np.inf, POINTS),
}


def test_finite_arrays():
    assert check_finite("features", POINTS.astype(np.float32), 2).dtype == np.float64
    assert check_finite("features", POINTS.astype(np.float32), 2, dtype=None).dtype == np.float32
    assert check_finite("distances", [1, 2, 3], 1).tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("points", UNFIT_POINTS)
def test_unfit_arrays(points):
    assert refusal(check_finite, "features", UNFIT_POINTS[points], 2).startswith("features must be ")


@pytest.mark.parametrize("points", ["text", "complex numbers", "none at all", "NaN", "images"])
def test_unfit_lists(points):
    unfit = UNFIT_POINTS[points]
    refusal(check_finite, "distances", unfit if points == "images" else unfit[..., 3], 1)
    assert refusal(check_finite, "distances", POINTS, 1) == "distances must be (n,) and not empty, not (30, 4)."
