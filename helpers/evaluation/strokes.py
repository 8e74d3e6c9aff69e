"""Measures of a digit's strokes on its pixels, without any network: length, thickness, slant and complexity.

Notebook 06 uses them to ask whether simpler digits score higher. The captions of digit-clip are written from them.
"""

import numpy as np
from skimage.measure import euler_number, moments_central, perimeter
from skimage.morphology import skeletonize

from helpers.data import to_pixels
from helpers.tools.checks import check_images

INK = 128  # a pixel of at least half brightness belongs to a stroke
STROKE_MEASURES = ("skeleton length", "perimeter squared over area", "Euler number", "ink mass")


def ink_mass(picture: np.ndarray) -> float:
    """The amount of ink, in fully inked pixels: `(28, 28)` uint8 -> the sum of brightness / 255."""
    return float(picture.sum() / 255)


def skeleton_length(picture: np.ndarray) -> float:
    """The length of the strokes' centre line in pixels: `(28, 28)` uint8 -> the skeleton's pixel count."""
    return float(skeletonize(picture >= INK).sum())


def compactness(picture: np.ndarray) -> float:
    """Perimeter squared over area, without unit: `(28, 28)` uint8 -> 4 pi for a disc, more for longer outlines."""
    strokes = picture >= INK
    return float(perimeter(strokes) ** 2 / max(strokes.sum(), 1))


def euler(picture: np.ndarray) -> float:
    """Connected strokes minus holes: 1 for a "1", 0 for a "0", -1 for an "8". `(28, 28)` uint8."""
    return float(euler_number(picture >= INK, connectivity=2))


def stroke_width(picture: np.ndarray) -> float:
    """Area over skeleton length, in pixels: the thickness of the pen. `(28, 28)` uint8."""
    return float((picture >= INK).sum() / max(skeleton_length(picture), 1))


def slant(picture: np.ndarray) -> float:
    """The tangent of the strokes' lean from the upright, positive to the right. `(28, 28)` uint8; 0 for no ink.

    The slope of the line through each row's centre of mass, by least squares, from the second moments.
    """
    if not picture.any():
        return 0.0
    moments = moments_central(picture.astype(float), order=2)
    return float(-moments[1, 1] / moments[2, 0])  # rows count downwards


def complexity(images: np.ndarray) -> dict[str, np.ndarray]:
    """All `STROKE_MEASURES` of images `(n, 28, 28, 1)` float in [-1, 1]: `(n,)` float64 each.

    Raises `ValueError` for another shape, values outside [-1, 1], or NaN.
    """
    pictures = to_pixels(check_images(images))  # (n, 28, 28)
    functions = (skeleton_length, compactness, euler, ink_mass)
    return {
        name: np.array([function(picture) for picture in pictures])
        for name, function in zip(STROKE_MEASURES, functions, strict=True)
    }
