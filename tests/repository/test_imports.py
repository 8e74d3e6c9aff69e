"""The rules of the house, read from the source: who may import whom, and one address for every name."""

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
from collections import defaultdict
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOUSE = ROOT / "helpers"
# From the ground up. A file or package imports from lower levels or from itself, never from its neighbours.
LEVELS = (
    ("tools",),
    ("data", "diffusion"),
    ("unet",),
    ("checkpoints", "custom_data"),
    ("sampling",),
    ("training", "evaluation", "display"),
    ("exercises", "workshop"),
    ("commands",),
    ("__main__",),
)
LEVEL_OF = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
LESSONS = ("data", "diffusion", "unet", "checkpoints", "custom_data", "sampling", "training", "evaluation")
STAGES = ("sampling", "training", "evaluation", "display", "exercises")  # packages that notebooks import from
SHARED_NAMES = {  # defined in several modules
    "add_arguments": "every command has it",
    "run": "every command has it, and recipes.run runs one recipe",
    "CHECKPOINT": "the file of an unfinished training: .npz of the network, .pt of digit-clip",
    "FLOOR_DRAWS": "the report card affords more draws than a comparison of many settings",
}


class Import(NamedTuple):
    """One imported module, or one name imported from it."""

    module: str
    name: str | None  # None: the module itself
    line: int


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def name_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(file): file for file in sorted(HOUSE.rglob("*.py"))}
PACKAGES = {module for module, file in MODULES.items() if file.name == "__init__.py"}


def room_of(module: str) -> str:
    """The entry of `helpers/` that a module lies in: "helpers.training.loop" -> "training"."""
    return module.split(".")[1] if "." in module else ""


def imports_in(node: ast.AST) -> list[Import]:
    """All imports under a node, inside functions too, but not those that only type checkers see."""
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return []
    if isinstance(node, ast.Import):
        return [Import(alias.name, None, node.lineno) for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"line {node.lineno}: a relative import"
        whole = [f"{node.module}.{alias.name}" for alias in node.names]
        return [
            Import(name, None, node.lineno)
            if name in MODULES
            else Import(node.module, name.rpartition(".")[2], node.lineno)
            for name in whole
        ]
    return [found for child in ast.iter_child_nodes(node) for found in imports_in(child)]


def imports_of(module: str) -> list[Import]:
    return imports_in(tree(module))


def defined_in(module: str) -> set[str]:
    """The names that a module defines itself: functions, classes and what is assigned outside of them."""
    names = set()
    for node in tree(module).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}
    return names


def place(module: str, found: Import) -> str:
    return f"{MODULES[module].relative_to(ROOT)}:{found.line} imports {found.module}" + (
        f".{found.name}" if found.name else ""
    )


# --- who may import whom ---


