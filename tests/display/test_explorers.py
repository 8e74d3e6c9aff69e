"""The widgets without a browser: every position of every control, the bytes that it shows, and what is refused."""

import base64
import json
import logging
import re

import ipywidgets
import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from helpers.diffusion import add_noise
from helpers.pictures import as_pngs, decode_png, encode_png, histogram, image_grid
from helpers.sampling import sample
from helpers.scrubber import WIDGET_VIEW, Scrubber
from helpers.trajectories import Trajectories, record_trajectories
from helpers.widgets import DenoisingScrubber, DrawDigits, ForwardScrubber, GuidanceExplorer

RANDOM = np.random.default_rng(0)
LINK_IN_THE_BROWSER = ipywidgets.jslink
FRAMES = RANDOM.uniform(-1, 1, (7, 8, 9, 1))


@pytest.fixture(autouse=True)
def callbacks_that_raise(caplog):
    """ipywidgets only logs what a button's callback raises: here it fails the test."""
    yield
    raised = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert not raised, raised[0].getMessage()


@pytest.fixture(autouse=True)
def links_work_without_a_browser(monkeypatch):
    """What a browser does with two linked values, done here."""
    monkeypatch.setattr(ipywidgets, "jslink", ipywidgets.link)


def text_of(widget):
    return re.sub(r"<[^>]*>", "\n", widget.value).split("\n")


def page_of(scrubber):
    """The page in view."""
    return scrubber.pages.children[scrubber.pages.selected_index]


def png_of(scrubber):
    return base64.b64decode(
        re.fullmatch(r'.*<img [^>]*src="data:image/png;base64,([^"]+)".*', page_of(scrubber).value)[1]
    )


def pixels_of(scrubber):
    return decode_png(png_of(scrubber))


