"""The report card's measures: real images get the marks of real images, and copies are found."""

import numpy as np
import pytest

from helpers.classifier import extract_features, load_classifier
from helpers.data import to_model_range, training_split
from helpers.measures import FLOOR_DRAWS, Evaluation, bootstrap_interval
from helpers.metrics import draw_with_counts


@pytest.fixture(scope="module")
def real_as_generated(mnist):
    """Training images with the labels of the first 1,000 test images, as if a perfect model had drawn them."""
    images, labels = training_split(mnist)
    wanted = mnist.test_labels[:1000].astype(np.int32)
    return to_model_range(images[draw_with_counts(labels, wanted, 77)]).numpy(), wanted


@pytest.fixture(scope="module")
def measured(real_as_generated):
    return Evaluation(*real_as_generated, seed=0)


def test_real_images_get_the_marks_of_real_images(measured):
    assert measured.digits()["share"] > 0.98
    assert 0.5 < measured.frechet()["ratio"] < 1.6
    assert 0.95 < measured.coverage()["share"] < 1.05
    assert len(measured.draws) == FLOOR_DRAWS and len({tuple(draw) for draw in measured.draws}) == FLOOR_DRAWS
    assert all((measured.train_labels[draw] == measured.labels).all() for draw in measured.draws)


def test_training_images_are_found_out_as_copies(measured):
    for space, found in measured.copies().items():
        assert found["share_closer"] == 1.0 and found["auc"] > 0.99 and found["flagged"], space
        closest = found["closest"]
        pairs = zip(measured.images[closest["generated"]], measured.train_images[closest["training"]], strict=True)
        assert all(np.array_equal(generated, training) for generated, training in pairs)


def test_a_hundred_copies_among_ten_thousand_are_flagged(mnist):
    """Test images, as honest as can be, of which 100 are replaced by training images, slightly blurred by noise."""
    images, labels = to_model_range(mnist.test_images).numpy(), mnist.test_labels.astype(np.int32)
    honest = Evaluation(images.copy(), labels, seed=0)
    assert not honest._nearest(honest.features, honest.test_features, honest.train_features)["flagged"]
    train_images, train_labels = training_split(mnist)
    planted = np.arange(0, 10_000, 100)
    copies = to_model_range(train_images[draw_with_counts(train_labels, labels[planted], 5)]).numpy()
    images[planted] = np.clip(copies + np.random.default_rng(0).normal(0, 0.01, copies.shape), -1, 1)
    honest.images, honest.features = images, extract_features(load_classifier("features"), images)
    for space, found in honest.copies().items():
        assert found["flagged"] and found["share_closer"] > 0.017, space
        assert set(found["closest"]["generated"]) <= set(planted.tolist()), space


def test_clip_reads_generated_and_real(measured):
    found = measured.clip()
    for name in ("generated", "real"):
        low, high = found[name]["interval"]
        assert (
            low <= found[name]["share"] <= high and found[name]["share"] > 0.95 and len(found[name]["per_digit"]) == 10
        )


def test_bootstrap_interval_is_about_the_normal_one():
    values = np.random.default_rng(0).normal(3, 2, 2_000)
    low, high = bootstrap_interval(values)
    assert low == pytest.approx(values.mean() - 1.96 * 2 / np.sqrt(2_000), abs=0.015)
    assert high == pytest.approx(values.mean() + 1.96 * 2 / np.sqrt(2_000), abs=0.015)
    assert bootstrap_interval(np.ones(5)) == (1, 1)
    for wrong in ([1.0], [[1.0, 2.0]], [1.0, np.nan]):
        with pytest.raises(ValueError, match="values must be"):
            bootstrap_interval(wrong)
