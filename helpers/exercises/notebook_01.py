"""The self-checks of the exercises in notebooks 01 to 03: `print(check_...(answer))`.

Each takes an answer and returns one sentence. A right answer hears what it means; a plausible wrong one gets a
hint that names the slip but not the answer; None is "not answered yet". The right answers are written out here, and
tests compare them with the helpers. The solutions, with the reasoning, are in `notebooks/solutions/`.
"""

import numpy as np

from helpers.answers import number, numbers, result, self_check, whole_number, wrong_function, wrong_number
from helpers.diffusion import cosine_schedule, linear_schedule

SEVENS = 6265  # in MNIST's training images, as notebook 01 counts them


@self_check
def check_quarters(answer: object) -> str:
    """01.1: how many different images the patch sampler can make at patch 14, a number."""
    if isinstance(answer, int) and answer > 10**300:
        return "Not yet: that is far too many. Is your exponent the number of pieces, not of pixels or of sevens?"
    mistakes = [
        (SEVENS, "that is how many sevens there are, so how many images come out at `patch = 28`."),
        (4 * SEVENS, "you added the choices. Each of them can be combined with every choice of the other pieces."),
        (SEVENS**2, "the patch is half as wide and half as high as the image. How many of them fill it?"),
        (60_000**4, "the pieces come from `sevens`, not from all the training images."),
    ]
    otherwise = "count the pieces of one image, and the choices for each piece."
    return wrong_number(number(answer), SEVENS**4, mistakes, otherwise, rtol=0.01) or (
        "Right: variety comes cheaply, from pieces that don't know of each other. At 28 every image is perfect, and "
        "none is new. A generator needs both."
    )


@self_check
def check_best_guess(answer: object) -> str:
    """01.2: (the guess with the smallest mean squared error, that error) for a pixel white in 40 % of the images."""
    guess, error = numbers(answer, 2)
    guesses = [
        (-1, "that is the most common value. It is right most often, but what do the other 40 % cost?"),
        (0, "that is the middle of the range, whatever the shares are. Black is more common than white here."),
        (0.2, "mind the sign: which of the two colours is more common, and where is it in [-1, 1]?"),
        (0.4, "that would be so if black were 0. In the network's range it isn't."),
        (102, "that is in bytes. Use the network's range."),
    ]
    errors = [
        (0.24, "that would be so if black were 0 and white 1. How far apart are they in [-1, 1]?"),
        (0.96**0.5, "that is a standard deviation. The mean *squared* error is asked for."),
        (1, "that is the error of guessing 0."),
        (0.04, "that is the square of the guess. How far is it from white, and how far from black?"),
    ]
    more = "that isn't the guess with the smallest error. Set the derivative of the mean squared error to zero."
    error_more = "the guess is right, the error isn't: 40 % of the squares are those of white, 60 % those of black."
    return (
        wrong_number(guess, -0.2, guesses, more)
        or wrong_number(error, 0.96, errors, error_more)
        or "Right: the best guess is the mean, a grey that the pixel never has. Squared error pays for fog."
    )


@self_check
def check_to_bytes(answer: object) -> str:
    """01.3: a function (x, mean, std) -> uint8 that undoes x = (p / 255 - mean) / std."""
    byte = np.arange(256)
    scales = [(0.1307, 0.3081), (0.5, 0.5)]
    inside = [(np.float32((byte / 255 - mean) / std), mean, std) for mean, std in scales]
    outside = [(np.array([-40.0, -3.0, 5.0, 40.0], np.float32), mean, std) for mean, std in scales]

    def right(x, mean, std):
        return np.clip(np.rint((x * std + mean) * 255), 0, 255)

    mistakes = [
        (lambda x, m, s: np.trunc((np.float32(x) * s + m) * 255), "some bytes are one too small: `astype` cuts off."),
        (lambda x, m, s: np.rint((x + m) * s * 255), "undo the last thing first: what was done to the pixel last?"),
        (lambda x, m, s: np.rint((x - m) / s * 255), "you scaled again. Solve the formula for p."),
        (lambda x, m, s: np.rint((x / s + m) * 255), "the formula divides by `std`; what undoes a division?"),
        (lambda x, m, s: x * s + m, "that is in 0..1. A byte goes up to 255."),
        (lambda x, m, s: np.rint((x + 1) * 127.5), "that undoes the course's own scaling, whatever `mean` and `std`."),
    ]
    otherwise = "the way back doesn't restore all bytes. Solve the formula for p, one operation at a time."
    if any(result(answer, case, (256,)).dtype == np.uint8 for case in inside):
        # Bytes have been cut off already, and wrapped round: compare with mistakes that went the same way.
        mistakes = [(lambda *c, wrong=wrong: wrong(*c).astype(np.int64) % 256, hint) for wrong, hint in mistakes]
    if problem := wrong_function(answer, inside, right, mistakes, otherwise, rtol=0):
        return problem
    hint = "all bytes come back, but a network's output may lie outside of the range: black must stay black."
    if problem := wrong_function(answer, outside, right, [], hint, rtol=0):
        return problem
    if result(answer, inside[0], (256,)).dtype != np.uint8:
        return "Not yet: the values are right, but a pixel is a byte: `uint8`."
    return "Right: undone in reverse order, rounded, clipped. With mean and std 0.5 it is the course's `to_pixels`."


