"""The report card's measures: real images measure as real, and copies are found."""

import copy
import json

import numpy as np
import pytest

from helpers.data import to_model_range, training_split
from helpers.evaluation import measures
from helpers.evaluation.classifiers import extract_features, load_classifier
from helpers.evaluation.measures import FLOOR_DRAWS, MEASURES, Evaluation, Reference
from helpers.evaluation.metrics import draw_with_counts, frechet_ratio
from helpers.evaluation.neighbours import neighbourhood


@pytest.fixture(scope="module")
def measured(few_mnist):
    """Training images with the labels of the test images, as if a perfect network had drawn them."""
    images, labels = training_split(few_mnist)
    wanted = few_mnist.test_labels.astype(np.int32)
    return Evaluation(to_model_range(images[draw_with_counts(labels, wanted, 77)]).numpy(), wanted, seed=0)


@pytest.fixture(scope="module")
def figures(measured):
    """The figures of every measure, as a report holds them. No classifier is trained."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measures, "training_value", lambda *_, **__: 0.5)
        return json.loads(json.dumps({name: measure(measured) for name, measure in MEASURES.items()}))


def test_real_images_measure_as_real(figures):
    assert figures["digits"]["share"] > 0.98
    for space in ("critic", "components"):
        found = figures[space]
        assert 0.5 < found["frechet"]["ratio"] < 1.6, space
        assert all(0.93 < found[name]["share"] < 1.07 for name in ("coverage", "precision", "recall")), space
        assert 0.85 < found["density"]["share"] < 1.15, space


def test_digits_off_the_centre_are_found_by_rule_critic_and_components(measured, figures):
    """Every digit is moved by two pixels to the right. The judge still recognises them."""
    moved = copy.copy(measured)
    moved.images = np.roll(measured.images, 2, axis=2)
    moved.features = extract_features(load_classifier("critic"), moved.images)
    assert moved.digits()["share"] > 0.9 * figures["digits"]["share"]
    for space, found in (("critic", moved.critic()), ("components", moved.components())):
        assert found["frechet"]["ratio"] > 2 * figures[space]["frechet"]["ratio"], space
        assert found["density"]["share"] < 0.7 * figures[space]["density"]["share"], space
    rule = moved.rule()
    assert rule["displacement in pixels"]["generated"]["share"] == 1
    for name, found in figures["rule"].items():
        assert rule[name]["real"]["share"] == found["real"]["share"] < 0.06 and found["generated"]["share"] < 0.06
        assert rule[name]["generated"]["share"] < 0.06 or name == "displacement in pixels"


def test_shares_lie_in_their_intervals(figures):
    for found in (figures["digits"], figures["clip"]["generated"], figures["clip"]["real"]):
        assert len(found["per_digit"]) == 10 and found["share"] > 0.95
        for share in (found, *found["per_digit"]):
            assert share["interval"][0] <= share["share"] <= share["interval"][1]


def test_the_floor_is_drawn_from_training_images_with_the_same_labels(measured):
    draws = measured.reference.positions
    assert len(draws) == FLOOR_DRAWS and len({tuple(draw) for draw in draws}) == FLOOR_DRAWS
    assert all((measured.train_labels[draw] == measured.labels).all() for draw in draws)
    for draw, features in zip(draws, measured.reference.floor, strict=True):
        np.testing.assert_array_equal(features, measured.train_features[draw])


def test_reference_measures_by_the_metrics():
    random = np.random.default_rng(0)
    generated, features, pool = random.normal(0.3, 1, (60, 4)), random.normal(size=(60, 4)), random.normal(size=(90, 4))
    labels, pool_labels = np.arange(60) % 3, np.arange(90) % 3
    reference = Reference(features, labels, pool_labels, lambda positions: pool[positions], draws=3, seed=5)
    floor = [pool[draw_with_counts(pool_labels, labels, seed)] for seed in (5, 6, 7)]
    found = reference.compare(generated)
    assert found.pop("frechet") == frechet_ratio(generated, features, floor)._asdict()
    real = [neighbourhood(draw, features) for draw in floor]
    for name, value in neighbourhood(generated, features)._asdict().items():
        mean = np.mean([getattr(draw, name) for draw in real])
        assert found.pop(name) == pytest.approx({"generated": value, "real": mean, "share": value / mean})
    assert not found


def test_the_judge_classifies(measured, monkeypatch):
    monkeypatch.setattr(measures, "load_classifier", lambda role: role)
    monkeypatch.setattr(measures, "classify", lambda role, images: measured.labels + (role != "judge"))
    assert measured.digits()["share"] == 1


def test_the_features_are_those_of_the_critic(measured):
    expected = extract_features(load_classifier("critic"), measured.test_images)
    np.testing.assert_array_equal(measured.test_features, expected)


def test_components_are_the_axes_of_largest_variance(measured, monkeypatch):
    """Distances between the projections onto the first right singular vectors of the training pixels."""
    compared = []
    monkeypatch.setattr(Reference, "compare", lambda self, generated: compared.extend((self.features, generated)))
    measured.components()
    train, test, generated = (
        images.reshape(len(images), -1) for images in (measured.train_images, measured.test_images, measured.images)
    )
    _, _, axes = np.linalg.svd(train - train.mean(axis=0), full_matrices=False)
    for found, pixels in zip(compared, (test, generated), strict=True):
        assert found.shape == (len(pixels), 64)
        expected = (pixels - train.mean(axis=0)) @ axes[:64].T
        np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=5e-3)  # of about 5, in float32


def test_clip_tells_generated_from_real_images(measured):
    """Generated here: real images of the wrong digits."""
    wrong = copy.copy(measured)
    wrong.labels, wrong.test_images = measured.labels[:100], measured.test_images[:100]
    wrong.images = measured.test_images[100:200]
    found = wrong.clip()
    assert found["generated"]["share"] < 0.3 and found["real"]["share"] > 0.95


def test_copies_are_searched_in_features_and_in_pixels(measured, monkeypatch):
    monkeypatch.setattr(Evaluation, "_nearest", lambda self, *arrays: [array.shape for array in arrays])
    widths = {space: {width for _, width in shapes} for space, shapes in measured.copies().items()}
    assert widths == {"features": {80}, "pixels": {784}}


def test_training_images_are_recognised_as_copies(measured, figures):
    for space, found in figures["copies"].items():
        assert found["share_closer"] == 1.0 and found["auc"] > 0.99 and found["flagged"], space
        closest = found["closest"]
        pairs = zip(measured.images[closest["generated"]], measured.train_images[closest["training"]], strict=True)
        assert all(np.array_equal(generated, training) for generated, training in pairs)


def test_one_copy_in_a_hundred_is_flagged(measured):
    """Test images, none of them a copy, of which every hundredth is replaced by a noisy training image."""
    honest = copy.copy(measured)
    honest.images, honest.features = measured.test_images.copy(), measured.test_features.copy()
    assert not any(found["flagged"] for found in honest.copies().values())
    planted = np.arange(0, len(honest.labels), 100)
    copies = measured.train_images[draw_with_counts(measured.train_labels, honest.labels[planted], 5)]
    honest.images[planted] = np.clip(copies + np.random.default_rng(0).normal(0, 0.01, copies.shape), -1, 1)
    honest.features[planted] = extract_features(load_classifier("critic"), honest.images[planted])
    for space, found in honest.copies().items():
        assert found["flagged"] and found["share_closer"] > 0.017, space
        assert set(found["closest"]["generated"]) <= set(planted.tolist()), space


def test_training_value_compares_with_real_images_of_the_same_labels(measured, monkeypatch):
    def value(images, labels, test_images, test_labels, seed):
        np.testing.assert_array_equal(labels, measured.labels)
        np.testing.assert_array_equal(test_labels, measured.labels)
        assert test_images is measured.test_images and seed == measured.seed
        return 0.9 if images is measured.images else 0.95

    monkeypatch.setattr(measures, "training_value", value)
    assert measured.training_value() == {"generated": 0.9, "real": 0.95}
