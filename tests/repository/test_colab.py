"""A notebook alone in an empty folder, as Colab opens it: its first cell fetches the course, and the next ones run."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture
def google_colab(tmp_path, monkeypatch):
    """A stand-in for Colab's own module, on the kernel's path."""
    package = tmp_path / "site" / "google" / "colab"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """The address of a repository with the course as it is here, uncommitted changes included."""
    copy = tmp_path_factory.mktemp("origin") / "course"
    tracked = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True)
    for name in filter(None, tracked.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    identity = ["-c", "user.name=course", "-c", "user.email=course@localhost"]
    for command in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "the course"]):
        subprocess.run(["git", *command], cwd=copy, check=True)
    return copy.as_uri()


def run_alone(path, folder, address, cells):
    """Execute the first `cells` code cells of a copy of the notebook in an empty folder; returns these cells."""
    folder.mkdir(exist_ok=True)
    notebook = nbformat.read(shutil.copy(path, folder), as_version=4)
    notebook.cells = [cell for cell in notebook.cells if cell.cell_type == "code"][:cells]
    setup = notebook.cells[0]
    setup.source, replaced = re.subn(r'COURSE_ADDRESS = ""', f'COURSE_ADDRESS = "{address}"', setup.source)
    assert replaced == 1
    notebook.cells.append(nbformat.v4.new_code_cell("import google.colab, helpers; print(helpers.__file__)"))
    resources = {"metadata": {"path": folder}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    return notebook.cells


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_first_cells_run_alone(path, course, google_colab, tmp_path):
    folder = tmp_path / "content"
    cells = run_alone(path, folder, course, 3)
    assert cells[-1].outputs[-1].text.strip() == os.path.join(folder, "ddpm-course", "helpers", "__init__.py")


@pytest.mark.slow
def test_a_course_that_is_there_is_not_fetched_again(course, google_colab, tmp_path):
    folder = tmp_path / "content"
    run_alone(NOTEBOOKS[0], folder, course, 1)
    marker = folder / "ddpm-course" / "kept"
    marker.touch()
    run_alone(NOTEBOOKS[1], folder, "", 1)
    assert marker.exists()


@pytest.mark.slow
def test_without_an_address_it_says_what_is_missing(google_colab, tmp_path):
    with pytest.raises(Exception, match="fill in COURSE_ADDRESS above"):
        run_alone(NOTEBOOKS[0], tmp_path / "content", "", 1)


def test_colab_has_what_the_course_needs():
    """requirements.txt may name more than Colab's packages only for JupyterLab and the tests."""
    pinned, here = (
        (ROOT / place / "requirements.txt").read_text(encoding="utf-8") for place in ("tests/maintenance/colab", ".")
    )
    names, needed = (set(re.findall(r"^[\w-]+", text, re.MULTILINE)) for text in (pinned, here))
    assert needed - names == {"jupyterlab", "pytest", "nbval"}
