"""`python -m helpers accuracy`, with real digits in place of samples."""

import numpy as np
import pytest

from helpers.__main__ import main
from helpers.checkpoints import save_denoiser
from helpers.data import to_model_range
from helpers.sampling.sampler import Samples
from tests.conftest import OF_DIGITS, TINY


@pytest.fixture
def network(lively_denoiser, tmp_path):
    """The folder of a tiny network of digits."""
    save_denoiser(tmp_path / "network", lively_denoiser, OF_DIGITS, [])
    return tmp_path / "network"


def test_the_share_of_digits_classified_as_requested(network, mnist, monkeypatch, capsys):
    """Every digit is drawn as requested but zeros, which come out as ones, like all digits without a label."""
    examples = [to_model_range(mnist.test_images[mnist.test_labels == digit][:1])[0] for digit in range(10)]
    seeds = []

    def draw(denoiser, labels, *, seed, progress):
        assert denoiser.config == TINY
        seeds.append(seed)
        return Samples(np.stack([examples[max(label, 1)] for label in labels]), None)

    monkeypatch.setattr("helpers.sampling.sampler.sample", draw)
    assert main(["accuracy", str(network), "--images", "50", "--seed", "7"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "50 guided samples, default settings: digit accuracy 90.00%"
    assert shown[1].startswith("  per digit: 0: 0.0%, 1: 100.0%, ")
    assert shown[2].startswith("10 unconditional samples")
    assert shown[3].startswith("  0: 0.0%, 1: 100.0%, 2: 0.0%, ")
    assert seeds == [7, 7]


def test_refused_before_any_work(network, shapes_denoiser, capsys):
    assert main(["accuracy", str(network), "--images", "5"]) == 2
    assert capsys.readouterr().err == "error: --images must be a whole number in 20..1000000, not 5.\n"
    save_denoiser(network, shapes_denoiser, {"data": "shapes.npz"}, [])
    assert main(["accuracy", str(network)]) == 2
    assert "isn't MNIST's training set" in capsys.readouterr().err
