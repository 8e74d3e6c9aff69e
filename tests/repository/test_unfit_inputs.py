"""Images, labels, features or embeddings that are unfit for a measure are refused: the last rows of `test_faults`."""

import numpy as np
import pytest
from conftest import said

from helpers.classifier import (
    digit_accuracy,
    extract_features,
    load_classifier,
    pixel_spread,
    read_images,
)
from helpers.clip import clip_score, cosine_similarity, load_clip, prompt_matrix, zero_shot
from helpers.metrics import (
    classification_accuracy_score,
    coverage,
    frechet_distance,
    frechet_ratio,
    memorisation,
    nearest_neighbours,
)
from helpers.strokes import complexity

IMAGES, LABELS = np.zeros((20, 28, 28, 1), np.float32), np.arange(20) % 10
OF_IMAGES = {
    "read_images": lambda images: read_images(load_classifier("judge"), images),
    "extract_features": lambda images: extract_features(load_classifier("features"), images),
    "digit_accuracy": lambda images: digit_accuracy(load_classifier("judge"), images, LABELS),
    "pixel_spread": lambda images: pixel_spread(images, LABELS),
    "classification_accuracy_score": lambda images: classification_accuracy_score(images, LABELS, IMAGES, LABELS),
    "its test images": lambda images: classification_accuracy_score(IMAGES, LABELS, images, LABELS),
    "complexity": complexity,
    "Clip.embed_images": lambda images: load_clip().embed_images(images),
}
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


@pytest.mark.parametrize("images", UNFIT_IMAGES)
@pytest.mark.parametrize("measure", OF_IMAGES)
def test_unfit_images_are_refused(measure, images):
    with pytest.raises(ValueError, match="^(test_)?images must be ") as raised:
        OF_IMAGES[measure](UNFIT_IMAGES[images])
    said(raised)


OF_LABELS = {
    "digit_accuracy": lambda labels: digit_accuracy(load_classifier("judge"), IMAGES, labels),
    "pixel_spread": lambda labels: pixel_spread(IMAGES, labels),
    "classification_accuracy_score": lambda labels: classification_accuracy_score(IMAGES, labels, IMAGES, LABELS),
    "prompt_matrix": lambda labels: prompt_matrix(np.ones((20, 3)), labels, np.ones((10, 3))),
}
UNFIT_LABELS = {
    "not whole": LABELS / 1.0,
    "text": LABELS.astype(str),
    "columns": LABELS[:, np.newaxis],
    "too few": LABELS[:19],
    "none at all": LABELS[:0],
    "below zero": LABELS - 1,
}


@pytest.mark.parametrize("labels", UNFIT_LABELS)
@pytest.mark.parametrize("measure", OF_LABELS)
def test_unfit_labels_are_refused(measure, labels):
    with pytest.raises(ValueError, match="^(labels|images) must ") as raised:
        OF_LABELS[measure](UNFIT_LABELS[labels])
    said(raised)


POINTS, OTHERS = np.random.default_rng(0).normal(size=(2, 30, 4))
OF_POINTS = {
    "frechet_distance": lambda points: frechet_distance(points, OTHERS),
    "its reference": lambda points: frechet_distance(OTHERS, points),
    "frechet_ratio": lambda points: frechet_ratio(points, OTHERS, [POINTS, POINTS + 1]),
    "its draws": lambda points: frechet_ratio(POINTS, OTHERS, [points, POINTS + 1]),
    "coverage": lambda points: coverage(points, OTHERS),
    "its reference too": lambda points: coverage(OTHERS, points),
    "nearest_neighbours": lambda points: nearest_neighbours(points, OTHERS),
    "their reference": lambda points: nearest_neighbours(OTHERS, points),
    "cosine_similarity": lambda points: cosine_similarity(points, OTHERS),
    "its texts": lambda points: cosine_similarity(OTHERS, points),
    "clip_score": lambda points: clip_score(points, OTHERS),
    "its texts too": lambda points: clip_score(OTHERS, points),
    "zero_shot": lambda points: zero_shot(points, OTHERS),
    "prompt_matrix": lambda points: prompt_matrix(points, np.arange(30) % 10, OTHERS),
    "its prompts": lambda points: prompt_matrix(OTHERS, np.arange(30) % 10, points),
}
UNFIT_POINTS = {
    "text": POINTS.astype(str),
    "complex numbers": POINTS.astype(complex),
    "objects": POINTS.astype(object),
    "images": IMAGES,
    "one point": POINTS[0],
    "none at all": POINTS[:0],
    "without numbers": POINTS[:, :0],
    "fewer columns": POINTS[:, :3],
    "NaN": np.where(np.arange(4) == 3, np.nan, POINTS),
    "infinite": np.where(np.arange(4) == 3, np.inf, POINTS),
}
ARGUMENTS = r"^(features|reference|queries|floor_draws\[0\]|image_embeds|text_embeds) (must|and text_embeds must) "


@pytest.mark.parametrize("points", UNFIT_POINTS)
@pytest.mark.parametrize("measure", OF_POINTS)
def test_unfit_points_are_refused(measure, points):
    OF_POINTS[measure](POINTS)
    with pytest.raises(ValueError, match=ARGUMENTS) as raised:
        OF_POINTS[measure](UNFIT_POINTS[points])
    said(raised)


@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize("distances", ["text", "complex numbers", "one point", "none at all", "NaN", "images"])
def test_unfit_distances_are_refused(distances, position):
    unfit = UNFIT_POINTS[distances] if distances == "images" else UNFIT_POINTS[distances][..., :1]
    arguments = [np.abs(POINTS[:, 0])] * 2
    memorisation(*arguments)
    arguments[position] = unfit
    with pytest.raises(ValueError, match="^(test_)?distances must be ") as raised:
        memorisation(*arguments)
    said(raised)
