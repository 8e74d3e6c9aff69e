"""The table that settings are chosen by: right on real images, and of training images alone."""

import numpy as np
import pytest

import helpers.tuning as tuning
from helpers.classifier import extract_features
from helpers.data import held_out_split, to_model_range, training_split
from helpers.diffusion import cosine_schedule
from helpers.files import ASSETS, read_rows
from helpers.metrics import draw_with_counts, nearest_neighbours
from helpers.sampling import Samples
from helpers.tuning import (
    Setting,
    Yardstick,
    as_setting,
    best_teacher,
    block_distances,
    default_setting,
    finalists,
    front_settings,
    main,
    network_passes,
    pareto_front,
    scale_settings,
)

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
    assert {setting.steps for setting in front_settings() if setting.method == "ddpm"} == {5, 10, 20, 100}


def table(name):
    return read_rows(ASSETS / f"{name}.csv")


def test_the_shipped_tables_are_what_the_commands_measure():
    assert [as_setting(row) for row in table("tuning")] == scale_settings()
    assert [as_setting(row) for row in table("front")] == front_settings()
    assert [as_setting(row) for row in table("finalists")] == finalists(table("tuning"), table("front"))


def test_the_front_is_guided_by_the_best_scale_of_each_interval():
    best = {}
    for setting in (as_setting(row) for row in sorted(table("tuning"), key=lambda row: float(row["ratio"]))):
        best.setdefault(setting.guidance_interval, setting.guidance_scale)
    assert {interval: scale for scale, interval in tuning.FRONT_GUIDANCE} == best


def test_the_default_is_the_best_of_the_finalists(schedule):
    assert as_setting(best_teacher(table("finalists"))) == default_setting(schedule)


def test_the_best_teacher_is_read_right_itself():
    rows = [{"accuracy": accuracy, "taught": taught} for accuracy, taught in (("0.9929", "0.99"), ("0.993", "0.97"))]
    assert best_teacher([*rows, {"accuracy": 0.999, "taught": 0.969}]) is rows[1]
    assert best_teacher(rows[:1]) is None


def test_finalists_are_read_right_cheap_and_near_real_images():
    def row(accuracy, ratio, passes, interval=""):
        setting = {"method": "dpm++", "steps": passes, "eta": "0.0", "guidance_scale": "2.0"}
        return setting | {"guidance_interval": interval, "passes": passes, "accuracy": accuracy, "ratio": ratio}

    rows = [row("0.9915", "1.0", "3"), row("0.992", "2.0", "32"), row("1.0", "9.0", "5"), row("1.0", "1.1", "33")]
    rows += [row("0.996", "10.5", "6", "(40, 70)"), row("0.997", "1.2", "10", "(20, 80)"), row("1.0", "9", "7")]
    chosen = finalists([*rows, rows[1]], rows[1:2], rows[:1], [row("1.0", "3.0", "8")])
    # 3 is read wrong, 33 too dear, 5 and 7 are further from real images than 32.
    assert [(setting.steps, setting.guidance_interval) for setting in chosen] == [
        (10, (20, 80)),
        (32, None),
        (6, (40, 70)),
        (8, None),  # of another table, so 32, which is nearer, doesn't stand in its way
    ]
    assert chosen[0] == Setting("dpm++", 10, 0.0, 2.0, (20, 80))
    with pytest.raises(ValueError, match=r"accuracy of 0\.992 in 32 passes somewhere"):
        finalists(rows[:1], [])


def test_finalists_teach_a_network_that_is_tested_on_the_reference(yardstick, mnist, monkeypatch):
    taught = []

    def value(images, labels, test_images, test_labels):
        np.testing.assert_array_equal(labels, yardstick.labels)
        np.testing.assert_allclose(extract_features(yardstick.network, test_images), yardstick.reference, atol=1e-3)
        np.testing.assert_array_equal(test_labels, yardstick.labels)
        taught.append(images)
        return 0.95

    monkeypatch.setattr(tuning, "training_value", value)
    drawn = to_model_range(mnist.train_images[:400]).numpy()
    monkeypatch.setattr(tuning, "sample", lambda *arguments, **options: Samples(drawn, None))
    assert yardstick.measure(None, cosine_schedule(100), GUIDED).taught is None and taught == []
    quality = yardstick.measure(None, cosine_schedule(100), GUIDED, teach=True)
    assert quality.taught == 0.95 and len(taught) == 1 and taught[0] is drawn


