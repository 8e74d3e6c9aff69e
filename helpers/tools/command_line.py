"""Command lines that report an error in one line with exit code 2, and stop at Ctrl-C with one line and code 130."""

import argparse
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from helpers.tools.files import as_path, check_writable, check_writable_folder, reason
from helpers.tools.signals import ignore_stops, stops_raised

EXPECTED = (ValueError, RuntimeError, FloatingPointError, OSError)  # their messages are sentences for the user


class CommandLine(argparse.ArgumentParser):
    """argparse, without the usage text in front of every error; `--help` still shows it."""

    def error(self, message: str) -> NoReturn:
        """Print one line on standard error and exit with code 2."""
        self.exit(2, f"error: {message}\n")


def run_command(command: Callable[[argparse.Namespace], object], arguments: argparse.Namespace) -> int:
    """Run a command and return its exit code.

    That is 0, 2 after an expected error or if the output's reader left before the end, 130 after a signal to stop.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # not all terminals and pipes know all characters
        sys.stdout.reconfigure(errors="backslashreplace")
    stopped = None
    try:
        with stops_raised() as stopped:
            command(arguments)
    except KeyboardInterrupt as interrupt:
        return _stopped(" ".join(map(str, interrupt.args)))
    except BrokenPipeError:
        _drop_output()
        return _failed("nobody reads the output any more.")
    except Exception as error:
        if stopped is not None and stopped.is_set():  # an import that was interrupted can end with any error
            return _stopped()
        if isinstance(error, MemoryError):
            return _failed("not enough memory; ask for less at once.")
        if not isinstance(error, EXPECTED) and not type(error).__module__.startswith("tensorflow"):
            raise
        return _failed(_one_line(error))
    return _flush_output()


def run_program(main: Callable[[], int]) -> NoReturn:
    """End the process with `main`'s exit code. Ctrl-C is answered in one line, and only once."""
    try:
        code = main()
    except SystemExit as end:  # --help, or a wrong argument
        printed = run_command(lambda _: None, argparse.Namespace())
        code = end.code or printed
    except KeyboardInterrupt:  # before a command ran
        code = _stopped()
    ignore_stops()  # TensorFlow takes a moment to end
    sys.exit(code)


def _stopped(sentence: str = "") -> int:
    _complain(sentence or "Stopped.")
    return 130


def _failed(sentence: str) -> int:
    _complain(f"error: {sentence}")
    return 2


def _flush_output() -> int:
    """Print what is still in the buffer, when all is done; returns the exit code."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
    except OSError as error:
        _drop_output()
        return _failed(f"not all could be printed: {reason(error)}.")
    return 0


def _drop_output() -> None:
    """What is still to be printed goes nowhere: Python would complain about it when it ends."""
    nowhere = open(os.devnull, "w", encoding="utf-8")
    with suppress(OSError, ValueError):  # it may be no file
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    sys.stdout = nowhere


def _complain(sentence: str) -> None:
    with suppress(OSError, ValueError):  # standard error may be closed
        if sys.stderr is not None:
            print(sentence, file=sys.stderr, flush=True)


def _one_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def add_network(parser: argparse.ArgumentParser) -> None:
    """The positional argument of all commands that use a trained network; None stands for the pre-trained one."""
    parser.add_argument(
        "network",
        nargs="?",
        type=path_argument,
        help="folder of a trained network, or velocity or noise (default: velocity)",
    )


@contextmanager
def resuming_explained(what: str, replace: bool) -> Iterator[None]:
    """Add to the sentence of a `KeyboardInterrupt`, if it has one, that the same command resumes `what`."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        if not interrupt.args:  # before the first step: nothing was saved
            raise
        command = "The same command without --replace" if replace else "The same command"
        raise KeyboardInterrupt(f"{interrupt.args[0]} {command} resumes the {what}.") from None


def text_argument(text: str) -> str:
    """A text as it was typed: terminals send UTF-8, also where the locale says ASCII."""
    return text.encode("utf-8", errors="surrogateescape").decode("utf-8", errors="replace")


def path_argument(text: str) -> Path:
    """A path from the command line: "~" is the home folder, an empty text is refused."""
    try:
        return as_path(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(reason(error)) from None


def check_output(path: Path) -> None:
    """Raises `ValueError` for an output that can't be written as a file, before any work is done."""
    if path.name == "" or path.is_dir():
        raise ValueError(f"--out must be a file, not {str(path)!r}.")
    check_writable(path)


def check_output_folder(path: Path) -> None:
    """Raises `ValueError` for an output that can't be written as a folder of its own, before any work is done."""
    if path.name == "" or path.is_file():
        raise ValueError(f"--out must be a folder, not {str(path)!r}.")
    check_writable_folder(path)


def check_new(path: Path, replace: bool) -> None:
    """Raises `ValueError` if there is a file at `path` and `replace` doesn't allow replacing it."""
    if path.exists() and not replace:
        raise ValueError(f"{path} exists already: choose another --out, or add --replace.")
