"""README's map of the notebooks agrees with the notebooks; its pictures and links are there."""

import re
from pathlib import Path

import nbformat
import pytest
from thumbnails import NOTEBOOKS, thumbnail

README = (NOTEBOOKS.parent / "README.md").read_text()
FILES = sorted(NOTEBOOKS.glob("*.ipynb"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_notebook_has_its_row(path):
    (row,) = (line for line in README.splitlines() if line.startswith("| ![") and path.name in line)
    assert f"(assets/thumbnails/{path.stem}.png)" in row
    top = nbformat.read(path, as_version=4).cells[0].source
    minutes = re.search(r"\*\*About (\d+) minutes", top)[1]
    question = re.match(r"# \d\d · [^:]*: (.*\?)\n", top)[1]
    assert row.endswith(f"| {minutes} min |") and question.lower() in row.lower()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_thumbnails_can_be_made(path):
    picture = thumbnail(path)
    assert max(picture.size) > 100 and len(picture.getcolors(10**6)) > 8


def test_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#:]+)[^)]*\)", README)
    assert len(links) > 12
    assert [link for link in links if not Path(NOTEBOOKS.parent, link).exists()] == []
