"""Every committed notebook: executed in order, clean, with short cells, described figures and checked numbers.

Its exercises: handed out unanswered, and each of them solved in the notebook of solutions. (What notebooks may import
is tested in `test_imports`.)
"""

import re
from pathlib import Path

import nbformat
import pytest
from nbconvert import HTMLExporter

from tests.maintenance.execute_notebooks import METADATA, description

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SYMBOLS = ROOT / "notebooks" / "extras" / "symbols.ipynb"
SOLUTIONS = sorted((ROOT / "notebooks" / "solutions").glob("*.ipynb"))
IGNORED = "nbval-ignore-output"
notebooks = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
notebooks_and_solutions = pytest.mark.parametrize("path", NOTEBOOKS + SOLUTIONS, ids=lambda path: path.stem)
CHECK = re.compile(r"^print\((check_\w+)\(", re.MULTILINE)
BOX = re.compile(r"<details><summary>([^<]+)</summary>\n\n.+?\n\n</details>", re.DOTALL)
PLACE = r"(?:(?:eq\.|section|Algorithm|figure|appendix) [^:]+|abstract)"
REFERENCE = re.compile(rf"- .+? \d{{4}}, \[[^]]+\]\(https://\S+\), [^:]*{PLACE}: .+\.")
CITATION = re.compile(r"([A-Z]\w+)(?: et al\.| and [A-Z]\w+)? \(?((?:19|20)\d\d)\b")
GREEK = "alpha|beta|gamma|delta|(?:var)?epsilon|eta|(?:var)?theta|lambda|mu|rho|sigma|Sigma|omega|(?:var)?phi"
SYMBOL = re.compile(rf"(?:\\(?:bar|hat|tilde) ?)?\\(?:{GREEK})(?![a-zA-Z])|\\hat x")


def read(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook, [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(cell):
    """What the cell printed or returned as text, without the names of figures."""
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
    assert [path.stem for path in SOLUTIONS] == [f"{path.stem}_solutions" for path in NOTEBOOKS]


@notebooks_and_solutions
def test_executed_once_from_top_to_bottom(path):
    _, code = read(path)
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))


@notebooks_and_solutions
def test_outputs_are_clean(path):
    notebook, code = read(path)
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output.text for output in outputs if output.get("name") == "stderr"]
    assert "widgets" not in notebook.metadata
    assert not [o for o in outputs if "application/vnd.jupyter.widget-view+json" in o.get("data", {})]
    assert notebook.metadata == METADATA | {"language_info": notebook.metadata.language_info}
    assert notebook.metadata.language_info.keys() == METADATA["language_info"].keys()
    assert all(set(cell.metadata) <= {"tags"} for cell in notebook.cells)
    assert path.stat().st_size < 3_000_000


@notebooks_and_solutions
def test_no_machine_paths(path):
    found = re.findall(r"(?:/(?:home|root|Users|tmp|work|usr)/|[A-Z]:\\\\)[^\s\"]*", path.read_text(encoding="utf-8"))
    assert not found


@notebooks_and_solutions
def test_cells_are_short(path):
    _, code = read(path)
    too_long = {cell.id: len(cell.source.splitlines()) for cell in code if len(cell.source.splitlines()) > 15}
    assert not too_long


@notebooks_and_solutions
def test_the_setup_cell_is_the_same_everywhere(path):
    setups = {cell.source for other in NOTEBOOKS + SOLUTIONS for cell in read(other)[1][:1]}
    assert len(setups) == 1 and read(path)[1][0].metadata.tags == ["setup"]
    assert len(re.findall(r"COURSE_ADDRESS = ", next(iter(setups)))) == 1


@notebooks_and_solutions
def test_every_figure_is_described(path):
    """The Markdown cell after a figure starts with a description, which pages made from the notebook use, too."""
    cells = read(path)[0].cells
    for cell, following in zip(cells, [*cells[1:], None], strict=True):
        figures = [output for output in cell.get("outputs", []) if "image/png" in output.get("data", {})]
        for figure in figures:
            assert following is not None and following.source.startswith("*Figure: "), cell.source
            assert figure.metadata["image/png"]["alt"] == description(following)


@notebooks
def test_no_picture_of_a_page_lacks_its_description(path):
    """In nbconvert's classic page. Its other one, "lab", reads no description from anywhere."""
    page, _ = HTMLExporter(template_name="classic").from_filename(path)
    pictures = re.findall(r"<img\b[^>]*>", page)
    assert pictures and all(re.search(r"""\balt=("[^"]{20,}"|'[^']{20,}')""", picture) for picture in pictures)
    assert "No description has been provided" not in page


@notebooks_and_solutions
def test_ignored_numbers_are_asserted(path):
    for cell in read(path)[1]:
        if ignores(cell) and any(re.search(r"\d", text) for text in texts(cell)):
            assert re.search(r"^\s*(assert |np\.testing\.)", cell.source, re.MULTILINE), cell.source


@notebooks
def test_most_outputs_are_compared(path):
    compared = [cell for cell in read(path)[1] if not ignores(cell) and any(text.strip() for text in texts(cell))]
    assert len(compared) >= 8


def markdown_of(path):
    return [cell.source for cell in read(path)[0].cells if cell.cell_type == "markdown"]


