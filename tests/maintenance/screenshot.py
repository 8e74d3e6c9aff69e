"""Photograph the slider of notebook 05 for the README: `python -m tests.maintenance.screenshot`. Needs Chromium."""

import sys
import tempfile
from pathlib import Path

from helpers.checkpoints import load_denoiser
from helpers.display.explorers import DenoisingScrubber
from helpers.display.trajectories import record_trajectories
from helpers.tools.command_line import CommandLine, run_command
from helpers.tools.files import ASSETS, atomic_write
from tests.maintenance.browser import open_browser

DIGIT, SCALE, STEP = 7, 2.0, 8  # what the slider shows


def run(_: object) -> None:
    """Write assets/scrubber.png."""
    recorded = record_trajectories(load_denoiser(), [DIGIT], scales=[SCALE])
    with tempfile.TemporaryDirectory() as folder, open_browser() as page:
        file = Path(folder) / "player.html"
        file.write_text(DenoisingScrubber(recorded).to_page(), encoding="utf-8")
        page.goto(file.as_uri())
        player = page.locator(".frame-player")
        player.locator("input").fill(str(STEP))
        page.wait_for_timeout(200)
        with atomic_write(ASSETS / "scrubber.png") as temporary:
            player.screenshot(path=temporary)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = CommandLine(prog="python -m tests.maintenance.screenshot", description=__doc__.partition(":")[0] + ".")
    return run_command(run, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