def test_every_room_has_its_level():
    rooms = {path.stem for path in HOUSE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert rooms - {"__init__"} == set(LEVEL_OF)
    assert imports_of("helpers") == [Import("os", None, imports_of("helpers")[0].line)]  # nothing heavy


def test_no_arrow_runs_up():
    wrong = []
    for module in MODULES:
        for found in imports_of(module):
            here, there = room_of(module), room_of(found.module)
            if found.module.startswith("helpers.") and here != there and LEVEL_OF[there] >= LEVEL_OF[here]:
                wrong.append(place(module, found))
    assert not wrong


def test_no_circle():
    graph = {
        module: {found.module for found in imports_of(module) if found.module in MODULES} - {module}
        for module in MODULES
    }
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_names_are_imported_from_the_file_that_defines_them():
    wrong = [
        place(module, found)
        for module in MODULES
        for found in imports_of(module)
        if found.module in MODULES and found.name and found.name not in defined_in(found.module)
    ]
    assert not wrong


def test_lesson_files_hold_no_command_line_and_no_progress_bar():
    wrong = [
        place(module, found)
        for module in MODULES
        if room_of(module) in LESSONS
        for found in imports_of(module)
        if found.module.partition(".")[0] in ("argparse", "tqdm") or room_of(found.module) in ("workshop", "commands")
    ]
    assert not wrong


def test_nothing_needs_a_package_of_the_tests():
    lines = (ROOT / "tests" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    only_tests = {match[0].lower() for line in lines if (match := re.match(r"[\w-]+", line))}
    assert {"diffusers", "psutil", "pytest-xdist"} <= only_tests
    distributions = importlib.metadata.packages_distributions()
    wrong = [
        place(module, found)
        for module in MODULES
        for found in imports_of(module)
        if only_tests & {name.lower() for name in distributions.get(found.module.partition(".")[0], ())}
    ]
    assert not wrong


@pytest.mark.parametrize("module", MODULES)
def test_the_quiet_start_comes_before_tensorflow(module):
    """First of all in a module that imports TensorFlow or Keras, or, if only a function does, in that function."""

    def uses_tensorflow(node):
        return any(found.module.partition(".")[0] in ("tensorflow", "keras") for found in imports_in(node))

    def is_first(body):
        statements = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
        return [found.module for found in imports_in(statements[0])] == ["helpers.tools.quiet"]

    if module == "helpers.tools.quiet":
        return
    body = tree(module).body
    if any(uses_tensorflow(node) for node in body if isinstance(node, ast.Import | ast.ImportFrom)):
        assert is_first(body)
    elif not any(found.module == "helpers.tools.quiet" for node in body for found in imports_in(node)):
        for node in ast.walk(tree(module)):
            if isinstance(node, ast.FunctionDef) and uses_tensorflow(node):
                assert is_first(node.body), f"line {node.lineno}"


# --- one address for every name ---


def test_a_public_name_is_defined_once():
    modules_of = defaultdict(list)
    for module in MODULES:
        for name in defined_in(module):
            if not name.startswith("_"):
                modules_of[name].append(module)
    assert {name for name, modules in modules_of.items() if len(modules) > 1} == set(SHARED_NAMES)


def test_only_stages_export_names():
    others = PACKAGES - {f"helpers.{stage}" for stage in STAGES} - {"helpers"}
    assert [module for module in others if imports_of(module)] == []


@cache
def imported_by_notebooks() -> dict[str, set[str]]:
    """The names that all notebooks, those of solutions too, import from each module of `helpers`."""
    names = defaultdict(set)
    for path in sorted((ROOT / "notebooks").rglob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                lines = [line for line in "".join(cell["source"]).splitlines() if not line.startswith(("%", "!"))]
                for found in imports_in(ast.parse("\n".join(lines))):
                    if found.module.partition(".")[0] == "helpers":
                        names[found.module] |= {found.name} if found.name else set()
    return names


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_exports_what_notebooks_import(stage):
    module = f"helpers.{stage}"
    exported = {found.name for found in imports_of(module)}
    all_names = next(
        ast.literal_eval(node.value)
        for node in tree(module).body
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
    )
    assert len(all_names) == len(set(all_names)) and set(all_names) == exported
    assert exported == imported_by_notebooks()[module]


def test_notebooks_import_from_stages_and_files():
    allowed = {f"helpers.{stage}" for stage in STAGES} | {f"helpers.{room}" for room in LESSONS}
    assert set(imported_by_notebooks()) <= allowed | {"helpers.tools.files", "helpers.tools.quiet"}


# --- what an import brings along ---

WHAT_IS_LOADED = """
import contextlib, io, json, runpy, sys, time

from helpers.commands import COMMANDS

HEAVY = {"tensorflow", "keras", "numpy", "torch", "transformers"}


def end_of(*arguments):
    sys.argv = ["helpers", *arguments]
    printed, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(error):
        try:
            runpy.run_module("helpers", run_name="__main__")
        except SystemExit as stop:
            return [stop.code, printed.getvalue(), error.getvalue()]


found = {
    "list": end_of(), "help": end_of("--help"), "typo": end_of("smaple", "314"),
    "wrong": end_of("sample", "314", "--steps", "many"), "unfit": end_of("sample", "314", "--out", "digits.jpg"),
    "helps": [end_of(command, "--help") for command in COMMANDS],
}
found["loaded by the command line"] = sorted(HEAVY & set(sys.modules))
found["seconds"] = time.process_time()
import helpers.sampling, helpers.evaluation
import tensorflow
tensorflow.zeros(1)
found["loaded by the stages"] = sorted(HEAVY & set(sys.modules))
print(json.dumps(found))
"""


def test_commands_answer_without_tensorflow_and_stages_load_without_torch():
    """All in one process, which also shows that TensorFlow's start is quiet."""
    done = subprocess.run([sys.executable, "-c", WHAT_IS_LOADED], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["list"] == found["help"] and found["help"][0] == 0
    for kind in ("typo", "wrong", "unfit"):
        code, printed, error = found[kind]
        assert code == 2 and printed == "" and error.startswith("error: ") and error.count("\n") == 1
    assert all(code == 0 and printed.startswith("usage: python -m helpers") for code, printed, _ in found["helps"])
    assert found["loaded by the command line"] == [] and found["seconds"] < 1
    assert found["loaded by the stages"] == ["keras", "numpy", "tensorflow"]
