"""Fixtures that many tests share."""

import numpy as np
import pytest
import tensorflow as tf

from helpers.data import Mnist, load_mnist
from helpers.diffusion import Schedule, cosine_schedule
from helpers.shapes import NAMES
from helpers.unet import UNetConfig, build_unet

tf.zeros(1)  # TensorFlow's threads start now: the training command, run by a test, would otherwise change them for all


@pytest.fixture(scope="session")
def mnist() -> Mnist:
    return load_mnist()


@pytest.fixture(scope="session")
def schedule() -> Schedule:
    return cosine_schedule()


@pytest.fixture(scope="session")
def small_config() -> UNetConfig:
    return UNetConfig(widths=(8, 8, 8), embedding_width=16, heads=2, predicts="noise")


@pytest.fixture
def lively_unet(small_config):
    """A small U-Net with no weight at zero, as if it had been trained: every path has an effect."""
    return _lively(small_config)


@pytest.fixture
def shapes_unet():
    """The same for coloured pictures of four classes with names, 20 pixels a side."""
    return _lively(
        UNetConfig(
            image_size=20, channels=3, num_classes=4, class_names=NAMES, widths=(8, 8), embedding_width=16, heads=2
        )
    )


def _lively(config):
    unet = build_unet(config)
    random = np.random.default_rng(5)
    unet.set_weights([random.normal(0, 0.2, weight.shape) for weight in unet.get_weights()])
    return unet