def controls_of(widget):
    """All widgets inside one another."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from controls_of(child)


@pytest.fixture
def recorded():
    """Two digits, three scales, four steps, every picture another one."""
    shape = (3, 5, 2, 28, 28, 1)
    x_t, x_0, difference = RANDOM.uniform(-1, 1, (3, *shape)).astype(np.float32)
    scales, t = np.array([0.0, 1.0, 2.5]), np.array([99, 70, 40, 9])
    return Trajectories(np.array([4, 7]), scales, t, np.array([0.01, 0.2, 0.6, 0.9]), x_t, x_0, difference, ("4", "7"))


def test_dragging_shows_every_frame():
    scrubber = Scrubber(FRAMES, "Seven", lambda i: [f"frame {i}", f"{i} < 9"], titles=["x_t", "<x_0>"])
    assert png_of(scrubber) == as_pngs(FRAMES)[0] and "frame 0" in text_of(page_of(scrubber))
    for i in [*range(7), *reversed(range(7)), 3]:
        scrubber.slider.value = i
        drawn = pixels_of(scrubber)
        expected = np.rint((FRAMES[i] + 1) * 127.5).repeat(6, axis=0).repeat(6, axis=1)
        np.testing.assert_array_equal(drawn, expected)
        assert f"frame {i}" in text_of(page_of(scrubber)) and f"{i} &lt; 9" in text_of(page_of(scrubber))
        assert {"x_t", "&lt;x_0&gt;"} <= set(text_of(page_of(scrubber)))
        assert f'alt="frame {i}, {i} &lt; 9"' in page_of(scrubber).value


def test_buttons_step_through_all_frames_and_stop_at_the_ends():
    scrubber = Scrubber(FRAMES)
    seen = []
    for button, places in ((scrubber.next, [1, 2, 3, 4, 5, 6, 6]), (scrubber.previous, [5, 4, 3, 2, 1, 0, 0])):
        for place in places:
            button.click()
            assert scrubber.slider.value == place and png_of(scrubber) == scrubber.frames[place]
            seen.append(png_of(scrubber))
    assert len(set(seen)) == 7


def test_the_browser_turns_the_pages_alone(monkeypatch):
    """Playing and dragging are linked in the browser, and the kernel, however busy, has nothing to answer."""
    monkeypatch.setattr(ipywidgets, "jslink", LINK_IN_THE_BROWSER)
    scrubber = Scrubber(FRAMES)
    slider = (scrubber.slider, "value")
    links = [(link.source, link.target) for link in scrubber.links]
    assert links == [((scrubber.play, "value"), slider), (slider, (scrubber.pages, "selected_index"))]
    assert (scrubber.play.min, scrubber.play.max, scrubber.slider.min, scrubber.slider.max) == (0, 6, 0, 6)
    assert scrubber.slider.continuous_update and len(scrubber.pages.children) == 7
    others = [widget for widget in controls_of(scrubber.widget) if widget is not scrubber.slider]
    assert not any(isinstance(widget, ipywidgets.Output) for widget in others)
    before = [widget.get_state() for widget in others]
    scrubber.slider.value = 5
    assert [widget.get_state() for widget in others] == before
    scrubber.play.value = 2
    assert scrubber.slider.value == 5


def test_the_slider_is_never_written_while_it_moves():
    scrubber = Scrubber(FRAMES)
    written = []
    scrubber.slider.observe(lambda change: written.append(change["new"]), "value")
    for i in (3, 6, 1):
        scrubber.slider.value = i
    assert written == [3, 6, 1]


def test_every_control_says_what_it_is(recorded, lively_unet, schedule):
    for shown in (Scrubber(FRAMES), DenoisingScrubber(recorded), DrawDigits(lively_unet, schedule)):
        interactive = [w for w in controls_of(shown.widget) if "description" in w.keys and "disabled" in w.keys]
        assert len(interactive) >= 3
        for control in interactive:
            tooltip = getattr(control, "tooltip", None) or getattr(control, "description_tooltip", None)
            assert control.description and tooltip, control


def test_a_cell_that_ends_in_it_shows_the_view_alone():
    """nbval compares everything but the view, and a committed notebook keeps nothing of it."""
    shell = InteractiveShell.instance()
    scrubber = Scrubber(FRAMES)
    with capture_output() as captured:
        formatted = shell.display_formatter.format(scrubber)
    shell.clear_instance()
    assert formatted == ({}, {})
    assert [output.data for output in captured.outputs] == [
        {WIDGET_VIEW: {"version_major": 2, "version_minor": 0, "model_id": scrubber.widget.model_id}}
    ]


def test_a_callback_that_raises_is_noticed(caplog):
    """The fixture above does what its name says: a button's error reaches the log, a slider's the test."""
    scrubber = Scrubber(FRAMES)
    scrubber.slider.observe(lambda change: FRAMES[99], "value")
    with pytest.raises(IndexError):
        scrubber.slider.value = 1
    scrubber.next.click()
    assert any(record.levelno >= logging.WARNING for record in caplog.records)
    caplog.clear()


def test_png_files_are_shown_as_they_are():
    colour = [encode_png(RANDOM.integers(0, 255, (5, 6, 3), np.uint8)) for _ in range(3)]
    scrubber = Scrubber(colour)
    assert scrubber.frames == colour and png_of(scrubber) == colour[0]


@pytest.mark.parametrize(
    ("frames", "options", "sentence"),
    [
        ([], {}, "frames must be at least one picture"),
        (np.zeros((2, 8)), {}, r"frames must be \(h, w\) or \(h, w, 1 or 3\)"),
        (np.zeros((2, 8, 8, 2)), {}, r"frames must be \(h, w\) or \(h, w, 1 or 3\)"),
        ([np.zeros((8, 8)), np.zeros((8, 9))], {}, "frames must have one size"),
        (np.full((2, 8, 8), np.nan), {}, r"frames must be numbers in \[-1, 1\]"),
        (np.full((2, 8, 8), 255.0), {}, r"frames must be numbers in \[-1, 1\]"),
        ([b"GIF89a"], {}, "a picture must be the bytes of a PNG file"),
        (FRAMES, {"readout": lambda i: i}, "readout must give a text"),
        (FRAMES, {"readout": lambda i: [i]}, "readout must give a text"),
        (FRAMES, {"count": 8}, r"count must be a whole number in 1\.\.7, not 8"),
        (FRAMES, {"milliseconds": 0}, "milliseconds must be a whole number of at least 1"),
    ],
)
def test_scrubber_refuses(frames, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        Scrubber(frames, **options)


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


def test_forward_scrubber_refuses(schedule):
    image = np.zeros((28, 28, 1))
    for x_0, noise in ((image[0], image[0]), (image, image[:5]), (image + 2, image), (image, image * np.nan)):
        with pytest.raises(ValueError, match="x_0"):
            ForwardScrubber(schedule, x_0, noise)


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


def test_denoising_player_holds_the_chosen_digit(recorded):
    scrubber = DenoisingScrubber(recorded)
    scrubber.digit.value, scrubber.scale.value = 1, 2
    readouts = json.loads(re.search(r'data-frames="([^"]*)"', scrubber.to_html())[1].replace("&quot;", '"'))["readouts"]
    assert len(readouts) == 5 and readouts[0][0] == "digit 7, guidance scale 2.5"


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


@pytest.fixture
def drawing(lively_unet, schedule):
    """The widget, and everything that it said and showed, in order."""
    widget, log = DrawDigits(lively_unet, schedule), []
    widget.message.observe(lambda change: log.append(text_of(widget.message)[1]), "value")
    widget.image.observe(lambda change: log.append(change["new"]), "value")
    return widget, log


def test_typed_digits_are_drawn(drawing, lively_unet, schedule):
    widget, log = drawing
    assert widget.text.continuous_update is False and widget.image.layout.display == "none"
    widget.text.value = " 31415 "
    assert (
        log[0] == "Drawing 31415 ..."
        and bytes(log[1]).startswith(b"\x89PNG")
        and log[2] == "31415, seed 0"
        and len(log) == 3
    )
    images = sample(lively_unet, schedule, [3, 1, 4, 1, 5]).images
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


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("12<b>", "digits must be 0 to 9 only, but character 3 is &#x27;&lt;&#x27;."),
        ("²", "digits must be 0 to 9 only, but character 1 is &#x27;²&#x27;."),
        ("1" * 41, "digits must be at most 40, not 41."),
        ("   ", "digits must be at least one of 0 to 9, not an empty string."),
    ],
)
def test_wrong_digits_get_a_sentence(drawing, text, sentence):
    widget, log = drawing
    widget.text.value = "7"
    widget.text.value = text
    assert log[-1] == sentence and widget.image.layout.display == "none"
    widget.text.value = "1" * 40
    assert log[-1] == "1" * 40 + ", seed 0" and widget.image.layout.display != "none"


# --- pictures of one's own: colours, other sizes, classes with names ---


def pixels_as(values, enlarge):
    """Values in the model's range, clipped, as a PNG file enlarged so much would hold them."""
    pixels = np.rint((np.clip(values, -1, 1) + 1) * 127.5)
    return pixels.repeat(enlarge, axis=-3).repeat(enlarge, axis=-2)


