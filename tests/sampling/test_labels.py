"""Typed text becomes labels, and a request that can't be drawn is refused in one sentence."""

import itertools

import numpy as np
import pytest

from helpers.sampling.labels import (
    MOST_DIGITS,
    check_keep,
    check_request_labels,
    check_sample_ids,
    parse_digits,
    parse_labels,
)
from helpers.unet import UNetConfig
from tests.conftest import said


def test_digits():
    labels = parse_digits("3141")
    np.testing.assert_array_equal(labels, [3, 1, 4, 1])
    assert labels.dtype == np.int32


@pytest.mark.parametrize("text", ["", "12a", "３", "²", "1 2", "-1", "٣"])
def test_other_characters_are_refused(text):
    with pytest.raises(ValueError, match="digits must be"):
        parse_digits(text)


def test_more_digits_than_one_picture_holds():
    assert len(parse_digits("7" * MOST_DIGITS)) == MOST_DIGITS
    with pytest.raises(ValueError) as raised:
        parse_digits("7" * (MOST_DIGITS + 1))
    assert said(raised) == "digits must be at most 10,000, not 10,001: ask for them in parts."


NAMED = UNetConfig(num_classes=2, class_names=("cat", "black dog"))


def test_text_is_parsed_as_the_network_names_its_classes():
    np.testing.assert_array_equal(parse_labels("314", UNetConfig()), [3, 1, 4])
    np.testing.assert_array_equal(parse_labels("12, 3", UNetConfig(num_classes=26)), [12, 3])
    np.testing.assert_array_equal(parse_labels("black dog,cat", NAMED), [1, 0])


def test_a_letter_may_be_typed_in_two_ways():
    """With its accent, or followed by one: some keyboards and file systems give the latter."""
    config = UNetConfig(num_classes=2, class_names=("cat", "k\u00e4fer"))
    np.testing.assert_array_equal(parse_labels("ka\u0308fer, cat", config), [1, 0])


@pytest.mark.parametrize(
    ("text", "config", "message"),
    [
        ("cat, " * 2_000 + "cat", NAMED, "the text must have at most 10,000 characters, not 10,003"),
        ("5", UNetConfig(num_classes=4), "digits must be 0 to 3, not 5"),
        ("26", UNetConfig(num_classes=26), "'26' is none of the classes (0, 1, 2, 3, 4, ...)"),
        ("cat dog", NAMED, "'cat dog' is none of the classes (cat, black dog)"),
    ],
)
def test_an_unknown_class_is_refused(text, config, message):
    with pytest.raises(ValueError) as raised:
        parse_labels(text, config)
    assert message in said(raised)


def test_labels_of_a_request():
    for labels in ([3, -1], np.array([3, -1], np.int8), (3, -1)):
        checked = check_request_labels(labels, UNetConfig())
        assert checked.dtype == np.int32 and checked.tolist() == [3, -1]


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        ([3, 10], 10, "labels must be in 0..9, or -1 for no digit given, not 10"),
        ([26], 26, "labels must be in 0..25, or -1 for no digit given, not 26"),
        ([-2], 10, "not -2"),
        ([], 10, "labels must be a non-empty list"),
        ([1.5], 10, "whole numbers"),
        (3, 10, "labels must be a non-empty list"),
    ],
)
def test_unfit_labels_of_a_request(labels, classes, message):
    with pytest.raises(ValueError) as raised:
        check_request_labels(labels, UNetConfig(num_classes=classes))
    assert message in said(raised)


def test_sample_ids():
    assert check_sample_ids(None, 3).tolist() == [0, 1, 2]
    assert check_sample_ids([7, 2**40], 2).tolist() == [7, 2**40]
    for wrong in ([0, 1], [-1], [0.5], 0):
        with pytest.raises(ValueError, match="sample_ids must be 1 whole numbers of at least 0, one per label"):
            check_sample_ids(wrong, 1)


def test_steps_to_keep():
    assert check_keep(range(0, 20, 19), 20, 1) == [0, 19]
    assert check_keep(iter([3, 1]), 20, 1) == [3, 1] and check_keep((step for step in (4, 5)), 20, 1) == [4, 5]
    assert (
        check_keep(np.array([2, 3]), 20, 1) == [2, 3] and check_keep([], 20, 1) == [] and check_keep({7}, 20, 1) == [7]
    )
    for wrong in (20, -1, 0.5, np.nan, True, None, "1", [1]):
        with pytest.raises(ValueError, match=r"keep must be a whole number in 0\.\.19"):
            check_keep([0, wrong], 20, 1)
    for wrong in (3, 0.5, True, np.array(3), print):
        with pytest.raises(ValueError, match="keep must be a list of steps, not "):
            check_keep(wrong, 20, 1)
    for endless in (itertools.repeat(0), range(10**12), [0] * 21):  # `keep=range(10**12)` must not take the memory
        with pytest.raises(ValueError, match=r"the number of steps in keep must be a whole number in 0\.\.20, not 21"):
            check_keep(endless, 20, 1)
    assert len(check_keep(range(20), 20, 5_000)) == 20
    with pytest.raises(ValueError, match=r"labels times steps in keep must be at most 100,000, not 5,001 x 20\."):
        check_keep(range(20), 20, 5_001)
