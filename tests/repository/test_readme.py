"""The READMEs agree with the repository: lessons, pictures, links, versions and commands."""

import contextlib
import io
import re
import shlex

import nbformat
import numpy as np
import pytest
from PIL import Image

from helpers.__main__ import build_parser
from helpers.commands import COMMANDS
from tests.maintenance.thumbnails import NOTEBOOKS, THUMBNAILS, thumbnail

ROOT = NOTEBOOKS.parent
README = ROOT / "README.md"
READMES = [README, *(ROOT / room / "README.md" for room in ("notebooks", "helpers", "assets", "tests"))]
LESSONS = sorted(NOTEBOOKS.glob("*.ipynb"))
TEXTS = {".md", ".py", ".ipynb", ".toml", ".txt", ".csv", ".json", ""}  # the kinds of files that may name a command
lessons = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
readmes = pytest.mark.parametrize("readme", READMES, ids=lambda path: path.relative_to(ROOT).as_posix())


@readmes
def test_is_finished(readme):
    text = readme.read_text(encoding="utf-8")
    assert "@@" not in text, "a figure is still missing"
    assert "![]" not in text, "a picture has no text for readers who can't see it"


def test_the_first_readme_is_short():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 120


@lessons
def test_each_lesson_has_its_row(path):
    (row,) = (
        line
        for line in README.read_text(encoding="utf-8").splitlines()
        if line.startswith("| ![") and path.name in line
    )
    assert f"(assets/thumbnails/{path.stem}.png)" in row
    top = nbformat.read(path, as_version=4).cells[0].source
    minutes = re.search(r"\*\*About (\d+) minutes", top)[1]
    question = re.match(r"# \d\d · [^:]*: (.*\?)\n", top)[1]
    assert row.endswith(f"| {minutes} min |") and question.lower() in row.lower()


@lessons
def test_thumbnails_are_the_notebooks_figures(path):
    picture = thumbnail(path)
    assert picture.width >= 300 and len(picture.getcolors(10**6)) > 8
    with Image.open(THUMBNAILS / f"{path.stem}.png") as shipped:
        np.testing.assert_array_equal(shipped, picture)


# --- versions and commands ---


def test_versions_are_the_pinned_ones():
    """The README's torch is requirements.txt's, and so is any other version that a README names."""
    pins = (ROOT / "requirements.txt").read_text(encoding="utf-8") + (ROOT / "tests" / "requirements.txt").read_text(
        encoding="utf-8"
    )
    pinned = set(re.findall(r"^([\w-]+)==([\w.]+)", pins, re.MULTILINE))
    named = {
        pin
        for readme in READMES
        for pin in re.findall(r"([\w-]+)(?:\[[\w-]+\])?==([\w.]+)", readme.read_text(encoding="utf-8"))
    }
    assert "torch" in {name for name, _ in named}
    assert named <= pinned


def text_files():
    """Every file of the repository that may name a command."""
    rooms = (ROOT / room for room in (".ci", "helpers", "notebooks", "assets", "tests"))
    for path in (*ROOT.glob("*"), *(path for room in rooms for path in room.rglob("*"))):
        if path.is_file() and path.suffix in TEXTS:
            yield path


def test_old_command_lines_are_gone():
    """Modules of `helpers` are no commands any more, and those of `tests` are started with -m."""
    old = re.compile(r"python3? (?:-m helpers\.\w+|tests/\w+)")
    found = {path.relative_to(ROOT).as_posix(): old.findall(path.read_text(encoding="utf-8")) for path in text_files()}
    assert {path: commands for path, commands in found.items() if commands} == {}


def command_lines(text):
    """The arguments of every `python -m helpers`, in code between backticks and on lines of their own."""
    inline = re.findall(r"`(?:srun )?python -m helpers(?![.\w])([^`]*)`", text)
    blocks = re.findall(r"^[ \t]*(?:srun )?python -m helpers(?![.\w])(.*)$", text, re.MULTILINE)
    return [shlex.split(line, comments=True) for line in [*inline, *blocks]]


def documents():
    """(name, text) of the READMEs, the notebooks' cells and the source of `helpers`."""
    for path in [*READMES, *sorted((ROOT / "helpers").rglob("*.py"))]:
        yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
    for path in sorted(NOTEBOOKS.rglob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        yield path.relative_to(ROOT).as_posix(), "\n\n".join(cell.source for cell in cells)


def test_command_lines_are_found():
    text = "x `python -m helpers a\n  --b` y\n```\npython -m helpers c 'd e'   # f\n```\n"
    assert command_lines(text) == [["a", "--b"], ["c", "d e"]]


def test_every_command_line_is_understood():
    """Words like FOLDER stand for an argument, COMMAND for any command. A command's name alone needs no arguments."""
    parser, count, wrong = build_parser(), 0, []
    for name, text in documents():
        for arguments in command_lines(text):
            if arguments[:1] == ["COMMAND"] or (len(arguments) == 1 and arguments[0] in COMMANDS):
                continue
            count += 1
            error = io.StringIO()
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(error):
                try:
                    parser.parse_args(arguments)
                except SystemExit as stop:
                    wrong += [f"{name}: {shlex.join(arguments)}: {error.getvalue()}"] if stop.code else []
    assert count > 40 and wrong == []


@readmes
def test_commands_of_the_tests_exist(readme):
    modules = re.findall(r"python -m (tests[\w.]+)", readme.read_text(encoding="utf-8"))
    scripts = re.findall(r"bash (tests/[\w/]+)", readme.read_text(encoding="utf-8"))
    places = [module.replace(".", "/") + ".py" for module in modules] + scripts
    assert [place for place in places if not (ROOT / place).is_file()] == []