def test_scrubber_in_colour():
    frames = RANDOM.uniform(-1, 1, (2, 5, 6, 3))
    scrubber = Scrubber(frames)
    scrubber.slider.value = 1
    np.testing.assert_array_equal(pixels_of(scrubber), pixels_as(frames[1], 6))


def test_forward_scrubber_in_colour(schedule):
    x_0, noise = RANDOM.uniform(-1, 1, (20, 20, 3)), RANDOM.standard_normal((20, 20, 3))
    scrubber = ForwardScrubber(schedule, x_0, noise)
    scrubber.slider.value = 60
    x_t = add_noise(schedule, np.float32(x_0[np.newaxis]), 60, np.float32(noise[np.newaxis])).numpy()[0]
    drawn = pixels_of(scrubber)  # 20 pixels, eight times as large, and beside them the histogram
    np.testing.assert_allclose(drawn[:, :160], pixels_as(x_t / 2, 8), atol=1)
    np.testing.assert_array_equal(drawn[:, 168:], histogram(x_t, 160)[..., np.newaxis].repeat(3, axis=-1))


def test_denoising_scrubber_names_its_classes(shapes_unet, schedule):
    recorded = record_trajectories(shapes_unet, schedule, scales=(0.0, 3.0), steps_kept=[0, 10])
    scrubber = DenoisingScrubber(recorded)
    assert scrubber.label == "A picture being born" and scrubber.digit.description == "class"
    assert [name for name, _ in scrubber.digit.options] == ["red disc", "red cross", "blue disc", "blue cross"]
    scrubber.digit.value, scrubber.scale.value, scrubber.slider.value = 3, 1, 1
    assert "class blue cross, guidance scale 3" in text_of(page_of(scrubber))
    panels = [recorded.x_t[1, 1, 3] / 2, recorded.x_0[1, 1, 3], -3 * recorded.difference[1, 1, 3]]
    for left, panel in zip((0, 168, 336), panels, strict=True):
        np.testing.assert_allclose(pixels_of(scrubber)[:, left : left + 160], pixels_as(panel, 8), atol=1)
    assert "class blue cross, guidance scale 3" in scrubber.to_html()


def test_guidance_explorer_in_colour():
    grids = RANDOM.uniform(-1, 1, (2, 20, 32, 32, 3))
    explorer = GuidanceExplorer(grids, [1, 2], [0.9, 1.0], [0.9, 0.5])
    pixels = np.rint((grids[0] + 1) * 127.5).astype(np.uint8)
    np.testing.assert_array_equal(pixels_of(explorer), image_grid(pixels, 10, enlarge=2))


def test_typed_names_are_drawn(shapes_unet, schedule):
    widget = DrawDigits(shapes_unet, schedule)
    assert widget.text.placeholder == "such as red disc, red cross, then Enter" and widget.text.description == "classes"
    assert text_of(widget.message)[1] == "Type classes and press Enter."
    widget.text.value = "blue cross, red disc"
    assert text_of(widget.message)[1] == "blue cross, red disc, seed 0"
    pixels = np.rint((sample(shapes_unet, schedule, [3, 0]).images + 1) * 127.5).astype(np.uint8)
    np.testing.assert_array_equal(decode_png(bytes(widget.image.value)), image_grid(pixels, 10, enlarge=4))
    for text, sentence in (
        ("7", "&#x27;7&#x27; is none of the classes (red disc, red cross, blue disc, blue cross); separate several"),
        ("red disc, " * 40 + "red disc", "classes must be at most 40, not 41."),
    ):
        widget.text.value = text
        assert text_of(widget.message)[1].startswith(sentence) and widget.image.layout.display == "none"
