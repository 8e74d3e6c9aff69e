"""The self-checks of the exercises in notebook 03."""

import numpy as np

from helpers.exercises.answers import numbers, self_check, wrong_function, wrong_number


@self_check
def check_reach(answer: object) -> str:
    """03.1: how many 3 x 3 convolutions carry news from corner to opposite corner at (28 x 28, 7 x 7)."""
    for size, found in zip((28, 7), numbers(answer, 2), strict=True):
        at = f"at {size} x {size}: "
        mistakes = [
            (size, at + "one too many. With no convolution at all, the corner hears itself already."),
            (size // 2, at + "that is the way from the middle. From one corner to the other it is farther."),
            (size // 2 - 1, at + "that is the way from the middle. From one corner to the other it is farther."),
            (-(-size // 3), at + "the windows overlap: watch how far the news gets with each convolution."),
            (size * size, at + "not one pixel after the other: the news spreads in all directions at once."),
            (2 * (size - 1), at + "a window has corners, too: the news travels along the diagonal."),
        ]
        otherwise = at + "raise `count` until all pixels have heard, and lower it until one hasn't."
        if problem := wrong_number(found, size - 1, mistakes, otherwise, rtol=0):
            return problem
    return "Right: a quarter of the size is less than a quarter of the layers. That is why the U-Net goes down."


@self_check
def check_block_parameters(answer: object) -> str:
    """03.2: a function (c, d, e) -> parameters of a residual block from c to d channels with embeddings of e."""

    def count(c, d, e, bias=1, scale=1, dense=2, second=None, shortcut=None):
        convolutions = 9 * c * d + 9 * (second or d) * d + 2 * bias * d
        shortcut = c != d if shortcut is None else shortcut
        return scale * (c + d) + convolutions + dense * (e + bias) * d + shortcut * (c + bias) * d

    mistakes = [
        (lambda c, d, e: count(c, d, e, bias=0), "every convolution and the Dense layer also have biases."),
        (lambda c, d, e: count(c, d, e, scale=0), "a normalisation has parameters, too: one scale a channel."),
        (lambda c, d, e: count(c, d, e, dense=1), "the Dense layer makes a scale *and* a shift for each channel."),
        (lambda c, d, e: count(c, d, e, second=c), "the second convolution doesn't start from the block's input."),
        (lambda c, d, e: count(c, d, e, shortcut=0), "if the input has another width, it can't be added as it is."),
        (lambda c, d, e: count(c, d, e, shortcut=1), "when is the 1 x 1 convolution there, and when isn't it?"),
        (lambda c, d, e: count(c, d, e, dense=0), "the embedding enters the block through a layer of its own."),
    ]
    otherwise = "go through the list of layers above, one by one, and compare with `block.count_params()`."
    return wrong_function(answer, [(16, 48, 128), (48, 48, 128), (8, 32, 64)], count, mistakes, otherwise, rtol=0) or (
        "Right: most of it is the 3 x 3 convolutions, and their part grows with the square of the width."
    )


@self_check
def check_similarity(answer: object) -> str:
    """03.3: a function (distance, width) -> cosine similarity of the embeddings of two steps that far apart."""

    def cosines(distance, width, base=1000.0, curve=np.cos):
        return curve(base ** (-np.arange(width // 2) / (width // 2)) * distance)

    mistakes = [
        (lambda n, w: cosines(n, w).sum(), "that is the product, not the similarity: how long are the two vectors?"),
        (lambda n, w: cosines(n, w).sum() / w, "at distance 0 it should be 1: what is the length of an embedding?"),
        (lambda n, w: cosines(n, w).sum() / np.sqrt(w / 2), "both vectors have a length; divide by both."),
        (lambda n, w: cosines(n, w, curve=np.sin).mean(), "which of the two addition theorems is it?"),
        (
            lambda n, w: cosines(n, w, base=10_000.0).mean(),
            "that is the base of the original paper, not this course's.",
        ),
        (
            lambda n, w: np.cos(1000.0 ** (-np.arange(w) / (w // 2)) * n).mean(),
            "how many different frequencies does an embedding of this width have?",
        ),
    ]
    otherwise = "write the product of the embeddings of t and t + distance as a sum over the frequencies."
    cases = [(0, 128), (5, 128), (20, 128), (49, 64)]
    return wrong_function(answer, cases, lambda n, w: cosines(n, w).mean(), mistakes, otherwise) or (
        "Right: t has dropped out. The embedding knows *how far apart* two steps are, wherever they lie."
    )
