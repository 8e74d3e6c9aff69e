"""The tables that settings are chosen by: real images measure as real, and only training images are used."""

import inspect
from dataclasses import replace

import numpy as np
import pytest

from helpers.__main__ import main
from helpers.checkpoints import PRETRAINED, PRETRAINED_NOISE
from helpers.data import Mnist, to_model_range, training_split, validation_split
from helpers.evaluation.classifiers import extract_features
from helpers.evaluation.metrics import draw_with_counts
from helpers.sampling.sampler import SamplerSettings, Samples, sample
from helpers.tools.files import ASSETS, read_rows, write_rows
from helpers.workshop import tuning
from helpers.workshop.tuning import (
    FLOOR_DRAWS,
    Quality,
    Yardstick,
    as_setting,
    best_teacher,
    block_distances,
    finalists,
    front_settings,
    measure_all,
    read_table,
    scale_settings,
)
from tests.conftest import said
from tests.evaluation.conftest import few_images

GUIDED = SamplerSettings("ddim", 20, 1.0, 1.5, None)
TABLES = ("tuning", "front", "finalists")
NETWORKS = (PRETRAINED, PRETRAINED_NOISE)


@pytest.fixture(scope="module")
def few_mnist(mnist):
    """A small part of MNIST, which `tuning` takes for all of it: 2,750 training and 500 validation images."""
    few = few_images(mnist)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("helpers.data.VALIDATION_IMAGES", 500)
        patch.setattr(tuning, "load_mnist", lambda: few)
        yield few


@pytest.fixture(scope="module")
def yardstick(few_mnist):
    return Yardstick(400)


@pytest.fixture(scope="module")
def halves(few_mnist):
    """The positions of the training images that the reference and its floor are drawn from."""
    return np.array_split(np.random.default_rng(0).permutation(2_750), 2)


@pytest.fixture
def few_settings(monkeypatch):
    """Three settings in place of all scales and intervals."""
    monkeypatch.setattr(tuning, "SOLVER", ("dpm++", 2))
    monkeypatch.setattr(tuning, "SHARES", (0.0,))
    monkeypatch.setattr(tuning, "SCALES", (2.0,))
    monkeypatch.setattr(tuning, "INTERVALS", (None, (0, 60)))
    return scale_settings()


def draws(images):
    """A function that is called like `sample` and returns the images."""

    def draw(*arguments, **options):
        given = inspect.signature(sample).bind(*arguments, **options).arguments
        assert len(given["labels"]) == len(images)
        return Samples(images, None)

    return draw


def measure(yardstick, denoiser, images, monkeypatch, **options):
    """The quality of `images`, as if the denoiser had drawn them."""
    monkeypatch.setattr(tuning, "sample", draws(images))
    return yardstick.measure(denoiser, GUIDED, **options)


def table(name):
    return read_rows(ASSETS / f"{name}.csv")


def test_real_images_measure_as_real(yardstick, few_mnist, lively_denoiser, monkeypatch):
    images, labels = training_split(few_mnist)
    real = to_model_range(images[draw_with_counts(labels, yardstick.labels, 99)]).numpy()
    quality = measure(yardstick, lively_denoiser, real, monkeypatch)
    assert yardstick.network.name == "features"  # judge and critic take no part in choices
    assert quality.accuracy > 0.98 and 0.6 < quality.ratio < 1.6
    assert 0.9 < quality.coverage < 1.1 and 0.85 < quality.density < 1.15
    assert quality.nfe == 40 and quality.taught is None


def test_one_image_of_each_digit_fails_to_cover(yardstick, few_mnist, lively_denoiser, monkeypatch):
    images, labels = training_split(few_mnist)
    first = np.array([np.argmax(labels == digit) for digit in yardstick.labels])
    quality = measure(yardstick, lively_denoiser, to_model_range(images[first]).numpy(), monkeypatch)
    assert quality.coverage < 0.5 and quality.ratio > 5 and quality.spread < 1e-6


def test_density_sees_the_bad_half_of_the_digits(yardstick, few_mnist, lively_denoiser, monkeypatch):
    """Every second digit is noisy; the other ones still cover most of the reference."""
    images, labels = training_split(few_mnist)
    drawn = to_model_range(images[draw_with_counts(labels, yardstick.labels, 99)]).numpy()
    drawn[::2] = np.clip(drawn[::2] + np.random.default_rng(0).normal(0, 0.3, drawn[::2].shape), -1, 1)
    quality = measure(yardstick, lively_denoiser, drawn, monkeypatch)
    assert quality.density < 0.75 and quality.coverage > quality.density + 0.1


