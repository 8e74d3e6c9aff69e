"""The search among recipes: every one can be built, all get the same time, and no finished row is made twice."""

import dataclasses
import json

import pytest

import helpers.recipes as recipes
from helpers.checkpoints import SHIPPED, load_unet
from helpers.files import ASSETS, read_rows
from helpers.objective import TrainingConfig
from helpers.recipes import RECIPES, Recipe, main
from helpers.tuning import Quality
from helpers.unet import UNetConfig, build_unet

TINY = {"widths": (8, 8), "heads": 2, "embedding_width": 16}


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """Two recipes of two updates each, measured by a stand-in that counts."""
    measured = []

    class Counting:
        def __init__(self, images, held_out):
            assert held_out  # no recipe is chosen by images that it was trained on

        def measure(self, unet, schedule, setting):
            measured.append(setting)
            return Quality(20, 0.9 + len(measured) / 100, 2.0, 1.0, 0.1)

    monkeypatch.setattr(recipes, "Yardstick", Counting)
    monkeypatch.setattr(recipes, "updates_in", lambda minutes, recipe, streams: 2)
    tiny = {"one": Recipe("?", TINY, {"batch_size": 4}), "two": Recipe("?", TINY, {"batch_size": 8})}
    monkeypatch.setattr(recipes, "RECIPES", tiny)
    return measured


def test_every_recipe_can_be_built_within_the_limit():
    assert len(RECIPES) <= 12
    for recipe in RECIPES.values():
        assert build_unet(UNetConfig(**recipe.unet)).count_params() <= 2_000_000
        TrainingConfig(**recipe.training)
    different = {json.dumps([recipe.unet, recipe.training]) for recipe in RECIPES.values()}
    assert len(different) == len(RECIPES)


def test_the_shipped_network_has_the_last_recipe():
    unet, _ = load_unet()
    trained = json.loads((SHIPPED / "config.json").read_text())["training"]
    last = RECIPES["augmented"]
    assert unet.unet_config == UNetConfig(**last.unet) == UNetConfig()
    assert trained.items() >= dataclasses.asdict(TrainingConfig(**last.training)).items()
    assert TrainingConfig(**last.training) == TrainingConfig()


def test_the_shipped_table_is_of_these_recipes():
    rows = read_rows(ASSETS / "recipes.csv")
    assert {row["recipe"] for row in rows if row["seed"] == "0"} == set(RECIPES)
    twice = {row["recipe"] for row in rows if row["seed"] == "1"}
    best = sorted(RECIPES, key=lambda name: min(float(row["ratio_at_1"]) for row in rows if row["recipe"] == name))
    assert twice >= set(best[:3]) and len(rows) == len(RECIPES) + len(twice)
    for row in rows:
        unet = UNetConfig(**RECIPES[row["recipe"]].unet)
        assert int(row["parameters"]) == build_unet(unet).count_params()
        assert row["question"] == RECIPES[row["recipe"]].question


def test_rows_are_added_and_none_is_made_twice(tiny, tmp_path, capsys):
    assert main(["one", "--out", str(tmp_path)]) == 0
    assert [setting.guidance_scale for setting in tiny] == [1.0, 1.5]
    assert main(["--out", str(tmp_path)]) == 0
    assert main(["two", "--seed", "1", "--out", str(tmp_path)]) == 0
    rows = read_rows(tmp_path / "recipes.csv")
    assert [(row["recipe"], row["seed"], row["updates"]) for row in rows] == [
        ("one", "0", "2"),
        ("two", "0", "2"),
        ("two", "1", "2"),
    ]
    assert [row["accuracy_at_1.5"] for row in rows] == ["0.92", "0.94", "0.96"]
    assert len(tiny) == 6
    assert (tmp_path / "two" / "seed-1" / "unet.weights.h5").exists()


def test_an_interrupted_search_keeps_its_rows(tiny, tmp_path, capsys, monkeypatch):
    run = recipes.run

    def interrupted(name, *arguments):
        if name == "two":
            raise KeyboardInterrupt
        return run(name, *arguments)

    monkeypatch.setattr(recipes, "run", interrupted)
    assert main(["--out", str(tmp_path)]) == 130
    assert [row["recipe"] for row in read_rows(tmp_path / "recipes.csv")] == ["one"]


def test_the_fastest_stretch_counts(monkeypatch):
    history = [{"seconds": seconds} for seconds in (30.0, 32.5, 34.5, 38.0, 41.0)]
    monkeypatch.setattr(recipes, "train", lambda *_, **__: (None, None, history))
    assert recipes.updates_in(8, RECIPES["base"], 1) == 2400  # 2 seconds for 10 of them


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["huge"], "RECIPE must be one of base, patches, "),
        (["base", "--minutes", "0"], "--minutes must be above 0, not 0.0."),
    ],
)
def test_refuses(arguments, message, tmp_path, capsys):
    assert main([*arguments, "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")
