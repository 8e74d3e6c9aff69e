"""MNIST is verified, whatever happened to its file; ranges are inverse; an epoch sees every image once."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers.data import (
    VALIDATION_IMAGES,
    DataError,
    digest_of,
    load_mnist,
    make_dataset,
    shuffled_index,
    to_model_range,
    to_pixels,
    training_split,
    validation_split,
)
from helpers.tools.files import ASSETS
from tests.conftest import Payload


def as_keras(mnist):
    return (mnist.train_images, mnist.train_labels), (mnist.test_images, mnist.test_labels)


def save(path, mnist, **changed):
    arrays = dict(zip(("x_train", "y_train", "x_test", "y_test"), mnist, strict=True))
    np.savez(path, **{**arrays, **changed})


def no_network():
    raise Exception("URL fetch failure: no network")


def test_the_shipped_file_is_all_of_mnist(mnist):
    assert mnist.train_images.shape == (60_000, 28, 28) and mnist.test_images.shape == (10_000, 28, 28)
    assert all(array.dtype == np.uint8 for array in mnist)
    assert np.bincount(mnist.train_labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


def test_a_missing_file_is_downloaded_and_kept(mnist, tmp_path, monkeypatch):
    monkeypatch.setattr(keras.datasets.mnist, "load_data", lambda: as_keras(mnist))
    monkeypatch.setattr(np, "savez_compressed", np.savez)  # the same file, without five seconds of compression
    load_mnist(tmp_path / "mnist.npz")
    monkeypatch.setattr(keras.datasets.mnist, "load_data", no_network)
    np.testing.assert_array_equal(load_mnist(tmp_path / "mnist.npz").test_images, mnist.test_images)


def test_missing_without_a_network(tmp_path, monkeypatch):
    monkeypatch.setattr(keras.datasets.mnist, "load_data", no_network)
    with pytest.raises(DataError, match=r"mnist\.npz is missing.*no network.*connect to the internet"):
        load_mnist(tmp_path / "mnist.npz")
    assert list(tmp_path.iterdir()) == []


def test_an_altered_download_is_refused_and_not_kept(mnist, tmp_path, monkeypatch):
    altered = mnist._replace(test_labels=mnist.test_labels[::-1])
    monkeypatch.setattr(keras.datasets.mnist, "load_data", lambda: as_keras(altered))
    with pytest.raises(DataError, match="y_test"):
        load_mnist(tmp_path / "mnist.npz")
    assert list(tmp_path.iterdir()) == []


def test_one_altered_pixel(mnist, tmp_path):
    images = mnist.train_images.copy()
    images[123, 4, 5] ^= 1
    save(tmp_path / "altered.npz", mnist, x_train=images)
    with pytest.raises(DataError, match=r"altered\.npz is not MNIST: array x_train.*git checkout"):
        load_mnist(tmp_path / "altered.npz")


def test_a_damaged_archive(tmp_path):
    data = bytearray((ASSETS / "mnist.npz").read_bytes())
    for place in (10, 5_000_000, len(data) - 40):  # its first header, the compressed stream, its directory
        damaged = data.copy()
        damaged[place : place + 20] = bytes(20)
        (tmp_path / "damaged.npz").write_bytes(damaged)
        with pytest.raises(DataError, match=r"damaged\.npz"):
            load_mnist(tmp_path / "damaged.npz")


def test_the_right_bytes_in_another_shape(mnist, tmp_path):
    save(tmp_path / "flat.npz", mnist, x_test=mnist.test_images.reshape(10_000, 784))
    with pytest.raises(DataError, match="x_test"):
        load_mnist(tmp_path / "flat.npz")


def test_an_array_is_missing_or_holds_python_objects(mnist, tmp_path):
    np.savez(tmp_path / "three.npz", x_train=mnist.train_images)
    with pytest.raises(DataError, match="can't be read"):
        load_mnist(tmp_path / "three.npz")
    save(tmp_path / "objects.npz", mnist, y_test=np.array([Payload(tmp_path / "made")], dtype=object))
    with pytest.raises(DataError, match="can't be read"):
        load_mnist(tmp_path / "objects.npz")
    assert not (tmp_path / "made").exists()


def test_splits_do_not_overlap(mnist):
    train, validation = training_split(mnist), validation_split(mnist)
    assert len(train[0]) == len(train[1]) == 55_000 and len(validation[0]) == len(validation[1]) == VALIDATION_IMAGES
    np.testing.assert_array_equal(np.concatenate([train[1], validation[1]]), mnist.train_labels)


def test_ranges_are_inverse_for_every_grey():
    greys = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    scaled = to_model_range(greys).numpy()
    assert scaled.shape == (1, 16, 16, 1) and scaled.dtype == np.float32
    assert scaled.min() == -1 and scaled.max() == 1
    np.testing.assert_array_equal(to_pixels(scaled), greys)
    np.testing.assert_array_equal(to_pixels(np.array([-9.0, 9.0]).reshape(2, 1, 1, 1)).ravel(), [0, 255])


@pytest.mark.parametrize(
    "images", [np.zeros((1, 28, 28)), np.zeros((28, 28), np.uint8), np.zeros((1, 28, 28, 1), np.uint8)]
)
def test_to_model_range_refuses(images):
    with pytest.raises(ValueError, match="images must be"):
        to_model_range(images)


@pytest.mark.parametrize(
    "images", [np.zeros((28, 28)), np.zeros((1, 2, 2, 1), np.uint8), np.full((1, 2, 2, 1), np.nan)]
)
def test_to_pixels_refuses(images):
    with pytest.raises(ValueError, match="images must be"):
        to_pixels(images)


def test_the_digest_depends_on_images_and_labels_not_on_the_labels_type():
    images, labels = numbered(10)
    digest = digest_of(images, labels)
    assert len(digest) == 64 and digest == digest_of(images, labels.astype(np.int64))
    others = (images[::-1], labels), (images, labels[::-1]), (images.reshape(10, 14, 56), labels)
    assert digest not in {digest_of(*other) for other in others}


def numbered(count):
    """Images that carry their own number in two pixels, and labels that repeat it modulo 10."""
    images = np.zeros((count, 28, 28), np.uint8)
    images[:, 0, 0], images[:, 0, 1] = np.arange(count) // 256, np.arange(count) % 256
    return images, (np.arange(count) % 10).astype(np.uint8)


def order_of(dataset):
    order, labels, sizes = [], [], []
    for x_0, y in dataset:
        pixels = to_pixels(x_0).astype(int)
        order += (pixels[:, 0, 0] * 256 + pixels[:, 0, 1]).tolist()
        labels += y.numpy().tolist()
        sizes.append(len(y))
    return order, labels, sizes


def test_an_epoch_visits_every_image_once_in_shuffled_order():
    order, labels, sizes = order_of(make_dataset(*numbered(1000), batch_size=128, seed=1))
    assert sizes == [128] * 7 + [104]
    assert sorted(order) == list(range(1000))
    assert labels == [number % 10 for number in order]
    # Shuffled before it is batched: a batch holds images from the whole set, not from one part of it.
    assert min(order[:128]) < 100 and max(order[:128]) > 900
    assert order != sorted(order)


def test_the_seed_decides_the_order():
    first, again, other = (order_of(make_dataset(*numbered(300), 100, seed))[0] for seed in (1, 1, 2))
    assert first == again != other


def test_every_epoch_is_its_own_permutation():
    sample_ids = tf.data.Dataset.range(600).batch(90)  # two epochs of 300, with a batch that straddles them
    order = order_of(make_dataset(*numbered(300), 100, 1, sample_ids))[0]
    assert sorted(order[:300]) == sorted(order[300:]) == list(range(300))
    assert order[:300] != order[300:]


def test_the_order_is_as_it_was():
    """Of two epochs. Another version of TensorFlow may give another order: then record it."""
    order = shuffled_index(tf.range(16, dtype=tf.int64), 8, seed=1).numpy().tolist()
    assert order == [7, 1, 2, 0, 6, 3, 4, 5, 0, 1, 5, 3, 2, 6, 7, 4]


def test_make_dataset_refuses():
    images, labels = numbered(10)
    with pytest.raises(ValueError, match="same length, not 10 and 9"):
        make_dataset(images, labels[:9], 2, 0)
    with pytest.raises(ValueError, match=r"batch_size must be in 1\.\.10"):
        make_dataset(images, labels, 11, 0)
