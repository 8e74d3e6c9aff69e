"""What assistive technology is told, from Chromium's accessibility tree: names, values and one live region per widget.

Screenshots go to the folder that SCREENSHOTS names, or to pytest's own.
"""

import os
from pathlib import Path

import nbformat
import numpy as np
import pytest

from helpers.display.scrubber import Scrubber
from tests.maintenance.browser import BrowserUnavailable, executed_in_jupyterlab, find_chromium, open_browser

pytestmark = [pytest.mark.slow]
try:
    find_chromium()
except BrowserUnavailable as missing:
    pytestmark.append(pytest.mark.skip(reason=str(missing)))

CONTROLS = {"button", "slider", "textbox", "combobox", "link", "spinbutton", "checkbox"}
NEED_NAMES = CONTROLS | {"image", "group", "canvas"}
CELLS = [
    "import sys\nsys.path.insert(0, '..')\nimport helpers.tools.quiet\nimport numpy as np\n"
    "from IPython.display import HTML\nfrom helpers.diffusion import cosine_schedule\n"
    "from helpers.display import DenoisingScrubber, DrawDigits, ForwardScrubber, GuidanceExplorer\n"
    "from helpers.display.trajectories import Trajectories\nfrom helpers.unet import UNetConfig, build_denoiser\n"
    "x = np.random.default_rng(0).uniform(-1, 1, (3, 2, 5, 2, 28, 28, 1)).astype(np.float32)",
    "ForwardScrubber(cosine_schedule(), x[0, 0, 0, 0], x[0, 0, 0, 1])",
    "born = DenoisingScrubber(Trajectories(np.array([4, 7]), np.array([0.0, 2.5]), np.array([99, 70, 40, 9]),\n"
    "                         np.array([0.01, 0.2, 0.6, 0.9]), *x, ('4', '7')))\nborn",
    "GuidanceExplorer(x[0, :, :, 0].reshape(2, 5, 28, 28, 1), [0, 1], [0.1, 0.9], [0.9, 0.8])",
    "DrawDigits(build_denoiser(UNetConfig(widths=(8, 8), embedding_width=16, heads=2), cosine_schedule()))",
    "HTML(born.to_html())",
]
# Every text that a live region is given while it may speak.
LISTEN = """(region) => {
  window.announced = [];
  new MutationObserver(() => {
    if (region.getAttribute("aria-live") !== "off") window.announced.push(region.textContent);
  }).observe(region, {childList: true, characterData: true, subtree: true});
}"""
OVERFLOWING = """(element) => [...element.querySelectorAll("*")].filter((inner) =>
  inner.getBoundingClientRect().right > element.getBoundingClientRect().right + 1 && !inner.closest(".unseen") &&
  !inner.closest(".noUi-base") && inner.offsetParent !== null).map((inner) => inner.outerHTML.slice(0, 80))"""


def spoken_tree(page, element):
    """(role, name, value) of everything in an element that assistive technology sees, in order."""
    element.evaluate("element => element.setAttribute('data-tree', '')")
    session = page.context.new_cdp_session(page)
    session.send("Accessibility.enable")
    root = session.send("DOM.getDocument", {"depth": 0})["root"]["nodeId"]
    found = session.send("DOM.querySelector", {"nodeId": root, "selector": "[data-tree]"})["nodeId"]
    start = session.send("DOM.describeNode", {"nodeId": found})["node"]["backendNodeId"]
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    session.detach()
    element.evaluate("element => element.removeAttribute('data-tree')")
    by_id, seen = {node["nodeId"]: node for node in nodes}, []

    def walk(node):
        if not node["ignored"]:
            seen.append(tuple(node.get(part, {}).get("value", "") for part in ("role", "name", "value")))
        for child in node.get("childIds", []):
            if child in by_id:
                walk(by_id[child])

    walk(next(node for node in nodes if node.get("backendDOMNodeId") == start))
    return seen


def check_tree(page, element, controls):
    """The names of the controls are these, in order; everything that needs a name has one; one region is live."""
    tree = spoken_tree(page, element)
    assert [(role, name) for role, name, _ in tree if role in CONTROLS] == controls
    for role, name, value in tree:
        if role in NEED_NAMES:
            assert name.strip() and not any("\ue000" <= character <= "\uf8ff" for character in name), (role, name)
        if role in ("slider", "combobox", "textbox"):
            assert value != "", (role, name)
    assert [role for role, _, _ in tree].count("status") == 1
    assert all(handle.get_attribute("aria-valuetext") for handle in element.locator("[role=slider]").all())


def buttons(*names):
    return [("button", name) for name in names]


