"""The judge is good, differs from the network that tunes, and sees what it should in the shipped model's samples."""

import json

import numpy as np
import pytest

import helpers.classifier as classifier
from helpers.checkpoints import load_unet
from helpers.classifier import (
    CLASSIFIERS,
    ROLES,
    build_classifier,
    digit_accuracy,
    extract_features,
    load_classifier,
    pixel_spread,
    read_images,
)
from helpers.data import to_model_range
from helpers.files import ASSETS
from helpers.sampling import sample


@pytest.fixture(scope="module")
def judge():
    return load_classifier("judge")


def test_the_judge_reads_the_test_set(judge, mnist):
    accuracy = digit_accuracy(judge, to_model_range(mnist.test_images), mnist.test_labels)
    assert accuracy >= 0.995
    assert abs(accuracy - json.loads((CLASSIFIERS / "judge.json").read_text())["test_accuracy"]) < 5e-4


def test_the_tuning_network_reads_and_is_another_one(mnist):
    accuracy = digit_accuracy(load_classifier("features"), to_model_range(mnist.test_images), mnist.test_labels)
    assert accuracy >= 0.995
    assert abs(accuracy - json.loads((CLASSIFIERS / "features.json").read_text())["test_accuracy"]) < 5e-4
    shapes = [[weight.shape for weight in build_classifier(role).get_weights()] for role in ROLES]
    assert shapes[0] != shapes[1]


@pytest.mark.parametrize(("predicts", "least"), [("velocity", 0.97), ("noise", 0.85)])
def test_shipped_networks_draw_what_was_asked(judge, predicts, least):
    unet, schedule = load_unet(ASSETS / f"unet-{predicts}")
    labels = np.arange(200) % 10
    images = sample(unet, schedule, labels).images
    assert digit_accuracy(judge, images, labels) >= least
    assert digit_accuracy(judge, images, (labels + 1) % 10) < 0.05


def test_the_last_layer_decides_from_the_features(mnist):
    features, images = load_classifier("features"), to_model_range(mnist.test_images[:700])
    found = extract_features(features, images, batch_size=300)
    kernel, bias = features.layers[-1].get_weights()
    assert found.shape == (700, 96)
    np.testing.assert_array_equal(np.argmax(found @ kernel + bias, axis=1), read_images(features, images))


def test_the_two_classifiers_are_small():
    assert sum(file.stat().st_size for file in CLASSIFIERS.iterdir()) <= 3_000_000


def test_accuracy_counts_matches(judge, mnist):
    images = to_model_range(mnist.test_images[:100])
    read = read_images(judge, images)
    half_wrong = read.copy()
    half_wrong[::2] = (half_wrong[::2] + 1) % 10
    assert digit_accuracy(judge, images, read) == 1 and digit_accuracy(judge, images, half_wrong) == 0.5


def test_pixel_spread_of_known_images():
    labels = np.arange(40) % 10
    images = np.where(np.arange(40) < 20, -0.5, 0.5).reshape(-1, 1, 1, 1) * np.ones((1, 28, 28, 1))
    np.testing.assert_allclose(pixel_spread(images, labels), np.sqrt(1 / 3))  # (-.5, -.5, .5, .5) of each digit
    with pytest.raises(ValueError, match="each digit at least twice"):
        pixel_spread(images, np.zeros(40, int))
    assert pixel_spread(labels.reshape(-1, 1, 1, 1) / 10 * np.ones((1, 28, 28, 1)), labels) == 0


def test_labels_of_another_length_refused(judge):
    with pytest.raises(ValueError, match="labels must be"):
        digit_accuracy(judge, np.zeros((2, 28, 28, 1)), [1])


def test_unknown_role():
    with pytest.raises(ValueError, match="role must be"):
        load_classifier("critic")


def test_command_line_judges(capsys):
    assert classifier.main(["--judge", "--images", "50"]) == 0
    assert "50 guided samples" in capsys.readouterr().out
    assert classifier.main(["--judge", "--images", "5"]) == 2
    assert capsys.readouterr().err == "error: --images must be at least 20, not 5.\n"
