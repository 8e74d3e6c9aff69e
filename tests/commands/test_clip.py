"""`python -m helpers clip`: the accuracy for each prompt, on few images."""

import numpy as np
import pytest

from helpers.__main__ import main
from helpers.data import Mnist
from helpers.evaluation.clip import UNSEEN_PROMPTS


@pytest.fixture
def few_mnist(mnist, monkeypatch):
    """100 test images and 50 validation images, the latter with wrong labels."""
    labels = (mnist.train_labels[-50:] + 1) % 10
    few = Mnist(mnist.train_images[-50:], labels, mnist.test_images[:100], mnist.test_labels[:100])
    monkeypatch.setattr("helpers.data.VALIDATION_IMAGES", 50)
    monkeypatch.setattr("helpers.data.load_mnist", lambda: few)
    return few


def test_accuracies_on_test_and_validation_images(few_mnist, capsys):
    accuracies = {}
    for images, option in (("100 test", []), ("50 validation", ["--validation"])):
        assert main(["clip", *option]) == 0
        title, *rows = capsys.readouterr().out.splitlines()
        assert title == f"digit-clip, zero-shot accuracy on {images} images"
        assert len(rows) == 2 * (2 + len(UNSEEN_PROMPTS)) and rows[0].endswith('%  a photo of the number: "7".')
        accuracies[images] = [float(row.split("%")[0]) for row in rows]
    assert min(accuracies["100 test"][:2]) > 95 and np.max(accuracies["50 validation"]) < 10


def test_nothing_is_fetched_unasked(few_mnist, capsys):
    assert main(["clip", "nobody/no-such-clip"]) == 2
    assert capsys.readouterr().err.startswith("error: nobody/no-such-clip is no folder, and not in the hub's cache")