def test_more_samples_than_held_out_images_start_over(mnist):
    _, labels = held_out_split(mnist)
    yardstick = Yardstick(6_000)
    np.testing.assert_array_equal(yardstick.labels, np.append(labels, labels[:1_000]))
    assert len(yardstick.reference) == 6_000 and {len(draw) for draw in yardstick.draws} == {6_000}


def test_recipes_are_compared_with_the_held_out_images(mnist):
    images, labels = held_out_split(mnist)
    yardstick = Yardstick(400, held_out=True)
    np.testing.assert_array_equal(yardstick.labels, labels[:400])
    features = extract_features(yardstick.network, to_model_range(images[:400]))
    np.testing.assert_allclose(yardstick.reference, features, rtol=1e-5)
    with pytest.raises(ValueError, match=r"200\.\.5000, not 6000"):
        Yardstick(6_000, held_out=True)


def test_front_is_what_no_other_beats():
    passes, ratios = [10, 20, 20, 5, 40, 40], [2.0, 1.5, 1.4, 3.0, 1.4, 1.2]
    np.testing.assert_array_equal(pareto_front(passes, ratios), [True, False, True, True, False, True])
    np.testing.assert_array_equal(pareto_front([5, 5], [1.0, 1.0]), [True, False])


@pytest.fixture(scope="module")
def found_features(yardstick, mnist):
    """Features of all images that nothing is chosen on but the reference and its draws: (55000, d)."""
    images, _ = training_split(mnist)
    return extract_features(yardstick.network, to_model_range(images))


def test_the_reference_is_of_training_images_and_the_draws_of_others(yardstick, found_features):
    where = []
    for features in (yardstick.reference, *yardstick.draws):
        distances, positions = nearest_neighbours(features, found_features)
        assert distances.max() < 1e-3  # it is one of them
        where.append(set(positions))
    reference, *draws = where
    assert all(not reference & draw for draw in draws) and len(draws) == tuning.FLOOR_DRAWS
    assert draws[0] != draws[1]


def test_the_reference_itself_is_nearest_of_all(yardstick, mnist, found_features, monkeypatch):
    images, labels = training_split(mnist)
    _, positions = nearest_neighbours(yardstick.reference, found_features)
    np.testing.assert_array_equal(labels[positions], yardstick.labels)
    quality = measure(yardstick, to_model_range(images[positions]).numpy(), monkeypatch)
    assert quality.ratio < 1e-6 and quality.coverage > 1  # the very images that they are compared with


def test_one_kind_of_each_digit_fails_to_cover(yardstick, mnist, monkeypatch):
    images, labels = training_split(mnist)
    first = np.array([np.argmax(labels == digit) for digit in yardstick.labels])
    quality = measure(yardstick, to_model_range(images[first]).numpy(), monkeypatch)
    assert quality.coverage < 0.5 and quality.ratio > 5 and quality.spread < 1e-6


def test_the_held_out_images_are_unlike_all_others(monkeypatch, capsys):
    others, held_out = block_distances()
    assert others.shape == (11,) and others.max() < 0.1 < held_out
    monkeypatch.setattr(tuning, "block_distances", lambda: (others, held_out))
    assert main(["--blocks"]) == 0
    assert f"held-out images: {held_out:.3f}" in capsys.readouterr().out


def test_command_line_writes_a_row_a_setting(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tuning, "SOLVER", ("dpm++", 2, 0.0))
    monkeypatch.setattr(tuning, "SCALES", (2.0,))
    monkeypatch.setattr(tuning, "INTERVALS", (None, (0, 60)))
    assert main(["--images", "200", "--out", str(tmp_path / "tuning.csv")]) == 0
    rows = read_rows(tmp_path / "tuning.csv")
    assert [(row["guidance_scale"], row["passes"]) for row in rows] == [("1.0", "2"), ("2.0", "4"), ("2.0", "3")]
    assert len(capsys.readouterr().out.splitlines()) == 3 and "taught" not in rows[0]
    monkeypatch.setattr(tuning, "training_value", lambda *_: 0.5)
    monkeypatch.setattr(tuning, "FINALIST_ACCURACY", 0.0)
    tables = ["--finalists", str(tmp_path / "tuning.csv"), "--out", str(tmp_path / "finalists.csv")]
    assert main(["--images", "200", *tables]) == 0
    last = read_rows(tmp_path / "finalists.csv")
    assert {row["guidance_interval"]: row["taught"] for row in last} == {"": "0.5", "(0, 60)": "0.5"}
    assert capsys.readouterr().out.splitlines()[-1].startswith("best teacher with an accuracy of 0.993: ")
    assert main(["--images", "100"]) == 2
    assert capsys.readouterr().err.startswith("error: images must be in 200..10000")
