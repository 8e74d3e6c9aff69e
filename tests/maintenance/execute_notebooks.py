"""Execute and normalise the notebooks: `python -m tests.maintenance.execute_notebooks [01 04 ...]`.

Without numbers, it executes all of them. Each runs from top to bottom on a clean kernel, in its own folder. Whatever
differs between two runs of the same code (timing, cell ids, widget state) is dropped, so that a diff shows only real
changes.

With `--twice`, every code cell runs twice in a row, in another folder than the notebook's. No file changes; the cells
that fail are listed. Since this is also "restart and run all", it tries all three ways in which readers run notebooks.
"""

import argparse
import platform
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from helpers.tools.command_line import CommandLine, run_command
from helpers.tools.files import ASSETS, atomic_write

NOTEBOOKS = ASSETS.parent / "notebooks"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


# What JupyterLab writes when it opens a notebook: with anything else, a look would be a change for git.
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {
        "codemirror_mode": {"name": "ipython", "version": 3},
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "nbconvert_exporter": "python",
        "pygments_lexer": "ipython3",
        "version": platform.python_version(),
    },
}


def normalise(notebook: nbformat.NotebookNode) -> None:
    """Drop, in place, everything that isn't the notebook's content, and give every figure its description."""
    notebook.metadata = METADATA
    for position, cell in enumerate(notebook.cells):
        cell.id = f"cell-{position:02d}"
        cell.metadata = {"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {}
        for output in cell.get("outputs", []):
            # A widget's state isn't kept, so its view would be empty. The text beside it says how to see it.
            output.get("data", {}).pop(WIDGET_VIEW, None)
            if "image/png" in output.get("data", {}):
                output.metadata["image/png"] = {"alt": description(notebook.cells[position + 1])}
    nbformat.validate(notebook)


def description(cell: nbformat.NotebookNode) -> str:
    """The caption with which the cell after every figure begins, `*Figure: ...*`, as plain text."""
    return re.match(r"\*Figure: ([^*]+)\*", cell.source)[1].replace("`", "")


def execute(path: Path) -> float:
    """Execute one notebook and write it back; returns the seconds it took. A failing cell raises."""
    notebook = nbformat.read(path, as_version=4)
    started = time.monotonic()
    NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        coalesce_streams=True,  # how often a kernel flushes depends on the machine
        resources={"metadata": {"path": path.parent}},
    ).execute()
    normalise(notebook)
    with atomic_write(path) as temporary:  # a failing run must not leave a damaged file
        nbformat.write(notebook, temporary)
    return time.monotonic() - started


def broken_by_running_twice(path: Path) -> list[str]:
    """Run each code cell twice in a row, in another folder: a line for each that fails or writes to stderr."""
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    notebook.cells = [nbformat.v4.new_code_cell(cell.source) for cell in code for _ in range(2)]
    elsewhere = {"metadata": {"path": NOTEBOOKS.parent}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=elsewhere, allow_errors=True).execute()
    found = []
    for position, cell in enumerate(notebook.cells):
        for output in cell.outputs:
            problem = output.get("evalue") if output.output_type == "error" else output.get("text", "")
            if output.output_type == "error" or output.get("name") == "stderr":
                first_line = (problem.strip().splitlines() or ["nothing"])[0]
                found.append(f"{code[position // 2].id}, run {position % 2 + 1}: {first_line}")
    return found


def run(arguments: argparse.Namespace) -> None:
    """Execute the chosen notebooks. Raises `RuntimeError` if a cell can't run twice."""
    chosen = tuple(arguments.numbers) or ""
    failed = []
    for path in sorted(path for path in NOTEBOOKS.rglob("*.ipynb") if path.name.startswith(chosen)):
        if not arguments.twice:
            print(f"{path.name}: {execute(path):.0f} s", flush=True)
            continue
        broken = broken_by_running_twice(path)
        failed += [path.name] if broken else []
        print(f"{path.name}: " + ("\n  ".join(["", *broken]) or "every cell twice, no error"), flush=True)
    if failed:
        raise RuntimeError(f"cells that can't run twice in {', '.join(failed)}.")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = CommandLine(
        prog="python -m tests.maintenance.execute_notebooks", description=__doc__.partition(":")[0] + "."
    )
    parser.add_argument("numbers", nargs="*", metavar="NUMBER", help="such as 03, with its solutions (default: all)")
    parser.add_argument("--twice", action="store_true", help="run every cell twice instead, and change no file")
    return run_command(run, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
