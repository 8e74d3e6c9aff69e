"""The table that settings are chosen by: right on real images, and of the held-out ones alone."""

import numpy as np
import pytest

import helpers.tuning as tuning
from helpers.data import held_out_split, to_model_range, training_split
from helpers.diffusion import cosine_schedule
from helpers.files import read_rows
from helpers.metrics import draw_with_counts
from helpers.sampling import Samples
from helpers.tuning import Setting, Yardstick, front_settings, main, network_passes, pareto_front, scale_settings

GUIDED = Setting("ddim", 20, 1.0, 1.5)


@pytest.fixture(scope="module")
def yardstick():
    return Yardstick(400)


def measure(yardstick, images, monkeypatch, setting=GUIDED):
    monkeypatch.setattr(tuning, "sample", lambda *arguments, **options: Samples(images, None))
    return yardstick.measure(None, cosine_schedule(100), setting)


def test_real_images_measure_as_real(yardstick, mnist, monkeypatch):
    images, labels = training_split(mnist)
    real = to_model_range(images[draw_with_counts(labels, yardstick.labels, 99)]).numpy()
    quality = measure(yardstick, real, monkeypatch)
    assert quality.accuracy > 0.98 and 0.6 < quality.ratio < 1.6 and 0.9 < quality.coverage < 1.1
    assert quality.passes == 40


def test_a_guided_step_is_two_passes(schedule):
    assert network_passes(schedule, Setting("dpm++", 10, 0.0, 1.0)) == 10
    assert network_passes(schedule, Setting("dpm++", 10, 0.0, 2.0)) == 20
    # Ten steps are at t = 99, 89, ..., 9: 79, 69, 59, 49, 39 and 29 are inside.
    assert network_passes(schedule, Setting("dpm++", 10, 0.0, 2.0, (20, 80))) == 16
    assert network_passes(schedule, Setting("dpm++", 10, 0.0, 2.0, (29, 79))) == 16


def test_settings_are_all_different():
    for settings in (scale_settings(), front_settings()):
        assert len(set(settings)) == len(settings) > 10
    assert {setting.steps for setting in front_settings() if setting.method == "ddpm"} == {5, 10, 20, 50, 100}


def test_front_is_what_no_other_beats():
    passes, ratios = [10, 20, 20, 5, 40, 40], [2.0, 1.5, 1.4, 3.0, 1.4, 1.2]
    np.testing.assert_array_equal(pareto_front(passes, ratios), [True, False, True, True, False, True])
    np.testing.assert_array_equal(pareto_front([5, 5], [1.0, 1.0]), [True, False])


def test_the_reference_is_held_out_and_the_draws_are_not(yardstick, mnist, monkeypatch):
    held_out, _ = held_out_split(mnist)
    quality = measure(yardstick, to_model_range(held_out[:400]).numpy(), monkeypatch)
    assert quality.ratio < 1e-6 and quality.coverage > 1  # the very images that they are compared with
    assert len(yardstick.draws) == tuning.FLOOR_DRAWS and not np.array_equal(*yardstick.draws[:2])


def test_one_kind_of_each_digit_fails_to_cover(yardstick, mnist, monkeypatch):
    first = np.array([np.argmax(yardstick.labels == digit) for digit in yardstick.labels])
    held_out, _ = held_out_split(mnist)
    quality = measure(yardstick, to_model_range(held_out[:400][first]).numpy(), monkeypatch)
    assert quality.coverage < 0.5 and quality.ratio > 5 and quality.spread < 1e-6


def test_command_line_writes_a_row_a_setting(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tuning, "SOLVERS", (("dpm++", 2, 0.0),))
    monkeypatch.setattr(tuning, "SCALES", (1.0, 2.0))
    monkeypatch.setattr(tuning, "INTERVALS", (None, (0, 60)))
    assert main(["--images", "200", "--out", str(tmp_path / "tuning.csv")]) == 0
    rows = read_rows(tmp_path / "tuning.csv")
    assert [(row["guidance_scale"], row["passes"]) for row in rows] == [("1.0", "2"), ("2.0", "4"), ("2.0", "3")]
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert main(["--images", "100"]) == 2
    assert capsys.readouterr().err.startswith("error: images must be in 200..5000")
