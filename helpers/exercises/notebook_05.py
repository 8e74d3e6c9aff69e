"""The self-checks of the exercises in notebook 05."""

import numpy as np

from helpers.exercises.answers import numbers, self_check, wrong_function, wrong_number


@self_check
def check_times(answer: object) -> str:
    """05.1: the five t at which a sampler with 5 steps asks a network of 100, in order."""
    times = numbers(answer, 5)
    mistakes = [
        ([100, 80, 60, 40, 20], "the course counts t from 0. Is there a t = 100?"),
        ([80, 60, 40, 20, 0], "at the first of them some of the image is left. What does sampling start from?"),
        (
            [99, 74, 50, 25, 0],
            "these are only four even strides. After the last one the image must be clean.",
        ),
        (
            [99, 74, 49, 24, 0],
            "these are only four even strides. After the last one the image must be clean.",
        ),
        ([19, 39, 59, 79, 99], "that is the forward direction. Which is asked first?"),
        ([99, 98, 97, 96, 95], "five strides of one step each don't reach the clean image."),
    ]
    otherwise = "set `steps` to 5 in the cell above, and read where the network is asked."
    return wrong_number(times, [99, 79, 59, 39, 19], mistakes, otherwise, rtol=0) or (
        "Right: it starts where training saw pure noise, and the last stride ends at the clean image, past t = 0."
    )


@self_check
def check_conventions(answer: object) -> str:
    """05.2: the guidance_scale of (4 cond - 3 uncond, cond - 2 (uncond - cond)), two numbers."""
    first, second = numbers(answer, 2)
    firsts = [
        (3, "first formula: that is the paper's w. What is it in this course's convention?"),
        (7, "first formula: sort by cond and uncond; only one of them carries the scale alone."),
        (1, "first formula: the two weights add up to 1 at *any* scale."),
        (-3, "first formula: that is the weight of uncond, which is 1 - guidance_scale."),
    ]
    seconds = [
        (2, "second formula: set its 2 to 0. Which scale is that?"),
        (1, "second formula: what is left if its 2 is 0? Count on from there, in the other direction."),
        (-1, "second formula: two minus signs. Does it go towards the digit or away from it?"),
        (-2, "second formula: two minus signs. Does it go towards the digit or away from it?"),
    ]
    more = " formula: write it as a * cond + b * uncond, do the same with the course's formula, and compare a."
    return (
        wrong_number(first, 4, firsts, "first" + more)
        or wrong_number(second, 3, seconds, "second" + more)
        or "Right: whenever the weights add up to 1, the scale is the weight of cond."
    )


@self_check
def check_ddim_step(answer: object) -> str:
    """05.3: a function (x_t, x_0, bar, bar_next, sigma, fresh) -> the next image of DDIM with fresh noise."""
    random = np.random.default_rng(4)
    cases = [
        (*random.standard_normal((2, 2, 28, 28, 1)), *bars, random.standard_normal((2, 28, 28, 1)))
        for bars in ((0.2, 0.5, 0.3), (0.6, 0.8, 0.1), (0.4, 0.7, 0.0))
    ]

    def step(x, x_0, bar, after, sigma, fresh, of_noise=None, of_fresh=None):
        noise = (x - np.sqrt(bar) * x_0) / np.sqrt(1 - bar)
        kept = np.sqrt(1 - after - sigma**2) if of_noise is None else of_noise(after, sigma)
        return np.sqrt(after) * x_0 + kept * noise + (sigma if of_fresh is None else of_fresh(sigma)) * fresh

    mistakes = [
        (
            lambda *c: step(*c, of_noise=lambda after, s: np.sqrt(1 - after)),
            "with fresh noise on top, the variance is now more than 1 - bar_next. Something must make room.",
        ),
        (
            lambda *c: step(*c, of_noise=lambda after, s: np.sqrt(1 - after) - s),
            "standard deviations of independent noises don't add up. What does?",
        ),
        (
            lambda *c: step(*c, of_noise=lambda after, s: np.sqrt(1 - after - s)),
            "sigma is a standard deviation, and stands among variances.",
        ),
        (
            lambda *c: step(*c, of_noise=lambda after, s: 1 - after - s**2),
            "that is the variance that the predicted noise should have. What is it multiplied by, then?",
        ),
        (lambda *c: step(*c, of_fresh=lambda s: s**2), "sigma is the standard deviation of the fresh noise already."),
        (
            lambda *c: step(*c, of_noise=lambda after, s: np.sqrt(1 - after), of_fresh=lambda s: 0 * s),
            "that is the step without fresh noise, whatever sigma is.",
        ),
        (lambda *c: step(*c, of_fresh=lambda s: 0 * s), "you made room for the fresh noise and forgot to add it."),
        (
            lambda x, x_0, bar, after, s, f: step(x, x_0, after, bar, s, f),
            "bar belongs to x_t, bar_next to the result. You swapped them.",
        ),
    ]
    otherwise = "three terms: x_0, the predicted noise, the fresh noise. Check the factor of each, with sigma 0 first."
    return wrong_function(answer, cases, step, mistakes, otherwise) or (
        "Right: one formula from DDIM (sigma 0) to Algorithm 2, because the total variance is always 1 - bar_next."
    )
