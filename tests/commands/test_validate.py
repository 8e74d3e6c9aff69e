"""The command `validate`: the errors of a network on the validation images, as a table."""

import re

import numpy as np
import pytest

from helpers import checkpoints
from helpers.__main__ import main
from helpers.checkpoints import PRETRAINED, save_denoiser
from helpers.data import validation_split
from helpers.training import objective
from helpers.training.objective import ValidationMse
from tests.conftest import OF_DIGITS

MSE = ValidationMse(np.linspace(1.5, 0.25, 100), np.linspace(0.125, 0.75, 100))


@pytest.fixture
def calls(monkeypatch):
    """Nothing is measured, which `test_objective` does; the calls of `validation_mse` are noted."""
    calls = []
    monkeypatch.setattr(objective, "validation_mse", lambda *arguments: calls.append(arguments) or MSE)
    return calls


def test_a_table_of_the_errors_at_each_t(calls, lively_denoiser, mnist, tmp_path, capsys):
    save_denoiser(tmp_path / "mine", lively_denoiser, OF_DIGITS, [])
    assert main(["validate", str(tmp_path / "mine")]) == 0
    (denoiser, images, labels), (expected_images, expected_labels) = calls[0], validation_split(mnist)
    for mine, theirs in zip(denoiser.unet.get_weights(), lively_denoiser.unet.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(images, expected_images)
    np.testing.assert_array_equal(labels, expected_labels)
    printed = capsys.readouterr().out
    assert re.findall(r"5000 validation images, mean over all t: (.*)", printed) == ["0.8750", "0.4375"]
    rows = re.findall(r"^  t = +(\d+)\.\.: (.*)$", printed, re.MULTILINE)
    assert [int(first) for first, _ in rows] == 2 * list(range(0, 100, 10))
    found = [float(value) for _, values in rows for value in values.split()]
    np.testing.assert_allclose(found, np.concatenate(MSE), atol=1e-4)


def test_the_default_is_the_pretrained_network(calls, lively_denoiser, monkeypatch):
    folders = []
    monkeypatch.setattr(checkpoints, "load_digits_denoiser", lambda folder: folders.append(folder) or lively_denoiser)
    assert main(["validate"]) == 0 and folders == [PRETRAINED]


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("nowhere", "nowhere is not a trained network"),
        ("shapes", "isn't MNIST's training set"),
    ],
)
def test_other_networks_are_refused(network, message, shapes_denoiser, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_denoiser("shapes", shapes_denoiser, {"data": "shapes.npz"}, [])
    assert main(["validate", network]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1
