"""Measures of a digit's strokes on its pixels, without any network: how complex is it, and does it sit as MNIST's do?

Notebook 06 uses them to ask whether simpler digits score higher, and whether generated ones follow MNIST's own rule.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from skimage.measure import centroid, euler_number, label, perimeter
from skimage.morphology import skeletonize

from helpers.data import to_pixels
from helpers.tools.checks import check_images

INK = 128  # a pixel of at least half brightness belongs to a stroke
FAINT = 32  # darker pixels separate two strokes, grey ones still join them
CENTRE = 14  # row and column of MNIST's centre, counted from 0
RULE = {"displacement in pixels": 0.6, "longest side in pixels": 20, "number of pieces": 1}  # the most that is allowed
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


def displacement(picture: np.ndarray) -> float:
    """How far the centre of mass is from MNIST's centre, in pixels: `(28, 28)` uint8; 0 for no ink.

    The larger of the distances along rows and along columns. MNIST moved every digit by whole pixels until its centre
    of mass was nearest to the centre, so each of the two is at most half a pixel, and spread evenly up to there.
    """
    return float(np.abs(centroid(picture) - CENTRE).max()) if picture.any() else 0.0


def longest_side(picture: np.ndarray) -> float:
    """The longer side of the box around the strokes, in pixels: `(28, 28)` uint8; 0 for none. MNIST scaled it to 20."""
    places = np.argwhere(picture >= INK)  # (inked, 2)
    return float(np.ptp(places, axis=0).max() + 1) if len(places) else 0.0


def pieces(picture: np.ndarray) -> float:
    """The number of connected pieces; pixels that touch at corners are connected. `(28, 28)` uint8."""
    return float(label(picture >= FAINT, connectivity=2).max())


def complexity(images: np.ndarray) -> dict[str, np.ndarray]:
    """All `STROKE_MEASURES` of images `(n, 28, 28, 1)` float in [-1, 1]: `(n,)` float64 each.

    Raises `ValueError` for another shape, values outside [-1, 1], or NaN.
    """
    return _by_name(images, STROKE_MEASURES, (skeleton_length, compactness, euler, ink_mass))


def rule_measures(images: np.ndarray) -> dict[str, np.ndarray]:
    """What MNIST's own rule limits, by the names in `RULE`, of images `(n, 28, 28, 1)` float in [-1, 1]: `(n,)` each.

    MNIST was made from black and white scans by that rule (LeCun et al. 1998, section III.A). Of its test digits none
    exceeds the displacement or the longest side; 3 % are in more than one piece. Raises `ValueError` as `complexity`.
    """
    return _by_name(images, RULE, (displacement, longest_side, pieces))


def _by_name(
    images: np.ndarray, names: Iterable[str], functions: Sequence[Callable[[np.ndarray], float]]
) -> dict[str, np.ndarray]:
    pictures = to_pixels(check_images(images))  # (n, 28, 28)
    return {
        name: np.array([function(picture) for picture in pictures])
        for name, function in zip(names, functions, strict=True)
    }
