"""Every committed notebook: executed in order, clean, described, short-celled, and checked where it shows numbers."""

import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
IGNORED = "nbval-ignore-output"
notebooks = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook, [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(cell):
    """What the cell printed or returned as text; a figure's own name doesn't count."""
    for output in cell.outputs:
        if output.output_type == "stream":
            yield output.text
        elif "image/png" not in output.get("data", {}):
            yield output.get("data", {}).get("text/plain", "")


def ignores(cell):
    return IGNORED in cell.metadata.get("tags", [])


def test_there_are_notebooks():
    names = ["data", "forward_diffusion", "unet", "training", "guided_sampling", "clip_evaluation"]
    assert [path.stem for path in NOTEBOOKS] == [f"{number:02d}_{name}" for number, name in enumerate(names, 1)]


@notebooks
def test_executed_once_from_top_to_bottom(path):
    _, code = read(path)
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))


@notebooks
def test_outputs_are_clean(path):
    notebook, code = read(path)
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output.text for output in outputs if output.get("name") == "stderr"]
    assert "widgets" not in notebook.metadata
    assert not [o for o in outputs if "application/vnd.jupyter.widget-view+json" in o.get("data", {})]
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert all(set(cell.metadata) <= {"tags"} for cell in notebook.cells)
    assert path.stat().st_size < 3_000_000


@notebooks
def test_no_machine_paths(path):
    found = re.findall(r"(?:/(?:home|root|Users|tmp|work|usr)/|[A-Z]:\\\\)[^\s\"]*", path.read_text())
    assert not found


@notebooks
def test_cells_are_short(path):
    _, code = read(path)
    too_long = {cell.id: len(cell.source.splitlines()) for cell in code if len(cell.source.splitlines()) > 15}
    assert not too_long


@notebooks
def test_the_setup_cell_is_the_same_everywhere(path):
    setups = {cell.source for other in NOTEBOOKS for cell in read(other)[1][:1]}
    assert len(setups) == 1 and read(path)[1][0].metadata.tags == ["setup"]
    assert len(re.findall(r"COURSE_ADDRESS = ", next(iter(setups)))) == 1


@notebooks
def test_every_figure_is_described(path):
    """The markdown cell after a figure starts with what it shows, for readers who can't see it."""
    cells = read(path)[0].cells
    for cell, following in zip(cells, [*cells[1:], None], strict=True):
        if cell.cell_type == "code" and any("image/png" in output.get("data", {}) for output in cell.outputs):
            assert following is not None and following.source.startswith("*Figure: "), cell.source


@notebooks
def test_ignored_numbers_are_asserted(path):
    for cell in read(path)[1]:
        if ignores(cell) and any(re.search(r"\d", text) for text in texts(cell)):
            assert re.search(r"^\s*(assert |np\.testing\.)", cell.source, re.MULTILINE), cell.source


@notebooks
def test_most_outputs_are_compared(path):
    compared = [cell for cell in read(path)[1] if not ignores(cell) and any(text.strip() for text in texts(cell))]
    assert len(compared) >= 8


@notebooks
def test_opens_with_a_question_and_ends_with_what_was_learned(path):
    markdown = [cell.source for cell in read(path)[0].cells if cell.cell_type == "markdown"]
    assert re.match(rf"# {path.stem[:2]} · .*\?\n", markdown[0])
    assert "## What you can now explain" in markdown[-1]
    assert "The defect that the next notebook mends" in markdown[-1]
    assert sum("**Predict:**" in text for text in markdown) >= 5
