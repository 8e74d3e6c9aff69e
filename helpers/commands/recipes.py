"""Compare recipes of training after equally long training, on the validation images.

Finished rows are kept, and an interrupted training resumes with the same command.
"""

import argparse
from pathlib import Path

from helpers.tools.command_line import check_output_folder, path_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `recipes`."""
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help="names of recipes (default: all)")
    parser.add_argument("--minutes", type=float, default=8.0, help="of training, each (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the training (default %(default)s)")
    parser.add_argument("--images", type=int, default=2_000, help="samples per measure (default %(default)s)")
    parser.add_argument("--out", type=path_argument, default=Path("runs/recipes"), help="folder (default %(default)s)")


def run(arguments: argparse.Namespace) -> None:
    """Train and measure every recipe that has no row yet."""
    check_output_folder(arguments.out)
    from helpers.tools.checks import check_choice, check_number
    from helpers.tools.locks import held
    from helpers.workshop.recipes import RECIPES

    for name in arguments.recipes:
        check_choice("RECIPE", name, tuple(RECIPES))
    check_number("--minutes", arguments.minutes, 0, above=True)
    table = arguments.out / "recipes.csv"
    try:
        with held(arguments.out):
            _compare(arguments, table)
    except KeyboardInterrupt:
        kept = f"{table} keeps the finished rows; the" if table.exists() else "The"
        raise KeyboardInterrupt(f"Stopped. {kept} same command resumes.") from None


def _compare(arguments: argparse.Namespace, table: Path) -> None:
    import helpers.tools.quiet  # noqa: F401

    import keras

    from helpers.tools.cores import one_stream_per_core
    from helpers.tools.files import write_record, write_rows
    from helpers.training.objective import TrainingConfig
    from helpers.workshop import recipes
    from helpers.workshop.tuning import Yardstick

    comparison = {"minutes": arguments.minutes, "images": arguments.images}
    described = table.with_name("comparison.json")
    if described.exists() and not _describes(described, comparison):
        raise ValueError(f"{arguments.out} compares with other --minutes or --images: choose another --out.")
    rows = recipes.finished_rows(table) if table.exists() else []
    one_stream_per_core(TrainingConfig.batch_size)  # before anything else uses TensorFlow
    yardstick = Yardstick(arguments.images, validation=True)
    write_record(described, comparison)
    for name in arguments.recipes or recipes.RECIPES:
        if any((row["recipe"], int(row["seed"])) == (name, arguments.seed) for row in rows):
            continue
        rows.append(recipes.run(name, arguments.seed, arguments.minutes, yardstick, arguments.out))
        print(", ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
        write_rows(table, rows)
        keras.backend.clear_session()


def _describes(file: Path, comparison: dict) -> bool:
    from helpers.tools.files import read_record, reason

    try:
        return read_record(file) == comparison
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} is damaged: {reason(error)}; choose another --out.") from error
