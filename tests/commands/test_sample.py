"""The command `sample`: a picture or an animation of what was requested, or one line that says what is wrong."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import checkpoints
from helpers.__main__ import main
from helpers.checkpoints import PRETRAINED
from helpers.data import to_pixels
from helpers.display.images import decode_png, image_grid
from helpers.sampling import sampler
from helpers.sampling.sampler import SamplerSettings, sample
from tests.conftest import TINY, lively

SIZE = 28 * 4  # pixels of one digit in the picture


@pytest.fixture(scope="module")
def denoiser(schedule):
    """A tiny network that all tests share, and with it the compiled loop."""
    return lively(TINY, schedule)


@pytest.fixture
def tiny(denoiser, monkeypatch):
    """The command draws with the tiny network; returns the list of folders that it asked for."""
    folders = []
    monkeypatch.setattr(checkpoints, "load_denoiser", lambda folder: folders.append(folder) or denoiser)
    return folders


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def frames_of(path):
    """Every frame of an animation `(frames, h, w)` or `(frames, h, w, 3)`, and the milliseconds of each."""
    frames, durations = [], []
    with Image.open(path) as animation:
        for number in range(animation.n_frames):
            animation.seek(number)
            animation.load()
            frames.append(np.asarray(animation.convert("RGB")))
            durations.append(animation.info["duration"])
    return np.stack(frames), durations


# --- pictures ---


def test_the_pretrained_network_draws_a_png(capsys):
    assert main(["sample", "314159", "--out", "pi.png", "--steps", "5"]) == 0
    printed = capsys.readouterr()
    assert printed.out == "6 digits in pi.png\n" and printed.err == ""
    picture = decode_png(Path("pi.png").read_bytes())
    assert picture.shape == (SIZE, 6 * SIZE, 1) and picture.max() == 255 and picture.min() == 0
    assert [file.name for file in Path().iterdir()] == ["pi.png"]


def test_defaults_are_the_pretrained_network_and_digits_png(tiny):
    assert main(["sample", "3"]) == main(["sample", "3", "runs/mine"]) == 0
    assert tiny == [PRETRAINED, Path("runs/mine")]
    assert [file.name for file in Path().iterdir()] == ["digits.png"]


@pytest.mark.parametrize(
    ("options", "settings", "seed"),
    [
        ("", SamplerSettings(), 0),
        ("--seed 7 --steps 3", SamplerSettings(steps=3), 7),
        ("--method ddpm --steps 4", SamplerSettings("ddpm", 4), 0),
        ("--method ddim --steps 4 --eta 0", SamplerSettings("ddim", 4, 0.0), 0),
        ("--method ddim --steps 4 --eta 0.5", SamplerSettings("ddim", 4, 0.5), 0),
        ("--steps 4 --eta 0.5", SamplerSettings("dpm++", 4, 0.5), 0),
        ("--steps 4 --guidance-scale 0", SamplerSettings(steps=4, guidance_scale=0.0), 0),
        ("--steps 4 --guidance-scale 6 --guidance-interval 0 99", SamplerSettings("dpm++", 4, 0.0, 6.0, None), 0),
        ("--steps 4 --guidance-scale 6 --guidance-interval 20 30", SamplerSettings("dpm++", 4, 0.0, 6.0, (20, 30)), 0),
    ],
)
def test_every_option_reaches_the_sampler(options, settings, seed, tiny, denoiser):
    assert main(["sample", "31", *options.split()]) == 0
    images = sample(denoiser, [3, 1], settings, seed=seed).images
    picture = decode_png(Path("digits.png").read_bytes())[..., 0].astype(int)
    np.testing.assert_allclose(picture, image_grid(to_pixels(images), 20, 4), atol=2)
    plain = sample(denoiser, [3, 1], SamplerSettings(steps=settings.steps)).images
    assert options == "" or np.abs(images - plain).max() > 0.05  # the option makes a difference


def test_frames_lie_below_each_other_from_noise_to_the_digits(tiny, denoiser):
    arguments = ["sample", "3141", "--steps", "5", "--out"]
    assert main([*arguments, "finished.png"]) == main([*arguments, "way.png", "--frames", "3"]) == 0
    last, whole = (decode_png(Path(name).read_bytes()) for name in ("finished.png", "way.png"))
    assert whole.shape == (3 * SIZE, 4 * SIZE, 1)
    np.testing.assert_array_equal(whole[2 * SIZE :], last)
    frames = sample(denoiser, [3, 1, 4, 1], SamplerSettings(steps=5), keep=[0, 2]).trajectory.x_t
    np.testing.assert_allclose(whole[:SIZE, :, 0].astype(int), image_grid(to_pixels(frames[0]), 20, 4), atol=2)


# --- animations ---


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_an_animation_shows_every_step_and_rests_at_the_digits(suffix, tiny, capsys):
    assert main(["sample", "31", "--steps", "4", "--out", f"birth{suffix}"]) == 0
    assert capsys.readouterr().out == f"2 digits in birth{suffix}\n"
    frames, durations = frames_of(f"birth{suffix}")
    assert frames.shape == (5, SIZE, 2 * SIZE, 3) and durations == [150] * 4 + [2_000]
    main(["sample", "31", "--steps", "4"])
    finished = decode_png(Path("digits.png").read_bytes())
    np.testing.assert_array_equal(frames[-1], finished.repeat(3, axis=2))
    assert np.all(np.abs(np.diff(frames.astype(int), axis=0)).max(axis=(1, 2, 3)) > 0)
    with Image.open(f"birth{suffix}") as animation:
        assert animation.info["loop"] == 0  # for ever


def test_fewer_frames_are_spread_over_the_steps(tiny):
    arguments = ["sample", "3", "--steps", "8", "--out"]
    assert main([*arguments, "all.webp"]) == main([*arguments, "some.webp", "--frames", "3"]) == 0
    np.testing.assert_array_equal(frames_of("some.webp")[0], frames_of("all.webp")[0][[0, 4, 8]])


# --- progress and refusals ---


def test_many_digits_show_their_progress(tiny, capsys):
    assert main(["sample", "7" * 101, "--steps", "1", "--guidance-scale", "1"]) == 0
    printed = capsys.readouterr()
    assert printed.out == "101 digits in digits.png\n" and "5/5" in printed.err
    assert decode_png(Path("digits.png").read_bytes()).shape == (6 * SIZE, 20 * SIZE, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["12a"], "character 3 is 'a'"),
        ([""], "digits must be at least one"),
        (["7", "--steps", "0"], "steps must be"),
        (["7", "--steps", "101"], "steps must be a whole number in 1..100"),
        (["7", "--steps", "many"], "argument --steps: invalid int value"),
        (["7", "--frames", "0"], "--frames must be a whole number in 1..21, not 0"),
        (["7", "--frames", "22"], "--frames must be a whole number in 1..21, not 22"),
        (["7", "--frames", "1", "--out", "7.gif"], "--frames must be a whole number in 2..21, not 1"),
        (["7", "--eta", "2"], "eta must be"),
        (["7", "--guidance-scale", "-1"], "guidance_scale must be"),
        (["7", "--guidance-interval", "70", "40"], "guidance_interval's last t must be"),
        (["7", "--guidance-interval", "40"], "argument --guidance-interval: expected 2 arguments"),
        (["7", "--method", "euler"], "argument --method: invalid choice: 'euler'"),
        (["7", "--seed", "-1"], "seed must be"),
        (["7", "--out", "digits.jpg"], "--out must be a file that ends in .png, .gif or .webp, not 'digits.jpg'"),
        (["7", "--out", ""], "argument --out: the path must not be empty"),
        (["7" * 1_000, "--frames", "21"], "digits times frames must be at most 10,000, not 1000 x 21"),
        (["7" * 1_000, "--out", "7.gif"], "digits times frames must be at most 10,000, not 1000 x 21"),
        (["7" * 477, "--frames", "21"], "digits times frames must be at most 10,000, not 477 x 21"),
        (["7" * 5_001, "--steps", "1", "--frames", "2"], "at most 10,000, not 5001 x 2"),
        (["7" * 100, "--method", "ddpm", "--out", "7.webp"], "at most 10,000, not 100 x 101"),
        ([], "the following arguments are required: digits"),
    ],
)
def test_what_is_wrong_is_one_line(arguments, message, tiny, monkeypatch, capsys):
    monkeypatch.setattr(sampler, "_compiled_loop", lambda *_: pytest.fail("drawn before it was refused"))
    try:
        code = main(["sample", *arguments])
    except SystemExit as stop:  # what argparse itself refuses
        code = stop.code
    assert code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and message in error
    assert list(Path().iterdir()) == []


def test_no_network_in_the_folder(capsys):
    assert main(["sample", "7", "nowhere"]) == 2
    assert capsys.readouterr().err.startswith("error: nowhere is not a trained network")
    assert list(Path().iterdir()) == []


def test_help_says_where_guidance_acts(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["sample", "--help"])
    assert stop.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "Guidance above 1 acts only for t inside --guidance-interval; outside it the scale is 1." in told
