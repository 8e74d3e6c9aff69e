"""Coloured shapes, drawn here and read by simple rules: pictures of one's own to try the whole way with.

    python -m helpers.shapes --out runs/shapes.npz                        # draws the data set
    python -m helpers.training --data runs/shapes.npz --steps 1000 --batch-size 16 --out runs/shapes
    python -m helpers.shapes --judge runs/shapes                          # the share drawn as asked

Shown at the end of notebook 04.
"""

import sys
from pathlib import Path

import numpy as np

from helpers.checkpoints import load_unet
from helpers.command_line import CommandLine, one_line_errors
from helpers.data import Pictures, to_pixels
from helpers.files import write_aside
from helpers.sampling import sample

NAMES = ("red disc", "red cross", "blue disc", "blue cross")


def draw_shapes(count: int, size: int = 32, seed: int = 0) -> Pictures:
    """Discs and crosses in red or blue, of several places, sizes and brightnesses: images `(count, size, size, 3)`."""
    random = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int32) % len(NAMES)
    y, x = np.mgrid[:size, :size]
    images = np.zeros((count, size, size, 3), np.uint8)
    for image, label in zip(images, labels, strict=True):
        centre_y, centre_x = random.uniform(0.46 * size, 0.54 * size, 2)
        radius = random.uniform(0.28, 0.36) * size
        down, across = np.abs(y - centre_y), np.abs(x - centre_x)
        disc = np.hypot(down, across) < radius
        cross = (np.minimum(down, across) < 0.06 * size) & (np.maximum(down, across) < radius)
        image[..., 0 if label < 2 else 2] = np.where(cross if label % 2 else disc, random.uniform(180, 255), 0)
    return Pictures(images, labels, NAMES)


def read_shapes(images: np.ndarray) -> np.ndarray:
    """The label `(n,)` of each of `images` `(n, size, size, 3)` uint8, by simple rules; -1 for one that fits none.

    Only bright pixels count, and rows and columns with two of them at least. Nine tenths of their light must be red, or
    blue. Their box must be about as high as wide; a disc fills pi / 4 of it, a cross about a third.
    """
    labels = np.full(len(images), -1)
    for i, image in enumerate(images):
        bright = image.max(axis=-1) > 128  # (size, size)
        light = image[bright].sum(axis=0, dtype=float)  # (3,): red, green, blue
        rows, columns = np.flatnonzero(bright.sum(axis=1) > 1), np.flatnonzero(bright.sum(axis=0) > 1)
        colour = int(np.argmax(light))
        if len(rows) == 0 or len(columns) == 0 or colour == 1 or light[colour] < 0.9 * light.sum():
            continue
        height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
        filled = bright.sum() / (height * width)
        if abs(height - width) > 0.25 * max(height, width):
            continue
        if 0.65 < filled < 0.9:
            labels[i] = colour  # 0 or 2
        elif 0.2 < filled < 0.55:
            labels[i] = colour + 1
    return labels


def share_as_asked(folder: Path, images: int, seed: int = 0) -> tuple[float, float, float]:
    """The shares of `images` samples with the colour, with the form, and with both that they were asked for, in [0, 1].

    Raises `ValueError` if the network in `folder` wasn't trained on these shapes.
    """
    unet, schedule = load_unet(folder)
    if unet.unet_config.class_names != NAMES:
        raise ValueError(f"{folder} must draw {', '.join(NAMES)}, not {', '.join(unet.unet_config.classes[:5])}.")
    asked = np.arange(images) % len(NAMES)
    read = read_shapes(to_pixels(sample(unet, schedule, asked, seed=seed).images))
    seen = read >= 0
    colour, form = seen & (read // 2 == asked // 2), seen & (read % 2 == asked % 2)
    return float(colour.mean()), float(form.mean()), float((colour & form).mean())


@one_line_errors
def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = CommandLine(prog="python -m helpers.shapes", description="Coloured shapes, drawn and read.")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--out", type=Path, metavar="FILE.npz", help="write a data set of coloured shapes")
    action.add_argument("--judge", type=Path, metavar="FOLDER", help="draw with a network that was trained on it")
    parser.add_argument("--images", type=int, default=2_000, help="shapes, or samples (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    if args.images < len(NAMES):
        raise ValueError(f"--images must be at least {len(NAMES)}, not {args.images}.")
    if args.out:
        if args.out.suffix != ".npz":
            raise ValueError(f"--out must be a file that ends in .npz, not {args.out.name!r}.")
        with write_aside(args.out) as temporary:
            np.savez_compressed(temporary, **draw_shapes(args.images, seed=args.seed)._asdict())
        print(f"{args.images} shapes of {len(NAMES)} classes in {args.out}")
    else:
        colour, form, both = share_as_asked(args.judge, args.images, args.seed)
        print(f"{args.images} samples: colour as asked {colour:.1%}, form {form:.1%}, both {both:.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
