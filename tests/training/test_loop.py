"""Algorithm 1 by hand, the average, the clipping, resuming, several workers, and what stops a training."""

import json
import os
import signal
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import forget_custom_gradients

import helpers.training as training
from helpers.augmentation import DRAWS, augment
from helpers.checkpoints import load_unet
from helpers.data import to_model_range
from helpers.diffusion import keyed_noise
from helpers.objective import (
    TrainingConfig,
    draw_times,
    held_out_mse,
    training_loss,
    update_average,
)
from helpers.training import train, train_step
from helpers.unet import UNetConfig, build_unet

ROOT = Path(__file__).resolve().parent.parent


class Spy:
    """A network that predicts zero and remembers what it was shown."""

    def __init__(self, predicts="noise"):
        self.unet_config = UNetConfig(predicts=predicts)

    def __call__(self, inputs):
        self.x_t, self.t, self.labels = inputs
        return tf.zeros_like(self.x_t)


@pytest.fixture(scope="module")
def batch(mnist):
    return tf.range(512, dtype=tf.int64), to_model_range(mnist.train_images[:512]), tf.ones(512, tf.int32) * 4


@pytest.mark.parametrize("predicts", ["noise", "velocity"])
def test_loss_is_algorithm_1(schedule, batch, predicts):
    numbers, x_0, labels = batch
    spy = Spy(predicts)
    loss = training_loss(spy, schedule, TrainingConfig(augmentation=0.0), numbers, x_0, labels)
    noise = keyed_noise(0, numbers, (28, 28, 1)).numpy()
    alpha_bar = schedule.alpha_bars[spy.t.numpy()].reshape(-1, 1, 1, 1)
    np.testing.assert_allclose(spy.x_t, np.sqrt(alpha_bar) * x_0 + np.sqrt(1 - alpha_bar) * noise, atol=1e-5)
    target = noise if predicts == "noise" else np.sqrt(alpha_bar) * noise - np.sqrt(1 - alpha_bar) * x_0
    np.testing.assert_allclose(loss, np.mean(target**2), rtol=1e-5)


def test_every_step_is_drawn_and_labels_drop_one_by_one(schedule, batch):
    _, x_0, labels = batch
    spy, seen_t, dropped = Spy(), [], []
    for i in range(8):
        training_loss(spy, schedule, TrainingConfig(), tf.range(512 * i, 512 * (i + 1), dtype=tf.int64), x_0, labels)
        seen_t.append(spy.t.numpy())
        dropped.append(spy.labels.numpy() == -1)
        assert set(spy.labels.numpy()) == {4, -1}  # never the whole batch, never none of it
    assert set(np.concatenate(seen_t)) == set(range(100))
    assert abs(np.mean(seen_t) - 49.5) < 2
    assert abs(np.mean(dropped) - 0.1) < 0.02
    assert abs(np.corrcoef(np.ravel(dropped), np.ravel(seen_t))[0, 1]) < 0.06  # t says nothing about dropping
    training_loss(spy, schedule, TrainingConfig(label_dropout=0.0), *batch)
    assert set(spy.labels.numpy()) == {4}


def test_middle_times_are_drawn_more_often_and_none_never():
    uniform = (np.arange(200_000) + 0.5) / 200_000
    t = draw_times(tf.constant(uniform, tf.float32), 100, "middle").numpy()
    counts = np.bincount(t, minlength=100) / len(t)
    # Half of them uniform, half with the density of a logit-normal: 1 / (sqrt(2 pi) u (1 - u)) exp(-logit(u)^2 / 2).
    u = (np.arange(100) + 0.5) / 100
    logit_normal = np.exp(-(np.log(u / (1 - u)) ** 2) / 2) / (np.sqrt(2 * np.pi) * u * (1 - u))
    np.testing.assert_allclose(counts, 0.005 + 0.005 * logit_normal, atol=2e-4)


