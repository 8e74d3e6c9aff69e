"""Re-execute and normalise the notebooks: `python tests/execute_notebooks.py [01 04 ...]`, all without arguments.

Each runs top to bottom on a clean kernel, in its own folder. What differs between two runs of the same code
(timing, cell ids, the kernel's version, widget state) is dropped, so that a diff shows only what changed.

    python tests/execute_notebooks.py --twice [01 04 ...]

runs every code cell twice in a row, in another folder than the notebook's, and says which cells that breaks. It changes
no file. As that also is "restart and run all", the three ways in which readers run notebooks are tried at once.
"""

import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

# The notebooks need `helpers`, and a failing run must not leave a damaged file.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from helpers.files import write_aside

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def normalise(notebook: nbformat.NotebookNode) -> None:
    """Drop, in place, everything that isn't the notebook's content."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for position, cell in enumerate(notebook.cells):
        cell.id = f"cell-{position:02d}"
        cell.metadata = {"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {}
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if WIDGET_VIEW not in output.get("data", {})]
    nbformat.validate(notebook)


def execute(path: Path) -> float:
    """Run one notebook and write it back; returns the seconds it took. A failing cell raises."""
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
    with write_aside(path) as temporary:
        nbformat.write(notebook, temporary)
    return time.monotonic() - started


def broken_by_running_twice(path: Path) -> list[str]:
    """A line for each code cell that fails, or complains on stderr, when all run twice in a row in another folder."""
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


if __name__ == "__main__":
    twice = "--twice" in sys.argv
    wanted = [argument for argument in sys.argv[1:] if argument != "--twice"] or [""]
    failed = False
    for path in sorted(NOTEBOOKS.rglob("*.ipynb")):
        if not any(path.name.startswith(prefix) for prefix in wanted):
            continue
        if twice:
            broken = broken_by_running_twice(path)
            failed |= bool(broken)
            print(f"{path.name}: " + ("\n  ".join(["", *broken]) or "every cell twice, no error"), flush=True)
        else:
            print(f"{path.name}: {execute(path):.0f} s", flush=True)
    sys.exit(failed)