def test_the_reference_itself_is_nearest_of_all(yardstick, lively_denoiser, monkeypatch):
    images = to_model_range(yardstick.reference_images).numpy()
    quality = measure(yardstick, lively_denoiser, images, monkeypatch)
    assert quality.ratio < 1e-6 and quality.coverage > 1 and quality.density > 1.1


def test_reference_and_floor_come_from_two_halves_of_the_training_images(yardstick, few_mnist, halves):
    images, labels = training_split(few_mnist)
    reference_half = {image.tobytes() for image in images[halves[0]]}
    assert {image.tobytes() for image in yardstick.reference_images} <= reference_half
    drawn = yardstick.reference.positions  # in the other half
    assert len(drawn) == FLOOR_DRAWS and not np.array_equal(drawn[0], drawn[1])
    for positions, features in zip(drawn, yardstick.reference.floor, strict=True):
        np.testing.assert_array_equal(labels[halves[1][positions]], yardstick.labels)
        found = extract_features(yardstick.network, to_model_range(images[halves[1][positions[:50]]]))
        np.testing.assert_allclose(features[:50], found, atol=1e-4)


def test_finalists_teach_a_network_that_is_tested_on_the_reference(yardstick, few_mnist, lively_denoiser, monkeypatch):
    def value(images, labels, test_images, test_labels):
        np.testing.assert_array_equal(labels, yardstick.labels)
        np.testing.assert_array_equal(test_labels, yardstick.labels)
        np.testing.assert_array_equal(test_images, to_model_range(yardstick.reference_images))
        return 0.95 if images is drawn else 0

    monkeypatch.setattr(tuning, "training_value", value)
    drawn = to_model_range(few_mnist.train_images[:400]).numpy()
    assert measure(yardstick, lively_denoiser, drawn, monkeypatch, teach=True).taught == 0.95


def test_recipes_are_compared_with_the_validation_images(few_mnist):
    images, labels = validation_split(few_mnist)
    yardstick = Yardstick(200, validation=True)
    np.testing.assert_array_equal(yardstick.labels, labels[:200])
    np.testing.assert_array_equal(yardstick.reference_images, images[:200])
    with pytest.raises(ValueError, match=r"200\.\.500, not 600"):
        Yardstick(600, validation=True)


def test_labels_start_over_after_the_validation_images(few_mnist, monkeypatch):
    monkeypatch.setattr(tuning, "Reference", lambda features, labels, *_: (features, labels))
    _, labels = validation_split(few_mnist)
    yardstick = Yardstick(600)
    np.testing.assert_array_equal(yardstick.labels, np.append(labels, labels[:100]))
    assert len(yardstick.reference[0]) == len(yardstick.reference_images) == 600
    with pytest.raises(ValueError, match=r"200\.\.1000, not 1001"):
        Yardstick(1001)


def test_settings_are_all_different():
    for settings in (scale_settings(), front_settings()):
        assert len(set(settings)) == len(settings) > 10
    assert {setting.steps for setting in front_settings() if setting.method == "ddpm"} == {5, 10, 20, 100}


def test_every_share_of_fresh_noise_is_compared_alike():
    """Each with the same guidance in the first table, and each with 15 and 20 steps in the second."""
    shares = tuning.SHARES
    tried = {eta: [replace(s, eta=0.0) for s in scale_settings() if s.eta == eta] for eta in shares}
    assert all(tried[eta] == tried[0.0] for eta in shares) and len(scale_settings()) == len(shares) * len(tried[0.0])
    front = {(setting.eta, setting.steps) for setting in front_settings() if setting.method == "dpm++"}
    assert front >= {(eta, steps) for eta in shares for steps in (15, 20)}


def test_the_shipped_tables_are_what_the_commands_measure():
    assert [as_setting(row) for row in table("tuning")] == scale_settings()
    assert [as_setting(row) for row in table("front")] == front_settings()
    assert [as_setting(row) for row in table("finalists")] == finalists(table("tuning"), table("front"))


def test_the_shipped_tables_count_function_evaluations(schedule):
    for row in (row for name in TABLES for row in table(name)):
        assert int(row["nfe"]) == as_setting(row).nfe(schedule)


def test_the_front_is_guided_by_the_best_scale_of_each_interval():
    best = {}
    for setting in (as_setting(row) for row in sorted(table("tuning"), key=lambda row: float(row["ratio"]))):
        best.setdefault(setting.guidance_interval, setting.guidance_scale)
    assert {interval: scale for scale, interval in tuning.FRONT_GUIDANCE} == best


def test_the_default_is_the_best_of_the_finalists(schedule):
    assert as_setting(best_teacher(table("finalists"))) == SamplerSettings().on(schedule)


def test_the_best_teacher_is_accurate_itself():
    rows = [{"accuracy": accuracy, "taught": taught} for accuracy, taught in (("0.9929", "0.99"), ("0.993", "0.97"))]
    assert best_teacher([*rows, {"accuracy": 0.999, "taught": 0.969}]) is rows[1]
    assert best_teacher(rows[:1]) is None


