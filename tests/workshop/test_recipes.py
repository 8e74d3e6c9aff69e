"""The search among recipes: every one can be built, and all of them get the same time."""

import inspect
import json
from dataclasses import asdict, replace

import pytest

from helpers.checkpoints import PRETRAINED, load_denoiser
from helpers.diffusion import cosine_schedule
from helpers.tools.files import ASSETS, read_rows
from helpers.training.loop import train
from helpers.training.objective import TrainingConfig
from helpers.unet import UNetConfig, build_denoiser, build_unet
from helpers.workshop import recipes
from helpers.workshop.recipes import RECIPES, Recipe
from helpers.workshop.tuning import Quality
from tests.conftest import TINY, said


@pytest.fixture(scope="module")
def parameters():
    """The number of weights of each recipe's network."""
    networks = {json.dumps(recipe.unet): UNetConfig(**recipe.unet) for recipe in RECIPES.values()}
    counts = {key: build_unet(config).count_params() for key, config in networks.items()}
    return {name: counts[json.dumps(recipe.unet)] for name, recipe in RECIPES.items()}


def test_every_recipe_can_be_built_within_the_limit(parameters):
    assert len(RECIPES) <= 12 and max(parameters.values()) <= 2_000_000
    for recipe in RECIPES.values():
        TrainingConfig(**recipe.training)
    assert len({json.dumps([recipe.unet, recipe.training]) for recipe in RECIPES.values()}) == len(RECIPES)


def test_the_pretrained_network_has_the_last_recipe():
    trained = json.loads((PRETRAINED / "config.json").read_text(encoding="utf-8"))["training"]
    last = RECIPES["augmented"]
    assert load_denoiser().config == UNetConfig(**last.unet) == UNetConfig()
    assert TrainingConfig(**last.training) == TrainingConfig()
    assert trained.items() >= asdict(TrainingConfig()).items()


def test_the_shipped_table_is_of_these_recipes(parameters):
    rows = [row for row in read_rows(ASSETS / "recipes.csv") if not row["question"].startswith("historical: ")]
    assert {row["recipe"] for row in rows if row["seed"] == "0"} == set(RECIPES)
    twice = {row["recipe"] for row in rows if row["seed"] == "1"}
    best = sorted(RECIPES, key=lambda name: min(float(row["ratio_at_1"]) for row in rows if row["recipe"] == name))
    assert twice >= set(best[:3]) and len(rows) == len(RECIPES) + len(twice)
    for row in rows:
        assert int(row["parameters"]) == parameters[row["recipe"]]
        assert row["question"] == RECIPES[row["recipe"]].question


def test_a_recipe_is_trained_and_measured(tmp_path, monkeypatch):
    """`train` is replaced by a function that checks how it is called and returns an untrained network."""
    scales, trained = [], []

    def untrained(*arguments, **options):
        given = inspect.signature(train).bind(*arguments, **options).arguments
        assert given["images"].shape == (55_000, 28, 28) and given["labels"].shape == (55_000,)
        trained.append((given["out"], given["config"]))
        return build_denoiser(given["unet_config"], cosine_schedule()), []

    class Yardstick:
        def measure(self, denoiser, settings):
            assert denoiser.config == replace(TINY, predicts="velocity")
            scales.append(settings.guidance_scale)
            return Quality(20, 0.9 + len(scales) / 100, 2.0, 1.0, 0.9, 0.1)

    sizes = {"widths": TINY.widths, "heads": TINY.heads, "embedding_width": TINY.embedding_width}
    monkeypatch.setitem(RECIPES, "tiny", Recipe("?", sizes, {"batch_size": 4}))
    monkeypatch.setattr(recipes, "train", untrained)
    monkeypatch.setattr(recipes, "updates_in", lambda minutes, recipe, streams: 200)
    row = recipes.run("tiny", 1, 0.5, Yardstick(), tmp_path)
    assert (row["recipe"], row["seed"], row["updates"], row["question"]) == ("tiny", 1, 200, "?")
    assert row["images_per_second"] == 27  # 200 times 4 in half a minute
    assert scales == [1.0, 1.5] and (row["accuracy_at_1"], row["accuracy_at_1.5"]) == (0.91, 0.92)
    # Another seed gets as many updates, however many would fit into the minutes now.
    monkeypatch.setattr(recipes, "updates_in", lambda minutes, recipe, streams: 3)
    assert recipes.run("tiny", 2, 0.5, Yardstick(), tmp_path)["updates"] == 200
    configs = [TrainingConfig(steps=200, batch_size=4, seed=seed) for seed in (1, 2)]
    assert trained == [(tmp_path / "tiny" / f"seed-{config.seed}", config) for config in configs]


@pytest.mark.parametrize(
    "text", ["", "{", "2.5", '"2"', "true", "null", "[2]", "0", "-2", "NaN", "[" * 100_000, "\xff"]
)
def test_a_damaged_number_of_updates_is_named(text, tmp_path):
    plan = tmp_path / "base" / "updates.json"
    plan.parent.mkdir()
    plan.write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match="updates.json is damaged .*; delete it to count the updates again") as raised:
        recipes.run("base", 0, 1.0, None, tmp_path)
    said(raised)


def test_the_fastest_stretch_counts(monkeypatch):
    history = [{"seconds": seconds} for seconds in (30.0, 32.5, 34.5, 38.0, 41.0)]
    monkeypatch.setattr(recipes, "train", lambda *_, **__: (None, history))
    assert recipes.updates_in(8, RECIPES["base"], 1) == 2400  # 2 seconds for 10 of them
    assert recipes.updates_in(0.001, RECIPES["base"], 1) == 1  # none at all could not be planned
