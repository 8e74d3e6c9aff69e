"""Compare solvers, steps and guidance on training images, never on the test set.

By default the guidance scales and intervals; --front solvers and steps; --finalists the best of such tables again. An
interrupted comparison resumes with the same command.
"""

import argparse
from pathlib import Path

from helpers.tools.command_line import add_network, check_new, check_output, path_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `tune`."""
    add_network(parser)
    parser.add_argument("--images", type=int, default=1_000, help="samples per setting (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="fixes the samples' noise (default %(default)s)")
    parser.add_argument(
        "--out", type=path_argument, default=Path("runs/tuning.csv"), help="table to write (default %(default)s)"
    )
    parser.add_argument("--replace", action="store_true", help="replace a finished table")
    one_of = parser.add_mutually_exclusive_group()
    one_of.add_argument("--front", action="store_true", help="few to many steps of each solver")
    one_of.add_argument(
        "--finalists", type=path_argument, nargs="+", metavar="CSV", help="the best settings of these tables"
    )
    one_of.add_argument("--blocks", action="store_true", help="only: do the validation images differ from the others?")


def run(arguments: argparse.Namespace) -> None:
    """Measure every setting, print its row and write the table."""
    if not arguments.blocks:
        check_output(arguments.out)
        check_new(arguments.out, arguments.replace)
    from helpers.checkpoints import PRETRAINED, folder_of
    from helpers.tools.files import write_rows
    from helpers.workshop import tuning

    if arguments.blocks:
        others, validation = tuning.block_distances()
        print(f"Frechet distance of 5,000 images to others with their labels: {others.min():.3f} to {others.max():.3f}")
        print(f"of the 5,000 validation images: {validation:.3f}")
        return
    settings = tuning.front_settings() if arguments.front else tuning.scale_settings()
    if arguments.finalists:
        settings = tuning.finalists(*(tuning.read_table(table) for table in arguments.finalists))
    network, teach, rows = folder_of(arguments.network or PRETRAINED), bool(arguments.finalists), []
    try:
        for row in tuning.measure_all(network, settings, arguments.images, arguments.seed, teach):
            rows.append(row)
            print(_line(row), flush=True)
            if len(rows) == len(settings):  # before the unfinished table is deleted
                write_rows(arguments.out, rows)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("Stopped. Finished rows are kept; the same command resumes.") from None
    if teach:
        chosen = tuning.best_teacher(rows)
        print(f"best teacher with an accuracy of {tuning.WANTED_ACCURACY}: {_line(chosen) if chosen else 'none'}")


def _line(row: dict) -> str:
    return ", ".join(f"{name} {value}" for name, value in row.items())
