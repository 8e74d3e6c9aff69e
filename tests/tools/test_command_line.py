"""A command that fails says so in one line with exit code 2; Ctrl-C ends it with code 130."""

import signal
import threading
from pathlib import Path

import pytest

from helpers.tools.command_line import (
    CommandLine,
    add_network,
    check_new,
    check_output,
    check_output_folder,
    interrupts_noted,
    run_command,
)
from tests.conftest import said

# --- exit codes ---


def raising(error):
    def command(arguments):
        raise error

    return command


def test_success_is_code_0(capsys):
    seen = []
    assert run_command(seen.append, "the arguments") == 0
    assert seen == ["the arguments"] and capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "error",
    [
        ValueError("steps must be 1."),
        RuntimeError("no network"),
        FloatingPointError("the loss is nan"),
        FileNotFoundError("gone"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_expected_error_is_one_line_and_code_2(error, capsys):
    assert run_command(raising(error), None) == 2
    assert capsys.readouterr().err == f"error: {error}\n"


def test_a_mistake_in_the_code_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        run_command(raising(ZeroDivisionError("oops")), None)


@pytest.mark.parametrize(
    ("interrupt", "line"),
    [(KeyboardInterrupt(), "Stopped.\n"), (KeyboardInterrupt("Stopped after step 7."), "Stopped after step 7.\n")],
    ids=["without a message", "with a message"],
)
def test_ctrl_c_is_one_line_and_code_130(interrupt, line, capsys):
    assert run_command(raising(interrupt), None) == 130
    assert capsys.readouterr().err == line


# --- arguments ---


def test_a_wrong_argument_is_one_line_and_code_2(capsys):
    parser = CommandLine(prog="draw")
    parser.add_argument("--steps", type=int)
    with pytest.raises(SystemExit) as stop:
        parser.parse_args(["--steps", "many"])
    assert stop.value.code == 2
    assert capsys.readouterr().err == "error: argument --steps: invalid int value: 'many'\n"
    with pytest.raises(SystemExit) as stop:
        parser.parse_args(["--help"])
    assert stop.value.code == 0 and capsys.readouterr().out.startswith("usage: draw")


def test_a_network_is_a_folder_or_the_default():
    parser = CommandLine()
    add_network(parser)
    assert parser.parse_args([]).network is None
    assert parser.parse_args(["runs/mine"]).network == Path("runs/mine")


def test_outputs_are_checked_before_any_work(tmp_path):
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.write_text("")
    folder.mkdir()
    check_output(file), check_output(tmp_path / "new"), check_output_folder(folder)
    check_output_folder(tmp_path / "new" / "deeper")
    for wrong in (folder, Path("")):
        with pytest.raises(ValueError, match="--out must be a file, not") as raised:
            check_output(wrong)
        said(raised)
    for wrong in (file, Path("")):
        with pytest.raises(ValueError, match="--out must be a folder, not") as raised:
            check_output_folder(wrong)
        said(raised)


def test_only_replace_replaces(tmp_path):
    check_new(tmp_path / "new.csv", replace=False)
    (tmp_path / "old.csv").write_text("")
    check_new(tmp_path / "old.csv", replace=True)
    with pytest.raises(ValueError, match="exists already: choose another --out, or add --replace"):
        check_new(tmp_path / "old.csv", replace=False)


# --- Ctrl-C between two steps ---


def test_the_first_ctrl_c_is_noted_and_the_second_interrupts():
    before = signal.getsignal(signal.SIGINT)
    with interrupts_noted() as interrupted:
        assert not interrupted.is_set()
        signal.raise_signal(signal.SIGINT)
        assert interrupted.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_the_handler_is_put_back_after_an_error():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ValueError, match="in the middle"), interrupts_noted():
        raise ValueError("in the middle")
    assert signal.getsignal(signal.SIGINT) is before


def test_another_thread_works_without_a_handler():
    seen = []

    def work():
        with interrupts_noted() as interrupted:
            seen.append(interrupted.is_set())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]
