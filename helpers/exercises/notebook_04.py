"""The self-checks of the exercises in notebooks 04 to 06, in the manner of `helpers.exercises_01_to_03`."""

import numpy as np

from helpers.answers import number, numbers, result, same, self_check, whole_number, wrong_function, wrong_number


@self_check
def check_half_life(answer: object) -> str:
    """04.1: the decay whose average has come half way after 100 steps."""
    decay = number(answer)
    if not 0 < decay < 1:
        return "Not yet: a decay lies between 0 and 1; outside, the average doesn't follow the weights."
    steps = np.log(0.5) / np.log(decay)
    if 99 <= steps <= 101:
        return "Right: and 1 / (1 - decay), often quoted as an average's memory, is about half as long again."
    if same(decay, 0.99, 1e-4):
        return "Not yet: 1 - 1/100 is the usual rule of thumb, but then the half is passed earlier. See for yourself."
    if same(decay, 0.995, 1e-4):
        return (
            "Not yet: that would be so if each step took the same amount. The steps become smaller. See for yourself."
        )
    return f"Not yet: with this decay the average is half way after {np.ceil(steps):,.0f} steps."


@self_check
def check_forget(answer: object) -> str:
    """04.2: a function (labels, draws, share) -> labels, -1 where the sample's own draw says so."""
    random = np.random.default_rng(3)
    cases = [(random.integers(0, 10, 50), np.append(first, random.random(49)), 0.1) for first in (0.05, 0.5)]
    where = lambda condition, labels, null=-1: np.where(condition, null, labels)  # noqa: E731

    mistakes = [
        (lambda y, u, s: where(u[0] < s, y), "one draw decided for the whole batch. Each sample has its own."),
        (lambda y, u, s: where(u >= s, y), "that forgets most labels and keeps a few."),
        (lambda y, u, s: where(u < s, y, 0), "label 0 is a digit. What says that no digit is given?"),
        (
            lambda y, u, s: where(u < s, y, 10),
            "the course's null isn't an eleventh digit; see `class_map` in notebook 03.",
        ),
        (lambda y, u, s: where(np.arange(len(y)) < s * len(y), y), "always the first ones? The draws decide."),
        (lambda y, u, s: y, "no label was forgotten."),
    ]
    otherwise = "where a sample's draw is below the share, its label becomes -1; all others stay as they are."
    if problem := wrong_function(answer, cases, lambda y, u, s: where(u < s, y), mistakes, otherwise, rtol=0):
        return problem
    labels = cases[0][0].copy()
    result(lambda: answer(labels, *cases[0][1:]), (), labels.shape)
    if not np.array_equal(labels, cases[0][0]):
        return "Not yet: right values, but the labels handed in were changed too. The next epoch would miss them."
    return "Right: so every batch trains both networks that guidance will need."


@self_check
def check_zero_loss(answer: object) -> str:
    """04.3: a function (alpha_bar, mean_square) -> the loss of predicting zero for the velocity."""
    mistakes = [
        (lambda a, m: 1.0, "that is so for the noise. The velocity also holds a part of the image."),
        (
            lambda a, m: a * m + 1 - a,
            "you swapped the weights: which of image and noise does the velocity hold early on?",
        ),
        (
            lambda a, m: np.sqrt(a) + np.sqrt(1 - a) * m,
            "the loss is of the *squared* velocity: square the weights, too.",
        ),
        (lambda a, m: a - (1 - a) * m, "the minus is squared as well: variances of independent parts add up."),
        (
            lambda a, m: (np.sqrt(a) - np.sqrt(1 - a) * np.sqrt(m)) ** 2,
            "square first, then average: what is the mean of the cross term, noise times image?",
        ),
        (
            lambda a, m: (np.sqrt(a) + np.sqrt(1 - a) * np.sqrt(m)) ** 2,
            "square first, then average: what is the mean of the cross term, noise times image?",
        ),
        (lambda a, m: a + (1 - a) * m**2, "the mean of the squares of the pixels is what you were given already."),
        (lambda a, m: np.sqrt(a + (1 - a) * m), "no root at the end: it is a mean *squared* error."),
        (lambda a, m: a, "that is the noise's part. Predicting zero misses the image, too."),
    ]
    otherwise = "the error is the velocity itself: square its formula and take the mean of each of the three terms."
    cases = [(0.9, 0.5), (0.5, 0.93), (0.01, 0.93)]
    return wrong_function(answer, cases, lambda a, m: a + (1 - a) * m, mistakes, otherwise) or (
        "Right: close to 1 at every t, so a loss on the velocity can be read nearly like one on the noise."
    )


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
