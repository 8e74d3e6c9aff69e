"""The notebooks' sliders and the text field without a browser: what every position shows, and what is refused."""

import json
import re

import numpy as np
import pytest

from helpers.diffusion import add_noise
from helpers.display.explorers import DenoisingScrubber, DrawDigits, ForwardScrubber, GuidanceExplorer
from helpers.display.images import decode_png, histogram, image_grid
from helpers.display.trajectories import Trajectories, record_trajectories
from helpers.sampling.sampler import sample
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
        np.testing.assert_allclose(drawn[3::6, 3:168:6], (np.clip(x_t / 2, -1, 1) + 1) * 127.5, atol=1)
        np.testing.assert_array_equal(drawn[:, 176:, 0], histogram(x_t))
        alpha_bar = schedule.alpha_bars[t]
        text = "\n".join(text_of(page_of(scrubber)))
        for name, value in (("signal share", alpha_bar**0.5), ("noise share", (1 - alpha_bar) ** 0.5)):
            assert re.search(rf"{name}.*: {value:.3f}$", text, re.MULTILINE)
        assert f"t = {t}\n" in text and f"ratio: {alpha_bar / (1 - alpha_bar):.3g}\n" in text
        assert f"its log: {np.log(alpha_bar / (1 - alpha_bar)):.2f}\n" in text


def test_forward_scrubber_in_colour(schedule):
    x_0, noise = RANDOM.uniform(-1, 1, (20, 20, 3)), RANDOM.standard_normal((20, 20, 3))
    scrubber = ForwardScrubber(schedule, x_0, noise)
    scrubber.slider.value = 60
    x_t = add_noise(schedule, np.float32(x_0[np.newaxis]), 60, np.float32(noise[np.newaxis])).numpy()[0]
    drawn = pixels_of(scrubber)  # 20 pixels, eight times as large, and beside them the histogram
    np.testing.assert_allclose(drawn[:, :160], pixels_as(x_t / 2, 8), atol=1)
    np.testing.assert_array_equal(drawn[:, 168:], histogram(x_t, 160)[..., np.newaxis].repeat(3, axis=-1))


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
                drawn = pixels_of(scrubber)[3::6, :, 0]
                values = [recorded.x_t[s, k, n], recorded.x_0[s, k, n], -3 * recorded.difference[s, k, n]]
                values[0] = values[0] / 2 if k < 4 else values[0]
                for left, value in zip((0, 176, 352), values, strict=True):
                    pixels = (np.clip(value[..., 0], -1, 1) + 1) * 127.5
                    np.testing.assert_allclose(drawn[:, left + 3 : left + 168 : 6], pixels, atol=1)
                lines = text_of(page_of(scrubber))
                assert f"digit {digit}, guidance scale {scale:g}" in lines
                assert (f"t = {recorded.t[k]}" if k < 4 else "finished") in lines
                seen.add(png_of(scrubber))
    assert len(seen) == 3 * 2 * 5


def test_denoising_scrubber_opens_on_what_its_controls_say(recorded):
    scrubber = DenoisingScrubber(recorded)
    assert f"guidance scale {recorded.scales[scrubber.scale.value]:g}" in page_of(scrubber).value
    assert_controls_are_described(scrubber)


def test_denoising_player_holds_the_chosen_digit(recorded):
    scrubber = DenoisingScrubber(recorded)
    scrubber.digit.value, scrubber.scale.value = 1, 2
    readouts = json.loads(re.search(r'data-frames="([^"]*)"', scrubber.to_html())[1].replace("&quot;", '"'))["readouts"]
    assert len(readouts) == 5 and readouts[0][0] == "digit 7, guidance scale 2.5"


def test_denoising_scrubber_names_its_classes(shapes_denoiser):
    recorded = record_trajectories(shapes_denoiser, scales=(0.0, 3.0), steps_kept=[0, 10])
    scrubber = DenoisingScrubber(recorded)
    assert scrubber.label == "A picture being born" and scrubber.digit.description == "class"
    assert [name for name, _ in scrubber.digit.options] == ["red disc", "red cross", "blue disc", "blue cross"]
    scrubber.digit.value, scrubber.scale.value, scrubber.slider.value = 3, 1, 1
    assert "class blue cross, guidance scale 3" in text_of(page_of(scrubber))
    panels = [recorded.x_t[1, 1, 3] / 2, recorded.x_0[1, 1, 3], -3 * recorded.difference[1, 1, 3]]
    for left, panel in zip((0, 168, 336), panels, strict=True):
        np.testing.assert_allclose(pixels_of(scrubber)[:, left : left + 160], pixels_as(panel, 8), atol=1)
    assert "class blue cross, guidance scale 3" in scrubber.to_html()


