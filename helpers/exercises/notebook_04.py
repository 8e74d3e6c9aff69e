"""The self-checks of the exercises in notebook 04."""

import numpy as np

from helpers.exercises.answers import number, result, same, self_check, wrong_function


@self_check
def check_half_life(answer: object) -> str:
    """04.1: the decay for which the average is halfway after 100 steps."""
    decay = number(answer)
    if not 0 < decay < 1:
        return "Not yet: a decay lies between 0 and 1. Otherwise the average doesn't follow the weights."
    steps = np.log(0.5) / np.log(decay)
    count = int(np.ceil(steps))
    if 99 <= steps <= 101:
        return "Right: and 1 / (1 - decay), often quoted as the memory of an average, is about 1.4 times as long."
    if same(decay, 0.99, 1e-4):
        return "Not yet: 1 - 1/100 is the usual rule of thumb, but the average is halfway sooner. Try it."
    if same(decay, 0.995, 1e-4):
        return "Not yet: that would be right if all steps were equally long. But they get shorter. Try it."
    return f"Not yet: with this decay the average is halfway after {count:,} step{'s' if count > 1 else ''}."


@self_check
def check_forget(answer: object) -> str:
    """04.2: a function (labels, draws, share) -> labels, -1 where the sample's own draw is below the share."""
    random = np.random.default_rng(3)
    firsts_and_shares = [(0.05, 0.1), (0.5, 0.1), (0.3, 0.5), (0.3, 0.0), (0.3, 1.0)]
    cases = [(random.integers(0, 10, 50), np.append(first, random.random(49)), s) for first, s in firsts_and_shares]
    where = lambda condition, labels, null=-1: np.where(condition, null, labels)  # noqa: E731

    mistakes = [
        (lambda y, u, s: where(u[0] < s, y), "one draw decided for the whole batch. Each sample has its own draw."),
        (lambda y, u, s: where(u >= s, y), "that forgets most labels and keeps a few."),
        (lambda y, u, s: where(u < s, y, 0), "label 0 is a digit. Which label means that no digit is given?"),
        (
            lambda y, u, s: where(u < s, y, 10),
            "in this course 'no digit' isn't an eleventh class. See `class_map` in notebook 03.",
        ),
        (
            lambda y, u, s: where(np.arange(len(y)) < s * len(y), y),
            "that always forgets the first labels. Let the draws decide.",
        ),
        (lambda y, u, s: y, "no label was forgotten."),
        (lambda y, u, s: where(u < 0.1, y), "that always forgets about a tenth, whatever `share` is."),
    ]
    otherwise = "a label becomes -1 where the sample's draw is below the share. All other labels stay the same."
    if problem := wrong_function(answer, cases, lambda y, u, s: where(u < s, y), mistakes, otherwise, rtol=0):
        return problem
    labels = cases[0][0].copy()
    result(lambda: answer(labels, *cases[0][1:]), (), labels.shape)
    if not np.array_equal(labels, cases[0][0]):
        return (
            "Not yet: the values are right, but the function also changed its input. The next epoch needs those labels."
        )
    return "Right: every batch trains both predictions that guidance needs, with the label and without."


@self_check
def check_zero_loss(answer: object) -> str:
    """04.3: a function (alpha_bar, mean_square) -> the mean squared error of predicting zero for the velocity."""
    mistakes = [
        (lambda a, m: 1.0, "that is right for the noise. But the velocity also contains a part of the image."),
        (
            lambda a, m: a * m + 1 - a,
            "you swapped the weights. At small t, is the velocity mostly noise or mostly image?",
        ),
        (
            lambda a, m: np.sqrt(a) + np.sqrt(1 - a) * m,
            "the loss is the mean of the *squared* velocity, so the weights are squared, too.",
        ),
        (lambda a, m: a - (1 - a) * m, "the minus is squared as well. The mean squares of independent parts add up."),
        (
            lambda a, m: (np.sqrt(a) - np.sqrt(1 - a) * np.sqrt(m)) ** 2,
            "square first, then average. What is the mean of the cross term, noise times image?",
        ),
        (
            lambda a, m: (np.sqrt(a) + np.sqrt(1 - a) * np.sqrt(m)) ** 2,
            "square first, then average. What is the mean of the cross term, noise times image?",
        ),
        (
            lambda a, m: a + (1 - a) * m**2,
            "`mean_square` is already the mean of the squared pixels. Don't square it again.",
        ),
        (lambda a, m: np.sqrt(a + (1 - a) * m), "take no root at the end: the loss is a mean *squared* error."),
        (lambda a, m: a, "that is only the noise's part. Predicting zero misses the image, too."),
    ]
    otherwise = "the error is the velocity itself. Square its formula and take the mean of each of the three terms."
    cases = [(0.9, 0.5), (0.5, 0.93), (0.01, 0.93)]
    return wrong_function(answer, cases, lambda a, m: a + (1 - a) * m, mistakes, otherwise) or (
        "Right: it is close to 1 at every t, so you can read a loss on the velocity almost like one on the noise."
    )
