"""The compiled loop, guidance, seeds, the command line. The solvers' maths is in test_solvers.py."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import helpers.sampling as sampling
from helpers.diffusion import keyed_noise
from helpers.sampling import guided_noise, sample
from helpers.unet import predict_noise


def test_the_loop_is_algorithm_2(lively_unet, schedule):
    """The compiled loop beside the same thing written out, guided, clipped, with fresh noise."""
    labels = np.array([3, 7], np.int32)
    options = {"method": "ddpm", "guidance_scale": 2.0, "guidance_interval": None, "seed": 5}
    drawn, trajectory = sample(lively_unet, schedule, labels, **options, keep=range(100))
    x = keyed_noise(5, np.arange(2), (28, 28, 1)).numpy()
    for i, t in enumerate(range(99, -1, -1)):
        np.testing.assert_allclose(trajectory.x_t[i], x, atol=0.02)
        x = trajectory.x_t[i]  # compare single steps: a hundred in a row would add up rounding
        times = np.full(2, t, np.int32)
        noise_cond = predict_noise(lively_unet, schedule, x, times, labels)
        noise_uncond = predict_noise(lively_unet, schedule, x, times, [-1, -1])
        noise = noise_uncond + 2.0 * (noise_cond - noise_uncond)
        alpha_bar, beta = schedule.alpha_bars[t], schedule.betas[t]
        before = schedule.alpha_bars[t - 1] if t else 1.0
        x_0 = np.clip((x - np.sqrt(1 - alpha_bar) * noise) / np.sqrt(alpha_bar), -1, 1)
        np.testing.assert_allclose(trajectory.x_0[i], x_0, atol=0.02)
        x_0 = trajectory.x_0[i]
        mean = (np.sqrt(before) * beta * x_0 + np.sqrt(1 - beta) * (1 - before) * x) / (1 - alpha_bar)
        fresh = keyed_noise(5, np.arange(2), (28, 28, 1), step=t + 1).numpy()
        x = mean + np.sqrt(beta * (1 - before) / (1 - alpha_bar)) * fresh
    np.testing.assert_allclose(drawn, x, atol=0.02)
    np.testing.assert_allclose(drawn, trajectory.x_0[-1], atol=1e-6)


def test_compiled_once_whatever_is_asked(lively_unet, schedule, monkeypatch):
    traced, draw = [], sampling.keyed_noise
    monkeypatch.setattr(
        sampling, "keyed_noise", lambda *arguments, **step: traced.append(1) or draw(*arguments, **step)
    )
    sample(lively_unet, schedule, [3, 1], steps=2)
    assert len(traced) == 2  # the start and a step's noise: Python runs the loop only while it is compiled
    sample(lively_unet, schedule, [1, 5, 5], method="ddpm", steps=3, guidance_scale=0.5, seed=1)
    sample(lively_unet, schedule, np.arange(60) % 10, method="ddim", steps=1, guidance_interval=None)
    assert len(traced) == 2


def test_guidance_formula(lively_unet, schedule):
    x_t, t, labels = (
        np.random.default_rng(0).normal(size=(3, 28, 28, 1)).astype(np.float32),
        np.array([80, 40, 5], np.int32),
        np.array([1, 2, 3], np.int32),
    )
    cond = predict_noise(lively_unet, schedule, x_t, t, labels).numpy()
    uncond = predict_noise(lively_unet, schedule, x_t, t, np.full(3, -1, np.int32)).numpy()
    for scale, expected in (
        (0.0, uncond),
        (1.0, cond),
        (0.5, (cond + uncond) / 2),
        (3.0, uncond + 3 * (cond - uncond)),
    ):
        tolerance = 1e-3 * np.abs(expected).max()
        np.testing.assert_allclose(
            guided_noise(lively_unet, schedule, tf.constant(x_t), t, labels, scale), expected, atol=tolerance
        )


def same(first, second):
    np.testing.assert_allclose(first.images, second.images, atol=2 / 255)


def test_scale_one_is_conditional_and_zero_unconditional(lively_unet, schedule):
    labels, options = [0, 5, 9], {"steps": 8, "seed": 1}
    conditional = sample(lively_unet, schedule, labels, guidance_scale=1.0, **options)
    same(conditional, sample(lively_unet, schedule, labels, guidance_scale=1 + 1e-6, **options))
    unconditional = sample(lively_unet, schedule, labels, guidance_scale=0.0, **options)
    same(unconditional, sample(lively_unet, schedule, [-1, -1, -1], **options))
    assert np.abs(conditional.images - unconditional.images).max() > 0.1


def test_guidance_only_inside_its_interval(lively_unet, schedule):
    labels, options = [0, 5, 9], {"steps": 10, "guidance_scale": 4.0}  # times 99, 89, ..., 9
    plain = sample(lively_unet, schedule, labels, **{**options, "guidance_scale": 1.0})
    same(plain, sample(lively_unet, schedule, labels, guidance_interval=(50, 58), **options))
    guided = sample(lively_unet, schedule, labels, guidance_interval=None, **options)
    same(guided, sample(lively_unet, schedule, labels, guidance_interval=(9, 99), **options))
    only_one = sample(lively_unet, schedule, labels, guidance_interval=(59, 59), **options)
    assert all(np.abs(only_one.images - other.images).max() > 0.05 for other in (plain, guided))


@pytest.mark.parametrize("method", ["ddpm", "ddim", "dpm++"])
def test_an_image_does_not_depend_on_the_batch_split(schedule, method, monkeypatch):
    unet, schedule = sampling.load_unet()
    options = {"method": method, "steps": 10, "seed": 3}
    whole = sample(unet, schedule, [3, 1, 4, 1, 5], **options)
    monkeypatch.setattr(sampling, "BATCH_SIZE", 2)
    split = sample(unet, schedule, [3, 1, 4, 1, 5], **options)
    np.testing.assert_allclose(whole.images, split.images, atol=2 / 255)  # 1/255 of the range from -1 to 1
    np.testing.assert_allclose(whole.images[:2], sample(unet, schedule, [3, 1], **options).images, atol=2 / 255)
    assert np.abs(whole.images[1] - whole.images[3]).max() > 0.5  # the same digit, but another image
    other_seed = sample(unet, schedule, [3, 1, 4, 1, 5], **{**options, "seed": 4})
    assert np.abs(whole.images - other_seed.images).max(axis=(1, 2, 3)).min() > 0.5


def test_numbers_draw_a_part_of_a_larger_request(lively_unet, schedule, monkeypatch):
    monkeypatch.setattr(sampling, "BATCH_SIZE", 2)
    labels = np.array([3, 1, 4, 1, 5])
    whole = sample(lively_unet, schedule, labels, steps=3, seed=6).images
    part = sample(lively_unet, schedule, labels[[4, 0, 2]], steps=3, seed=6, numbers=[4, 0, 2]).images
    np.testing.assert_allclose(part, whole[[4, 0, 2]], atol=2 / 255)
    assert np.abs(part - sample(lively_unet, schedule, labels[[4, 0, 2]], steps=3, seed=6).images).max() > 0.1


def test_keep_selects_steps(lively_unet, schedule):
    everything = sample(lively_unet, schedule, [1, 2], steps=6, keep=range(6)).trajectory
    some = sample(lively_unet, schedule, [1, 2], steps=6, keep=[0, 5]).trajectory
    assert some.t.tolist() == [99, 16] and some.x_t.shape == some.x_0.shape == (2, 2, 28, 28, 1)
    np.testing.assert_array_equal(some.x_0, everything.x_0[[0, 5]])
    np.testing.assert_allclose(everything.x_t[0], keyed_noise(0, np.arange(2), (28, 28, 1)), atol=1e-6)
    assert sample(lively_unet, schedule, [1, 2], steps=6).trajectory is None


def test_defaults_alone_draw_digits():
    unet, schedule = sampling.load_unet()
    images = sample(unet, schedule, np.arange(10), seed=1).images
    assert images.shape == (10, 28, 28, 1) and images.dtype == np.float32
    assert images.min() >= -1 and images.max() <= 1
    ink = (images > 0).mean(axis=(1, 2, 3))
    assert np.all((ink > 0.02) & (ink < 0.4))


def test_command_line_draws_a_png(tmp_path, capsys):
    out = tmp_path / "pi.png"
    assert sampling.main(["314159", "--out", str(out), "--steps", "5"]) == 0
    assert "6 digits" in capsys.readouterr().out
    picture = tf.io.decode_png(out.read_bytes()).numpy()
    assert picture.shape == (28 * 4, 6 * 28 * 4, 1) and picture.max() == 255 and picture.min() == 0
    assert [file.name for file in tmp_path.iterdir()] == ["pi.png"]


def test_moments_lie_one_below_the_other_from_noise_to_the_digits(tmp_path):
    finished, way = tmp_path / "finished.png", tmp_path / "way.png"
    arguments = ["3141", "--steps", "5", "--out"]
    assert sampling.main([*arguments, str(finished)]) == sampling.main([*arguments, str(way), "--moments", "3"]) == 0
    last, whole = (tf.io.decode_png(path.read_bytes()).numpy() for path in (finished, way))
    size = 28 * 4
    assert whole.shape == (3 * size, 4 * size, 1)
    np.testing.assert_array_equal(whole[2 * size :], last)
    noise, middle = whole[:size].astype(float), whole[size : 2 * size].astype(float)
    # Noise is bright half of the time, a digit hardly ever.
    assert noise.std() > middle.std() > 0 and np.mean(noise < 64) < 0.5 < np.mean(last < 64)


@pytest.mark.parametrize(
    "arguments",
    [
        ["12a"],
        [""],
        ["３"],
        ["7", "--steps", "0"],
        ["7", "--moments", "0"],
        ["7", "--moments", "22"],
        ["7", "--steps", "101"],
        ["7", "--guidance-scale", "-1"],
        ["7", "--method", "euler"],
        ["7", "--seed", "-1"],
        ["7", "--weights", "nowhere"],
        ["7", "--out", "digits.gif"],
        ["7", "--steps", "many"],
    ],
)
def test_command_line_says_what_is_wrong_in_one_line(arguments, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        code = sampling.main(arguments)
    except SystemExit as stop:  # what argparse itself refuses
        code = stop.code
    assert code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_save_png_fills_the_last_row(tmp_path):
    images = np.stack([np.full((28, 28, 1), value) for value in (1.0, 0.0, 1.0)])
    sampling.save_png(tmp_path / "grid.png", images, columns=2, enlarge=1)
    picture = tf.io.decode_png((tmp_path / "grid.png").read_bytes()).numpy()[..., 0]
    assert picture.shape == (56, 56)
    assert [picture[0, 0], picture[0, 55], picture[55, 0], picture[55, 55]] == [255, 128, 255, 0]


# --- several devices ---

ON_TWO_DEVICES = """
import tensorflow as tf

