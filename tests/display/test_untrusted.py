"""What reaches a reader whatever the front end strips: a strip, a page, a picture."""

import base64
import io
import json
import re
from html.parser import HTMLParser

import nbformat
import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from PIL import Image

from helpers.display.explorers import DenoisingScrubber, ForwardScrubber, GuidanceExplorer, _number
from helpers.display.front_end import FALLBACK, WIDGET_VIEW
from helpers.display.images import GAP, as_pngs, as_rgba, decode_png, first_panel, histogram, join
from helpers.display.player import MAX_BYTES, filmstrip, page_html, player_html
from helpers.display.scrubber import Scrubber
from helpers.display.trajectories import Trajectories
from tests.maintenance.browser import BrowserUnavailable, find_chromium, open_browser, serve_notebook

RANDOM = np.random.default_rng(0)
FRAMES = as_pngs(RANDOM.uniform(-1, 1, (21, 8, 9, 1)), 54)
CAPTIONS = [[f"t = {20 - i}", "größer > 0"] for i in range(20)] + [["finished", "größer > 0"]]
PAYLOAD = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'><b hidden>"


class Stripped(HTMLParser):
    """HTML as JupyterLab shows it in a notebook that isn't trusted: without scripts, whatever they contain."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.text, self.scripts, self.inside = [], "", 0, None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag == "script":
            self.scripts, self.inside = self.scripts + 1, tag

    def handle_endtag(self, tag):
        self.inside = None if tag == self.inside else self.inside

    def handle_data(self, data):
        self.text += "" if self.inside else data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def pixels_of(url):
    assert url.startswith("data:image/png;base64,")
    return decode_png(base64.b64decode(url.partition(",")[2]))


def data_of(page):
    return json.loads(re.search(r"^const data = (.*);$", page, re.MULTILINE)[1])


@pytest.fixture
def recorded():
    """Two digits, two scales, four steps, every picture another one."""
    x_t, x_0, difference = RANDOM.uniform(-1, 1, (3, 2, 5, 2, 28, 28, 1)).astype(np.float32)
    scales, t = np.array([0.0, 2.5]), np.array([99, 70, 40, 9])
    return Trajectories(np.array([4, 7]), scales, t, np.array([0.01, 0.2, 0.6, 0.9]), x_t, x_0, difference, ("4", "7"))


# --- the player's fragment and page ---


def test_without_scripts_a_strip_remains():
    fragment = player_html(FRAMES, CAPTIONS, "Zwölf & <mehr>", ["x_t"])
    left = Stripped(fragment)
    assert {tag for tag, _ in left.elements} == {"div", "strong", "p", "img", "script"} and left.scripts == 1
    assert not any("hidden" in attributes for _, attributes in left.elements)
    assert left.text.split() == [
        *"Zwölf & <mehr>".split(),
        *"8 of 21 frames. To play all of them here, run this cell or trust the notebook.".split(),
    ]
    (image,) = left.all("img")
    assert image["alt"].startswith("Zwölf & <mehr>, 8 of 21 frames: t = 20; ") and image["alt"].endswith("; finished.")
    strip = Image.fromarray(pixels_of(image["src"]))
    last = strip.crop((strip.width - 27, strip.height - 48, strip.width, strip.height - 24))  # caption: 24 pixels
    expected = Image.fromarray(as_rgba(decode_png(FRAMES[20]))).resize((27, 24), Image.Resampling.BOX)
    np.testing.assert_array_equal(last, expected)


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 21, 100])
def test_the_strip_has_about_eight_moments_with_both_ends(count):
    frames = as_pngs(np.zeros((count, 8, 8)), 16)
    alt = Stripped(player_html(frames, [[f"frame {i}"] for i in range(count)], "Label")).all("img")[0]["alt"]
    moments = [int(i) for i in re.findall(r"frame (\d+)", alt)]
    assert len(moments) == min(count, 8) == len(set(moments)) and moments == sorted(moments)
    assert moments[0] == 0 and moments[-1] == count - 1


def test_a_strip_is_narrow_whatever_its_frames():
    for shape, width in (((28, 28), 252), ((10, 40), 1600), ((200, 3), 3)):
        strip = decode_png(filmstrip(as_pngs(np.zeros((5, *shape)), width), list("abcde")))
        assert strip.shape[1] <= 4 * 126 + 3 * GAP or shape == (200, 3)
        assert strip.shape[1] <= 600


def test_the_script_holds_every_frame():
    page = player_html(FRAMES, CAPTIONS, "Label", ["x_t", "<x_0>"], 150)
    data, sheet = data_of(page), pixels_of(data_of(page)["sheet"])
    assert data["readouts"] == CAPTIONS and data["titles"] == ["x_t", "<x_0>"] and data["milliseconds"] == 150
    for i, frame in enumerate(FRAMES):
        top, left = i // data["columns"] * data["height"], i % data["columns"] * data["width"]
        np.testing.assert_array_equal(sheet[top : top + 48, left : left + 54], decode_png(frame))


def test_a_file_holds_a_whole_page():
    page = page_html(FRAMES, CAPTIONS, "Zwölf & <mehr>")
    left = Stripped(page)
    assert page.startswith("<!doctype html>\n") and left.all("html") == [{"lang": "en"}]
    assert {"charset": "utf-8"} in left.all("meta")
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in left.all("meta")
    assert "<title>Zw&#246;lf &amp; &lt;mehr&gt;</title>" in page and len(left.all("h1")) == len(left.all("main")) == 1
    assert "notebook" not in left.text


@pytest.mark.parametrize("write", [player_html, page_html])
def test_the_player_is_small_and_refers_to_nothing_outside(write):
    page = write(FRAMES, CAPTIONS, "Zwölf")
    assert page.isascii() and len(page) < MAX_BYTES
    without_data = re.sub(r"data:image/png;base64,[\w+/=]+", "", page)
    assert not re.search(r"https?:|[\"'(]//|@import|url\(|fetch|import\(", without_data)
    assert not re.search(r"\bid=", page)  # several players share a page
    large = as_pngs([*RANDOM.uniform(-1, 1, (2, 900, 900))], 900)
    with pytest.raises(ValueError, match=r"frames must fit into a page of 1 MB, not [23]\.\d MB; use fewer of them\."):
        write(large, [["a"], ["b"]], "Large")


@pytest.mark.parametrize("write", [player_html, page_html])
def test_texts_stay_texts(write):
    page = write(FRAMES, [[PAYLOAD, PAYLOAD]] * 21, PAYLOAD, [PAYLOAD])
    left = Stripped(page)
    assert left.scripts == 1 and len(left.all("img")) == 1 and not left.all("b")
    assert PAYLOAD in left.text and data_of(page)["readouts"][0][0] == PAYLOAD
    assert not any(name.startswith("on") for _, attributes in left.elements for name in attributes)


def test_players_are_told_apart_by_what_they_hold():
    keys = [re.search(r'data-key="(\w+)"', player_html(FRAMES, CAPTIONS, label))[1] for label in ("a", "b", "a")]
    assert keys[0] == keys[2] != keys[1]


def test_a_scrubber_gives_both(recorded):
    born = DenoisingScrubber(recorded)
    born.digit.value, born.scale.value = 1, 0
    fragment, page = born.to_html(), born.to_page()
    assert data_of(fragment) == data_of(page) and fragment.startswith("<div") and page.startswith("<!doctype html>")
    (image,) = Stripped(fragment).all("img")
    assert image["alt"] == "A digit being born, 5 of 5 frames: t = 99; t = 70; t = 40; t = 9; finished."
    assert data_of(fragment)["readouts"][4] == ["finished", "digit 7, guidance scale 0"]
    strip = pixels_of(image["src"])  # five tiles of 126 pixels over captions: four in a row
    finished = Image.fromarray(as_rgba(first_panel(decode_png(born.frames[9]))))  # scale 0, digit 7, the last step
    np.testing.assert_array_equal(strip[-150:-24, :126], finished.resize((126, 126), Image.Resampling.BOX))


# --- pictures ---


def test_gaps_are_transparent_in_every_theme(schedule, recorded):
    image = np.zeros((28, 28, 1))
    for scrubber, panels in ((ForwardScrubber(schedule, image, image), 2), (DenoisingScrubber(recorded), 3)):
        picture = as_rgba(decode_png(scrubber.frames[0]))
        assert picture.shape == (252, panels * 252 + (panels - 1) * GAP, 4)
        clear = np.flatnonzero(~picture[..., 3].any(axis=0))
        np.testing.assert_array_equal(clear % 260, np.tile(np.arange(252, 260), panels - 1))
        assert set(np.unique(picture[..., 3])) == {0, 255}
        assert first_panel(picture).shape == (252, 252, 4)
    grid = as_rgba(decode_png(GuidanceExplorer(np.zeros((2, 13, 28, 28, 1)), [0, 1], [0, 1], [1, 0]).frames[0]))
    assert not grid[56:112, 3 * 56 :, 3].any()  # the empty end of the last row


def test_join_fills_up_with_nothing():
    grey, colour = np.full((4, 5), 7, np.uint8), np.full((4, 6, 3), (1, 2, 3), np.uint8)
    both = join([grey, colour])
    assert both.shape == (4, 5 + GAP + 6, 4) and both[0, 0].tolist() == [7, 7, 7, 255]
    assert both[0, -1].tolist() == [1, 2, 3, 255] and not both[:, 5 : 5 + GAP].any()
    below = join([grey, grey[:2, :2]], axis=0)
    assert below.shape == (4 + GAP + 2, 5, 2) and not below[4:, 2:].any() and not below[4 : 4 + GAP].any()


@pytest.mark.parametrize(("size", "channels"), [(28, 1), (20, 3), (33, 1), (24, 3), (300, 1)])
def test_pictures_are_at_least_252_pixels_wide(size, channels):
    width = decode_png(as_pngs(np.zeros((1, size, size, channels)))[0]).shape[1]
    assert 252 <= width < 252 + size or width == size


def test_a_clean_image_has_full_contrast_and_noise_half(schedule, recorded):
    x_0, noise = np.where(RANDOM.random((28, 28, 1)) < 0.5, -1.0, 1.0), RANDOM.uniform(-2, 2, (28, 28, 1))
    frames = ForwardScrubber(schedule, x_0, noise).frames
    clean, noisy = (decode_png(frames[t])[4:252:9, 4:252:9, 0].astype(int) for t in (0, 99))
    assert np.abs(clean - (x_0[..., 0] + 1) * 127.5).max() < 15
    np.testing.assert_allclose(noisy, (noise[..., 0] / 2 + 1) * 127.5, atol=2)
    last = decode_png(DenoisingScrubber(recorded).frames[3])[4::9, 4:252:9, 0]
    expected = recorded.x_t[0, 3, 0, ..., 0] / (1 + np.sqrt(0.1))
    np.testing.assert_allclose(last, (expected + 1) * 127.5, atol=1)


def test_the_histogram_stands_on_an_axis_with_numbers():
    small, large = RANDOM.normal(0, 0.1, 784), RANDOM.normal(0, 1, 784)
    first, second = histogram(small), histogram(large)
    line = max(row for row in range(252) if (first[row] == 255).all())
    assert 220 < line < 240 and (first[line + 1] == 255).sum() == 7  # ticks at -3, -2, ..., 3
    np.testing.assert_array_equal(first[line:], second[line:])
    assert first[line + 5 :].max() == 255 and not np.array_equal(first[:line], second[:line])
    assert histogram(small, 84).shape == (84, 84)


def test_curves_have_a_marker_at_the_chosen_scale():
    explorer = GuidanceExplorer(np.zeros((4, 10, 28, 28, 1)), [0, 1, 2, 4], [0.1, 0.9, 1.0, 1.0], [0.9, 0.8, 0.5, 0.2])
    assert explorer.readouts[1] == ["guidance scale 1", "accuracy 90.0%", "coverage 80%"]
    charts = np.array([as_rgba(decode_png(frame))[56 + GAP :, :, :3] for frame in explorer.frames], int)  # (4, h, w, 3)
    bright = (charts.min(axis=-1) > 150).sum(axis=1)  # (4, w): pixels near white in each column
    line = bright.argmax(axis=1)
    assert (bright.max(axis=1) > 100).all()  # of 240
    steps = np.diff(line)
    assert (steps > 0).all() and abs(steps[1] - steps[0]) <= 2 and abs(steps[2] - 2 * steps[0]) <= 3
    for colour in ((0xE6, 0x9F, 0x00), (0x56, 0xB4, 0xE9)):
        markers = [
            (chart == colour).all(axis=-1).sum(axis=0)[x - 4 : x + 5] for chart, x in zip(charts, line, strict=True)
        ]
        assert all(marker.max() >= 8 for marker in markers)


def test_numbers_have_three_digits_or_a_power_of_ten():
    texts = {1582.7: "1,583", 25.16: "25.2", 0.01234: "0.0123", 3.394e-5: "3.39 × 10⁻⁵", 2.5e7: "2.50 × 10⁷"}
    assert {value: _number(value) for value in texts} == texts


# --- a widget without its front end ---


def test_without_its_front_end_a_widget_says_what_to_install():
    shell, scrubber = InteractiveShell.instance(), Scrubber(np.zeros((2, 8, 8)))
    with capture_output() as captured:
        assert shell.display_formatter.format(scrubber) == ({}, {})  # nothing for a notebook to keep
    shell.clear_instance()
    (output,) = captured.outputs
    view = {"version_major": 2, "version_minor": 0, "model_id": scrubber.widget.model_id}
    assert output.data == {WIDGET_VIEW: view, "text/plain": FALLBACK} and "pip install ipywidgets" in FALLBACK


# --- the same in JupyterLab ---


@pytest.mark.slow
def test_an_untrusted_notebook_in_jupyterlab(tmp_path, recorded):
    """Heading once, one picture, nothing dead; and on a narrow page nothing overflows."""
    try:
        find_chromium()
    except BrowserUnavailable as missing:
        pytest.skip(str(missing))
    born = DenoisingScrubber(recorded)
    data = {"text/html": born.to_html(), "text/plain": "<IPython.core.display.HTML object>"}
    output = nbformat.v4.new_output("execute_result", data, execution_count=1)
    cell = nbformat.v4.new_code_cell("HTML(born.to_html())", execution_count=1, outputs=[output])
    notebook = nbformat.v4.new_notebook(cells=[cell])
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(notebook, tmp_path / "untrusted.ipynb")
    with serve_notebook(tmp_path / "untrusted.ipynb", outputs=True) as address, open_browser() as page:
        page.goto(address)
        page.locator(".jp-DirListing-item", has_text=".ipynb").dblclick(timeout=60_000)
        shown = page.locator(".jp-OutputArea-output")
        shown.locator("img").wait_for(timeout=60_000)
        assert shown.locator("button, canvas, input, output, script").count() == 0 and shown.locator("img").count() == 1
        assert shown.inner_text().count("A digit being born") == 1 and "5 of 5 frames." in shown.inner_text()
        pixels = Image.open(io.BytesIO(shown.locator("img").screenshot())).convert("L")
        assert np.asarray(pixels).std() > 20
        page.keyboard.press("Control+b")  # no side bar
        page.set_viewport_size({"width": 506, "height": 844})  # JupyterLab itself takes what is more than a phone's 390
        page.wait_for_timeout(1_000)
        assert shown.evaluate("element => element.scrollWidth <= element.clientWidth")
