"""The notebooks' sliders without a browser: what every position shows, and what is refused."""

import numpy as np
import pytest

from helpers.diffusion import add_noise
from helpers.display.explorers import DenoisingScrubber, ForwardScrubber, GuidanceExplorer, _number
from helpers.display.images import histogram, image_grid
from helpers.display.trajectories import Trajectories, record_trajectories
from tests.display.conftest import assert_controls_are_described, page_of, pixels_as, pixels_of, png_of, text_of

pytestmark = pytest.mark.usefixtures("callbacks_raise", "links_work")
RANDOM = np.random.default_rng(0)


# --- noise, step by step ---


def test_forward_scrubber_shows_add_noise(schedule):
    x_0, noise = RANDOM.uniform(-1, 1, (28, 28, 1)), RANDOM.standard_normal((28, 28, 1))
    scrubber = ForwardScrubber(schedule, x_0, noise)
    assert len(scrubber.frames) == len(set(scrubber.frames)) == 100
    for t in (0, 37, 99):
        scrubber.slider.value = t
        x_t = add_noise(schedule, np.float32(x_0[np.newaxis]), t, np.float32(noise[np.newaxis])).numpy()[0]
        drawn = pixels_of(scrubber)
        alpha_bar = schedule.alpha_bars[t]
        seen = np.clip(x_t[..., 0] / (1 + np.sqrt(1 - alpha_bar)), -1, 1)
        np.testing.assert_allclose(drawn[4::9, 4:252:9, 0], (seen + 1) * 127.5, atol=1)
        np.testing.assert_array_equal(drawn[:, 260:, 0], histogram(x_t))
        snr = alpha_bar / (1 - alpha_bar)
        assert scrubber.readouts[t] == [
            f"t = {t}",
            f"signal √ᾱ = {alpha_bar**0.5:.3f}",
            f"noise √(1 − ᾱ) = {(1 - alpha_bar) ** 0.5:.3f}",
            f"SNR = {_number(snr)}",
            f"log SNR = {np.log(snr):.2f}",
        ]


def test_forward_scrubber_in_colour(schedule):
    x_0, noise = RANDOM.uniform(-1, 1, (20, 20, 3)), RANDOM.standard_normal((20, 20, 3))
    scrubber = ForwardScrubber(schedule, x_0, noise)
    scrubber.slider.value = 60
    x_t = add_noise(schedule, np.float32(x_0[np.newaxis]), 60, np.float32(noise[np.newaxis])).numpy()[0]
    drawn = pixels_of(scrubber)[..., :3]  # 20 pixels, 13 times as large, and beside them the histogram
    seen = x_t / (1 + np.sqrt(1 - schedule.alpha_bars[60]))
    np.testing.assert_allclose(drawn[:, :260], pixels_as(seen, 13), atol=1)
    np.testing.assert_array_equal(drawn[:, 268:], histogram(x_t, 260)[..., np.newaxis].repeat(3, axis=-1))


def test_forward_scrubber_refuses(schedule):
    image = np.zeros((28, 28, 1))
    for x_0, noise in ((image[0], image[0]), (image, image[:5]), (image + 2, image), (image, image * np.nan)):
        with pytest.raises(ValueError, match="x_0"):
            ForwardScrubber(schedule, x_0, noise)


# --- from noise to a digit ---


@pytest.fixture
def recorded():
    """Two digits, three scales, four steps; every picture is different."""
    shape = (3, 5, 2, 28, 28, 1)
    x_t, x_0, difference = RANDOM.uniform(-1, 1, (3, *shape)).astype(np.float32)
    scales, t = np.array([0.0, 1.0, 2.5]), np.array([99, 70, 40, 9])
    return Trajectories(np.array([4, 7]), scales, t, np.array([0.01, 0.2, 0.6, 0.9]), x_t, x_0, difference, ("4", "7"))


