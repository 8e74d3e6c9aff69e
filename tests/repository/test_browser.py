"""The sliders as a reader meets them: notebook 05 in JupyterLab in Chromium, and the player as a page on its own.

Screenshots go to the folder that the variable SCREENSHOTS names, or to pytest's own.
"""

import os
import time
from pathlib import Path

import nbformat
import numpy as np
import pytest

from helpers.display.images import decode_png
from helpers.display.scrubber import Scrubber
from tests.benchmarks.latency import widget_latencies
from tests.maintenance.browser import (
    BrowserUnavailable,
    find_chromium,
    open_browser,
    run_all_cells,
    serve_notebook,
    wait_for_kernel,
)

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "05_guided_sampling.ipynb"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def chromium():
    try:
        find_chromium()
    except BrowserUnavailable as missing:
        pytest.skip(str(missing))


@pytest.fixture
def screenshots(tmp_path):
    folder = Path(os.environ.get("SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def page():
    """A page whose console must stay free of errors, and which talks to this machine alone."""
    with open_browser() as page:
        complaints = []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.append(request.url) if not is_local(request.url) else None)
        yield page
        assert not complaints


def is_local(address):
    return address.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "file:", "data:", "blob:"))


def pixels_of(element):
    return decode_png(element.screenshot())


def pixels_in_view(page, scrubber):
    """The pixels painted where a scrubber's picture is. Its page may be turning at this very moment."""
    box = None
    while box is None:
        box = scrubber.locator("img:visible").first.bounding_box()
    return decode_png(page.screenshot(clip=box))


