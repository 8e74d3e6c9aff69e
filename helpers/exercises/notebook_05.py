"""The self-checks of the exercises in notebook 05."""

import numpy as np

from helpers.exercises.answers import numbers, self_check, wrong_function, wrong_number


@self_check
def check_times(answer: object) -> str:
    """05.1: the five t, in order, at which a sampler with 5 steps evaluates a network that was trained on 100."""
    times = numbers(answer, 5)
    mistakes = [
        ([100, 80, 60, 40, 20], "this course counts t from 0. Is there a t = 100?"),
        ([80, 60, 40, 20, 0], "at the first of these t some of the image is left. What does sampling start from?"),
        (
            [99, 74, 50, 25, 0],
            "these t are only four even strides apart. The fifth stride must end at the clean image.",
        ),
        (
            [99, 74, 49, 24, 0],
            "these t are only four even strides apart. The fifth stride must end at the clean image.",
        ),
        ([19, 39, 59, 79, 99], "that is the forward direction. Which t comes first in sampling?"),
        ([99, 98, 97, 96, 95], "five strides of one step each don't reach the clean image."),
    ]
    otherwise = "set `steps` to 5 in the cell above. It prints the t at which the network is evaluated."
    return wrong_number(times, [99, 79, 59, 39, 19], mistakes, otherwise, rtol=0) or (
        "Right: sampling starts where training saw pure noise, and its last stride ends at the clean image, past t = 0."
    )


@self_check
def check_conventions(answer: object) -> str:
    """05.2: the guidance_scale of (4 cond - 3 uncond, cond - 2 (uncond - cond)), two numbers."""
    first, second = numbers(answer, 2)
    firsts = [
        (3, "first formula: that is w in the paper's convention. What is the scale in this course's?"),
        (
            7,
            "first formula: don't add up the two numbers. Which prediction is multiplied by the scale alone?",
        ),
        (1, "first formula: the two weights add up to 1 at *any* scale."),
        (-3, "first formula: that is the weight of uncond, 1 - guidance_scale."),
    ]
    seconds = [
        (2, "second formula: replace its 2 by 0. Which scale is that?"),
        (1, "second formula: that would be the scale with 0 in place of its 2. Does the 2 raise or lower it?"),
        (-1, "second formula: it has two minus signs. Does it guide towards the digit or away from it?"),
        (-2, "second formula: it has two minus signs. Does it guide towards the digit or away from it?"),
    ]
    more = " formula: write it and the course's formula as a * cond + b * uncond, and compare the values of a."
    return (
        wrong_number(first, 4, firsts, "first" + more)
        or wrong_number(second, 3, seconds, "second" + more)
        or "Right: if the two weights add up to 1, the scale is the weight of cond."
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
            "with fresh noise on top, the variance exceeds 1 - bar_next. The predicted noise must make room.",
        ),
        (
            lambda *c: step(*c, of_noise=lambda after, s: np.sqrt(1 - after) - s),
            "standard deviations of independent noises don't add up. What does?",
        ),
        (
            lambda *c: step(*c, of_noise=lambda after, s: np.sqrt(1 - after - s)),
            "you mixed sigma, a standard deviation, with variances.",
        ),
        (
            lambda *c: step(*c, of_noise=lambda after, s: 1 - after - s**2),
            "that is the variance that the predicted noise should get. So what is the noise multiplied by?",
        ),
        (
            lambda *c: step(*c, of_fresh=lambda s: s**2),
            "sigma is already the standard deviation of the fresh noise. Don't square it.",
        ),
        (
            lambda *c: step(*c, of_noise=lambda after, s: np.sqrt(1 - after), of_fresh=lambda s: 0 * s),
            "that is the step without fresh noise. It ignores sigma.",
        ),
        (lambda *c: step(*c, of_fresh=lambda s: 0 * s), "you made room for the fresh noise but forgot to add it."),
        (
            lambda x, x_0, bar, after, s, f: step(x, x_0, after, bar, s, f),
            "you swapped the two: bar belongs to x_t, bar_next to the result.",
        ),
    ]
    otherwise = "there are three terms: x_0, predicted noise, fresh noise. Check each factor, first with sigma = 0."
    return wrong_function(answer, cases, step, mistakes, otherwise) or (
        "Right: one formula leads from DDIM (sigma = 0) to Algorithm 2, because the variance is always 1 - bar_next."
    )
