"""Measure how soon a moved slider shows its picture, and typed digits theirs: `python -m tests.benchmarks.latency`.

In a real JupyterLab in Chromium, with nothing else running.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import numpy as np

from helpers.tools.checks import check_whole
from helpers.tools.command_line import CommandLine, run_command
from tests.maintenance.browser import executed_in_jupyterlab

if TYPE_CHECKING:
    from playwright.sync_api import Page

CELLS = [
    "import sys\nsys.path.insert(0, '..')\nimport helpers.tools.quiet\nimport numpy as np",
    "from helpers.checkpoints import load_denoiser\nfrom helpers.data import load_mnist, to_model_range\n"
    "from helpers.display import DrawDigits, ForwardScrubber",
    "denoiser = load_denoiser()\nx_0 = to_model_range(load_mnist().test_images[:1]).numpy()[0]\n"
    "ForwardScrubber(denoiser.schedule, x_0, np.random.default_rng(0).standard_normal(x_0.shape))",
    "DrawDigits(denoiser)",
]
# From the key, as the browser received it, to the first frame after the one that paints another picture.
COLLECT_LATENCIES = """(scrubber) => {
  const inView = () => [...scrubber.querySelectorAll("img")].find((image) => image.offsetParent !== null);
  window.latencies = [];
  scrubber.addEventListener("keydown", (key) => {
    const before = inView().src;
    const look = () => {
      const now = inView();
      if (now.src === before || !now.complete) requestAnimationFrame(look);
      else requestAnimationFrame(() => window.latencies.push(performance.now() - key.timeStamp));
    };
    requestAnimationFrame(look);
  }, true);
}"""


def slider_latencies(page: "Page", presses: int = 100, warm_up: int = 10) -> list[float]:
    """Milliseconds from an arrow key on the page's first scrubber to its changed picture, one per press.

    The first `warm_up` presses aren't counted. Call it once per page.
    """
    scrubber = page.locator(".jp-OutputArea-output:has(.noUi-handle)").first
    scrubber.scroll_into_view_if_needed(timeout=120_000)  # a busy machine draws the widget late
    scrubber.evaluate(COLLECT_LATENCIES)
    handle = scrubber.locator(".noUi-handle").last
    for i in range(warm_up + presses):
        handle.press("ArrowRight" if i % 60 < 30 else "ArrowLeft")
        page.wait_for_function("count => window.latencies.length > count", arg=i, timeout=10_000)
        page.wait_for_timeout(50)  # a reader's pace
    return page.evaluate("window.latencies")[warm_up:]


def typed_digits_seconds(page: "Page", repeats: int = 3) -> float:
    """The median time from Enter after ten digits to their picture, after one that compiles and isn't counted."""
    drawing = page.locator(".jp-OutputArea-output:has(input[placeholder])")
    drawing.scroll_into_view_if_needed()
    field, status, times = drawing.get_by_role("textbox", name="digits"), drawing.get_by_role("status"), []
    for i in range(repeats + 1):
        digits = str(3141592653 + i)
        field.fill(digits)
        started = time.perf_counter()
        field.press("Enter")
        status.get_by_text(f"{digits}, seed 4", exact=True).wait_for(timeout=120_000)
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def widget_latencies(presses: int = 100) -> tuple[list[float], float]:
    """The slider's milliseconds, sorted, and the seconds of ten typed digits, in JupyterLab in headless Chromium."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "widgets.ipynb"
        nbformat.write(notebook, path)
        with executed_in_jupyterlab(path) as page:
            return sorted(slider_latencies(page, presses)), typed_digits_seconds(page)


def run(arguments: argparse.Namespace) -> None:
    """Print both. Raises `BrowserUnavailable` if there is no Chromium."""
    latencies, seconds = widget_latencies(check_whole("--presses", arguments.presses, 1))
    p95 = np.percentile(latencies, 95)
    print(f"slider to changed picture, {len(latencies)} key presses in JupyterLab in Chromium:")
    print(f"median {statistics.median(latencies):.0f} ms, p95 {p95:.0f} ms, longest {latencies[-1]:.0f} ms")
    print(f"ten typed digits to their picture, warm: {seconds:.2f} s")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = CommandLine(prog="python -m tests.benchmarks.latency", description=__doc__.partition(":")[0] + ".")
    parser.add_argument("--presses", type=int, default=100, help="of an arrow key (default %(default)s)")
    return run_command(run, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
