"""Break lines of `helpers/`, one at a time, and see whether the tests notice.

    python -m tests.maintenance.mutants                        # all, in half an hour
    python -m tests.maintenance.mutants 3 7 training/loop.py   # two of them, and those of a file or folder of helpers/

Each mutant is a plausible slip. The test named beside it is one of those that plain `pytest` runs. It runs in a copy of
the repository: first unchanged, where it must pass, and then with the slip, where it must fail. A copy for each core.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from helpers.tools.command_line import CommandLine, run_command
from helpers.tools.files import ASSETS

ROOT = ASSETS.parent
AT_A_TIME = 2  # mutants, each in a copy of its own


class Mutant(NamedTuple):
    """One slip, and the test that should fail."""

    slip: str
    module: str  # in helpers/
    text: str  # the right code, which occurs once in the module
    slipped: str
    test: str  # file in `tests/`, and usually the one function in it


# After "==" a module of helpers/. Then for each slip, after "*", what it is; after ">" the test that notices it; after
# "-" the right lines, or the part of one, and after "+" what stands there instead.
TABLE = Path(__file__).with_name("mutants.txt").read_text(encoding="utf-8")


def read_table(table: str) -> list[Mutant]:
    """The mutants of a table in the form of `TABLE`."""
    mutants: list[Mutant] = []
    module = ""
    for line in filter(None, table.split("\n")):
        sign, rest = line[0], line[2:]
        if sign == "=":
            module = line[3:]
        elif sign == "*":
            mutants.append(Mutant(rest, module, "", "", ""))
        else:
            name = {">": "test", "-": "text", "+": "slipped"}[sign]
            before = getattr(mutants[-1], name)
            mutants[-1] = mutants[-1]._replace(**{name: f"{before}\n{rest}" if before else rest})
    return mutants


MUTANTS = read_table(TABLE)


def changed(mutant: Mutant, source: str) -> str:
    """The module's source with the slip. Raises `ValueError` unless the right text occurs once."""
    if (count := source.count(mutant.text)) != 1:
        raise ValueError(f"{mutant.text!r} is in helpers/{mutant.module} {count} times, not once.")
    return source.replace(mutant.text, mutant.slipped)


def run_tests(repository: Path, tests: Sequence[str]) -> int:
    """pytest's exit code: 0 if all pass, 1 if one fails, anything else if they couldn't be run."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}  # an old .pyc could hide a change within one second
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n0", "-p", "no:cacheprovider"]
    paths = [f"tests/{test}" for test in dict.fromkeys(tests)]
    return subprocess.run([*command, *paths], cwd=repository, env=environment, capture_output=True).returncode


def is_caught(mutant: Mutant, repository: Path) -> bool:
    """Whether the test fails with the slip, in a repository that is left as it was."""
    module = repository / "helpers" / mutant.module
    right = module.read_text(encoding="utf-8")
    try:
        module.write_text(changed(mutant, right), encoding="utf-8")
        code = run_tests(repository, [mutant.test])
    finally:
        module.write_text(right, encoding="utf-8")
    if code not in (0, 1):
        raise RuntimeError(f"{mutant.test} couldn't be run: pytest's exit code is {code}.")
    return code == 1


def chosen(wanted: Sequence[str]) -> dict[int, Mutant]:
    """The mutants by number, those of the given numbers, files and folders, or all. Raises `ValueError` for others."""
    numbered = dict(enumerate(MUTANTS, 1))
    if not wanted:
        return numbered
    found = set()
    for name in wanted:
        one = {int(name)} & numbered.keys() if name.isdecimal() else set()
        several = {number for number, mutant in numbered.items() if mutant.module.startswith(name)}
        if not one | several:
            raise ValueError(f"{name} is neither a number in 1..{len(MUTANTS)} nor a file or folder with mutants.")
        found |= one | several
    return {number: numbered[number] for number in sorted(found)}


def run(arguments: argparse.Namespace) -> None:
    """Try the chosen mutants. Raises `RuntimeError` if one survives."""
    mutants = chosen(arguments.wanted)
    with tempfile.TemporaryDirectory() as temporary:
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(AT_A_TIME):
            copy = Path(temporary) / str(number)
            shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", "__pycache__", "runs", "*.ipynb"))
            copies.put(copy)
        if run_tests(copy, [mutant.test for mutant in mutants.values()]):
            raise RuntimeError("the tests must pass before anything is changed.")

        def in_a_free_copy(mutant: Mutant) -> bool:
            repository = copies.get()
            try:
                return is_caught(mutant, repository)
            finally:
                copies.put(repository)

        caught = 0
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            for (number, mutant), found in zip(
                mutants.items(), pool.map(in_a_free_copy, mutants.values()), strict=True
            ):
                caught += found
                print(f"{number:3} {'caught  ' if found else 'SURVIVED'} {mutant.module}: {mutant.slip}", flush=True)
    print(f"{caught} of {len(mutants)} were noticed")
    if caught < len(mutants):
        raise RuntimeError("a mutant survived: a test must notice it.")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = CommandLine(prog="python -m tests.maintenance.mutants", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "wanted", nargs="*", metavar="WHICH", help="number of a mutant, or a file or folder of helpers/ (default: all)"
    )
    return run_command(run, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
