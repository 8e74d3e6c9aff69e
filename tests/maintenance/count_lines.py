"""Count the lines in a student's rooms of `helpers/`, and what a listing of it shows: two of the house's limits.

python -m tests.maintenance.count_lines
"""

import argparse
import sys

from helpers.tools.command_line import CommandLine, run_command
from helpers.tools.files import ASSETS

HELPERS = ASSETS.parent / "helpers"
ROOMS = ("data.py", "diffusion.py", "unet.py", "checkpoints.py", "training", "sampling", "evaluation")
MOST_LINES = 2_900  # in all rooms together
MOST_ENTRIES = 15  # in a listing


def lines_per_room() -> dict[str, int]:
    """The number of lines in each room: a file, or all files of a package."""
    files = {room: [HELPERS / room] if room.endswith(".py") else (HELPERS / room).rglob("*.py") for room in ROOMS}
    return {
        room: sum(len(file.read_text(encoding="utf-8").splitlines()) for file in found) for room, found in files.items()
    }


def entries() -> list[str]:
    """The names that a listing of `helpers/` shows, without its README and what Python caches."""
    return sorted(path.name for path in HELPERS.iterdir() if path.name not in ("README.md", "__pycache__"))


def run(_: argparse.Namespace) -> None:
    """Print both counts. Raises `ValueError` if one is beyond its limit."""
    rooms, shown = lines_per_room(), entries()
    for room, lines in rooms.items():
        print(f"{room:16} {lines:6,}")
    total = sum(rooms.values())
    print(f"{'lines together':16} {total:6,}  of at most {MOST_LINES:,}")
    print(f"{'entries':16} {len(shown):6}  of at most {MOST_ENTRIES}")
    if total > MOST_LINES or len(shown) > MOST_ENTRIES:
        raise ValueError("helpers/ is larger than its limits allow.")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = CommandLine(prog="python -m tests.maintenance.count_lines", description=__doc__.partition("\n")[0])
    return run_command(run, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
