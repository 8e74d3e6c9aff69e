"""Make a network's report card: accuracy, R, coverage, density, CLIP, memorisation and more.

An interrupted report resumes with the same command. The report goes into the network's folder, or into runs/ for a
network that ships with the course. Notebook 06 explains it.
"""

import argparse
from pathlib import Path

from helpers.tools.command_line import add_network, check_new, check_output, path_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `evaluate`."""
    add_network(parser)
    parser.add_argument("--images", type=int, default=10_000, help="samples, 500 to 10000 (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="fixes the samples' noise (default %(default)s)")
    parser.add_argument(
        "--out", type=path_argument, help="JSON to write (default: evaluation.json in the network's folder)"
    )
    parser.add_argument("--replace", action="store_true", help="replace a finished report")
    parser.add_argument(
        "--work", type=path_argument, default=Path("runs/evaluation"), help="for unfinished reports (%(default)s)"
    )


def run(arguments: argparse.Namespace) -> None:
    """Measure, write the report and print it."""
    if arguments.out:  # before TensorFlow is imported
        check_output(arguments.out)
        check_new(arguments.out, arguments.replace)
    import shutil

    from helpers.checkpoints import PRETRAINED, folder_of
    from helpers.evaluation.report_card import REPORT, RUN, report_rows
    from helpers.tools.files import ASSETS, write_record
    from helpers.workshop.reporting import evaluate, work_folder

    network = folder_of(arguments.network or PRETRAINED)
    ships = network.resolve().is_relative_to(ASSETS.resolve())
    out = arguments.out or (Path("runs") / network.name if ships else network) / REPORT
    check_output(out)
    check_new(out, arguments.replace)
    try:
        report = evaluate(network, arguments.images, arguments.seed, arguments.work)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"Stopped. {arguments.work} keeps what is finished; the same command resumes."
        ) from None
    check_new(out, arguments.replace)  # another process may have written one in the meantime
    write_record(out, report)
    shutil.rmtree(work_folder({name: report[name] for name in RUN}, arguments.work), ignore_errors=True)
    for measure, figure in report_rows(report):
        print(f"{measure:84} {figure}")
    print(f"The report is in {out}.")
