"""Distil a trained network's guided sampler into a student that draws in four passes.

Ctrl-C saves. The same command resumes from what is in --out, and refuses if teacher or recipe are others.
"""

import argparse
from pathlib import Path

from helpers.tools.command_line import add_network, check_output_folder, path_argument, resuming_explained

SETTINGS = ("steps", "batch_size", "learning_rate", "seed")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `distil`. An option of the recipe that isn't given isn't there either: its own default holds."""
    add_network(parser)
    parser.add_argument(
        "--out", type=path_argument, default=Path("runs/distilled"), help="folder (default %(default)s)"
    )
    parser.add_argument("--replace", action="store_true", help="start anew and replace what is in --out")
    parser.add_argument("--passes", type=int, default=4, help="network passes for an image (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of order, noise and dropped labels (default %(default)s)")
    parser.argument_default = argparse.SUPPRESS
    parser.add_argument("--steps", type=int, help="updates (default 8000)")
    parser.add_argument("--batch-size", type=int, help="images per update (default 128)")
    parser.add_argument("--learning-rate", type=float, help="the peak (default 0.002)")


def run(arguments: argparse.Namespace) -> None:
    """Distil, or resume the distillation, and say where the student is."""
    check_output_folder(arguments.out)
    from dataclasses import replace

    from helpers.checkpoints import PRETRAINED
    from helpers.tools.checks import check_whole
    from helpers.tools.cores import one_stream_per_core, pieces_of
    from helpers.workshop.distillation import STUDENT_RECIPE, distil

    given = vars(arguments)
    config = replace(STUDENT_RECIPE, **{name: given[name] for name in SETTINGS if name in given})
    # Every stream has images before each of the student's steps.
    each = config.batch_size // check_whole("--passes", arguments.passes, 1)
    streams = pieces_of(each, one_stream_per_core(config.batch_size))
    network = arguments.network or PRETRAINED
    with resuming_explained("distillation", arguments.replace):
        distil(network, arguments.out, config, arguments.passes, streams=streams, replace=arguments.replace)
    print(f"Done: {arguments.out} holds the student.")