# --- guidance ---


def test_guidance_explorer_shows_each_scale_with_its_measurements():
    grids = RANDOM.uniform(-1, 1, (3, 20, 28, 28, 1))
    explorer = GuidanceExplorer(grids, [0, 1, 2.5], [0.1, 0.95, 1.0], [0.9, 0.8, 0.5])
    for s, row in enumerate(("0: accuracy 10.0%, coverage 90%", "1: accuracy 95.0%, coverage 80%")):
        explorer.slider.value = s
        pixels = np.rint((grids[s, ..., 0] + 1) * 127.5).astype(np.uint8)
        np.testing.assert_array_equal(pixels_of(explorer)[..., 0], image_grid(pixels, 10, enlarge=2))
        assert [line for line in text_of(page_of(explorer)) if line.startswith("▸")] == ["▸ " + row]
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
    np.testing.assert_array_equal(pixels_of(explorer), image_grid(pixels, 10, enlarge=2))


# --- digits as they are typed ---


@pytest.fixture
def drawing(lively_denoiser):
    """The widget, and everything that it said and showed, in order."""
    widget, log = DrawDigits(lively_denoiser), []
    widget.message.observe(lambda change: log.append(text_of(widget.message)[1]), "value")
    widget.image.observe(lambda change: log.append(change["new"]), "value")
    return widget, log


def test_typed_digits_are_drawn(drawing, lively_denoiser):
    widget, log = drawing
    assert_controls_are_described(widget)
    assert widget.text.continuous_update is False and widget.image.layout.display == "none"
    widget.text.value = " 31415 "
    assert log[0] == "Drawing 31415 ..." and bytes(log[1]).startswith(b"\x89PNG") and log[2:] == ["31415, seed 0"]
    images = sample(lively_denoiser, [3, 1, 4, 1, 5]).images
    pixels = np.rint((images[..., 0] + 1) * 127.5).astype(np.uint8)
    drawn = decode_png(bytes(widget.image.value))  # ipywidgets keeps a view of the bytes
    np.testing.assert_array_equal(drawn[..., 0], image_grid(pixels, 10, enlarge=3))
    assert widget.image.layout.display != "none"
    widget.seed.value = 1
    assert log[-1] == "31415, seed 1" and not isinstance(log[-2], str) and log[-2] != log[1]


def test_the_button_draws_too(drawing):
    widget, log = drawing
    with widget.text.hold_trait_notifications():
        widget.text.value = "7"
        widget.button.click()
        assert log[0] == "Drawing 7 ..." and log[-1] == "7, seed 0"


def test_wrong_digits_get_a_sentence(drawing):
    widget, log = drawing
    for text, sentence in (
        ("12<b>", "digits must be 0 to 9 only, but character 3 is &#x27;&lt;&#x27;."),
        ("²", "digits must be 0 to 9 only, but character 1 is &#x27;²&#x27;."),
        ("1" * 41, "digits must be at most 40, not 41."),
        ("   ", "digits must be at least one of 0 to 9, not an empty string."),
    ):
        widget.text.value = "7"
        assert widget.image.layout.display != "none"
        widget.text.value = text
        assert log[-1] == sentence and widget.image.layout.display == "none"
    widget.text.value = "1" * 40
    assert log[-1] == "1" * 40 + ", seed 0" and widget.image.layout.display != "none"


def test_typed_names_are_drawn(shapes_denoiser):
    widget = DrawDigits(shapes_denoiser)
    assert widget.text.placeholder == "such as red disc, red cross, then Enter" and widget.text.description == "classes"
    assert text_of(widget.message)[1] == "Type classes and press Enter."
    widget.text.value = "blue cross, red disc"
    assert text_of(widget.message)[1] == "blue cross, red disc, seed 0"
    pixels = np.rint((sample(shapes_denoiser, [3, 0]).images + 1) * 127.5).astype(np.uint8)
    np.testing.assert_array_equal(decode_png(bytes(widget.image.value)), image_grid(pixels, 10, enlarge=4))
    for text, sentence in (
        ("7", "&#x27;7&#x27; is none of the classes (red disc, red cross, blue disc, blue cross); separate several"),
        ("red disc, " * 40 + "red disc", "classes must be at most 40, not 41."),
    ):
        widget.text.value = text
        assert text_of(widget.message)[1].startswith(sentence) and widget.image.layout.display == "none"
