"""Pixels to picture files and back, many images in one picture, bars and animations: all without a figure."""

import helpers.tools.quiet  # noqa: F401

import io
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from PIL import Image

from helpers.data import to_pixels
from helpers.tools.checks import in_model_range

PAPER = 255  # between two pictures: white, like the page


def encode_png(pixels: np.ndarray) -> bytes:
    """Pixels `(h, w)` or `(h, w, channels)` uint8 -> the bytes of a PNG file."""
    return tf.io.encode_png(pixels if pixels.ndim == 3 else pixels[..., np.newaxis]).numpy()


def decode_png(png: bytes) -> np.ndarray:
    """The bytes of a PNG file -> pixels `(h, w, channels)` uint8. Raises `ValueError` for anything else."""
    try:
        return tf.io.decode_png(png).numpy()
    except (tf.errors.InvalidArgumentError, TypeError, ValueError):
        raise ValueError(f"a picture must be the bytes of a PNG file, not {png[:8]!r}.") from None


def encode_animation(pictures: Sequence[np.ndarray], suffix: str, milliseconds: int = 150, rest: int = 2_000) -> bytes:
    """Pictures `(h, w)` or `(h, w, 3)` uint8 as an endless animation, ".gif" or ".webp"; the last rests longer."""
    frames = [Image.fromarray(picture) for picture in pictures]
    durations = [milliseconds] * (len(frames) - 1) + [rest]
    options = {"lossless": True} if suffix == ".webp" else {}
    file = io.BytesIO()
    frames[0].save(file, suffix[1:], save_all=True, append_images=frames[1:], duration=durations, loop=0, **options)
    return file.getvalue()


def image_grid(pixels: np.ndarray, columns: int, enlarge: int = 1, gap: int = 0, fill: int = 0) -> np.ndarray:
    """Images `(n, h, w)` or `(n, h, w, 3)` uint8 as one `(H, W)` or `(H, W, 3)`, row by row.

    Each pixel is enlarged `enlarge` times. The `gap` pixels between images have brightness `fill`, and so does the
    empty end of the last row.
    """
    columns = min(columns, len(pixels))
    rows = -(-len(pixels) // columns)
    pixels = pixels.repeat(enlarge, axis=1).repeat(enlarge, axis=2)
    missing = ((0, rows * columns - len(pixels)), (0, gap), (0, gap), (0, 0))
    pixels = np.pad(pixels, missing[: pixels.ndim], constant_values=fill)  # (rows columns, h, w), gap included
    height, width, *colours = pixels.shape[1:]
    # (rows, columns, h, w) -> (rows, h, columns, w) -> one picture (rows h, columns w)
    picture = pixels.reshape(rows, columns, height, width, *colours).swapaxes(1, 2)
    picture = picture.reshape(rows * height, columns * width, *colours)
    return picture[: picture.shape[0] - gap, : picture.shape[1] - gap]


def enlargement(size: int, pixels: int) -> int:
    """The factor that makes pictures of `size` pixels about `pixels` wide, at least 1."""
    return max(1, round(pixels / size))


def as_pngs(frames: Sequence[np.ndarray | bytes], enlarge: int = 6) -> list[bytes]:
    """Frames as PNG files: images `(h, w)` or `(h, w, 1 or 3)` in [-1, 1], enlarged, or PNG files as they are.

    Raises `ValueError` for no frame, for anything else, and for frames of several sizes.
    """
    if len(frames) == 0:
        raise ValueError("frames must be at least one picture, not an empty list.")
    if all(isinstance(frame, bytes) for frame in frames):
        sizes = {decode_png(frame).shape[:2] for frame in frames}
        pngs = list(frames)
    else:
        images = [np.asarray(frame, np.float32) for frame in frames]
        sizes = {image.shape for image in images}
        if not all(len(size) == 2 or (len(size) == 3 and size[2] in (1, 3)) for size in sizes):
            raise ValueError(f"frames must be (h, w) or (h, w, 1 or 3), not {sorted(sizes)}.")
        if not all(in_model_range(image) for image in images):
            raise ValueError("frames must be numbers in [-1, 1]; scale or clip them first.")
        pixels = [to_pixels(image.reshape(1, *image.shape[:2], -1)) for image in images]  # (1, h, w) or (1, h, w, 3)
        pngs = [encode_png(image_grid(one, 1, enlarge)) for one in pixels]
    if len(sizes) > 1:
        raise ValueError(f"frames must have one size, not {sorted(sizes)}.")
    return pngs


def histogram(values: np.ndarray, size: int = 168, limit: float = 3.0, highest: float = 0.8) -> np.ndarray:
    """A histogram of the values in [-limit, limit] with the density of pure noise as a curve, `(size, size)` uint8.

    All histograms have one scale: their top is a density of `highest`, and pure noise reaches 0.4. Higher bars are cut.
    """
    bars = 42
    density, edges = np.histogram(values, bars, (-limit, limit))
    density = density / values.size / (edges[1] - edges[0])  # (bars,)
    level = (size - np.arange(size)) / size * highest  # (size,): the density at each row of pixels
    across = density[np.arange(size) * bars // size]  # (size,): the bar at each column
    picture = np.where(level[:, np.newaxis] <= across, 170, 0)  # (size, size)
    place = (np.arange(size) + 0.5) / size * 2 * limit - limit  # (size,): the value at each column
    curve = np.exp(-(place**2) / 2) / np.sqrt(2 * np.pi)
    row = size - 1 - np.rint(curve / highest * size).astype(int)
    picture[np.clip([row - 1, row], 0, size - 1), np.arange(size)] = 255
    return picture.astype(np.uint8)