def wait_until_it_differs(page, look, before, seconds=20):
    """The pixels that `look()` returns, as soon as they differ from `before`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        now = look()
        if now.shape != before.shape or not np.array_equal(now, before):
            return now
        page.wait_for_timeout(100)
    raise AssertionError(f"the picture is the same as {seconds} s ago")


def drag(page, handle, pixels):
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + pixels, y, steps=10)
    page.mouse.up()


def try_scrubber(page, scrubber):
    """Choose, drag, press the arrow keys, the buttons, Play: the picture follows each."""
    scrubber.scroll_into_view_if_needed()
    handle = scrubber.locator(".noUi-handle").last

    def look():
        return pixels_in_view(page, scrubber)

    seen = look()
    assert scrubber.locator("img:visible").count() == 1
    assert not scrubber.locator(".lm-TabBar:visible, .p-TabBar:visible").count()
    for choice in scrubber.locator("select").all():
        choice.select_option(index=2)
        seen = wait_until_it_differs(page, look, seen)
    drag(page, handle, 60)
    seen = wait_until_it_differs(page, look, seen)
    handle.press("ArrowRight")
    seen = wait_until_it_differs(page, look, seen)
    for name in ("Previous", "Next"):
        scrubber.get_by_role("button", name=name).click()
        seen = wait_until_it_differs(page, look, seen)
    scrubber.locator(".jupyter-widget-play button, .widget-play button").first.click()
    for _ in range(3):  # it plays on by itself
        seen = wait_until_it_differs(page, look, seen)
    scrubber.locator(".jupyter-widget-play button, .widget-play button").first.click()


def type_digits(page, drawing):
    """Enter draws them. A wrong character is answered with a sentence, and the picture disappears."""
    drawing.scroll_into_view_if_needed()
    field, status, picture = (
        drawing.get_by_role("textbox", name="digits"),
        drawing.get_by_role("status"),
        drawing.locator("img"),
    )
    field.fill("2024")
    field.press("Enter")
    status.get_by_text("2024, seed 4").wait_for(timeout=60_000)
    before = pixels_of(picture)
    field.fill("31415")
    drawing.get_by_role("button", name="Draw").click()
    status.get_by_text("31415, seed 4").wait_for(timeout=60_000)
    wait_until_it_differs(page, lambda: pixels_of(picture), before)
    field.fill("3a")
    field.press("Enter")
    status.get_by_text("digits must be 0 to 9 only, but character 2 is 'a'.").wait_for(timeout=20_000)
    assert not picture.is_visible()
    field.fill("90210")
    field.press("Enter")
    status.get_by_text("90210, seed 4").wait_for(timeout=60_000)
    assert pixels_of(picture).max() > 200


def try_player(page, player):
    """The slider by mouse and keys, the buttons, Play to the end and once more."""
    player.scroll_into_view_if_needed()
    canvas, slider = player.locator("canvas"), player.locator("input")
    last = slider.get_attribute("max")
    play, previous, following = (player.get_by_role("button").nth(i) for i in range(3))
    seen = pixels_of(canvas)
    assert seen.std() > 1, "an empty canvas"
    for act in (
        following.click,
        previous.click,
        lambda: slider.press("ArrowRight"),
        lambda: slider.click(position={"x": slider.bounding_box()["width"] / 2, "y": 5}),
        play.click,
    ):
        act()
        seen = wait_until_it_differs(page, lambda: pixels_of(canvas), seen)
    page.wait_for_function("([slider, last]) => slider.value === last", arg=[slider.element_handle(), last])
    assert play.inner_text() == "Play" and following.is_disabled() and not previous.is_disabled()
    play.focus()
    page.keyboard.press("Space")  # plays again from the start
    page.wait_for_function("([slider, last]) => +slider.value < last", arg=[slider.element_handle(), last])
    page.keyboard.press("Space")
    assert play.inner_text() == "Play"


def until_the_last_widget(notebook, folder):
    """A copy without the break-it lab and the exercises, which hold no widget and would only cost minutes here."""
    copy = nbformat.read(notebook, as_version=4)
    last = max(i for i, cell in enumerate(copy.cells) if cell.source.startswith("DrawDigits("))
    assert not any("to_html()" in cell.source or "Scrubber" in cell.source for cell in copy.cells[last + 1 :])
    copy.cells = copy.cells[: last + 1]
    nbformat.write(copy, folder / notebook.name)
    return folder / notebook.name


def test_notebook_05_in_jupyterlab(page, screenshots, tmp_path):
    with serve_notebook(until_the_last_widget(NOTEBOOK, tmp_path)) as address:
        run_all_cells(page, address, seconds=900)
        scrubbers = page.locator(".jp-OutputArea-output:has(.widget-play)")
        scrubbers.first.wait_for(timeout=60_000)
        for i, scrubber in enumerate(scrubbers.all()):
            try_scrubber(page, scrubber)
            scrubber.screenshot(path=screenshots / f"scrubber_{i}.png")
        drawing = page.locator(".jp-OutputArea-output:has(input[placeholder])")
        type_digits(page, drawing)
        drawing.screenshot(path=screenshots / "draw_digits.png")
        players = page.locator(".frame-player")
        assert players.count() >= 1
        for i, player in enumerate(players.all()):
            try_player(page, player)
            player.screenshot(path=screenshots / f"player_{i}.png")
        assert not page.locator('[data-mime-type="application/vnd.jupyter.error"], .jp-Dialog').count()
        assert not page.get_by_text("Error displaying widget").count()
        page.screenshot(path=screenshots / "notebook.png")


def test_opening_a_notebook_changes_no_byte(page):
    """JupyterLab saves what it holds after it has started a kernel. Git must not see a difference."""
    path = NOTEBOOK.with_name("02_forward_diffusion.ipynb")
    with serve_notebook(path, outputs=True) as address:
        page.goto(address)
        page.locator(".jp-DirListing-item", has_text=".ipynb").dblclick(timeout=60_000)
        page.locator(".jp-NotebookPanel .jp-CodeCell").first.wait_for(timeout=60_000)
        wait_for_kernel(page)
        saves = lambda answer: answer.request.method == "PUT" and "/api/contents/" in answer.url  # noqa: E731
        with page.expect_response(saves) as saving:
            page.locator(".jp-NotebookPanel .jp-InputPrompt").first.click()
            page.keyboard.press("Control+s")
        assert saving.value.ok
        contents = f"/api/contents/notebooks/{path.name}?type=file&format=text&"
        saved = page.request.get(address.replace("/lab/tree/notebooks?", contents)).json()["content"]
        assert saved == path.read_text(encoding="utf-8")


def test_latencies_are_measured():
    """How large they are is for `python -m tests.benchmarks.latency` to say, on a machine that does nothing else."""
    latencies, seconds = widget_latencies(presses=3)
    assert len(latencies) == 3 and 0 < min(latencies) and 0 < seconds


def test_player_from_a_file(page, screenshots, tmp_path):
    """With two on one page, each moves alone."""
    frames = np.random.default_rng(0).uniform(-1, 1, (8, 28, 28))
    scrubber = Scrubber(frames, "Zwölf Bilder", lambda i: [f"t = {i}", "größer"], titles=["Bild"], milliseconds=100)
    file = tmp_path / "player.html"
    file.write_text(scrubber.to_html() + scrubber.to_html(), encoding="ascii")
    page.goto(file.as_uri())
    first, second = page.locator(".frame-player").all()
    page.wait_for_function("document.querySelectorAll('[role=status]').length === 2")
    page.wait_for_timeout(300)
    still = pixels_of(second.locator("canvas"))
    expected = decode_png(scrubber.frames[0])
    np.testing.assert_allclose(still[: len(expected), : expected.shape[1], :1], expected, atol=2)
    try_player(page, first)
    np.testing.assert_array_equal(pixels_of(second.locator("canvas")), still)
    try_player(page, second)
    assert "t = " in second.get_by_role("status").inner_text() and "größer" in second.get_by_role("status").inner_text()
    page.screenshot(path=screenshots / "player_from_a_file.png")
