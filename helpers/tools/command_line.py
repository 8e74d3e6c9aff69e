"""Command lines that say what is wrong in one line, exit with code 2, and stop cleanly at Ctrl-C."""

import argparse
import functools
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn


class CommandLine(argparse.ArgumentParser):
    """argparse, without the usage text in front of every error; `--help` still shows it."""

    def error(self, message: str) -> NoReturn:
        """One line on standard error, exit code 2."""
        self.exit(2, f"error: {message}\n")


def one_line_errors(main: Callable[..., int]) -> Callable[..., int]:
    """A `main` whose expected errors become one line on standard error and exit code 2."""

    @functools.wraps(main)
    def checked(arguments: list[str] | None = None) -> int:
        try:
            return main(arguments)
        except (ValueError, RuntimeError, FloatingPointError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2

    return checked


@contextmanager
def interrupts_noted() -> Iterator[threading.Event]:
    """Ctrl-C only sets the event, so that no step is left half done; a second one interrupts at once."""
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
