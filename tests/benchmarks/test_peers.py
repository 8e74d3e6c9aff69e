"""The comparison with diffusers is fair, and its parts run."""

import functools

import pytest

from helpers.unet import UNetConfig, build_unet
from tests.benchmarks import peers


def test_the_peer_has_about_as_many_parameters():
    parameters = build_unet(UNetConfig()).count_params()
    assert abs(peers.count_parameters(peers.peer_unet(parameters)) / parameters - 1) < 0.2
    with pytest.raises(RuntimeError, match="no UNet2DModel in WIDTHS has about 10,000 parameters"):
        peers.peer_unet(10_000)


def test_its_parts_run(monkeypatch, lively_denoiser):
    monkeypatch.setattr(peers, "GRID", peers.GRID[:2])
    monkeypatch.setattr(peers, "TrainingConfig", functools.partial(peers.TrainingConfig, batch_size=4))
    monkeypatch.setattr(peers, "load_denoiser", lambda: lively_denoiser)
    smallest = 280_000
    assert peers.peer_training_images_per_second(smallest, steps=1) > 0
    assert peers.grid_seconds("ddim", 1) > 0 and peers.peer_grid_seconds("ddim", 1, smallest) > 0