@pytest.mark.parametrize("augmentation", [0.0, 1.0])
def test_a_share_of_a_batch_sees_what_the_whole_batch_saw(schedule, batch, augmentation):
    whole, part, config = Spy(), Spy(), TrainingConfig(augmentation=augmentation, augmented_from=0)
    training_loss(whole, schedule, config, *batch)
    training_loss(part, schedule, config, *(values[100:200] for values in batch))
    # Images that are resized in another place of a batch may differ in the last digit.
    np.testing.assert_allclose(part.x_t, whole.x_t[100:200], atol=1e-4 if augmentation else 0, rtol=0)
    np.testing.assert_array_equal(part.labels, whole.labels[100:200])


def test_augmented_images_are_noised_and_aimed_at(schedule, batch):
    numbers, x_0, labels = batch
    spy = Spy("velocity")
    loss = training_loss(spy, schedule, TrainingConfig(augmentation=0.5, augmented_from=0), numbers, x_0, labels)
    changed = augment(x_0, keyed_noise(0, numbers, (DRAWS,), step=2), 0.5).numpy()
    noise = keyed_noise(0, numbers, (28, 28, 1)).numpy()
    alpha_bar = schedule.alpha_bars[spy.t.numpy()].reshape(-1, 1, 1, 1)
    np.testing.assert_allclose(spy.x_t, np.sqrt(alpha_bar) * changed + np.sqrt(1 - alpha_bar) * noise, atol=1e-5)
    np.testing.assert_allclose(
        loss, np.mean((np.sqrt(alpha_bar) * noise - np.sqrt(1 - alpha_bar) * changed) ** 2), rtol=1e-5
    )


def test_less_noisy_images_are_left_as_they_are(schedule, batch):
    numbers, x_0, labels = batch
    plain, every, some = Spy(), Spy(), Spy()
    recipes = ({"augmentation": 0.0}, {"augmented_from": 0}, {"augmented_from": 40})
    for spy, recipe in zip((plain, every, some), recipes, strict=True):
        training_loss(spy, schedule, TrainingConfig(**recipe), numbers, x_0, labels)
    t = some.t.numpy()
    assert {39, 40} <= set(t)
    np.testing.assert_array_equal(some.x_t[t < 40], plain.x_t[t < 40])
    np.testing.assert_array_equal(some.x_t[t >= 40], every.x_t[t >= 40])
    assert np.all(np.any(some.x_t[t == 40] != plain.x_t[t == 40], axis=(1, 2, 3)))


def test_average_warms_up_and_then_keeps_its_decay(small_config):
    unet, average = build_unet(small_config), build_unet(small_config)
    average.set_weights([np.zeros_like(weight) for weight in average.get_weights()])
    unet.set_weights([np.ones_like(weight) for weight in unet.get_weights()])
    expected = 0.0
    for step in (1, 2, 1000, 100_000):
        update_average(average, unet, tf.constant(step), 0.998)
        decay = min(0.998, (1 + step) / (10 + step))
        expected = decay * expected + 1 - decay
        for weight in average.get_weights():
            np.testing.assert_allclose(weight, expected, rtol=1e-5)


def test_the_gradient_is_clipped(small_config):
    unet = build_unet(small_config)
    before = unet.get_weights()
    optimizer = keras.optimizers.SGD(1.0)
    for clip_norm in (0.1, 0.3):
        unet.set_weights(before)
        inputs = [tf.ones((2, 28, 28, 1)), tf.zeros(2, tf.int32), tf.zeros(2, tf.int32)]
        train_step(unet, optimizer, clip_norm, lambda inputs=inputs: 1e4 * tf.reduce_mean((unet(inputs) - 1) ** 2))
        moved = np.sqrt(sum(np.sum((a - b) ** 2) for a, b in zip(unet.get_weights(), before, strict=True)))
        np.testing.assert_allclose(moved, clip_norm, rtol=1e-3)


TINY = UNetConfig(widths=(8, 8, 8), embedding_width=16, heads=2)


@pytest.fixture(autouse=True)
def graphs_are_forgotten():
    """So many trainings in one file would hold half a gigabyte of graphs until its end."""
    yield
    forget_custom_gradients()


