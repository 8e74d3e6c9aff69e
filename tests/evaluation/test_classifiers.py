"""The classifiers are as good as recorded and differ from one another; accuracy and spread of known images."""

import json

import numpy as np
import pytest

from helpers.data import to_model_range
from helpers.evaluation.classifiers import (
    CLASSIFIERS,
    ROLES,
    build_classifier,
    classify,
    digit_accuracy,
    extract_features,
    load_classifier,
    pixel_spread,
)


@pytest.fixture(scope="module")
def classifiers():
    return {role: load_classifier(role) for role in ROLES}


@pytest.fixture(scope="module")
def judge(classifiers):
    return classifiers["judge"]


@pytest.fixture(scope="module")
def some(mnist):
    """2,000 test images and their labels."""
    return to_model_range(mnist.test_images[:2000]), mnist.test_labels[:2000]


def recorded_accuracy(role):
    return json.loads((CLASSIFIERS / f"{role}.json").read_text(encoding="utf-8"))["test_accuracy"]


@pytest.mark.parametrize("role", ROLES)
def test_the_classifiers_recognise_test_images(classifiers, role, some):
    assert recorded_accuracy(role) >= {"features": 0.995, "judge": 0.995, "critic": 0.99}[role]
    assert digit_accuracy(classifiers[role], *some) == pytest.approx(recorded_accuracy(role), abs=5e-3)


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES)
def test_the_recorded_accuracy_is_that_on_the_whole_test_set(classifiers, role, mnist):
    accuracy = digit_accuracy(classifiers[role], to_model_range(mnist.test_images), mnist.test_labels)
    assert accuracy == pytest.approx(recorded_accuracy(role), abs=5e-4)


def test_the_classifiers_are_small_and_differ(classifiers):
    shapes = {str([weight.shape for weight in classifier.get_weights()]) for classifier in classifiers.values()}
    assert len(shapes) == len(ROLES) == 3
    assert sum(file.stat().st_size for file in CLASSIFIERS.iterdir()) <= 3_000_000


def test_the_last_layer_decides_from_the_features(classifiers, some):
    features, images = classifiers["features"], some[0][:700]
    found = extract_features(features, images, batch_size=300)
    kernel, bias = features.layers[-1].get_weights()
    assert found.shape == (700, 96)
    np.testing.assert_array_equal(np.argmax(found @ kernel + bias, axis=1), classify(features, images))


def test_the_critic_sees_digits_off_the_centre_and_features_hardly_does(classifiers, some):
    """By how far the features of a digit move when it moves by one pixel, in distances between two digits."""
    images, moved = some[0].numpy(), np.roll(some[0], 1, axis=2)
    step = {}
    for role in ("features", "critic"):
        features = extract_features(classifiers[role], images)
        there = extract_features(classifiers[role], moved)
        between = np.linalg.norm(features - np.roll(features, 1, axis=0), axis=1).mean()
        step[role] = np.linalg.norm(there - features, axis=1).mean() / between
    assert step["critic"] > 1.5 * step["features"]


def test_accuracy_is_the_share_of_matches(judge, some):
    images = some[0][:100]
    classified = classify(judge, images)
    half_wrong = classified.copy()
    half_wrong[::2] = (half_wrong[::2] + 1) % 10
    assert digit_accuracy(judge, images, classified) == 1 and digit_accuracy(judge, images, half_wrong) == 0.5


def test_pixel_spread_of_known_images():
    labels = np.arange(40) % 10
    images = np.where(np.arange(40) < 20, -0.5, 0.5).reshape(-1, 1, 1, 1) * np.ones((1, 28, 28, 1))
    np.testing.assert_allclose(pixel_spread(images, labels), np.sqrt(1 / 3))  # (-.5, -.5, .5, .5) of each digit
    assert pixel_spread(labels.reshape(-1, 1, 1, 1) / 10 * np.ones((1, 28, 28, 1)), labels) == 0


def test_refused_images_labels_and_roles(judge):
    two = np.zeros((2, 28, 28, 1))
    for measure in (lambda images, labels: digit_accuracy(judge, images, labels), pixel_spread):
        with pytest.raises(ValueError, match="labels must be 2 like the images, not 1"):
            measure(two, [1])
        with pytest.raises(ValueError, match=r"images must be \(n, 28, 28, 1\) float"):
            measure(two[..., 0], [1, 2])
    with pytest.raises(ValueError, match="each digit at least twice"):
        pixel_spread(np.zeros((40, 28, 28, 1)), np.zeros(40, int))
    with pytest.raises(ValueError, match="role must be"):
        build_classifier("jury")
