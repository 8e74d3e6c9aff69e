"""Every measure refuses unfit images, labels, features, embeddings and distances: the last rows of `test_faults`.

`tools/test_checks` tests which inputs are unfit. These tests show that each measure checks each of its arguments.
"""

import numpy as np
import pytest

from helpers.evaluation.classifiers import classify, digit_accuracy, extract_features, load_classifier, pixel_spread
from helpers.evaluation.clip import Clip, clip_score, cosine_similarity, prompt_matrix, zero_shot
from helpers.evaluation.metrics import (
    classification_accuracy_score,
    draw_with_counts,
    frechet_distance,
    frechet_ratio,
)
from helpers.evaluation.neighbours import memorisation, nearest_neighbours, neighbourhood
from helpers.evaluation.strokes import complexity, rule_measures
from tests.conftest import said
from tests.tools.test_checks import IMAGES, LABELS, POINTS, UNFIT_IMAGES, UNFIT_LABELS, UNFIT_POINTS


@pytest.fixture(scope="module")
def classifier():
    return load_classifier("judge")


OF_IMAGES = {  # each with the name of the argument
    "classify": ("images", lambda images, judge: classify(judge, images)),
    "extract_features": ("images", lambda images, judge: extract_features(judge, images)),
    "digit_accuracy": ("images", lambda images, judge: digit_accuracy(judge, images, LABELS)),
    "pixel_spread": ("images", lambda images, _: pixel_spread(images, LABELS)),
    "complexity": ("images", lambda images, _: complexity(images)),
    "rule_measures": ("images", lambda images, _: rule_measures(images)),
    "classification_accuracy_score": (
        "images",
        lambda images, _: classification_accuracy_score(images, LABELS, IMAGES, LABELS),
    ),
    "its test images": (
        "test_images",
        lambda images, _: classification_accuracy_score(IMAGES, LABELS, images, LABELS),
    ),
}


@pytest.mark.parametrize("measure", OF_IMAGES)
def test_images_are_checked(measure, classifier):
    name, call = OF_IMAGES[measure]
    for unfit in ("pixels in 0..255", "no channel"):
        with pytest.raises(ValueError, match=f"^{name} must be ") as raised:
            call(UNFIT_IMAGES[unfit], classifier)
        said(raised)


@pytest.mark.parametrize("images", UNFIT_IMAGES)
def test_clip_checks_images_of_any_size(images):
    before_it_is_loaded = Clip("none", None, None, None)
    with pytest.raises(ValueError, match="^images must be ") as raised:
        before_it_is_loaded.embed_images(UNFIT_IMAGES[images])
    said(raised)


OF_LABELS = {
    "digit_accuracy": lambda labels, judge: digit_accuracy(judge, IMAGES, labels),
    "pixel_spread": lambda labels, _: pixel_spread(IMAGES, labels),
    "classification_accuracy_score": lambda labels, _: classification_accuracy_score(IMAGES, labels, IMAGES, LABELS),
    "its test labels": lambda labels, _: classification_accuracy_score(IMAGES, LABELS, IMAGES, labels),
    "prompt_matrix": lambda labels, _: prompt_matrix(np.ones((20, 3)), labels, np.ones((10, 3))),
}


@pytest.mark.parametrize("labels", ["below zero", "too few", "not whole"])
@pytest.mark.parametrize("measure", OF_LABELS)
def test_labels_are_checked(measure, labels, classifier):
    with pytest.raises(ValueError, match="^(test_)?(labels|images) must ") as raised:
        OF_LABELS[measure](UNFIT_LABELS[labels], classifier)
    said(raised)


def test_labels_of_a_draw_are_checked():
    for arguments, name in (((LABELS - 1, LABELS), "labels"), ((LABELS, LABELS - 1), "wanted")):
        with pytest.raises(ValueError, match=f"^{name} must be classes from 0 on"):
            draw_with_counts(*arguments, seed=0)


OTHERS = np.random.default_rng(1).normal(size=(30, 4))
OF_POINTS = {
    "frechet_distance": ("features", lambda points: frechet_distance(points, OTHERS)),
    "its reference": ("reference", lambda points: frechet_distance(OTHERS, points)),
    "frechet_ratio": ("features", lambda points: frechet_ratio(points, OTHERS, [POINTS, POINTS + 1])),
    "its draws": (r"floor_draws\[0\]", lambda points: frechet_ratio(POINTS, OTHERS, [points, POINTS + 1])),
    "neighbourhood": ("features", lambda points: neighbourhood(points, OTHERS)),
    "its reference too": ("reference", lambda points: neighbourhood(OTHERS, points)),
    "nearest_neighbours": ("queries", lambda points: nearest_neighbours(points, OTHERS)),
    "their reference": ("reference", lambda points: nearest_neighbours(OTHERS, points)),
    "cosine_similarity": ("image_embeds", lambda points: cosine_similarity(points, OTHERS)),
    "its texts": ("text_embeds", lambda points: cosine_similarity(OTHERS, points)),
    "clip_score": ("image_embeds", lambda points: clip_score(points, OTHERS)),
    "its texts too": ("text_embeds", lambda points: clip_score(OTHERS, points)),
    "zero_shot": ("image_embeds", lambda points: zero_shot(points, OTHERS)),
    "prompt_matrix": ("image_embeds", lambda points: prompt_matrix(points, np.arange(30) % 10, OTHERS)),
    "its prompts": ("text_embeds", lambda points: prompt_matrix(OTHERS, np.arange(30) % 10, points)),
}


@pytest.mark.parametrize("measure", OF_POINTS)
def test_points_are_checked(measure):
    name, call = OF_POINTS[measure]
    call(POINTS)
    for unfit in ("text", "one point", "NaN"):
        with pytest.raises(ValueError, match=f"^{name} must be ") as raised:
            call(UNFIT_POINTS[unfit])
        said(raised)
    with pytest.raises(ValueError, match="(columns|like features|more rows)") as raised:
        call(POINTS[:, :3])
    said(raised)


@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize("distances", ["text", "NaN", "images"])
def test_distances_are_checked(distances, position):
    unfit = UNFIT_POINTS[distances]
    arguments = [np.abs(POINTS[:, 0])] * 2
    memorisation(*arguments)
    arguments[position] = unfit if distances == "images" else unfit[..., 3]
    with pytest.raises(ValueError, match=f"^{('', 'test_')[position]}distances must be ") as raised:
        memorisation(*arguments)
    said(raised)
