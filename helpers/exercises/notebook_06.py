"""The self-checks of the exercises in notebook 06."""

import numpy as np

from helpers.exercises.answers import self_check, whole_number, wrong_function


@self_check
def check_enough_images(answer: object) -> str:
    """06.1: a number of images that gives a share of 99 % to within 0.2 points on either side, with 95 % confidence."""
    count, z2 = whole_number(answer, 1, 10**9), 1.959964**2
    width = 2 * np.sqrt(z2 * 0.99 * 0.01 / count + (z2 / count) ** 2 / 4) / (1 + z2 / count)  # of Wilson's interval
    if 0.0036 <= width <= 0.0041:
        return (
            "Right: half the width takes four times as many images. That is why a report card needs thousands of them."
        )
    wide = f"with {count:,} images, the interval is {100 * width:.2f} points wide from end to end"
    if 0.0072 <= width <= 0.0085:
        return f"Not yet: {wide}. How much is that on either side?"
    if 0.0018 <= width <= 0.0022:
        return f"Not yet: {wide}. It may extend 0.2 points on *each* side, so fewer are enough."
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
        (
            lambda u, v: score(u, v, over=1),
            "longer vectors score higher with this formula. A cosine doesn't depend on length.",
        ),
        (lambda u, v: score(u, v, over=length(u)), "you divided by the length of only one of the two vectors."),
        (lambda u, v: score(u, v, over=length(v)), "you divided by the length of only one of the two vectors."),
        (
            lambda u, v: score(u, v, over=np.linalg.norm(u) * np.linalg.norm(v)),
            "you divided by the length of the whole batch. Each vector has its own length.",
        ),
        (
            lambda u, v: score(u / np.linalg.norm(u, axis=0), v / np.linalg.norm(v, axis=0), over=1),
            "you normalised the columns, but each vector is a row.",
        ),
        (
            lambda u, v: score(u, v, over=length(u) ** 2 * length(v) ** 2),
            "divide by the lengths themselves, not by their squares.",
        ),
        (
            lambda u, v: score(u, v, floor=-np.inf),
            "your score can be negative. What does the formula do with such pairs?",
        ),
        (lambda u, v: score(u, v, weight=1.0), "that is the cosine. The score multiplies it by a weight."),
        (
            lambda u, v: score(u, v, weight=100.0),
            "other libraries multiply by 100. The notebook's formula has another weight.",
        ),
    ]
    otherwise = "for each pair, divide the dot product by both lengths. Then apply the formula of the CLIP score."
    return wrong_function(answer, [(u, v), (3 * u[:4], v[:4])], score, mistakes, otherwise) or (
        "Right: an encoder may return vectors of any length without changing the score."
    )


@self_check
def check_frechet(answer: object) -> str:
    """06.3: a function (a, b), two samples of one feature `(n,)` -> their Frechet distance."""
    random = np.random.default_rng(6)
    cases = [(random.normal(m, s, 2000), random.normal(0, 1, 3000)) for m, s in ((1, 1), (0, 0.5), (-2, 3))]

    def distance(a, b, gap=lambda d: d**2, spread=lambda s, r: (s - r) ** 2):
        return gap(a.mean() - b.mean()) + spread(a.std(ddof=1), b.std(ddof=1))

    mistakes = [
        (
            lambda a, b: np.sqrt(distance(a, b)),
            "that is the root of the distance. The exercise asks for d^2, without a root.",
        ),
        (lambda a, b: distance(a, b, gap=np.abs), "square the difference of the means."),
        (lambda a, b: distance(a, b, gap=lambda d: d), "square the difference of the means."),
        (
            lambda a, b: distance(a, b, spread=lambda s, r: (s**2 - r**2) ** 2),
            "you used variances instead of standard deviations. What is the root of s^2 r^2?",
        ),
        (
            lambda a, b: distance(a, b, spread=lambda s, r: s**2 + r**2 - 2 * s**2 * r**2),
            "you lost the root of the product of the variances.",
        ),
        (
            lambda a, b: distance(a, b, spread=lambda s, r: s**2 + r**2),
            "a sample must be at distance 0 from itself. Which term is missing?",
        ),
        (
            lambda a, b: distance(a, b, spread=lambda s, r: (s + r) ** 2),
            "check the sign of the last term. A sample must be at distance 0 from itself.",
        ),
        (
            lambda a, b: distance(a, b, spread=lambda s, r: 0),
            "two samples with the same mean can still differ. In what?",
        ),
        (
            lambda a, b: distance(a, b, spread=lambda s, r: abs(s - r)),
            "square the difference of the standard deviations.",
        ),
    ]
    otherwise = "with one feature, the covariance is a variance, and the trace of a number is the number itself."
    return wrong_function(answer, cases, distance, mistakes, otherwise, rtol=0.01) or (
        "Right: if all digits are alike, their spread is too small. That raises the distance even if the mean is right."
    )
