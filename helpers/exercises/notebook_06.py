"""The self-checks of the exercises in notebook 06."""

import numpy as np

from helpers.exercises.answers import self_check, whole_number, wrong_function


@self_check
def check_enough_images(answer: object) -> str:
    """06.1: a number of images at which a share of 99 % is known to 0.2 points on either side, at 95 %."""
    count, z2 = whole_number(answer, 1, 10**9), 1.959964**2
    width = 2 * np.sqrt(z2 * 0.99 * 0.01 / count + (z2 / count) ** 2 / 4) / (1 + z2 / count)  # Wilson's, end to end
    if 0.0036 <= width <= 0.0041:
        return "Right: for half the width it takes four times as many. That is why the report card draws ten thousand."
    wide = f"with {count:,} images the interval is {100 * width:.2f} points wide from end to end"
    if 0.0072 <= width <= 0.0085:
        return f"Not yet: {wide}. How much is that on either side?"
    if 0.0018 <= width <= 0.0022:
        return f"Not yet: {wide}. 0.2 points are wanted on *each* side, so fewer are enough."
    return f"Not yet: {wide}; " + ("that is too wide." if width > 0.0041 else "fewer images are enough.")


@self_check
def check_score(answer: object) -> str:
    """06.2: a function (u, v) `(n, d)` each, of any length -> the CLIP scores of the n pairs, `(n,)`."""
    random = np.random.default_rng(5)
    u, v = random.standard_normal((2, 6, 8)) * random.uniform(0.5, 4, (2, 6, 1))
    v[:4] += 2 * u[:4]  # the first four pairs point in similar directions
    v[4:] -= 2 * u[4:]  # the last two point away from each other
    length = lambda x: np.linalg.norm(x, axis=-1)  # noqa: E731

    def score(u, v, over=None, weight=2.5, floor=0.0):
        return weight * np.maximum((u * v).sum(axis=-1) / (length(u) * length(v) if over is None else over), floor)

    mistakes = [
        (lambda u, v: score(u, v, over=1), "longer vectors score higher with that. A cosine doesn't know of length."),
        (lambda u, v: score(u, v, over=length(u)), "only one of the two vectors was divided by its length."),
        (lambda u, v: score(u, v, over=length(v)), "only one of the two vectors was divided by its length."),
        (
            lambda u, v: score(u, v, over=np.linalg.norm(u) * np.linalg.norm(v)),
            "you divided by the length of the whole batch. Each vector has its own.",
        ),
        (
            lambda u, v: score(u / np.linalg.norm(u, axis=0), v / np.linalg.norm(v, axis=0), over=1),
            "you normalised each column. A vector is a row.",
        ),
        (lambda u, v: score(u, v, over=length(u) ** 2 * length(v) ** 2), "the lengths themselves, not their squares."),
        (lambda u, v: score(u, v, floor=-np.inf), "that can be negative. What does the formula do with such pairs?"),
        (lambda u, v: score(u, v, weight=1.0), "that is the cosine. The score has a weight in front."),
        (lambda u, v: score(u, v, weight=100.0), "other libraries multiply by 100; the notebook's formula doesn't."),
    ]
    otherwise = "for each pair: the product, over both lengths; then the formula of the CLIP score."
    return wrong_function(answer, [(u, v), (3 * u[:4], v[:4])], score, mistakes, otherwise) or (
        "Right: an encoder may return vectors of any length, and the score doesn't notice."
    )


@self_check
def check_frechet(answer: object) -> str:
    """06.3: a function (a, b), two samples of one feature `(n,)` -> their Frechet distance."""
    random = np.random.default_rng(6)
    cases = [(random.normal(m, s, 2000), random.normal(0, 1, 3000)) for m, s in ((1, 1), (0, 0.5), (-2, 3))]

    def distance(a, b, gap=lambda d: d**2, spread=lambda s, r: (s - r) ** 2):
        return gap(a.mean() - b.mean()) + spread(a.std(ddof=1), b.std(ddof=1))

    mistakes = [
        (lambda a, b: np.sqrt(distance(a, b)), "that is its root. The formula has no root around the whole."),
        (lambda a, b: distance(a, b, gap=np.abs), "the gap of the means enters squared."),
        (lambda a, b: distance(a, b, gap=lambda d: d), "the gap of the means enters squared."),
        (
            lambda a, b: distance(a, b, spread=lambda s, r: (s**2 - r**2) ** 2),
            "you took variances where standard deviations belong: what is the root of s^2 r^2?",
        ),
        (
            lambda a, b: distance(a, b, spread=lambda s, r: s**2 + r**2 - 2 * s**2 * r**2),
            "you lost the root over the product.",
        ),
        (
            lambda a, b: distance(a, b, spread=lambda s, r: s**2 + r**2),
            "that isn't 0 for a sample with itself. Which term is missing?",
        ),
        (
            lambda a, b: distance(a, b, spread=lambda s, r: (s + r) ** 2),
            "mind the sign of the last term: of a sample with itself it is 0.",
        ),
        (
            lambda a, b: distance(a, b, spread=lambda s, r: 0),
            "two samples with the same mean may still differ. In what?",
        ),
        (
            lambda a, b: distance(a, b, spread=lambda s, r: abs(s - r)),
            "the gap of the standard deviations enters squared.",
        ),
    ]
    otherwise = "in one dimension a covariance is a variance, and a trace is the number itself."
    return wrong_function(answer, cases, distance, mistakes, otherwise, rtol=0.01) or (
        "Right: digits that are all alike have the right mean and too small a spread, and pay for it."
    )
