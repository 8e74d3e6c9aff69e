"""Command lines that say what is wrong in one line, and exit with code 2."""

import argparse
from typing import NoReturn


class CommandLine(argparse.ArgumentParser):
    """argparse, without the usage text in front of every error; `--help` still shows it."""

    def error(self, message: str) -> NoReturn:
        """One line on standard error, exit code 2."""
        self.exit(2, f"error: {message}\n")