def test_denoising_scrubber_reaches_every_picture(recorded):
    scrubber = DenoisingScrubber(recorded)
    seen = set()
    for s, scale in enumerate(recorded.scales):
        scrubber.scale.value = s
        for n, digit in enumerate(recorded.digits):
            scrubber.digit.value = n
            for k in range(5):
                scrubber.slider.value = k
                drawn = pixels_of(scrubber)[4::9, :, 0]
                values = [recorded.x_t[s, k, n], recorded.x_0[s, k, n], -3 * recorded.difference[s, k, n]]
                values[0] = values[0] / (1 + np.sqrt(1 - recorded.alpha_bars[k])) if k < 4 else values[0]
                for left, value in zip((0, 260, 520), values, strict=True):
                    pixels = (np.clip(value[..., 0], -1, 1) + 1) * 127.5
                    np.testing.assert_allclose(drawn[:, left + 4 : left + 252 : 9], pixels, atol=1)
                lines = text_of(page_of(scrubber))
                assert f"digit {digit}, guidance scale {scale:g}" in lines
                assert (f"t = {recorded.t[k]}" if k < 4 else "finished") in lines
                seen.add(png_of(scrubber))
    assert len(seen) == 3 * 2 * 5


def test_denoising_scrubber_opens_on_what_its_controls_say(recorded):
    scrubber = DenoisingScrubber(recorded)
    assert f"guidance scale {recorded.scales[scrubber.scale.value]:g}" in page_of(scrubber).value
    assert_controls_are_described(scrubber)


def test_denoising_scrubber_names_its_classes(shapes_denoiser):
    recorded = record_trajectories(shapes_denoiser, scales=(0.0, 3.0), steps_kept=[0, 10])
    scrubber = DenoisingScrubber(recorded)
    assert scrubber.label == "A picture being born" and scrubber.digit.description == "class"
    assert [name for name, _ in scrubber.digit.options] == ["red disc", "red cross", "blue disc", "blue cross"]
    scrubber.digit.value, scrubber.scale.value, scrubber.slider.value = 3, 1, 1
    assert "class blue cross, guidance scale 3" in text_of(page_of(scrubber))
    x_t = recorded.x_t[1, 1, 3] / (1 + np.sqrt(1 - recorded.alpha_bars[1]))
    for left, panel in ((0, x_t), (268, recorded.x_0[1, 1, 3]), (536, -3 * recorded.difference[1, 1, 3])):
        np.testing.assert_allclose(pixels_of(scrubber)[:, left : left + 260, :3], pixels_as(panel, 13), atol=1)
    assert "class blue cross, guidance scale 3" in scrubber.to_html()


# --- guidance ---


def test_guidance_explorer_shows_each_scale_with_its_measurements():
    grids = RANDOM.uniform(-1, 1, (3, 20, 28, 28, 1))
    explorer = GuidanceExplorer(grids, [0, 1, 2.5], [0.1, 0.95, 1.0], [0.9, 0.8, 0.5])
    for s, measured in enumerate((["accuracy 10.0%", "coverage 90%"], ["accuracy 95.0%", "coverage 80%"])):
        explorer.slider.value = s
        pixels = np.rint((grids[s, ..., 0] + 1) * 127.5).astype(np.uint8)
        np.testing.assert_array_equal(pixels_of(explorer)[:112, :, 0], image_grid(pixels, 10, enlarge=2))
        assert explorer.readouts[s] == [f"guidance scale {s}", *measured]
    for arguments in (
        (grids[:2], [0, 1, 2], [0, 0, 0], [0, 0, 0]),
        (grids, [0, 1, 2], [0, 0, 2], [0, 0, 0]),
        (grids, [0, 1, 2], [0, 0, 0], [0, 0, np.nan]),
    ):
        with pytest.raises(ValueError, match="accuracy and coverage must"):
            GuidanceExplorer(*arguments)


def test_guidance_explorer_in_colour():
    grids = RANDOM.uniform(-1, 1, (2, 20, 32, 32, 3))
    explorer = GuidanceExplorer(grids, [1, 2], [0.9, 1.0], [0.9, 0.5])
    pixels = np.rint((grids[0] + 1) * 127.5).astype(np.uint8)
    np.testing.assert_array_equal(pixels_of(explorer)[:128, :, :3], image_grid(pixels, 10, enlarge=2))
