"""Train digit-clip, the small CLIP of notebook 06, about half an hour on 2 cores.

Ctrl-C saves, and the same command resumes.
"""

import argparse
from pathlib import Path

from helpers.tools.command_line import check_output_folder, path_argument, resuming_explained


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `train-clip`."""
    parser.add_argument(
        "--out", type=path_argument, default=Path("runs/digit-clip"), help="folder (default %(default)s)"
    )
    parser.add_argument("--replace", action="store_true", help="replace a finished digit-clip")
    parser.add_argument("--epochs", type=int, default=24, help="passes over the training images (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and captions (default %(default)s)")


def run(arguments: argparse.Namespace) -> None:
    """Train, or resume the training."""
    check_output_folder(arguments.out)
    from helpers.data import load_mnist, training_split
    from helpers.tools.files import newest
    from helpers.workshop.digit_clip import CHECKPOINT, DigitClipConfig, train_digit_clip

    config = DigitClipConfig(epochs=arguments.epochs, seed=arguments.seed)
    # Every trained network has a config.json: other CLIPs and denoisers aren't overwritten either.
    is_finished = newest(arguments.out, "config.json").exists() and not (arguments.out / CHECKPOINT).exists()
    if is_finished and not arguments.replace:
        raise ValueError(f"{arguments.out} holds a finished network: choose another --out, or add --replace.")
    with resuming_explained("training", replace=False):
        train_digit_clip(config, *training_split(load_mnist()), arguments.out)
    print(f"Done: {arguments.out} holds the trained CLIP. `python -m helpers clip {arguments.out}` judges it.")
