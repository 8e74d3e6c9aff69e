"""One update, the batches of each worker, and the state of a training as it is saved, restored and refused."""

import dataclasses
import json
import shutil
from contextlib import contextmanager

import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers.checkpoints import load_denoiser
from helpers.data import make_dataset
from helpers.tools.arrays import load_checkpoint, save_checkpoint
from helpers.tools.files import ASIDE
from helpers.training import trainer
from helpers.training.objective import TrainingConfig
from helpers.training.trainer import CHECKPOINT, batches, recipe_of, train_step
from helpers.unet import build_unet
from tests.conftest import TINY, said
from tests.training.compiled_once import compiled_once, values_of, variables_of

RECIPE = TrainingConfig(steps=12, batch_size=8, warmup_steps=0, augmentation=0.0)
DATA = {"data": "MNIST", "data_sha256": "0" * 64}


@pytest.fixture(scope="module")
def make_trainer():
    """A new trainer, or the last one of the same recipe put back to its beginning: building one takes a second."""
    trainer_of = compiled_once()

    def make(unet_config=TINY, streams=1, data=DATA, **recipe):
        config = dataclasses.replace(RECIPE, **recipe)
        return trainer_of(unet_config, config, tf.distribute.get_strategy(), streams, data)

    return make


@contextmanager
def without_compiling():
    """Compiling takes longer than a few eager steps."""
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def batch(mnist):
    return next(iter(batches(mnist.train_images, mnist.train_labels, RECIPE, 0, tf.distribute.InputContext())))


# --- One update ---


def test_the_gradient_is_clipped():
    unet = build_unet(TINY)
    before = unet.get_weights()
    optimizer = keras.optimizers.SGD(1.0)
    for clip_norm in (0.1, 0.3):
        unet.set_weights(before)
        inputs = [tf.ones((2, 28, 28, 1)), tf.zeros(2, tf.int32), tf.zeros(2, tf.int32)]
        train_step(unet, optimizer, clip_norm, lambda inputs=inputs: 1e4 * tf.reduce_mean((unet(inputs) - 1) ** 2))
        moved = np.sqrt(sum(np.sum((a - b) ** 2) for a, b in zip(unet.get_weights(), before, strict=True)))
        np.testing.assert_allclose(moved, clip_norm, rtol=1e-3)


