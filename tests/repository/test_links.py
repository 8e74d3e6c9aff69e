"""Links and pictures of READMEs and notebooks lead somewhere, wherever the course is read.

That is in JupyterLab rooted in the repository or in `notebooks/`, in Colab, and on GitHub. So a notebook refers to
nothing outside `notebooks/`, to no place inside another notebook (GitHub frames them), and to no picture file.
"""

import re
from collections import Counter
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
READMES = sorted([*ROOT.glob("*.md"), *ROOT.glob("[!.]*/README.md")])
NOTEBOOKS = sorted((ROOT / "notebooks").rglob("*.ipynb"))
LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")
PICTURE = re.compile(r"!\[|<img\b", re.IGNORECASE)


def without_code(text):
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text):
    """The anchors that GitHub gives to the headings of a Markdown text."""
    seen, found = Counter(), set()
    for heading in re.findall(r"^#+ (.+)$", without_code(text), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def test_anchors_are_those_of_github():
    text = "# A *b*, `c`: d's\n## 01 · Data\n## Twice\n## Twice\n```bash\n# a comment\n```\n"
    assert anchors(text) == {"a-b-c-ds", "01--data", "twice", "twice-1"}


def links_inside(text):
    """The addresses in a Markdown text that aren't of the web."""
    links = [markdown or html for markdown, html in LINK.findall(without_code(text))]
    return [link for link in links if not re.match(r"https?://", link)]


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(readme):
    inside = links_inside(readme.read_text(encoding="utf-8"))
    assert inside
    for link in inside:
        place, _, anchor = link.partition("#")
        target = (readme.parent / place).resolve() if place else readme
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_of_notebooks_lead_somewhere_everywhere(path):
    text = "\n\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown")
    for link in links_inside(text):
        target = (path.parent / link).resolve()
        assert "#" not in link and target.is_file() and target.is_relative_to(ROOT / "notebooks"), link
    assert not PICTURE.search(text)
