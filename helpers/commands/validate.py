"""Print a network's mean squared errors on the validation images, which no training has seen."""

import argparse

from helpers.tools.command_line import add_network


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `validate`."""
    add_network(parser)


def run(arguments: argparse.Namespace) -> None:
    """Print the errors of noise and clean image, their means and each t."""
    from helpers.checkpoints import PRETRAINED, load_digits_denoiser
    from helpers.data import load_mnist, validation_split
    from helpers.training.objective import validation_mse

    denoiser = load_digits_denoiser(arguments.network or PRETRAINED)
    images, labels = validation_split(load_mnist())
    mse = validation_mse(denoiser, images, labels)
    for name, values in (("noise (predicting zero: 1.0)", mse.noise), ("x_0, clipped", mse.x_0)):
        print(f"MSE of the predicted {name}, {len(images)} validation images, mean over all t: {values.mean():.4f}")
        for t in range(0, len(values), 10):
            print(f"  t = {t:2d}..: " + " ".join(f"{value:.4f}" for value in values[t : t + 10]))