def test_finalists_are_accurate_cheap_and_near_real_images():
    def row(accuracy, ratio, nfe, interval=""):
        setting = {"method": "dpm++", "steps": nfe, "eta": "0.0", "guidance_scale": "2.0"}
        return setting | {"guidance_interval": interval, "nfe": nfe, "accuracy": accuracy, "ratio": ratio}

    rows = [row("0.9915", "1.0", "3"), row("0.992", "2.0", "32"), row("1.0", "9.0", "5"), row("1.0", "1.1", "33")]
    rows += [row("0.996", "10.5", "6", "(40, 70)"), row("0.997", "1.2", "10", "(20, 80)"), row("1.0", "9", "7")]
    chosen = finalists([*rows, rows[1]], rows[1:2], rows[:1], [row("1.0", "3.0", "8")])
    # 3 steps are too inaccurate and 33 too many; 5 and 7 are further from real images than 32.
    assert [(setting.steps, setting.guidance_interval) for setting in chosen] == [
        (10, (20, 80)),
        (32, None),
        (6, (40, 70)),
        (8, None),  # from another table: 32, which is nearer to real images, doesn't exclude it
    ]
    assert chosen[0] == SamplerSettings("dpm++", 10, 0.0, 2.0, (20, 80))
    noisy = row("0.995", "4.0", "9") | {"eta": "0.5"}  # further away than another, but the best of its share
    assert [setting.steps for setting in finalists([rows[1], noisy])] == [32, 9]
    with pytest.raises(ValueError, match=r"accuracy of 0\.992 and an NFE of at most 32"):
        finalists(rows[:1], [])


ROW = {"method": "dpm++", "steps": "10", "eta": "0.0", "guidance_scale": "2.0", "guidance_interval": "(20, 80)"}
ROW |= {"nfe": "20", "accuracy": "0.995", "ratio": "2.0"}


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"guidance_interval": "__import__('os').system('true')"}, "guidance_interval must be .first, last. or empty"),
        ({"guidance_interval": "(1, 2"}, "guidance_interval must be"),
        ({"guidance_interval": "(80, 20)"}, "guidance_interval's last t must be"),
        ({"guidance_interval": "[20, 80]"}, "guidance_interval must be"),
        ({"guidance_interval": "(" * 10_000}, "guidance_interval must be"),
        ({"steps": "ten"}, "invalid literal"),
        ({"steps": "0"}, "steps must be"),
        ({"eta": "nan"}, "eta must be a finite number"),
        ({"eta": ""}, "could not convert"),
        ({"guidance_scale": "1e39"}, "guidance_scale must be a finite number"),
        ({"method": "euler"}, "method must be one of"),
        ({"nfe": "2.5"}, "invalid literal"),
        ({"accuracy": "nan"}, "accuracy must be a finite number, not nan"),
        ({"accuracy": "high"}, "could not convert"),
        ({"ratio": "inf"}, "ratio must be a finite number, not inf"),
        ({"ratio": None}, "a row lacks ratio"),
        ({"method": None, "accuracy": None}, "a row lacks method or accuracy"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_damaged_table_is_named_in_one_sentence(changed, why, tmp_path, capsys):
    row = {name: value for name, value in (ROW | changed).items() if value is not None}
    write_rows(tmp_path / "front.csv", [row])
    with pytest.raises(ValueError, match=rf"front\.csv is damaged: .*{why}") as raised:
        read_table(tmp_path / "front.csv")
    assert len(said(raised).replace("(" * 10_000, "")) < 400
    assert main(["tune", "--finalists", str(tmp_path / "front.csv"), "--out", str(tmp_path / "out.csv")]) == 2
    assert capsys.readouterr().err == f"error: {raised.value}\n"


def test_a_whole_table_is_read(tmp_path):
    write_rows(tmp_path / "front.csv", [ROW, ROW | {"guidance_interval": ""}])
    assert [as_setting(row).guidance_interval for row in read_table(tmp_path / "front.csv")] == [(20, 80), None]
    for name in TABLES:
        assert read_table(ASSETS / f"{name}.csv") == table(name)


@pytest.mark.parametrize("text", ["method\nddim\n", "\xff", "a,b\n1\n"])
def test_a_damaged_unfinished_table_is_named(counting, few_settings, tmp_path, text):
    next(measure_all(PRETRAINED, few_settings, 200, 0, False, tmp_path))
    (kept,) = tmp_path.glob("*/rows.csv")
    kept.write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=kept.name) as raised:
        next(measure_all(PRETRAINED, few_settings, 200, 0, False, tmp_path))
    said(raised)


