"""A command that fails says so in one line with exit code 2; Ctrl-C ends it with code 130."""

import errno
import io
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from helpers.__main__ import build_parser
from helpers.tools.command_line import (
    CommandLine,
    add_network,
    check_new,
    check_output,
    check_output_folder,
    path_argument,
    run_command,
    run_program,
    text_argument,
)
from helpers.tools.files import ASSETS
from tests.conftest import said
from tests.repository.disk import read_only
from tests.test_main import commands_of


class Broken(io.StringIO):
    """An output whose reader has gone, or whose disk is full."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def flush(self):
        raise self.error


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
        tf.errors.UnknownError(None, None, "Could not start gRPC server"),
        tf.errors.ResourceExhaustedError(None, None, "OOM when allocating"),
        tf.errors.InvalidArgumentError(None, None, "shapes differ"),
        tf.errors.OutOfRangeError(None, None, "end of sequence"),
        tf.errors.InternalError(None, None, "no device"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_expected_error_is_one_line_and_code_2(error, capsys):
    assert run_command(raising(error), None) == 2
    assert capsys.readouterr().err == f"error: {error}\n"


def test_only_the_first_line_of_a_long_error_is_shown(capsys):
    long = tf.errors.UnavailableError(None, None, "\nSocket closed\nAdditional GRPC error information:\n...")
    assert run_command(raising(long), None) == run_command(raising(ValueError()), None) == 2
    assert capsys.readouterr().err == "error: Socket closed\nerror: ValueError\n"


def test_too_little_memory_is_one_line(capsys):
    assert run_command(raising(MemoryError()), None) == 2
    assert capsys.readouterr().err == "error: not enough memory; ask for less at once.\n"


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


STOPS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@pytest.mark.parametrize("stop", STOPS)
def test_a_signal_is_one_line_and_code_130(stop, capsys):
    before = signal.getsignal(stop)
    assert run_command(lambda _: signal.raise_signal(stop), None) == 130
    assert capsys.readouterr().err == "Stopped.\n" and signal.getsignal(stop) is before


@pytest.mark.parametrize("error", [ImportError, SystemError, AttributeError, ValueError, MemoryError])
def test_an_import_that_makes_another_error_of_ctrl_c(error, capsys):
    def command(_):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise error("initialization failed") from None

    assert run_command(command, None) == 130
    assert capsys.readouterr().err == "Stopped.\n"


@pytest.fixture
def ignored(monkeypatch):
    """Whether signals are ignored at the end; they aren't, in this process."""
    calls = []
    monkeypatch.setattr("helpers.tools.command_line.ignore_stops", lambda: calls.append(True))
    return calls


@pytest.mark.parametrize("code", [0, 2, 130])
def test_a_program_ends_with_its_code(code, ignored):
    with pytest.raises(SystemExit) as stop:
        run_program(lambda: code)
    assert stop.value.code == code and ignored == [True]


@pytest.mark.parametrize(
    ("error", "code_of_help"), [(BrokenPipeError(), 0), (OSError("no space"), 2)], ids=["pipe", "disk"]
)
def test_help_that_cannot_be_printed(error, code_of_help, ignored, monkeypatch):
    """Python doesn't try to print it again at its end, with a complaint and code 120."""
    for code, expected in ((0, code_of_help), (2, 2)):
        monkeypatch.setattr(sys, "stdout", Broken(error))
        with pytest.raises(SystemExit) as stop:
            run_program(lambda: sys.exit(code))  # noqa: B023 - called at once
        assert stop.value.code == expected and sys.stdout.name == os.devnull
        sys.stdout.close()


def test_ctrl_c_before_the_command_is_one_line_and_code_130(ignored, capsys):
    with pytest.raises(SystemExit) as stop:
        run_program(lambda: raising(KeyboardInterrupt())(None))
    assert stop.value.code == 130 and ignored == [True]
    assert capsys.readouterr().err == "Stopped.\n"


# --- closed and broken outputs ---


