"""Every notebook's set-up cell finds the clone wherever the kernel was started, or says what to do."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
FIRST = ROOT / "notebooks" / "01_data.ipynb"
SETUP = next(cell.source for cell in nbformat.read(FIRST, as_version=4).cells if cell.cell_type == "code")


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """A folder without a course, in which the kernel starts; no editor says where the notebook is."""
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def clone(tmp_path):
    """A clone of the course elsewhere; returns the path of its first notebook."""
    (tmp_path / "clone" / "helpers").mkdir(parents=True)
    (tmp_path / "clone" / "helpers" / "diffusion.py").touch()
    (tmp_path / "clone" / "notebooks").mkdir()
    return tmp_path / "clone" / "notebooks" / "01_data.ipynb"


@pytest.fixture
def fetched(monkeypatch):
    """The commands that would fetch a course."""
    commands = []
    monkeypatch.setattr(subprocess, "run", lambda command, check: commands.append(command))
    return commands


def run(address="", **names):
    exec(SETUP.replace('COURSE_ADDRESS = ""', f"COURSE_ADDRESS = {address!r}"), names)
    return Path(sys.path[0])


@pytest.mark.parametrize("inside", ["notebooks", "notebooks/deeper", "."])
def test_a_kernel_inside_the_clone(outside, clone, fetched, monkeypatch, inside):
    folder = clone.parents[1] / inside
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    assert run() == clone.parents[1] and not fetched


def test_jupyter_says_where_the_notebook_is(outside, clone, fetched, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", str(clone))
    assert run() == clone.parents[1] and not fetched


def test_vs_code_says_where_the_notebook_is(outside, clone, fetched):
    assert run(__vsc_ipynb_file__=str(clone)) == clone.parents[1] and not fetched


def test_the_notebooks_own_clone_comes_before_the_kernels(outside, clone, fetched, monkeypatch):
    for other in (outside, outside / "ddpm-course"):
        (other / "helpers").mkdir(parents=True)
        (other / "helpers" / "diffusion.py").touch()
    monkeypatch.setenv("JPY_SESSION_NAME", str(clone))
    assert run() == clone.parents[1] and not fetched


@pytest.mark.parametrize("name", ["course", "ddpm-course", "helpers"])
def test_an_unrelated_folder_is_not_the_course(outside, fetched, name):
    (outside / name).mkdir()
    (outside / name / "notes.txt").touch()
    with pytest.raises(AssertionError, match=r"fill in COURSE_ADDRESS above, or start Jupyter inside a clone\.$"):
        run()
    assert run("https://example.org/course") == outside / "ddpm-course" and len(fetched) == 1


@pytest.mark.parametrize("address", ["--upload-pack=touch marker", "-c", "--template=/", "ext::sh -c 'touch marker'"])
def test_an_address_is_never_an_option(outside, address):
    with pytest.raises(subprocess.CalledProcessError):
        run(address)
    assert os.listdir(outside) == []


def test_what_was_fetched_is_found_again(outside, fetched):
    run("https://example.org/course")
    ((*_, separator, address, target),) = fetched
    assert (separator, address, target) == ("--", "https://example.org/course", str(outside / "ddpm-course"))
    (outside / "ddpm-course" / "helpers").mkdir(parents=True)
    (outside / "ddpm-course" / "helpers" / "diffusion.py").touch()
    assert run() == outside / "ddpm-course" and len(fetched) == 1
