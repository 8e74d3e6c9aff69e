"""The training of the classifiers learns, resumes after an interruption, and is recorded."""

import json

import keras
import numpy as np
import pytest
from keras import layers

from helpers.data import Mnist, make_dataset, to_model_range, training_split, validation_split
from helpers.evaluation.classifiers import build_classifier, classify, digit_accuracy, load_classifier
from helpers.tools.files import sha256_of_file
from helpers.workshop import classifier_training
from helpers.workshop.classifier_training import save_classifier, train_classifier


@pytest.fixture(scope="module", autouse=True)
def few_mnist(mnist):
    """1,000 training, 100 validation and 200 test images in place of MNIST."""
    train = (part[:1_100] for part in mnist[:2])
    few = Mnist(*train, *(part[:200] for part in mnist[2:]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("helpers.data.VALIDATION_IMAGES", 100)
        patch.setattr(classifier_training, "load_mnist", lambda: few)
        yield few


@pytest.fixture
def one_layer(monkeypatch):
    """A single layer in place of the classifiers."""

    def build(role):
        return keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten(), layers.Dense(10)], name=role)

    monkeypatch.setattr(classifier_training, "build_classifier", build)


def test_an_interrupted_training_resumes_after_its_last_epoch(one_layer, few_mnist, tmp_path, monkeypatch):
    begun = []

    class Interrupted(keras.callbacks.BackupAndRestore):
        def on_epoch_begin(self, epoch, logs=None):
            super().on_epoch_begin(epoch, logs)
            begun.append(epoch)
            if begun == [0, 1]:
                raise KeyboardInterrupt

    monkeypatch.setattr(keras.callbacks, "BackupAndRestore", Interrupted)
    arguments = {"epochs": 4, "batch_size": 50, "seed": 3, "verbose": 0, "backup": tmp_path / "backup"}
    with pytest.raises(KeyboardInterrupt):
        train_classifier("judge", **arguments)
    classifier = train_classifier("judge", **arguments)
    assert begun == [0, 1, 1, 2, 3] and classifier.name == "judge"
    assert not (tmp_path / "backup").exists()
    assert digit_accuracy(classifier, to_model_range(few_mnist.test_images), few_mnist.test_labels) > 0.5


@pytest.fixture
def first_batch(few_mnist, monkeypatch):
    """A function: the first 500 training images of a role, varied and as they are in MNIST."""

    class Classifier:
        def compile(self, *_, **__):
            pass

        def fit(self, data, epochs, **_):
            self.batch, self.epochs = next(iter(data)), epochs

    def of(role):
        classifier = Classifier()
        monkeypatch.setattr(classifier_training, "build_classifier", lambda role: classifier)
        train_classifier(role, batch_size=500, seed=3)
        images, labels = next(iter(make_dataset(*training_split(few_mnist), 500, seed=3)))
        np.testing.assert_array_equal(classifier.batch[1], labels)
        assert classifier.epochs == {"judge": 16, "critic": 4}[role]
        return classifier.batch[0].numpy(), images.numpy()

    return of


def test_training_images_are_turned_and_moved_and_none_is_held_out(first_batch):
    varied, images = first_batch("judge")
    assert np.mean(np.abs(varied - images).mean(axis=(1, 2, 3)) > 0.01) > 0.9
    # As much ink as before, on the same background.
    np.testing.assert_allclose(varied.mean(axis=(1, 2, 3)), images.mean(axis=(1, 2, 3)), atol=0.03)
    np.testing.assert_array_equal(varied[:, [0, 0, -1, -1], [0, -1, 0, -1]], -1)


def test_the_critic_learns_from_images_as_they_are(first_batch):
    varied, images = first_batch("critic")
    np.testing.assert_allclose(varied, images, atol=1e-6)


def test_a_saved_classifier_is_recorded_and_loads(few_mnist, tmp_path):
    keras.utils.set_random_seed(0)
    classifier = build_classifier("judge")
    classifier.compile("adam", "mse")  # the optimizer's state isn't saved
    record = save_classifier(classifier, tmp_path)
    images = to_model_range(few_mnist.test_images)
    assert record["test_accuracy"] == digit_accuracy(classifier, images, few_mnist.test_labels)
    validation_images, validation_labels = validation_split(few_mnist)
    validation = digit_accuracy(classifier, to_model_range(validation_images), validation_labels)
    assert record["validation_accuracy"] == validation != record["test_accuracy"]
    assert record["weights_sha256"] == sha256_of_file(tmp_path / "judge.weights.h5")
    assert record.items() <= json.loads((tmp_path / "judge.json").read_text(encoding="utf-8")).items()
    loaded = load_classifier("judge", tmp_path)
    np.testing.assert_array_equal(classify(loaded, images), classify(classifier, images))
    assert (tmp_path / "judge.weights.h5").stat().st_size < 1_000_000