import helpers.sampling as sampling

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
import sys
from pathlib import Path

import numpy as np

from helpers.checkpoints import SHIPPED
from helpers.evaluation import _draw

sampling.BATCH_SIZE, compiled, seen = 3, sampling._compiled_loop, []


def noting_devices(*arguments):
    loop = compiled(*arguments)

    def noted(labels, numbers, *rest):
        images, frames = loop(labels, numbers, *rest)
        seen.append((int(numbers[0]), images.device[-5:]))
        return images, frames

    return noted


sampling._compiled_loop = noting_devices
unet, schedule = sampling.load_unet()
labels = np.arange(10, dtype=np.int32)
two, trajectory = sampling.sample(unet, schedule, labels, steps=4, seed=2, keep=[1])
assert sorted(seen) == [(0, "CPU:0"), (3, "CPU:1"), (6, "CPU:0"), (9, "CPU:1")], seen
seen.clear()
report_card = _draw(SHIPPED, labels, 2, Path(sys.argv[1]), progress=False)
assert {device for _, device in seen} == {"CPU:0", "CPU:1"}
sampling.local_devices = lambda: ["/CPU:0"]
one, same_trajectory = sampling.sample(unet, schedule, labels, steps=4, seed=2, keep=[1])
np.testing.assert_array_equal(one, two)
np.testing.assert_array_equal(trajectory.x_0, same_trajectory.x_0)
np.testing.assert_array_equal(report_card, sampling.sample(unet, schedule, labels, seed=2).images)
"""


def test_two_devices_draw_what_one_draws(tmp_path):
    """In a process of its own: TensorFlow splits its device up only before it has used it."""
    command = [sys.executable, "-c", ON_TWO_DEVICES, str(tmp_path)]
    done = subprocess.run(command, cwd=Path(sampling.__file__).parents[1], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_one_device_by_default():
    assert [name[-5:] for name in sampling.local_devices()] == ["CPU:0"]