def tiny_run(mnist, out=None, steps=12, optimizer="adamw", **options):
    recipe = TrainingConfig(steps=steps, batch_size=16, warmup_steps=2, optimizer=optimizer)
    images, labels = mnist.train_images[:100], mnist.train_labels[:100]
    return train(TINY, recipe, images, labels, out, history_every=5, progress=False, **options)


@pytest.fixture(scope="module")
def left_alone(mnist, tmp_path_factory):
    """A whole run that nothing happens to: its folder, its network, its history."""
    folder = tmp_path_factory.mktemp("left_alone")
    unet, _, history = tiny_run(mnist, folder)
    return folder, unet, history


def test_streams_change_nothing_but_the_time(mnist, left_alone):
    whole, pieces = left_alone[2], tiny_run(mnist, streams=4)[2]
    np.testing.assert_allclose([row["loss"] for row in pieces], [row["loss"] for row in whole], rtol=2e-5)
    with pytest.raises(ValueError, match=r"batch_size must be divisible by devices times streams \(1 x 3\), not 16"):
        tiny_run(mnist, streams=3)


def test_one_stream_a_core_divides_the_batch(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(6)), raising=False)
    monkeypatch.setattr(tf.config.threading, "get_intra_op_parallelism_threads", lambda: 1)
    assert (training.one_stream_a_core(128), training.one_stream_a_core(12)) == (4, 6)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["one"])
    assert training.one_stream_a_core(128) == 1  # a GPU wants the whole batch at once


def test_one_stream_once_tensorflow_runs():
    assert tf.config.threading.get_intra_op_parallelism_threads() == 0  # conftest.py has started its threads
    assert training.one_stream_a_core(128) == 1


def interrupt_after(steps, monkeypatch):
    """A real SIGINT to this process, sent while step number `steps` is being counted."""
    update, seen = training.tqdm.update, []

    def counted(bar, n=1):
        seen.append(n)
        if len(seen) == steps:
            os.kill(os.getpid(), signal.SIGINT)
        return update(bar, n)

    monkeypatch.setattr(training.tqdm, "update", counted)