def test_streams_change_nothing_but_the_time(make_trainer, batch):
    whole, pieces = make_trainer(), make_trainer(streams=2)
    with without_compiling():
        losses = [float(trainer.distributed_step(*batch)) for trainer in (whole, pieces)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    for theirs, mine in zip(values_of(whole), values_of(pieces), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-4)


def test_streams_that_do_not_divide_the_batch(make_trainer):
    with pytest.raises(ValueError, match=r"batch_size must be divisible by devices times streams \(1 x 3\), not 8"):
        make_trainer(streams=3)


def test_adamw_learns(make_trainer, batch):
    """A few updates on one batch; `test_loop` trains with Muon."""
    trainer = make_trainer(optimizer="adamw", learning_rate=1e-2)
    assert type(trainer.optimizer) is keras.optimizers.AdamW
    with without_compiling():
        losses = [float(trainer.distributed_step(*batch)) for _ in range(4)]
    assert losses == sorted(losses, reverse=True) and losses[-1] < 0.85 * losses[0]


# --- The recipe ---

UNUSUAL = {"optimizer": "adamw", "steps": 10, "warmup_steps": 4, "learning_rate": 0.1, "weight_decay": 0.3}
UNUSUAL |= {"gradient_clip": 0.25, "ema_decay": 0.75, "schedule": "linear", "diffusion_steps": 50, "seed": 5}


@pytest.fixture
def unusual(make_trainer):
    """A trainer whose recipe has no default in it."""
    return make_trainer(precision="mixed_bfloat16", **UNUSUAL)


def test_the_rate_rises_to_its_peak_and_falls_to_zero(unusual, make_trainer):
    def rates(optimizer, steps):
        found = []
        for step in steps:
            optimizer.iterations.assign(step)
            found.append(float(optimizer.learning_rate))
        return found

    assert rates(unusual.optimizer, (0, 2, 4, 7, 10)) == pytest.approx([0, 0.05, 0.1, 0.05, 0], abs=1e-6)
    at_once = make_trainer(learning_rate=0.1).optimizer  # without a warm-up, in 12 steps
    assert rates(at_once, (0, 6, 12)) == pytest.approx([0.1, 0.05, 0], abs=1e-6)


def test_networks_and_optimizer_are_those_of_the_recipe(unusual):
    schedule = unusual.denoiser.schedule
    assert (schedule.name, schedule.steps, unusual.optimizer.weight_decay) == ("linear", 50, 0.3)
    types = [{layer.compute_dtype for layer in part.unet.layers} for part in (unusual.denoiser, unusual.ema)]
    assert "bfloat16" in types[0] and types[1] == {"float32"}  # the average would round small steps away


def test_the_first_weights_follow_the_seed(unusual):
    keras.utils.set_random_seed(5)
    expected = build_unet(TINY).get_weights()
    for denoiser in (unusual.denoiser, unusual.ema):
        for mine, theirs in zip(denoiser.unet.get_weights(), expected, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_an_update_clips_and_averages_as_the_recipe_says(unusual, batch, monkeypatch):
    clipped, averaged = [], []
    monkeypatch.setattr(trainer, "train_step", lambda *arguments: clipped.append(arguments[2]) or tf.zeros(()))
    monkeypatch.setattr(trainer, "update_ema", lambda *arguments: averaged.append(arguments))
    with without_compiling():
        unusual.distributed_step(*batch)
    assert clipped == [0.25]
    ((ema, unet, step, decay),) = averaged
    assert (ema, unet, decay) == (unusual.ema.unet, unusual.denoiser.unet, 0.75)
    assert step is unusual.optimizer.iterations


# --- The batches ---


def test_each_worker_has_its_own_share_and_no_image_comes_twice_in_an_epoch():
    """Two workers with two devices each, 100 images that carry their number, batches of 16, four epochs."""
    images = np.zeros((100, 4, 4), np.uint8)
    images[:, 0, 0] = np.arange(100)
    config = TrainingConfig(steps=25, batch_size=16, seed=3)
    seen = []
    for worker in range(2):
        context = tf.distribute.InputContext(2, worker, num_replicas_in_sync=4)
        pieces = list(batches(images, np.arange(100), config, 0, context))
        assert len(pieces) == 25 * 2 and all(len(sample_ids) == 4 for sample_ids, _, _ in pieces)
        for place, (sample_ids, x_0, labels) in enumerate(pieces):
            assert set(sample_ids.numpy() // 16) == {place // 2}  # of its own step
            np.testing.assert_array_equal(np.rint((x_0[:, 0, 0, 0] + 1) * 127.5), labels)
            seen += zip(sample_ids.numpy().tolist(), labels.numpy().tolist(), strict=True)
    sample_ids, shown = zip(*sorted(seen), strict=True)
    assert sample_ids == tuple(range(400))  # every sample of every batch on one device alone
    for epoch in range(4):
        assert sorted(shown[100 * epoch : 100 * epoch + 100]) == list(range(100))
    whole = make_dataset(images, np.arange(100), 100, config.seed)
    np.testing.assert_array_equal(shown[:100], np.concatenate([labels for _, labels in whole]))


def test_later_steps_have_the_batches_that_they_would_have_had():
    images, labels, config = np.zeros((100, 4, 4), np.uint8), np.arange(100), TrainingConfig(steps=9, batch_size=16)
    whole, rest = (list(batches(images, labels, config, first, tf.distribute.InputContext())) for first in (0, 7))
    assert len(whole) == 9 and len(rest) == 2
    for mine, theirs in zip(rest, whole[7:], strict=True):
        np.testing.assert_array_equal(mine[0], theirs[0])
        np.testing.assert_array_equal(mine[2], theirs[2])


# --- The state ---

HISTORY = [{"step": 3, "loss": 0.75, "seconds": 1.0}]


@pytest.fixture(scope="module")
def saved(make_trainer, tmp_path_factory):
    """The folder of a training after its fifth step, and the values of all that an update changes."""
    folder, trainer, random = tmp_path_factory.mktemp("saved"), make_trainer(), np.random.default_rng(0)
    for variable in variables_of(trainer):
        if np.issubdtype(variable.dtype, np.floating):
            variable.assign(random.normal(0, 0.1, variable.shape))
    trainer.step, trainer.seconds, trainer.recent, trainer.history = 5, 1.5, [0.5, 0.25], HISTORY
    trainer.optimizer.iterations.assign(5)
    trainer.save(folder)
    return folder, values_of(trainer)


@pytest.fixture
def copied(saved, tmp_path):
    """A copy of that folder, for a test that writes to it."""
    shutil.copytree(saved[0], tmp_path / "copy")
    return tmp_path / "copy"


def test_a_restored_training_is_the_saved_one(make_trainer, saved, copied):
    stray = copied / f"{ASIDE}killed" / CHECKPOINT  # as SIGKILL would leave it
    stray.parent.mkdir()
    stray.write_bytes(b"half")
    restored = make_trainer()
    restored.restore(copied)
    for mine, theirs in zip(values_of(restored), saved[1], strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert (restored.step, restored.seconds, restored.recent, restored.history) == (5, 1.5, [0.5, 0.25], HISTORY)
    assert not stray.parent.exists()


def test_what_is_saved_can_be_used_as_it_is(saved):
    """The network that is saved is the EMA, and its record names the recipe and the data."""
    folder, values = saved
    weights = load_denoiser(folder).unet.get_weights()
    for mine, theirs in zip(weights, values[len(weights) : 2 * len(weights)], strict=True):
        np.testing.assert_array_equal(mine, theirs)
    record = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert record["training"] == recipe_of(TINY, RECIPE)["training"] | DATA


def test_nothing_to_restore(make_trainer, tmp_path):
    new = make_trainer()
    new.restore(tmp_path)
    assert new.step == 0


VELOCITY = dataclasses.replace(TINY, predicts="velocity")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"unet_config": VELOCITY, "steps": 3}, "another recipe: predicts 'noise', not 'velocity', steps 12, not 3"),
        ({"data": DATA | {"data_sha256": "1" * 64}}, "data set: 'MNIST' with SHA-256 '000000000000...', not 'MNIST'"),
        (
            {"data": {"data": "shapes.npz", "data_sha256": "1" * 64}},
            "not 'shapes.npz' with SHA-256 '111111111111...'; choose another folder",
        ),
    ],
)
def test_another_training_is_refused(make_trainer, saved, changed, reason):
    other = make_trainer(**changed)
    with pytest.raises(ValueError, match="start anew with --replace") as raised:
        other.restore(saved[0])
    assert str(saved[0]) in said(raised) and reason in said(raised)
    assert other.step == 0


