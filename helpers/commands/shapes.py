"""Draw a data set of coloured shapes into --out, or judge a NETWORK that was trained on it.

Pictures of your own work the same way: shapes --out runs/shapes.npz, then train --data runs/shapes.npz --steps 1000
--batch-size 16 --out runs/shapes, then shapes runs/shapes.
"""

import argparse

from helpers.tools.command_line import check_new, check_output, path_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `shapes`."""
    parser.add_argument(
        "network", nargs="?", type=path_argument, help="folder of a network that was trained on the shapes"
    )
    parser.add_argument("--out", type=path_argument, metavar="FILE.npz", help="write a data set of coloured shapes")
    parser.add_argument("--images", type=int, default=2_000, help="shapes, or samples to judge (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="fixes the shapes, or the noise (default %(default)s)")
    parser.add_argument("--replace", action="store_true", help="replace an existing data set")


def run(arguments: argparse.Namespace) -> None:
    """Write the data set, or print the shares of samples with the requested colour and form."""
    if (arguments.network is None) == (arguments.out is None):
        raise ValueError("give either --out FILE.npz, to draw a data set, or a NETWORK to judge.")
    if arguments.out:
        if arguments.out.suffix != ".npz":
            raise ValueError(f"--out must be a file that ends in .npz, not {arguments.out.name!r}.")
        check_output(arguments.out)
        check_new(arguments.out, arguments.replace)
    import numpy as np

    from helpers.checkpoints import load_denoiser
    from helpers.custom_data import NAMES, draw_shapes, share_as_requested
    from helpers.sampling.sampler import sample
    from helpers.tools.checks import check_whole
    from helpers.tools.files import atomic_write

    check_whole("--images", arguments.images, len(NAMES), 100_000)
    if arguments.out:
        with atomic_write(arguments.out) as temporary:
            np.savez_compressed(temporary, **draw_shapes(arguments.images, seed=arguments.seed)._asdict())
        print(f"{arguments.images} shapes of {len(NAMES)} classes in {arguments.out}")
        return
    denoiser = load_denoiser(arguments.network)
    if denoiser.config.class_names != NAMES:
        drawn = ", ".join(denoiser.config.classes[:5])
        raise ValueError(f"{arguments.network} must draw {', '.join(NAMES)}, not {drawn}.")
    labels = np.arange(arguments.images) % len(NAMES)
    images = sample(denoiser, labels, seed=arguments.seed, progress=True).images
    colour, form, both = share_as_requested(images, labels)
    print(f"{len(labels)} samples: requested colour {colour:.1%}, form {form:.1%}, both {both:.1%}")