def test_a_row_holds_the_setting_and_its_quality(yardstick, few_settings, few_mnist, tmp_path, monkeypatch):
    monkeypatch.setattr(tuning, "Yardstick", lambda images: yardstick)
    monkeypatch.setattr(tuning, "sample", draws(to_model_range(few_mnist.train_images[:400]).numpy()))
    rows = list(measure_all(PRETRAINED, few_settings, 400, 0, False, tmp_path))
    assert [(row["guidance_scale"], row["guidance_interval"], row["nfe"]) for row in rows] == [
        ("1.0", "", "2"),
        ("2.0", "", "4"),
        ("2.0", "(0, 60)", "3"),
    ]
    assert [as_setting(row) for row in rows] == few_settings
    assert all(float(row["accuracy"]) < 0.3 and float(row["ratio"]) > 0 for row in rows) and "taught" not in rows[0]


class Counting:
    """Stands in for a yardstick: the accuracy counts the measurements, of which the second may be interrupted."""

    measured = 0
    interrupt_at = None

    def __init__(self, images):
        pass

    def measure(self, denoiser, setting, seed, teach):
        if Counting.measured == Counting.interrupt_at:
            Counting.interrupt_at = None
            raise KeyboardInterrupt
        Counting.measured += 1
        return Quality(20, Counting.measured, 2.0, 1.0, 0.9, 0.1, 0.5 if teach else None)


@pytest.fixture
def counting(monkeypatch):
    monkeypatch.setattr(tuning, "Yardstick", Counting)
    monkeypatch.setattr(tuning, "load_digits_denoiser", lambda network: None)
    monkeypatch.setattr(Counting, "measured", 0)
    return Counting


def test_an_interrupted_table_resumes_from_its_finished_rows(counting, few_settings, tmp_path):
    def accuracies(images=200, seed=0, teach=False):
        return [row["accuracy"] for row in measure_all(PRETRAINED, few_settings, images, seed, teach, tmp_path)]

    counting.interrupt_at = 2
    with pytest.raises(KeyboardInterrupt):
        accuracies()
    (kept,) = tmp_path.glob("*/rows.csv")
    assert [row["accuracy"] for row in read_rows(kept)] == ["1", "2"]
    # Tables of another number of images, of another seed, and with teaching have rows of their own.
    assert accuracies(images=300) == ["3", "4", "5"]
    assert accuracies(seed=1) == ["6", "7", "8"]
    assert accuracies(teach=True) == ["9", "10", "11"]
    assert accuracies() == ["1", "2", "12"]
    assert list(tmp_path.iterdir()) == []


def test_two_processes_do_not_measure_the_same(counting, few_settings, tmp_path):
    first = measure_all(PRETRAINED, few_settings, 200, 0, False, tmp_path)
    next(first)
    with pytest.raises(ValueError, match="is in use by process"):
        next(measure_all(PRETRAINED, few_settings, 200, 0, False, tmp_path))
    assert next(measure_all(PRETRAINED, few_settings, 200, 1, False, tmp_path))["accuracy"] == "2"
    assert [row["accuracy"] for row in first] == ["3", "4"]


def test_an_unfinished_table_belongs_to_one_network(counting, few_settings, tmp_path):
    rows = [next(measure_all(network, few_settings, 200, 0, False, tmp_path)) for network in NETWORKS]
    assert [row["accuracy"] for row in rows] == ["1", "2"]


def test_block_distances_separate_a_block_of_other_images(mnist, monkeypatch):
    """600 training images, of which the validation images are the last 50, negated."""
    pictures = mnist.train_images[:600].copy()
    pictures[-50:] = 255 - pictures[-50:]
    few = Mnist(pictures, np.arange(600, dtype=np.uint8) % 10, *mnist[2:])
    monkeypatch.setattr("helpers.data.VALIDATION_IMAGES", 50)
    monkeypatch.setattr(tuning, "load_mnist", lambda: few)
    quarters = lambda _, images: np.reshape(images, (-1, 2, 14, 2, 14)).mean(axis=(2, 4)).reshape(-1, 4)  # noqa: E731
    monkeypatch.setattr(tuning, "extract_features", quarters)
    others, validation = block_distances()
    assert others.shape == (11,) and 0 < others.min() and 10 * others.max() < validation


@pytest.mark.slow  # the features of all 60,000 images
def test_the_validation_images_differ_from_all_others(mnist, monkeypatch):
    monkeypatch.setattr(
        "helpers.data.VALIDATION_IMAGES", 5_000
    )  # in place of the small set that this file's tests share
    monkeypatch.setattr(tuning, "load_mnist", lambda: mnist)
    others, validation = block_distances()
    assert others.shape == (11,) and others.max() < 0.1 < validation
