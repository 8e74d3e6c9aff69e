"""Training of the three classifiers that measure the samples. `python -m helpers train-classifiers` runs it."""

import helpers.tools.quiet  # noqa: F401

from pathlib import Path

import keras
import tensorflow as tf
from keras import layers

from helpers.data import load_mnist, make_dataset, to_model_range, training_split, validation_split
from helpers.evaluation.classifiers import build_classifier, digit_accuracy
from helpers.tools.files import atomic_files, sha256_of_file, write_record

# The largest turn, in full circles, and the largest shift, in widths of the image, of each network's training images.
# What varies freely in training, a network learns to ignore. "critic" must see a digit that leans too far or sits off
# the centre, so its training images stay as they are.
VARIED = {"features": (0.03, 0.08), "judge": (0.03, 0.08), "critic": (0.0, 0.0)}
# Passes over the training images. The longer a network learns, the less its features tell digits of one class apart,
# which the critic must. Of real digits that were turned and moved (`training/augmentation.py`), a critic of 16 passes
# and more dropout saw 97 % of the density of others; this one sees 88 %, and the pixels' principal components 87 %.
EPOCHS = {"features": 16, "judge": 16, "critic": 4}


def train_classifier(
    role: str,
    epochs: int | None = None,
    batch_size: int = 128,
    seed: int = 0,
    verbose: int = 2,
    backup: str | Path | None = None,
) -> keras.Model:
    """Train on the training split, with images rotated and shifted as much as `VARIED` says. Nothing is selected.

    `epochs` are passes over the images, those in `EPOCHS` for None.
    `backup`: a folder that keeps the last finished epoch; after an interruption the same call resumes from it.
    """
    images, labels = training_split(load_mnist())
    epochs = epochs or EPOCHS[role]
    keras.utils.set_random_seed(seed)
    classifier = build_classifier(role)
    turn, shift = VARIED[role]
    vary = keras.Sequential(
        [
            layers.RandomRotation(turn, fill_mode="constant", fill_value=-1.0),
            layers.RandomTranslation(shift, shift, fill_mode="constant", fill_value=-1.0),
        ]
    )
    steps = epochs * (len(images) // batch_size)
    sample_ids = tf.data.Dataset.range(steps * batch_size).batch(batch_size)
    data = (
        make_dataset(images, labels, batch_size, seed, sample_ids)
        .map(lambda x, y: (vary(x, training=True), y))
        .prefetch(2)
    )
    # Keras counts the decay from the end of the warm-up.
    rate = keras.optimizers.schedules.CosineDecay(
        1e-4, steps - steps // 20, warmup_target=4e-3, warmup_steps=steps // 20
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    classifier.compile(keras.optimizers.AdamW(rate, weight_decay=0.01), loss, metrics=["accuracy"])
    callbacks = [keras.callbacks.BackupAndRestore(backup)] if backup else []
    classifier.fit(data.repeat(), epochs=epochs, steps_per_epoch=steps // epochs, verbose=verbose, callbacks=callbacks)
    return classifier


def save_classifier(classifier: keras.Model, folder: Path) -> dict:
    """Write weights and a record of the accuracy on validation and test images; returns the record."""
    mnist = load_mnist()
    validation_images, validation_labels = validation_split(mnist)
    bare = build_classifier(classifier.name)  # a trained one would also save its optimizer's state, twice its size
    bare.set_weights(classifier.get_weights())
    record = {
        "parameters": classifier.count_params(),
        "validation_accuracy": digit_accuracy(classifier, to_model_range(validation_images), validation_labels),
        "test_accuracy": digit_accuracy(classifier, to_model_range(mnist.test_images), mnist.test_labels),
    }
    with atomic_files(folder) as temporary:
        weights = temporary / f"{classifier.name}.weights.h5"
        bare.save_weights(weights)
        record["weights_sha256"] = sha256_of_file(weights)
        write_record(temporary / f"{classifier.name}.json", record)
    return record
