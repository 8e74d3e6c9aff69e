"""The list of mutants holds: each text occurs once, its slip is valid Python, and its test exists and isn't slow."""

import ast

import pytest

from tests.maintenance.mutants import MUTANTS, ROOT, module_of


def test_there_are_twenty_different_slips():
    assert len(MUTANTS) == len({mutant.slip for mutant in MUTANTS}) == len({mutant.text for mutant in MUTANTS}) == 20


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.slip)
def test_mutant_can_be_made(mutant):
    source = module_of(mutant, ROOT).read_text()
    changed = source.replace(mutant.text, mutant.slipped)
    assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.slip)
def test_plain_pytest_runs_its_test(mutant):
    file, _, name = mutant.test.partition("::")
    statements = ast.parse((ROOT / "tests" / file).read_text()).body
    functions = {node.name: node for node in statements if isinstance(node, ast.FunctionDef)}
    chosen = [functions[name]] if name else [node for node in functions.values() if node.name.startswith("test_")]
    assert chosen and not any("slow" in ast.unparse(mark) for node in chosen for mark in node.decorator_list)
    assigned = [ast.unparse(node) for node in statements if isinstance(node, ast.Assign)]
    assert not any(line.startswith("pytestmark") and "slow" in line for line in assigned)
