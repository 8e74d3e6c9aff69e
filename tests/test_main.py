"""`python -m helpers` lists every command with a sentence, and explains each. No subprocess: see `test_imports`."""

import pytest

from helpers.__main__ import build_parser, main
from helpers.commands import COMMANDS


def commands_of(parser):
    """The parser of each command by its name."""
    return next(action for action in parser._actions if action.choices).choices


def test_the_list_has_a_sentence_for_every_command(capsys):
    assert main([]) == 0
    listed = " ".join(capsys.readouterr().out.split())
    assert listed.startswith("usage: python -m helpers")
    for command, parser in commands_of(build_parser()).items():
        sentence = parser.description.split("\n")[0].split(". ")[0]
        assert f"{command} {' '.join(sentence.split())}" in listed


@pytest.mark.parametrize("command", COMMANDS)
def test_every_argument_is_explained(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: python -m helpers {command}")
    assert [action.dest for action in commands_of(build_parser())[command]._actions if not action.help] == []


def test_a_typo_is_one_line(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["smaple", "314"])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: argument COMMAND: invalid choice: 'smaple'") and error.count("\n") == 1


def test_one_convention_for_all_commands():
    """A network is a positional folder, and a seed is 0 unless it is given."""
    parser = build_parser()
    for command in ("validate", "accuracy", "evaluate", "tune", "distil"):
        assert parser.parse_args([command]).network is None
        assert str(parser.parse_args([command, "runs/mine"]).network) == "runs/mine"
    seeded = "sample 3,accuracy,evaluate,shapes,tune,recipes,distil,train-classifiers,train-clip"
    for command in seeded.split(","):
        assert parser.parse_args(command.split()).seed == 0
