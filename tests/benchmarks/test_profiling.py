"""Arithmetic counted by hand, and times that add up."""

import time

import keras
import pytest
from keras import layers

from helpers.unet import UNetConfig, build_denoiser
from tests.benchmarks import profiling
from tests.benchmarks.profiling import convolution_flops, convolution_peak, median_seconds, seconds_by_kind


def test_median_leaves_out_the_first_call():
    calls = []

    def slow_at_first():
        calls.append(None)
        time.sleep(0.5 if len(calls) == 1 else 0.01)

    assert 0.01 <= median_seconds(slow_at_first) < 0.4
    assert len(calls) == 4


def test_flops_of_two_convolutions():
    x = keras.Input((8, 8, 3))
    network = keras.Model(x, layers.Conv2D(2, 1)(layers.Conv2D(5, 3, strides=2, padding="same")(x)))
    # 16 positions, 3 x 3 x 3 products for each of 5 outputs; then 5 products for each of 2.
    assert convolution_flops(network) == 2 * 16 * (27 * 5 + 5 * 2)


def test_the_peak_is_the_best_shape(monkeypatch):
    monkeypatch.setattr(profiling, "PEAK_SHAPES", ((7, 4), (7, 8)))
    monkeypatch.setattr(profiling, "seconds_of", lambda *_: [3.0, 2.0, 4.0])
    assert convolution_peak(batch_size=10) == 4 * 10 * 2 * 49 * 9 * 64 / 2.0


def test_kinds_and_rest_are_the_whole(schedule):
    config = UNetConfig(widths=(8, 8), embedding_width=16, heads=2, image_size=8)
    seconds = seconds_by_kind(build_denoiser(config, schedule), batch_size=2, repeats=1)
    whole = seconds.pop("the whole pass")
    assert set(seconds) == {*profiling.KINDS.values(), "the rest"}
    assert sum(seconds.values()) == pytest.approx(whole)
    assert all(part > 0 for kind, part in seconds.items() if kind != "the rest")
