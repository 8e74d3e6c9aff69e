"""Pixels to picture files and back, many images in one picture, bars and animations: all without a figure."""

import helpers.tools.quiet  # noqa: F401

import base64
import functools
import io
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw, ImageFont

from helpers.data import to_pixels
from helpers.tools.checks import in_model_range

GAP = 8  # pixels between two panels of one picture
WIDTH = 252  # pixels: the least width of a picture that is looked at closely


def encode_png(pixels: np.ndarray) -> bytes:
    """Pixels `(h, w)` or `(h, w, channels)` uint8 -> the bytes of a PNG file."""
    return tf.io.encode_png(pixels if pixels.ndim == 3 else pixels[..., np.newaxis]).numpy()


def decode_png(png: bytes) -> np.ndarray:
    """The bytes of a PNG file -> pixels `(h, w, channels)` uint8. Raises `ValueError` for anything else."""
    try:
        return tf.io.decode_png(png).numpy()
    except (tf.errors.InvalidArgumentError, TypeError, ValueError):
        raise ValueError(f"a picture must be the bytes of a PNG file, not {png[:8]!r}.") from None


def data_url(png: bytes) -> str:
    """A PNG file as the address of an image, so that a page holds the picture itself."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def encode_animation(pictures: Sequence[np.ndarray], suffix: str, milliseconds: int = 150, rest: int = 2_000) -> bytes:
    """Pictures `(h, w)` or `(h, w, 3)` uint8 as an endless animation, ".gif" or ".webp"; the last rests longer."""
    frames = [Image.fromarray(picture) for picture in pictures]
    durations = [milliseconds] * (len(frames) - 1) + [rest]
    options = {"lossless": True} if suffix == ".webp" else {}
    file = io.BytesIO()
    frames[0].save(file, suffix[1:], save_all=True, append_images=frames[1:], duration=durations, loop=0, **options)
    return file.getvalue()


def image_grid(
    pixels: np.ndarray, columns: int, enlarge: int = 1, gap: int = 0, fill: int = 0, clear: bool = False
) -> np.ndarray:
    """Images `(n, h, w)` or `(n, h, w, 3)` uint8 as one `(H, W)` or `(H, W, 3)`, row by row.

    Each pixel is enlarged `enlarge` times. The `gap` pixels between images have brightness `fill`, and so does the
    empty end of the last row. If `clear` is true, they are transparent instead, and the picture is `(H, W, 2 or 4)`.
    """
    if clear:
        pixels, fill = with_alpha(pixels if pixels.ndim == 4 else pixels[..., np.newaxis]), 0
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


def with_alpha(pixels: np.ndarray) -> np.ndarray:
    """Pixels `(..., channels)` uint8 with a last channel that says how opaque they are: 255 unless they have one."""
    if pixels.shape[-1] in (2, 4):
        return pixels
    return np.concatenate([pixels, np.full_like(pixels[..., :1], 255)], axis=-1)


def as_rgba(pixels: np.ndarray) -> np.ndarray:
    """Pixels `(..., channels)` uint8, grey or coloured, with or without transparency -> `(..., 4)`."""
    pixels = with_alpha(pixels)
    colours = np.broadcast_to(pixels[..., :-1], (*pixels.shape[:-1], 3))
    return np.concatenate([colours, pixels[..., -1:]], axis=-1)


def join(panels: Sequence[np.ndarray], axis: int = 1) -> np.ndarray:
    """Panels `(h, w)` or `(h, w, channels)` uint8 in one picture `(H, W, 2 or 4)` with transparent gaps between them.

    They stand side by side or, for axis 0, one below the other. What fills a panel up to the others' size is clear.
    """
    parts = [with_alpha(panel if panel.ndim == 3 else panel[..., np.newaxis]) for panel in panels]
    if len({part.shape[2] for part in parts}) > 1:
        parts = [as_rgba(part) for part in parts]
    across = max(part.shape[1 - axis] for part in parts)
    for i, part in enumerate(parts):
        missing = [(0, 0)] * 3
        missing[axis], missing[1 - axis] = (0, GAP if i + 1 < len(parts) else 0), (0, across - part.shape[1 - axis])
        parts[i] = np.pad(part, missing)
    return np.concatenate(parts, axis)


def first_panel(picture: np.ndarray) -> np.ndarray:
    """The part of a picture `(h, w, channels)` to the left of its first transparent column, or all of it."""
    gaps = np.flatnonzero(~with_alpha(picture)[..., -1].any(axis=0))
    return picture[:, : gaps[0]] if len(gaps) and gaps[0] > 0 else picture


def enlargement(size: int, pixels: int) -> int:
    """The smallest factor that makes pictures of `size` pixels at least `pixels` wide."""
    return -(-pixels // size)


def as_pngs(frames: Sequence[np.ndarray | bytes], width: int = WIDTH) -> list[bytes]:
    """Frames as PNG files: images `(h, w)` or `(h, w, 1 or 3)` in [-1, 1], or PNG files as they are.

    Images are enlarged to a width of at least `width` pixels.

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
        pngs = [encode_png(image_grid(one, 1, enlargement(one.shape[2], width))) for one in pixels]
    if len(sizes) > 1:
        raise ValueError(f"frames must have one size, not {sorted(sizes)}.")
    return pngs


