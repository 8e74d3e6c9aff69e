"""README's map of the notebooks agrees with the notebooks; its pictures and links are there."""

import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image
from thumbnails import NOTEBOOKS, THUMBNAILS, thumbnail

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
def test_thumbnails_are_the_notebooks_figures(path):
    picture = thumbnail(path)
    assert max(picture.size) > 100 and len(picture.getcolors(10**6)) > 8
    with Image.open(THUMBNAILS / f"{path.stem}.png") as shipped:
        np.testing.assert_array_equal(shipped, picture)


def test_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#:]+)[^)]*\)", README)
    assert len(links) > 12
    assert [link for link in links if not Path(NOTEBOOKS.parent, link).exists()] == []