@self_check
def check_enough_steps(answer: object) -> str:
    """02.1: the smallest number of steps at which betas from 1e-4 to 0.02 leave less than 5 % of the signal."""
    steps = whole_number(answer, 1, 10_000)
    left = lambda count: np.prod(1 - np.linspace(1e-4, 0.02, count))  # noqa: E731 - alpha_bar at the end
    if left(steps) < 0.05**2 <= left(steps - 1):
        return "Right: that is why the famous betas work with a thousand steps, and can't with a hundred."
    if left(steps) < 0.05 <= left(steps - 1):
        return "Not yet: there 5 % of the *variance* is left, alpha_bar. The image is multiplied by its square root."
    few_or_many = "fewer are enough" if left(steps) < 0.05**2 else "that is too much"
    return f"Not yet: {steps:,} steps leave {np.sqrt(left(steps)):.2%} of the signal; {few_or_many}."


@self_check
def check_joined_beta(answer: object) -> str:
    """02.2: the beta of the one step that takes x_19 to x_39 on the cosine schedule."""
    schedule = cosine_schedule(100)
    bar = schedule.alpha_bars
    beta = 1 - bar[39] / bar[19]
    off_by_one = "you are off by one: `betas[20]` is the first step after x at t = 19, `betas[39]` the last."
    mistakes = [
        (1 - beta, "that is the share of the variance that is kept. Beta is the share that is added."),
        (schedule.betas[20:40].sum(), "you added the betas. But each step also shrinks the noise of those before it."),
        (1 - bar[39], "that is the jump from the clean image. Here the start is x at t = 19."),
        (1 - bar[39] / bar[20], off_by_one),
        (1 - bar[39] / bar[18], off_by_one),
        (1 - bar[38] / bar[19], off_by_one),
        (1 - bar[40] / bar[19], off_by_one),
        (np.sqrt(beta), "that is the standard deviation of the joined noise. Beta is its variance."),
        (1 - np.sqrt(1 - beta), "look at the factor of x at t = 19 again: it is a square root."),
        (np.prod(schedule.betas[20:40]), "it is the alphas that multiply, not the betas."),
    ]
    found, otherwise = number(answer), "which product of alphas stands in front of x at t = 19 after twenty steps?"
    if abs(found - beta) < 0.02:
        otherwise = "close, as a measurement is. The formula is exact: give at least four digits."
    return wrong_number(found, beta, mistakes, otherwise, rtol=2e-4) or (
        "Right: any stretch of the road is one step of the same form. Samplers that skip steps live on it."
    )


@self_check
def check_mean_from_noise(answer: object) -> str:
    """02.3: a function (x_t, noise, t) -> the posterior's mean on the cosine schedule, x_0 replaced by the noise."""
    random = np.random.default_rng(2)
    cases = [(*random.standard_normal((2, 2, 28, 28, 1)), t) for t in (0, 1, 30, 70)]
    schedule, other = cosine_schedule(100), linear_schedule(100)
    beta, alpha, bar = schedule.betas, schedule.alphas, schedule.alpha_bars
    sigma = np.sqrt(1 - bar)  # the standard deviation of the noise in x_t

    def right(x, e, t):
        return (x - beta[t] / sigma[t] * e) / np.sqrt(alpha[t])

    mistakes = [
        (
            lambda x, e, t: (x + beta[t] / sigma[t] * e) / np.sqrt(alpha[t]),
            "you added noise. Which sign has it in x_0, if x_t is known?",
        ),
        (
            lambda x, e, t: (x - beta[t] / sigma[t] * e) / np.sqrt(bar[t]),
            "one step divides by its own alpha, not by alpha_bar.",
        ),
        (
            lambda x, e, t: (x - np.sqrt(beta[t]) * e) / np.sqrt(alpha[t]),
            "that turns one step round, but with the noise of *all* steps in place of its own.",
        ),
        (
            lambda x, e, t: (x - np.sqrt(beta[t]) / sigma[t] * e) / np.sqrt(alpha[t]),
            "the beta of the posterior's mean has no root.",
        ),
        (
            lambda x, e, t: (x - sigma[t] * e) / np.sqrt(alpha[t]),
            "you took out all the noise at once. One step takes out its own part.",
        ),
        (lambda x, e, t: (x - sigma[t] * e) / np.sqrt(bar[t]), "that is x_0. Put it into the posterior's mean."),
        (
            lambda x, e, t: (x - beta[t] / sigma[t - 1] * e) / np.sqrt(alpha[t]),
            "your t is off by one: the step ends at t - 1, but the noise is that in x at t.",
        ),
        (
            lambda x, e, t: right(x, e, t - 1),
            "your t is off by one: the step ends at t - 1, but the noise is that in x at t.",
        ),
        (
            lambda x, e, t: (x - other.betas[t] / np.sqrt(1 - other.alpha_bars[t]) * e) / np.sqrt(other.alphas[t]),
            "that is on the linear schedule; the cosine one is asked for.",
        ),
    ]
    otherwise = (
        "put x_0 from the last formula into the posterior's mean, and collect x_t and noise. Check with `posterior`."
    )
    return wrong_function(answer, cases, right, mistakes, otherwise) or (
        "Right: that is line 4 of the paper's Algorithm 2. One step takes out a little of the predicted noise."
    )


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
