"""Draw digits, or the classes of your own pictures, as a picture or an animation.

Guidance above 1 acts only for t inside --guidance-interval; outside it the scale is 1. --frames shows the way from
noise to the digits: below each other in a .png, one after the other in a .gif or .webp.
"""

import argparse
from pathlib import Path

from helpers.tools.command_line import add_network, check_output, path_argument, text_argument

SUFFIXES = (".png", ".gif", ".webp")
MOST_PICTURES = 10_000  # digits times frames: a picture of 125 million pixels


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `sample`."""
    parser.add_argument(
        "digits", type=text_argument, help='what to draw: "3141592653", or class names with commas between them'
    )
    add_network(parser)
    parser.add_argument(
        "--out", type=path_argument, default=Path("digits.png"), help=".png, .gif or .webp (default %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed, another handwriting (default %(default)s)")
    parser.add_argument("--method", choices=("ddpm", "ddim", "dpm++"), help="the solver (default dpm++)")
    parser.add_argument("--steps", type=int, help="steps of the solver (default: dpm++ and ddim 20, ddpm 100)")
    parser.add_argument("--eta", type=float, help="fresh noise of ddim and dpm++, from 0 (none) to 1 (default 0)")
    parser.add_argument("--guidance-scale", type=float, help="0 any digit, 1 unguided, above 1 guided (default 2.5)")
    parser.add_argument(
        "--guidance-interval",
        type=int,
        nargs=2,
        metavar=("FIRST", "LAST"),
        help="the t where guidance acts (default 40 70; 0 99 is everywhere)",
    )
    parser.add_argument("--frames", type=int, help="moments from noise to digit (default: .png 1, others all)")


def run(arguments: argparse.Namespace) -> None:
    """Draw the digits and write the picture."""
    if arguments.out.suffix not in SUFFIXES:
        raise ValueError(f"--out must be a file that ends in .png, .gif or .webp, not {arguments.out.name!r}.")
    check_output(arguments.out)
    from dataclasses import replace

    import numpy as np

    from helpers.checkpoints import PRETRAINED, load_denoiser
    from helpers.data import to_pixels
    from helpers.display.images import encode_animation, encode_png, enlargement, image_grid
    from helpers.sampling.labels import parse_labels
    from helpers.sampling.sampler import default_settings, sample
    from helpers.tools.checks import check_whole
    from helpers.tools.files import atomic_write

    names = ("method", "steps", "eta", "guidance_scale", "guidance_interval")
    chosen = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    denoiser = load_denoiser(arguments.network or PRETRAINED)
    settings = replace(default_settings(denoiser.config), **chosen)
    settings, labels = settings.on(denoiser.schedule), parse_labels(arguments.digits, denoiser.config)
    is_animated = arguments.out.suffix != ".png"
    frames = arguments.frames
    if frames is None:
        frames = settings.steps + 1 if is_animated else 1
    check_whole("--frames", frames, 2 if is_animated else 1, settings.steps + 1)
    if len(labels) * frames > MOST_PICTURES:
        raise ValueError(f"digits times frames must be at most {MOST_PICTURES:,}, not {len(labels)} x {frames}.")
    # The finished digits are the last frame; the others are spread over the steps, the noise first.
    keep = np.linspace(0, settings.steps, frames, dtype=int)[:-1] if frames > 1 else None
    images, trajectory = sample(denoiser, labels, settings, seed=arguments.seed, keep=keep, progress=len(labels) > 100)
    moments = [*(trajectory.x_t if trajectory else ()), images]  # (n, 28, 28, 1) each
    enlarge, columns = enlargement(denoiser.config.image_size, 112), 20 if is_animated or frames == 1 else len(labels)
    if is_animated:
        pictures = [image_grid(to_pixels(moment), columns, enlarge) for moment in moments]
        picture = encode_animation(pictures, arguments.out.suffix)
    else:
        picture = encode_png(image_grid(to_pixels(np.concatenate(moments)), columns, enlarge))
    with atomic_write(arguments.out) as temporary:
        temporary.write_bytes(picture)
    print(f"{len(labels)} {'digits' if denoiser.config.kind == 'digit' else 'pictures'} in {arguments.out}")
