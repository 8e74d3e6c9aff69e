"""The list of mutants holds: each text occurs once, its slip is valid Python, and its test exists and isn't slow."""

import ast
import functools

import pytest

from tests.maintenance.mutants import MUTANTS, ROOT, changed, chosen, read_table


@functools.cache
def statements_of(path):
    return ast.parse(path.read_text(encoding="utf-8")).body


def name_of(mutant):
    return f"{mutant.module}: {mutant.slip}"


def test_there_are_over_a_hundred_different_slips():
    assert len(MUTANTS) == len(set(map(name_of, MUTANTS))) == len({mutant[1:4] for mutant in MUTANTS}) > 100


@pytest.mark.parametrize("mutant", MUTANTS, ids=name_of)
def test_mutant_can_be_made(mutant):
    module = ROOT / "helpers" / mutant.module
    slipped = ast.parse(changed(mutant, module.read_text(encoding="utf-8")))
    assert ast.dump(slipped) != ast.dump(ast.Module(statements_of(module), []))


@pytest.mark.parametrize("mutant", MUTANTS, ids=name_of)
def test_plain_pytest_runs_its_test(mutant):
    file, _, name = mutant.test.partition("::")
    statements = statements_of(ROOT / "tests" / file)
    functions = {node.name: node for node in statements if isinstance(node, ast.FunctionDef)}
    tests = [functions[name]] if name else [node for node in functions.values() if node.name.startswith("test_")]
    assert tests and not any("slow" in ast.unparse(mark) for node in tests for mark in node.decorator_list)
    assigned = [ast.unparse(node) for node in statements if isinstance(node, ast.Assign)]
    assert not any(line.startswith("pytestmark") and "slow" in line for line in assigned)


def test_a_table_is_read_line_by_line():
    table = "\n== a.py\n* x is wrong\n> test_a.py::test_x\n- one\n-   two\n+ three\n\n* z\n> test_a.py\n- a\n+ b\n"
    first, second = read_table(table)
    assert first == ("x is wrong", "a.py", "one\n  two", "three", "test_a.py::test_x")
    assert second == ("z", "a.py", "a", "b", "test_a.py")


def test_a_part_is_chosen_by_number_or_by_file():
    files = [number for number, mutant in enumerate(MUTANTS, 1) if mutant.module == "diffusion.py"]
    assert list(chosen([])) == list(range(1, len(MUTANTS) + 1)) and list(chosen(["2", "1"])) == [1, 2]
    assert list(chosen(["diffusion.py"])) == files and set(files) < set(chosen(["d"]))
    for wrong in ("0", "9999", "nowhere.py"):
        with pytest.raises(ValueError, match=f"{wrong} is neither a number in 1.."):
            chosen([wrong])
