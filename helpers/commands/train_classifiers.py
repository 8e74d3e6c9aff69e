"""Train the three classifiers that measure the samples, about half an hour on 2 cores.

An interrupted training resumes from its last epoch with the same command.
"""

import argparse
from pathlib import Path

from helpers.tools.command_line import check_output_folder, path_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `train-classifiers`."""
    parser.add_argument(
        "--out", type=path_argument, default=Path("runs/classifiers"), help="folder (default %(default)s)"
    )
    parser.add_argument("--replace", action="store_true", help="replace finished classifiers")
    parser.add_argument("--epochs", type=int, help="passes over the training images (default: 16, 4 for the critic)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and image order (default %(default)s)")


def run(arguments: argparse.Namespace) -> None:
    """Train each classifier that isn't there yet and print its record."""
    check_output_folder(arguments.out)
    from helpers.evaluation.classifiers import ROLES
    from helpers.tools.checks import check_whole
    from helpers.tools.files import newest
    from helpers.tools.locks import held
    from helpers.workshop.classifier_training import EPOCHS, save_classifier, train_classifier

    if arguments.epochs is not None:
        check_whole("--epochs", arguments.epochs, 1)
    with held(arguments.out):
        missing = [role for role in ROLES if arguments.replace or not newest(arguments.out, f"{role}.json").exists()]
        if not missing:
            raise ValueError(f"{arguments.out} holds all classifiers: choose another --out, or add --replace.")
        epochs = {role: arguments.epochs or EPOCHS[role] for role in missing}
        backups = {
            role: arguments.out / f"unfinished-{role}-{epochs[role]}-epochs-seed-{arguments.seed}" for role in missing
        }
        if arguments.replace and (begun := [role for role in missing if backups[role].exists()]):
            missing = missing[missing.index(begun[0]) :]  # those before it were replaced before the interruption
        for role in missing:
            backup = backups[role]
            if others := set(arguments.out.glob(f"unfinished-{role}-*")) - {backup}:
                raise ValueError(f"{min(others)} belongs to another recipe; delete it to start anew.")
            backup.mkdir(exist_ok=True)  # from now on this one is begun
            try:
                classifier = train_classifier(role, epochs[role], seed=arguments.seed, backup=backup)
            except KeyboardInterrupt:
                raise KeyboardInterrupt("Stopped. The same command resumes from the last finished epoch.") from None
            print(role, save_classifier(classifier, arguments.out), flush=True)
