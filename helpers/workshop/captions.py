"""The captions that digit-clip learns from. Its digits, stroke widths and slants are true; the phrasing is random."""

import string

import numpy as np
from skimage.measure import moments_central

from helpers.evaluation.clip import NUMERALS, WORDS
from helpers.evaluation.strokes import INK, skeleton_length

# A caption is an opening, a subject and an ending. Every batch draws one of each, so that its captions differ only in
# what they say about the image: then a caption of another image is really wrong, and an identical one really right.
OPENINGS = (
    "", "", "a photo of", "a picture of", "an image of", "a drawing of", "a scan of", "a sample of", "a close-up of",
    "this is", "here is", "here we see", "it shows", "someone wrote", "handwriting of", "mnist:", "label:", "my",
)  # fmt: skip
SUBJECTS = (
    "{}", "{}", "the number {}", 'the number: "{}"', "the digit {}", 'the digit "{}"', "the numeral {}",
    "the figure {}", "a {}", "a handwritten {}", "a written number {}", "number {}", "digit: {}", "'{}'", "({})",
)  # fmt: skip
ENDINGS = (
    "", "", "", ".", ".", "!", "in white on black", "on a dark background", "written by hand", "with a pen",
    "from a form", ", small and grey", "in the middle",
)  # fmt: skip
THIN, THICK = ("with thin strokes", "written with a fine pen"), ("with thick strokes", "written with a bold pen")
LEFT, RIGHT = ("leaning left", "slanted to the left"), ("leaning right", "slanted to the right")
# Thirds of the training images, in pixels and as a tangent.
WIDTH_LIMITS, SLANT_LIMITS = (2.5, 3.25), (0.03, 0.3)


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


def describe(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Stroke width and slant of images `(n, 28, 28)` uint8, for their captions: `(n,)` each, in 0..2.

    Measured on the pixels: 0 thin or leaning left, 1 neither, 2 thick or leaning right.
    """
    widths = np.searchsorted(WIDTH_LIMITS, [stroke_width(picture) for picture in pictures])
    return widths, np.searchsorted(SLANT_LIMITS, [slant(picture) for picture in pictures])


def write_captions(labels: np.ndarray, widths: np.ndarray, leans: np.ndarray, random: np.random.Generator) -> list[str]:
    """One caption per image, all in the style that `random` draws: `labels`, `widths` and `leans` are `(n,)`."""
    opening, subject, ending = (random.choice(parts) for parts in (OPENINGS, SUBJECTS, ENDINGS))
    names = WORDS if random.random() < 0.5 else NUMERALS
    style = random.integers(2)
    of_width = ("", "", "") if random.random() < 0.75 else (THIN[style], "", THICK[style])
    of_lean = ("", "", "") if random.random() < 0.75 else (LEFT[style], "upright", RIGHT[style])
    unknown = _unknown_words(random)
    captions = []
    for label, width, lean in zip(labels, widths, leans, strict=True):
        parts = (unknown[0], opening, subject.format(names[label]), of_width[width], of_lean[lean], ending, unknown[1])
        captions.append(" ".join(part for part in parts if part))
    return captions


def _unknown_words(random: np.random.Generator) -> tuple[str, str]:
    """Made-up words before and after, usually none, because real prompts hold words that training never saw."""

    def words() -> str:
        count = random.integers(0, 4) if random.random() < 0.35 else 0
        return " ".join(
            "".join(random.choice(list(string.ascii_lowercase), random.integers(2, 9))) for _ in range(count)
        )

    return words(), words()
