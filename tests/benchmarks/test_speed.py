"""The parts run and measure. How fast is for the command to say, not for a test."""

import functools

import pytest

from helpers.sampling.sampler import SamplerSettings, sample
from tests.benchmarks import speed
from tests.conftest import TINY


def test_training_is_measured(monkeypatch, uncompiled):
    monkeypatch.setattr(speed, "TrainingConfig", functools.partial(speed.TrainingConfig, batch_size=4))
    monkeypatch.setattr(speed, "UNetConfig", lambda: TINY)
    images_per_second, waiting = speed.training_figures("float32", steps=2, warm_up=1)
    assert images_per_second > 0 and 0 < waiting < 1


def test_requests_are_timed(monkeypatch, lively_denoiser):
    requests = []

    def shorter(denoiser, labels, settings):
        requests.append((len(labels), settings))
        return sample(denoiser, labels[:1], SamplerSettings(steps=1))

    monkeypatch.setattr(speed, "load_denoiser", lambda: lively_denoiser)
    monkeypatch.setattr(speed, "sample", shorter)
    rows = speed.sampling_rows(repeats=1)
    assert len(rows) == 4 and all(seconds > 0 for _, seconds in rows)
    default, all_guided = SamplerSettings(), SamplerSettings("ddpm", None, 0.0, 2.5, None)
    assert list(dict.fromkeys(requests)) == [(100, default), (100, all_guided), (10, default)]


def test_the_figures_follow_from_the_measurements(monkeypatch, capsys):
    """A tenth of a second per grid, a convolution peak and a training speed that are easy to calculate with."""
    times = {"the whole pass": 0.2, "convolutions": 0.15, "the rest": 0.05}
    measured = {
        "nothing": None,
        "sampling_rows": [("loading the network", 1.0), ("10x10 grid, default sampler", 0.1)],
        "profile": (1e12, times),
        "training_figures": (1_000.0, 0.01),
    }
    monkeypatch.setattr(speed, "alone", lambda function, *_: (measured[function.__name__], 1.5))
    monkeypatch.setattr(speed, "convolution_flops", lambda _: 10**8)
    assert speed.main(["--repeats", "2"]) == 0
    rows = {line[:52].strip(): line[52:].strip() for line in capsys.readouterr().out.splitlines()[1:]}
    nfe = SamplerSettings().nfe(speed.load_denoiser().schedule)
    assert rows["10x10 grid, default sampler: NFE"].startswith(f"{nfe}, {nfe * 100} GFLOP/s")  # 100 images in 0.1 s
    assert rows["a pass over 200 images at once"] == "200 ms, 100 GFLOP/s, 10% of the peak"
    assert rows["of which convolutions"] == "150 ms, 75%"
    assert rows["training, float32"] == "1000 images/s, 300 GFLOP/s, 30% of the peak"
    assert rows["the whole recipe at this speed"] == "36 minutes"  # 34,000 updates of 64 images
    assert rows["peak memory of sampling"] == "1.50 GiB"


@pytest.mark.parametrize("repeats", ["0", "-1"])
def test_refuses(capsys, repeats):
    assert speed.main(["--repeats", repeats]) == 2
    assert capsys.readouterr().err == f"error: --repeats must be a whole number of at least 1, not {repeats}.\n"