def by_hand_and_played(page, widget):
    """A move by hand is announced; of those while it plays none is, but the state is when it stops."""
    handle, status = widget.locator("[role=slider]").last, widget.get_by_role("status")
    status.evaluate(LISTEN)
    handle.press("ArrowRight")
    page.wait_for_function("window.announced.length === 1", timeout=10_000)
    value = handle.get_attribute("aria-valuetext")
    assert page.evaluate("window.announced[0]").startswith(f"{value}, signal √ᾱ = ")
    widget.get_by_role("button", name="Play").click()
    page.wait_for_timeout(450)
    assert page.evaluate("window.announced.length") == 1 and handle.get_attribute("aria-valuetext") != value
    widget.get_by_role("button", name="Pause").click()
    page.wait_for_function("window.announced.length === 2", timeout=10_000)
    assert page.evaluate("window.announced[1]").startswith(f"{handle.get_attribute('aria-valuetext')}, signal")


def typed_and_drawn(page, drawing):
    """One region stays while its text changes."""
    status = drawing.get_by_role("status")
    region = status.element_handle()
    for text, sentence in (("3 1", "31, seed 4"), ("3a", "digits must be 0 to 9 only"), ("7", "7, seed 4")):
        drawing.get_by_role("textbox", name="digits").fill(text)
        drawing.get_by_role("button", name="Draw").click()
        status.get_by_text(sentence).wait_for(timeout=60_000)
        assert region.evaluate("element => element.isConnected && element.getAttribute('role') === 'status'")
    drawing.get_by_role("button", name="New handwriting").click()
    status.get_by_text("7, seed 5").wait_for(timeout=60_000)
    with page.expect_download() as download:
        drawing.get_by_role("link", name="Download the picture").click()
    assert download.value.suggested_filename == "7-seed-5.png"


@pytest.fixture
def screenshots(tmp_path):
    folder = Path(os.environ.get("SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_widgets_executed_in_jupyterlab(screenshots, tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(notebook, tmp_path / "widgets.ipynb")
    playing = buttons("Play", "Stop", "Previous", "Next")
    with executed_in_jupyterlab(tmp_path / "widgets.ipynb") as page:
        outputs = page.locator(".jp-OutputArea-output")
        forward, denoising, guidance, drawing, player = (outputs.nth(i) for i in range(5))
        player.locator("canvas").wait_for(timeout=60_000)
        check_tree(page, forward, [*playing, ("slider", "t")])
        check_tree(page, denoising, [("combobox", "digit"), ("slider", "guidance scale"), *playing, ("slider", "step")])
        check_tree(page, guidance, [*playing, ("slider", "scale")])
        fields = [("textbox", "digits"), ("textbox", "seed")]
        check_tree(page, drawing, [*fields, *buttons("Draw", "New handwriting"), ("link", "Download the picture")])
        check_tree(page, player, [*buttons("Play", "Previous", "Next"), ("slider", "Frame")])
        by_hand_and_played(page, forward)
        typed_and_drawn(page, drawing)
        page.set_viewport_size({"width": 506, "height": 844})  # JupyterLab itself takes what is more than a phone's 390
        page.keyboard.press("Control+b")
        page.wait_for_timeout(1_000)
        for i, output in enumerate(outputs.all()):
            output.scroll_into_view_if_needed()
            output.screenshot(path=screenshots / f"narrow_{i}.png")
            assert output.evaluate(OVERFLOWING) == []


def test_the_player_as_a_page(screenshots, tmp_path):
    frames = np.random.default_rng(0).uniform(-1, 1, (100, 14, 14))  # ten seconds: a busy machine pauses in time, too
    scrubber = Scrubber(frames, "Zwölf Bilder", lambda i: [f"t = {i}", "größer"], titles=["Bild"], milliseconds=100)
    file = tmp_path / "player.html"
    file.write_text(scrubber.to_page(), encoding="ascii")
    with open_browser() as page:
        complaints = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(file.as_uri())
        player, slider = page.locator(".frame-player"), page.get_by_role("slider")
        slider.wait_for()
        check_tree(page, player, [*buttons("Play", "Previous", "Next"), ("slider", "Frame")])
        assert ("heading", "Zwölf Bilder", "") in spoken_tree(page, player)
        page.get_by_role("status").evaluate(LISTEN)
        page.get_by_role("button", name="Next").click()
        slider.press("ArrowRight")
        page.wait_for_function("window.announced.length === 2")
        page.get_by_role("button", name="Play").click()
        page.wait_for_timeout(250)
        assert page.evaluate("window.announced") == ["t = 1\ngrößer", "t = 2\ngrößer"]
        page.get_by_role("button", name="Pause").click()
        page.wait_for_function("window.announced.length === 3")
        slider.press("End")
        slider.press("ArrowLeft")
        page.wait_for_function("window.announced.length === 5")
        page.get_by_role("button", name="Play").click()
        page.wait_for_function("window.announced.length === 6")
        assert page.evaluate("window.announced[5]") == "t = 99\ngrößer" and slider.input_value() == "99"
        assert page.get_by_role("button", name="Play").is_visible()
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": 390, "height": 844})
            page.screenshot(path=screenshots / f"player_{scheme}.png")
            assert page.locator("body").evaluate(OVERFLOWING) == []
        assert not complaints