@notebooks
def test_opens_with_a_question_and_ends_with_what_was_learned(path):
    """First the question; at the end a summary, the exercises, and the defect that the next notebook mends."""
    markdown = markdown_of(path)
    assert re.match(rf"# {path.stem[:2]} · .*\?\n", markdown[0])
    text = "\n".join(markdown)
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings[-3:] == ["What you can now explain", "Exercises", "What comes next"]
    assert markdown[-1].startswith("## What comes next\n\n**The defect that the next notebook mends:**")
    assert f"solutions/{path.stem}_solutions.ipynb" in text
    assert sum("**Predict:**" in text for text in markdown) >= 5


@notebooks
def test_says_at_the_top_what_it_teaches_and_how_long_it_takes(path):
    top = markdown_of(path)[0]
    (minutes,) = re.findall(r"^\*\*About (\d+) minutes", top, re.MULTILINE)
    assert 30 <= int(minutes) <= 45
    assert re.findall(r"^(\d)\. ", top, re.MULTILINE) == ["1", "2", "3"]


@notebooks
def test_skipped_steps_are_in_boxes_that_open(path):
    """Markdown inside a box is rendered only between empty lines. Notebook 01 derives nothing that needs a box."""
    text = "\n\n".join(markdown_of(path))
    titles = BOX.findall(text)
    assert len(titles) == text.count("<details>") == text.count("</details>")
    assert path.stem[:2] == "01" or [title for title in titles if title.startswith(("The algebra", "In other words"))]


@notebooks
def test_ends_with_references_to_all_that_it_cites(path):
    *before, last = markdown_of(path)
    last, _, references = last.partition("\n\n### References\n\n")
    references = references.splitlines()
    assert len(references) >= 2
    assert not [line for line in references if not REFERENCE.fullmatch(line)]
    cited = set(CITATION.findall("\n".join([*before, last])))
    missing = [(n, y) for n, y in cited if not any(line.startswith(f"- {n}") and y in line for line in references)]
    assert cited and not missing


def test_the_course_refers_to_its_papers():
    papers = "2006.11239 2010.02502 2102.09672 2207.12598 2202.00512 2103.00020 2104.08718 2211.01095 2305.08891"
    listed = "\n".join(markdown_of(path)[-1] for path in NOTEBOOKS)
    assert not [paper for paper in papers.split() if f"https://arxiv.org/abs/{paper}" not in listed]


def symbols():
    """The rows of the table of symbols."""
    (table,) = markdown_of(SYMBOLS)
    return [line for line in table.splitlines() if line.startswith("| $")]


@notebooks
def test_every_symbol_is_in_the_table(path):
    """Every Greek letter with its accent, in every notebook. Each notebook links to the table at its top."""
    assert "[symbols](extras/symbols.ipynb)" in markdown_of(path)[0]
    used = {symbol.replace(" ", "") for text in markdown_of(path) for symbol in SYMBOL.findall(text)}
    listed = {symbol.replace(" ", "") for row in symbols() for symbol in SYMBOL.findall(row.split("|")[1])}
    assert listed >= used, used - listed


def test_the_table_of_symbols_names_what_is_in_the_code():
    code = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "helpers").rglob("*.py"))
    code += "\n".join(cell.source for path in NOTEBOOKS for cell in read(path)[1])
    names = [name for row in symbols() for name in re.findall(r"`([a-zA-Z]\w*)", row.split("|")[2])]
    assert len(names) > 20
    assert not [name for name in names if not re.search(rf"\b{name}\b", code)]


def exercises(cells):
    """{title: the cells from that heading to the next one}"""
    found, current = {}, []
    for cell in cells:
        if cell.cell_type == "markdown" and (heading := re.match(r"#+ (.*)", cell.source)):
            current = found.setdefault(heading[1], [])
        current.append(cell)
    return {title: cells for title, cells in found.items() if title.startswith("Exercise ")}


def sources(cells, kind):
    return "\n".join(cell.source for cell in cells if cell.cell_type == kind)


@notebooks
def test_exercises_are_handed_out_unanswered(path):
    """There are three. Each says what to observe and has one check, which says that there is no answer yet."""
    found = exercises(read(path)[0].cells)
    assert [title.partition(" · ")[0] for title in found] == ["Exercise 1", "Exercise 2", "Exercise 3"]
    for title, cells in found.items():
        assert "**Observe:**" in sources(cells, "markdown"), title
        assert len(CHECK.findall(sources(cells, "code"))) == 1, title
        said = [
            line for cell in cells if cell.cell_type == "code" for text in texts(cell) for line in text.splitlines()
        ]
        assert sum(line.startswith("Not answered yet") for line in said) == 1, title
        assert not [line for line in said if line.startswith(("Right: ", "Not yet: "))], title


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_every_exercise_is_solved(path):
    """Under the same heading, with the reasoning in prose; and the exercise's own check accepts the answer."""
    asked = exercises(read(path.parent.parent / path.name.replace("_solutions", ""))[0].cells)
    solved = exercises(read(path)[0].cells)
    assert list(solved) == list(asked)
    for title, cells in solved.items():
        assert CHECK.findall(sources(cells, "code")) == CHECK.findall(sources(asked[title], "code")), title
        assert len(sources(cells, "markdown")) > 300, title
        said = [
            line for cell in cells if cell.cell_type == "code" for text in texts(cell) for line in text.splitlines()
        ]
        assert sum(line.startswith("Right: ") for line in said) == 1, title
        assert not [line for line in said if line.startswith("Not ")], title
