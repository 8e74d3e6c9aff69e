"""A small part of MNIST in place of the whole, for the tests of measures that compare with all training images."""

import pytest

from helpers.data import Mnist


def few_images(mnist: Mnist) -> Mnist:
    """2,750 training, 500 validation and 1,000 test images: the counts that `few_mnist` tells `helpers.data`."""
    train = slice(0, 3_250)
    return Mnist(mnist.train_images[train], mnist.train_labels[train], *(part[:1_000] for part in mnist[2:]))


@pytest.fixture(scope="module")
def few_mnist(mnist):
    """The few images, which `measures` takes for all of MNIST while a module's tests run."""
    few = few_images(mnist)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("helpers.data.VALIDATION_IMAGES", 500)
        patch.setattr("helpers.evaluation.measures.load_mnist", lambda: few)
        yield few