def test_nobody_reads_the_output_any_more(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", Broken(BrokenPipeError(errno.EPIPE, "Broken pipe")))
    assert run_command(lambda _: print("a line"), None) == 0
    assert capsys.readouterr().err == ""


def test_the_output_goes_to_a_full_disk(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", Broken(OSError(errno.ENOSPC, "No space left on device")))
    assert run_command(lambda _: print("a line"), None) == 2
    assert capsys.readouterr().err == "error: not all could be printed: No space left on device.\n"


@pytest.mark.parametrize(("error", "code"), [(None, 0), (ValueError("oops"), 2), (KeyboardInterrupt(), 130)])
@pytest.mark.parametrize("closed", [("stdout",), ("stderr",), ("stdout", "stderr")])
def test_closed_outputs_change_no_code(closed, error, code, monkeypatch, capsys):
    for name in closed:
        monkeypatch.setattr(sys, name, None)  # as Python starts with 2>&-
    assert run_command(raising(error) if error else lambda _: print("a line"), None) == code
    if "stdout" not in closed:
        assert capsys.readouterr().out == ("" if error else "a line\n")  # an error isn't a result


@pytest.mark.parametrize("broken", [Broken(BrokenPipeError()), Broken(ValueError("I/O operation on closed file."))])
def test_an_error_that_cannot_be_printed_keeps_its_code(broken, monkeypatch):
    monkeypatch.setattr(sys, "stderr", broken)
    assert run_command(raising(ValueError("oops")), None) == 2
    assert run_command(raising(KeyboardInterrupt()), None) == 130


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
    file.write_text("", encoding="utf-8")
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
    (tmp_path / "old.csv").write_text("", encoding="utf-8")
    check_new(tmp_path / "old.csv", replace=True)
    with pytest.raises(ValueError, match="exists already: choose another --out, or add --replace"):
        check_new(tmp_path / "old.csv", replace=False)


def test_a_path_argument_is_never_empty_and_knows_the_home_folder(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    parser = CommandLine()
    parser.add_argument("--out", type=path_argument)
    assert parser.parse_args(["--out", "~/runs/a.png"]).out == tmp_path / "runs" / "a.png"
    with pytest.raises(SystemExit):
        parser.parse_args(["--out", "~nobody-of-that-name/a"])
    assert capsys.readouterr().err == "error: argument --out: there is no home folder for '~nobody-of-that-name/a'\n"
    for empty in ("", " ", "\n"):
        with pytest.raises(SystemExit):
            parser.parse_args(["--out", empty])
        assert capsys.readouterr().err == "error: argument --out: the path must not be empty\n"


@pytest.mark.parametrize("text", ["café", "café".encode().decode("ascii", "surrogateescape"), "314"])
def test_a_text_argument_is_utf_8_in_every_locale(text):
    assert text_argument(text) == ("314" if text == "314" else "café")


def test_every_path_of_every_command_is_checked_that_way():
    for command in commands_of(build_parser()).values():
        for action in command._actions:
            assert action.type is not Path, action.dest
            if action.dest in ("out", "network", "data", "work", "finalists"):
                assert action.type is path_argument or action.dest == "network", action.dest


def test_outputs_in_a_read_only_folder_are_refused_by_the_name_that_was_asked_for(tmp_path):
    for check, path in ((check_output, tmp_path / "a.png"), (check_output_folder, tmp_path / "runs" / "v")):
        with pytest.raises(ValueError) as raised, read_only():
            check(path)
        assert said(raised) == f"{path} can't be written: Read-only file system."


# --- nobody reads what is printed ---

PRINTS = """
import argparse, sys
from helpers.tools.command_line import run_command

def command(arguments):
    for number in range({lines}):
        print(number, "digits", flush={flush})
    open("done", "w", encoding="utf-8").close()

sys.exit(run_command(command, argparse.Namespace()))
"""


def buffered() -> dict[str, str]:
    """The environment in which Python keeps what is printed to a pipe until there is much of it."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return kept | {"PYTHONPATH": str(ASSETS.parent)}


@pytest.mark.parametrize(
    ("lines", "flush", "code", "is_done"),
    [(1, False, 0, True), (100_000, False, 2, False), (100_000, True, 2, False), (0, False, 0, True)],
    ids=["at the end", "when the buffer is full", "in the middle", "nothing is printed"],
)
def test_nobody_reads_the_output(lines, flush, code, is_done, tmp_path):
    """If all was done, nothing is complained about. If not, one line says so."""
    reading, writing = os.pipe()
    os.close(reading)
    program = PRINTS.format(lines=lines, flush=flush)
    try:
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, env=buffered(), stdout=writing, stderr=subprocess.PIPE
        )
    finally:
        os.close(writing)
    complaint = b"" if is_done else b"error: nobody reads the output any more.\n"
    assert (done.returncode, done.stderr) == (code, complaint) and (tmp_path / "done").exists() == is_done


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", ">/dev/full"])
def test_a_closed_or_full_output(closed, tmp_path):
    command = f"{shlex.quote(sys.executable)} -c {shlex.quote(PRINTS.format(lines=1, flush=False))} {closed}"
    done = subprocess.run(command, shell=True, cwd=tmp_path, env=buffered(), capture_output=True, text=True)
    assert (tmp_path / "done").exists()
    if closed == ">/dev/full":
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and "No space left" in done.stderr
    else:
        assert (done.returncode, done.stderr) == (0, "")