def test_resuming_gives_the_run_it_would_have_been(mnist, left_alone, tmp_path, monkeypatch):
    handler = signal.getsignal(signal.SIGINT)
    _, whole, history = left_alone
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt, match="Stopped after step 7, saved in"):
        interrupt_after(7, patch)
        tiny_run(mnist, tmp_path)
    assert [row["step"] for row in json.loads(str(np.load(tmp_path / "checkpoint.npz")["state"]))["history"]] == [5]
    load_unet(tmp_path)  # what was saved can be used as it is
    assert signal.getsignal(signal.SIGINT) is handler
    resumed, _, resumed_history = tiny_run(mnist, tmp_path, resume=True)
    assert [row["step"] for row in resumed_history] == [5, 10, 12]
    losses = [[row["loss"] for row in rows] for rows in (history, resumed_history)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    for mine, theirs in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)
    for mine, theirs in zip(load_unet(tmp_path)[0].get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_muon_resumes_with_its_momentum(mnist, tmp_path, monkeypatch):
    *_, history = tiny_run(mnist, optimizer="muon")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_after(7, patch)
        tiny_run(mnist, tmp_path, optimizer="muon")
    *_, resumed = tiny_run(mnist, tmp_path, optimizer="muon", resume=True)
    np.testing.assert_allclose([row["loss"] for row in resumed], [row["loss"] for row in history], rtol=1e-5)


def test_resuming_another_recipe_is_refused(mnist, left_alone):
    with pytest.raises(ValueError, match="belongs to another recipe: steps 12, not 3"):
        tiny_run(mnist, left_alone[0], steps=3, resume=True)


def test_a_loss_that_is_not_a_number_stops_and_keeps_the_checkpoint(mnist, left_alone):
    folder, _, _ = left_alone
    before = (folder / "checkpoint.npz").read_bytes()
    recipe = TrainingConfig(steps=20, batch_size=16, warmup_steps=0, learning_rate=1e30)
    with pytest.raises(FloatingPointError, match="the loss at step .* is (nan|inf)"):
        train(TINY, recipe, mnist.train_images[:100], mnist.train_labels[:100], folder, progress=False)
    assert (folder / "checkpoint.npz").read_bytes() == before


@pytest.mark.parametrize("wrong", ["size", "type", "label", "length"])
def test_data_that_does_not_fit_the_network(mnist, wrong):
    images, labels = mnist.train_images[:50], mnist.train_labels[:50].astype(int)
    if wrong == "size":
        images = images[:, :24]
    elif wrong == "type":
        images = images / 255
    elif wrong == "label":
        labels[3] = 10
    else:
        labels = labels[:49]
    with pytest.raises(ValueError, match="images must be" if wrong in ("size", "type") else "labels must be"):
        train(TINY, TrainingConfig(steps=1, batch_size=16), images, labels, progress=False)


@pytest.mark.parametrize(("optimizer", "learning_rate"), [("adamw", 1e-2), ("muon", 3e-2)])
def test_it_learns(mnist, optimizer, learning_rate):
    recipe = TrainingConfig(steps=60, batch_size=64, warmup_steps=10, optimizer=optimizer, learning_rate=learning_rate)
    images, labels = mnist.train_images[:2000], mnist.train_labels[:2000]
    unet, schedule, history = train(TINY, recipe, images, labels, history_every=10, progress=False)
    assert history[-1]["loss"] < 0.8 * history[0]["loss"]
    mse = held_out_mse(unet, schedule, mnist.train_images[-500:], mnist.train_labels[-500:], per_image=2)
    assert mse.noise.mean() < 0.6


def test_held_out_mse_of_predicting_zero_is_one(mnist, schedule):
    mse = held_out_mse(Spy("noise"), schedule, mnist.train_images[-500:], mnist.train_labels[-500:], per_image=20)
    assert mse.noise.shape == mse.x_0.shape == (100,)
    np.testing.assert_allclose(mse.noise, 1.0, atol=0.03)
    assert np.all((mse.x_0 > 0) & (mse.x_0 < 4)) and mse.x_0[0] < 0.01 < mse.x_0[99]
    with pytest.raises(ValueError, match="images must be at least 100"):
        held_out_mse(Spy("noise"), schedule, mnist.train_images[:99], mnist.train_labels[:99])


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"batch_size": 1.5},
        {"optimizer": "sgd"},
        {"augmentation": -0.5},
        {"augmentation": float("nan")},
        {"augmented_from": 100},
        {"augmented_from": 40.5},
        {"learning_rate": -1.0},
        {"label_dropout": 1.0},
        {"ema_decay": 2.0},
        {"schedule": "square"},
        {"seed": -1},
        {"diffusion_steps": 0},
        {"gradient_clip": float("nan")},
    ],
)
def test_config_refuses(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TrainingConfig(**wrong)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--out is needed"),
        (["--out", "new", "--steps", "0"], "steps must be"),
        (["--out", "new", "--augmentation", "9"], "augmentation must be from 0 to 4, not 9.0"),
        (["--out", "new", "--augmented-from", "-1"], "augmented_from must be a whole number in 0..99, not -1"),
        (["--out", "new", "--label-dropout", "1.5"], "label_dropout must be at least 0 and below 1, not 1.5"),
        (["--out", "new", "--widths", "8", "0"], "widths must be 2 to 4 whole numbers in 1..512, not (8, 0)"),
        (["--out", "new", "--embedding-width", "7"], "embedding_width must be even, not 7"),
        (["--out", "new", "--resume"], "can't be resumed from"),
        (["--out", "old"], "add --resume"),
        (["--held-out", "nowhere"], "nowhere is not a trained network"),
    ],
)
def test_command_line_says_what_is_wrong_in_one_line(arguments, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "checkpoint.npz").touch()
    assert training.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1