@pytest.mark.parametrize("name", ["renamed.npz", "", "caf\u00e9.npz", None])
def test_the_digest_decides_whatever_the_data_is_called(make_trainer, saved, name):
    same = make_trainer(data=DATA | {"data": name})
    same.restore(saved[0])
    assert same.step == 5


def changed(*names, value=None, remove=False):
    """A change of the state: of the value under these names."""

    def change(arrays, state):
        part = state
        for name in names[:-1]:
            part = part[name]
        if remove:
            del part[names[-1]]
        else:
            part[names[-1]] = value

    return change


def in_arrays(name, convert):
    def change(arrays, state):
        arrays[name][0] = convert(arrays[name][0])

    return change


RECIPE_DIFFERS, DATA_DIFFERS, NO_FIT, DAMAGED = "another recipe", "another data set", "doesn't fit", "is damaged: "
DAMAGES = {
    "no recipe": (changed("recipe", remove=True), RECIPE_DIFFERS),
    "a list for the recipe": (changed("recipe", value=[1]), RECIPE_DIFFERS),
    "a text for the recipe": (changed("recipe", value="mine"), RECIPE_DIFFERS),
    "no unet in the recipe": (changed("recipe", "unet", remove=True), RECIPE_DIFFERS),
    "a list for the unet": (changed("recipe", "unet", value=[8, 8]), RECIPE_DIFFERS),
    "a setting more": (changed("recipe", "training", "colour\n", value=1), r"another recipe: unknown \['colour\\n'\]"),
    "a setting that is huge": (changed("recipe", "training", "seed", value="9" * 10_000), RECIPE_DIFFERS),
    "no data": (changed("data", remove=True), DATA_DIFFERS),
    "a list for the data": (changed("data", value=[]), DATA_DIFFERS),
    "a text for the data": (changed("data", value="MNIST"), DATA_DIFFERS),
    "a number for the digest": (changed("data", "data_sha256", value=7), DATA_DIFFERS),
    "a name of the data with codes": (changed("data", value={"data": "x\n\x1b[2J" * 99}), DATA_DIFFERS),
    "no step": (changed("step", remove=True), DAMAGED + "'step' is missing"),
    "a text for the step": (changed("step", value="5"), DAMAGED + "step must be a whole number in 0..12, not '5'"),
    "half a step": (changed("step", value=5.5), DAMAGED + "step must be"),
    "a step beyond the last": (changed("step", value=13), DAMAGED + "step must be a whole number in 0..12, not 13"),
    "a step before the first": (changed("step", value=-1), DAMAGED + "step must be"),
    "True for the step": (changed("step", value=True), DAMAGED + "step must be"),
    "NaN seconds": (changed("seconds", value=float("nan")), DAMAGED + "seconds must be a finite number"),
    "seconds that are no float": (changed("seconds", value=10**400), DAMAGED + "seconds must be a finite number"),
    "no seconds": (changed("seconds", remove=True), DAMAGED + "'seconds' is missing"),
    "a number for the losses": (changed("recent", value=3), DAMAGED),
    "texts for the losses": (changed("recent", value=["0.5"]), DAMAGED + "recent must be a finite number, not '0.5'"),
    "a NaN among the losses": (changed("recent", value=[float("nan")]), DAMAGED + "recent must be a finite number"),
    "no history": (changed("history", remove=True), DAMAGED + "'history' is missing"),
    "a dictionary for the history": (changed("history", value={"step": 3}), DAMAGED),
    "numbers for the rows": (changed("history", value=[3]), DAMAGED),
    "a row without a loss": (changed("history", 0, "loss", remove=True), DAMAGED + "'loss' is missing"),
    "a text in a row": (changed("history", 0, "loss", value="low"), DAMAGED + "loss must be a finite number"),
    "another version": (
        lambda arrays, state: state.update(versions="1\n2") or arrays["optimizer"].pop(),
        r"was written by '1\\n2', not by .*doesn't fit",
    ),
    "no arrays at all": (lambda arrays, state: arrays.clear(), NO_FIT),
    "no EMA": (lambda arrays, state: arrays.pop("ema"), NO_FIT),
    "another shape": (in_arrays("unet", lambda array: array[..., :-1]), NO_FIT),
    "another type": (in_arrays("unet", lambda array: array.astype(np.float64)), NO_FIT),
    "texts for weights": (in_arrays("ema", lambda array: array.astype(str)), NO_FIT),
    "whole numbers for weights": (in_arrays("ema", lambda array: array.astype(np.int32)), NO_FIT),
    "NaN weights": (in_arrays("unet", lambda array: array * np.nan), DAMAGED + "not all of its numbers are finite"),
    "infinite averages": (
        in_arrays("ema", lambda array: array + np.inf),
        DAMAGED + "not all of its numbers are finite",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_checkpoint_of_another_form_ends_in_one_sentence(damage, make_trainer, copied):
    """And leads out of the trouble: nothing that is advised would be refused next."""
    change, why = DAMAGES[damage]
    arrays, state = load_checkpoint(copied / CHECKPOINT)
    change(arrays, state)
    save_checkpoint(copied / CHECKPOINT, arrays, state)
    fresh = make_trainer()
    before = values_of(fresh)
    with pytest.raises(
        ValueError, match=f"{CHECKPOINT} .*{why}.*; choose another folder, or start anew with"
    ) as raised:
        fresh.restore(copied)
    assert "\x1b" not in said(raised) and len(said(raised)) < 1_000
    for mine, theirs in zip(values_of(fresh), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_weights_that_are_not_numbers_are_not_saved(make_trainer, copied):
    diverged = make_trainer()
    diverged.restore(copied)
    diverged.step = 6
    diverged.denoiser.unet.weights[0].assign(diverged.denoiser.unet.weights[0] * np.nan)
    with pytest.raises(FloatingPointError, match="the weights after step 6 are not finite"):
        diverged.save(copied)
    assert load_checkpoint(copied / CHECKPOINT)[1]["step"] == 5
    load_denoiser(copied)