def in_view(x_t: np.ndarray, alpha_bar: float | np.ndarray) -> np.ndarray:
    """x_t divided by 1 + √(1 − ᾱ): pure noise is drawn at half its value, a clean image at full contrast.

    `alpha_bar` is one for all, or has a shape that fits, such as `(steps, 1, 1, 1)` beside `(steps, 28, 28, 1)`.
    """
    return x_t / (1 + np.sqrt(1 - alpha_bar))


def histogram(values: np.ndarray, size: int = WIDTH, limit: float = 3.0, highest: float = 0.8) -> np.ndarray:
    """A histogram of the values in [-limit, limit] with the density of pure noise as a curve, `(size, size)` uint8.

    All histograms have one scale: their top is a density of `highest`, and pure noise reaches 0.4. Higher bars are cut.
    The axis under the bars has numbers.
    """
    bars, axis = 42, _axis(size, limit)
    height = size - len(axis)
    density, edges = np.histogram(values, bars, (-limit, limit))
    density = density / values.size / (edges[1] - edges[0])  # (bars,)
    level = (height - np.arange(height)) / height * highest  # (height,): the density at each row of pixels
    across = density[np.arange(size) * bars // size]  # (size,): the bar at each column
    picture = np.where(level[:, np.newaxis] <= across, 170, 0)  # (height, size)
    place = (np.arange(size) + 0.5) / size * 2 * limit - limit  # (size,): the value at each column
    curve = np.exp(-(place**2) / 2) / np.sqrt(2 * np.pi)
    row = height - 1 - np.rint(curve / highest * height).astype(int)
    picture[np.clip([row - 1, row], 0, height - 1), np.arange(size)] = 255
    return np.concatenate([picture.astype(np.uint8), axis])


@functools.cache
def _axis(size: int, limit: float) -> np.ndarray:
    """The axis of a histogram: a line with ticks and numbers, white on black, `(height, size)` uint8."""
    letters = max(10, size // 18)
    picture = Image.new("L", (size, letters + 6))
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(letters)
    pen.line([(0, 0), (size, 0)], fill=255)
    values = np.arange(-limit, limit + 1) if size >= 168 else np.array([-limit, 0, limit])  # as many as there is room
    for value in values:
        place = (value + limit) / (2 * limit) * (size - 1)
        anchor = "lt" if value == -limit else "rt" if value == limit else "mt"
        pen.line([(place, 0), (place, 3)], fill=255)
        pen.text((place, 5), f"{value:g}", fill=255, font=font, anchor=anchor)
    return np.asarray(picture)


def caption_bar(caption: str, width: int, letters: int = 15) -> np.ndarray:
    """One line of text, white on black, `(height, width)` uint8. Text that is too long is cut."""
    picture = Image.new("L", (width, letters + 9))
    font = ImageFont.load_default(letters)
    ImageDraw.Draw(picture).text((width / 2, 4), caption, fill=255, font=font, anchor="ma")
    return np.asarray(picture)
