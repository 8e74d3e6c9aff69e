"""The list of mutants holds: each line is there, once, its slip is Python, and its test exists."""

import ast

import pytest
from mutants import MUTANTS, ROOT, module_of


def test_there_are_twenty_different_slips():
    assert len(MUTANTS) == len({mutant.slip for mutant in MUTANTS}) == len({mutant.text for mutant in MUTANTS}) == 20


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.slip)
def test_mutant_can_be_made(mutant):
    source = module_of(mutant, ROOT).read_text()
    changed = source.replace(mutant.text, mutant.slipped)
    assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source))
    file, _, name = mutant.test.partition("::")
    assert f"def {name}(" in (ROOT / "tests" / file).read_text() if name else (ROOT / "tests" / file).is_file()
