"""Command lines that report an error in one line with exit code 2, and stop at Ctrl-C with one line and code 130."""

import argparse
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn


class CommandLine(argparse.ArgumentParser):
    """argparse, without the usage text in front of every error; `--help` still shows it."""

    def error(self, message: str) -> NoReturn:
        """Print one line on standard error and exit with code 2."""
        self.exit(2, f"error: {message}\n")


def run_command(command: Callable[[argparse.Namespace], object], arguments: argparse.Namespace) -> int:
    """Run a command and return its exit code: 0, 2 after an expected error, 130 after Ctrl-C."""
    try:
        command(arguments)
    except KeyboardInterrupt as interrupt:
        print(*(interrupt.args or ["Stopped."]), file=sys.stderr)
        return 130
    except (ValueError, RuntimeError, FloatingPointError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def add_network(parser: argparse.ArgumentParser) -> None:
    """The positional argument of all commands that use a trained network; None stands for the pre-trained one."""
    parser.add_argument(
        "network", nargs="?", type=Path, help="folder of a trained network (default: the pre-trained one)"
    )


def check_output(path: Path) -> None:
    """Raises `ValueError` for an output that can't be a file, before any work is done."""
    if path.name == "" or path.is_dir():
        raise ValueError(f"--out must be a file, not {str(path)!r}.")


def check_output_folder(path: Path) -> None:
    """Raises `ValueError` for an output that can't be a folder of its own, before any work is done."""
    if path.name == "" or path.is_file():
        raise ValueError(f"--out must be a folder, not {str(path)!r}.")


def check_new(path: Path, replace: bool) -> None:
    """Raises `ValueError` if there is a file at `path` and `replace` doesn't allow replacing it."""
    if path.exists() and not replace:
        raise ValueError(f"{path} exists already: choose another --out, or add --replace.")


@contextmanager
def interrupts_noted() -> Iterator[threading.Event]:
    """Ctrl-C only sets the event, so that no step is left half done. A second Ctrl-C interrupts at once."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # Python allows handlers only there
        yield interrupted
        return
    before = signal.getsignal(signal.SIGINT)

    def note(*_: object) -> None:
        interrupted.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)
