"""The self-checks of the exercises in notebook 04."""

import numpy as np

from helpers.exercises.answers import number, result, same, self_check, wrong_function


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
