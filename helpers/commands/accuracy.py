"""Print how many of a network's digits are classified correctly, and which digits it draws without a label."""

import argparse

from helpers.tools.command_line import add_network


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `accuracy`."""
    add_network(parser)
    parser.add_argument("--images", type=int, default=10_000, help="samples to judge (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="fixes the samples' noise (default %(default)s)")


def run(arguments: argparse.Namespace) -> None:
    """Draw samples at default settings and classify them with "judge", which takes no part in tuning."""
    import numpy as np

    from helpers.checkpoints import PRETRAINED, load_digits_denoiser
    from helpers.evaluation.classifiers import classify, load_classifier
    from helpers.sampling.sampler import sample
    from helpers.tools.checks import check_whole

    check_whole("--images", arguments.images, 20, 1_000_000)
    denoiser, judge = load_digits_denoiser(arguments.network or PRETRAINED), load_classifier("judge")
    labels = np.arange(arguments.images) % 10
    found = classify(judge, sample(denoiser, labels, seed=arguments.seed, progress=True).images)
    print(f"{len(labels)} guided samples, default settings: digit accuracy {np.mean(found == labels):.2%}")
    print("  per digit: " + ", ".join(f"{d}: {np.mean(found[labels == d] == d):.1%}" for d in range(10)))
    unlabelled = np.full(len(labels) // 5, -1)
    found = classify(judge, sample(denoiser, unlabelled, seed=arguments.seed, progress=True).images)
    print(f"{len(unlabelled)} unconditional samples, share classified as each digit:")
    print("  " + ", ".join(f"{d}: {np.mean(found == d):.1%}" for d in range(10)))
