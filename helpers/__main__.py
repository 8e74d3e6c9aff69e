"""`python -m helpers` lists the commands; `python -m helpers COMMAND ...` runs one."""

import importlib
import sys

from helpers.commands import COMMANDS
from helpers.tools.command_line import CommandLine, run_command


def build_parser() -> CommandLine:
    """The command line of all commands. Building it imports neither TensorFlow nor PyTorch."""
    parser = CommandLine(prog="python -m helpers", description="Draw, train and judge handwritten digits.")
    commands = parser.add_subparsers(metavar="COMMAND", title="commands", required=False)
    for name in COMMANDS:
        command = importlib.import_module(f"helpers.commands.{name.replace('-', '_')}")
        sentence, _, more = command.__doc__.partition("\n\n")
        command_parser = commands.add_parser(name, help=sentence, description=f"{sentence} {more}".strip())
        command.add_arguments(command_parser)
        command_parser.set_defaults(command=command.run)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 2 after an error, 130 after Ctrl-C."""
    parser = build_parser()
    parsed = parser.parse_args(arguments)
    if "command" not in parsed:
        parser.print_help()
        return 0
    return run_command(parsed.command, parsed)


if __name__ == "__main__":
    sys.exit(main())
