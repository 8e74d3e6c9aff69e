"""`python -m helpers` lists the commands; `python -m helpers COMMAND ...` runs one."""

import sys

try:
    import importlib

    from helpers.commands import COMMANDS
    from helpers.tools.command_line import CommandLine, run_command, run_program
except KeyboardInterrupt:  # Ctrl-C before there is a command to stop
    print("Stopped.", file=sys.stderr)
    sys.exit(130)


def build_parser() -> CommandLine:
    """The command line of all commands. Building it imports neither TensorFlow nor PyTorch."""
    parser = CommandLine(prog="python -m helpers", description="Draw, train and judge handwritten digits.")
    parser.set_defaults(command=lambda _: parser.print_help())
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
    return run_command(parsed.command, parsed)


if __name__ == "__main__":
    run_program(main)
