"""The self-checks of the exercises in notebook 03."""

import numpy as np

from helpers.exercises.answers import numbers, self_check, wrong_function, wrong_number


@self_check
def check_reach(answer: object) -> str:
    """03.1: the number of 3 x 3 convolutions that carry news to the opposite corner, at (28 x 28, 7 x 7)."""
    for size, found in zip((28, 7), numbers(answer, 2), strict=True):
        at = f"at {size} x {size}: "
        mistakes = [
            (size, at + "one too many. The first corner has the news before any convolution."),
            (size // 2, at + "that is the distance from the middle. The way from corner to corner is longer."),
            (size // 2 - 1, at + "that is the distance from the middle. The way from corner to corner is longer."),
            (-(-size // 3), at + "the windows overlap. Watch how far the news travels with each convolution."),
            (
                size * size,
                at + "the news doesn't visit one pixel after the other. It spreads in all directions at once.",
            ),
            (2 * (size - 1), at + "a window includes its corners, so the news can travel along the diagonal."),
        ]
        otherwise = at + "find the smallest `count` after which all pixels have heard the news."
        if problem := wrong_number(found, size - 1, mistakes, otherwise, rtol=0):
            return problem
    return (
        "Right: a quarter of the side length takes less than a quarter of the layers. That is why a U-Net downsamples."
    )


@self_check
def check_block_parameters(answer: object) -> str:
    """03.2: a function (c, d, e) -> parameters of a residual block, c to d channels, embedding of e numbers."""

    def count(c, d, e, bias=1, scale=1, dense=2, second=None, shortcut=None):
        convolutions = 9 * c * d + 9 * (second or d) * d + 2 * bias * d
        shortcut = c != d if shortcut is None else shortcut
        return scale * (c + d) + convolutions + dense * (e + bias) * d + shortcut * (c + bias) * d

    mistakes = [
        (lambda c, d, e: count(c, d, e, bias=0), "every convolution and the Dense layer also have biases."),
        (lambda c, d, e: count(c, d, e, scale=0), "a normalisation has parameters, too: one scale per channel."),
        (lambda c, d, e: count(c, d, e, dense=1), "the Dense layer outputs a scale *and* a shift for each channel."),
        (
            lambda c, d, e: count(c, d, e, second=c),
            "the second convolution's input isn't the block's input. How many channels does it have?",
        ),
        (
            lambda c, d, e: count(c, d, e, shortcut=0),
            "an input with a different number of channels can't be added without a 1 x 1 convolution.",
        ),
        (
            lambda c, d, e: count(c, d, e, shortcut=1),
            "the block doesn't always have a 1 x 1 convolution. When is it needed?",
        ),
        (
            lambda c, d, e: count(c, d, e, shortcut=d > c),
            "on the way up a block narrows its input. Does that change the number of channels, too?",
        ),
        (lambda c, d, e: count(c, d, e, dense=0), "the embedding enters the block through its own layer."),
    ]
    otherwise = "go through the list of layers one by one, and compare with `block.count_params()`."
    return wrong_function(answer, [(16, 48, 128), (48, 48, 128), (64, 32, 64)], count, mistakes, otherwise, rtol=0) or (
        "Right: most of them are in the 3 x 3 convolutions, whose part grows with the square of the width."
    )


@self_check
def check_similarity(answer: object) -> str:
    """03.3: a function (distance, width) -> cosine similarity of the embeddings of two steps `distance` apart."""

    def cosines(distance, width, base=1000.0, curve=np.cos):
        return curve(base ** (-np.arange(width // 2) / (width // 2)) * distance)

    mistakes = [
        (
            lambda n, w: cosines(n, w).sum(),
            "that is the dot product, not the similarity. How long are the two vectors?",
        ),
        (
            lambda n, w: cosines(n, w).sum() / w,
            "at distance 0 the result should be 1. What is the length of an embedding?",
        ),
        (
            lambda n, w: cosines(n, w).sum() / np.sqrt(w / 2),
            "you divided by the length of one vector. Divide by both lengths.",
        ),
        (
            lambda n, w: cosines(n, w, curve=np.sin).mean(),
            "that is the sine of the difference. Which addition theorem contains both products?",
        ),
        (
            lambda n, w: cosines(n, w, base=10_000.0).mean(),
            "10,000 is the base of the original paper. This course uses another one.",
        ),
        (
            lambda n, w: np.cos(1000.0 ** (-np.arange(w) / (w // 2)) * n).mean(),
            "an embedding of this width has fewer different frequencies. How many?",
        ),
    ]
    otherwise = "write the dot product of the embeddings of t and t + distance as a sum over the frequencies."
    cases = [(0, 128), (5, 128), (20, 128), (49, 64)]
    return wrong_function(answer, cases, lambda n, w: cosines(n, w).mean(), mistakes, otherwise) or (
        "Right: t has dropped out. The similarity depends only on *how far apart* two steps are, not on where they are."
    )
