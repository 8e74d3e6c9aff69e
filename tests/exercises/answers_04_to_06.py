"""Right answers to the exercises of notebooks 04 to 06, and plausible mistakes. `test_exercises` uses them."""

import numpy as np

from helpers.evaluation.metrics import frechet_distance

root = np.sqrt


def forget(labels, draws, share):
    return np.where(draws < share, -1, labels)


def forget_in_place(labels, draws, share):
    labels[draws < share] = -1
    return labels


def zero_loss(alpha_bar, mean_square):
    return alpha_bar + (1 - alpha_bar) * mean_square


def ddim(x_t, x_0, bar, bar_next, sigma, fresh):
    noise = (x_t - root(bar) * x_0) / root(1 - bar)
    return root(bar_next) * x_0 + root(1 - bar_next - sigma**2) * noise + sigma * fresh


def too_noisy(x_t, x_0, bar, bar_next, sigma, fresh):
    return root(bar_next) * x_0 + root(1 - bar_next) * (x_t - root(bar) * x_0) / root(1 - bar) + sigma * fresh


def by_deviation(x_t, x_0, bar, bar_next, sigma, fresh):
    noise = (x_t - root(bar) * x_0) / root(1 - bar)
    return root(bar_next) * x_0 + (root(1 - bar_next) - sigma) * noise + sigma * fresh


def score(u, v):
    cosine = (u * v).sum(1) / np.linalg.norm(u, axis=1) / np.linalg.norm(v, axis=1)
    return 2.5 * np.maximum(cosine, 0)


def frechet(a, b):
    return (a.mean() - b.mean()) ** 2 + (a.std() - b.std()) ** 2


# For each check the right answers, then the wrong ones, each with a part of its hint.
ANSWERS = {
    "check_half_life": (
        [0.5 ** (1 / 100), 0.9931],
        [
            (0.99, "rule of thumb"),
            (0.995, "equally long"),
            (0.9, "after 7 steps"),
            (0.998, "after 347 steps"),
            (0.007, r"halfway after 1 step\."),
            (1.0, "between 0 and 1"),
            (100, "between 0 and 1"),
        ],
    ),
    "check_forget": (
        [forget, lambda y, u, s: [-1 if draw < s else label for label, draw in zip(y, u, strict=True)]],
        [
            (lambda y, u, s: np.full_like(y, -1) if u[0] < s else y, "whole batch"),
            (lambda y, u, s: np.where(u > s, -1, y), "forgets most"),
            (lambda y, u, s: np.where(u < s, 0, y), "is a digit"),
            (lambda y, u, s: y * (u >= s), "is a digit"),
            (lambda y, u, s: np.where(u < s, 10, y), "eleventh class"),
            (lambda y, u, s: np.append(np.full(int(s * len(y)), -1), y[int(s * len(y)) :]), "the first labels"),
            (lambda y, u, s: y[u >= s], "shape"),
            (lambda y, u, s: y, "no label"),
            (lambda y, u, s: np.where(u < 0.1, -1, y), "whatever `share` is"),
            (lambda y, u, s: np.where(np.random.default_rng(0).random(len(y)) < s, -1, y), "where the sample's draw"),
            (forget_in_place, "changed its input"),
        ],
    ),
    "check_zero_loss": (
        [zero_loss],
        [
            (lambda a, m: 1.0, "for the noise"),
            (lambda a, m: a * m + 1 - a, "swapped"),
            (lambda a, m: root(a) + root(1 - a) * m, "weights are squared"),
            (lambda a, m: a - (1 - a) * m, "minus is squared"),
            (lambda a, m: (root(a) - root(1 - a) * root(m)) ** 2, "cross term"),
            (lambda a, m: (root(a) + root(1 - a) * root(m)) ** 2, "cross term"),
            (lambda a, m: a + (1 - a) * m**2, "already the mean"),
            (lambda a, m: root(zero_loss(a, m)), "no root at the end"),
            (lambda a, m: a, "misses the image"),
            (lambda a, m: m, "three terms"),
        ],
    ),
    "check_times": (
        [[99, 79, 59, 39, 19], np.array([99, 79, 59, 39, 19]), (99.0, 79, 59, 39, 19)],
        [
            ([100, 80, 60, 40, 20], "t from 0"),
            ([80, 60, 40, 20, 0], "start from"),
            (np.linspace(99, 0, 5).round(), "four even strides"),
            (np.linspace(99, 0, 5).astype(int), "four even strides"),
            ([19, 39, 59, 79, 99], "forward direction"),
            ([99, 98, 97, 96, 95], "reach the clean image"),
            ([99, 79, 59, 39, 20], "set `steps` to 5"),
            (range(10), "5 numbers, not 10"),
        ],
    ),
    "check_conventions": (
        [(4, 3), [4.0, 3.0]],
        [
            ((3, 3), "first formula: that is w"),
            ((7, 3), "multiplied by the scale alone"),
            ((1, 3), "add up"),
            ((-3, 3), "weight of uncond"),
            ((5, 3), "first formula: write it"),
            ((4, 2), "second formula: replace its 2 by 0"),
            ((4, 1), "raise or lower"),
            ((4, -1), "two minus signs"),
            ((4, -2), "two minus signs"),
            ((4, 4), "second formula: write it"),
        ],
    ),
    "check_ddim_step": (
        [ddim],
        [
            (too_noisy, "make room"),
            (by_deviation, "standard deviations of independent"),
            (lambda x, x_0, b, n, s, f: ddim(x, x_0, b, n, s, s * f), "already the standard deviation"),
            (lambda x, x_0, b, n, s, f: ddim(x, x_0, b, n, 0, f), "without fresh noise"),
            (lambda x, x_0, b, n, s, f: ddim(x, x_0, b, n, s, 0 * f), "forgot to add"),
            (lambda x, x_0, b, n, s, f: ddim(x, x_0, n, b, s, f), "swapped"),
            (
                lambda x, x_0, b, n, s, f: ddim(x, x_0, b, n, root(s), 0) + s * f,
                "with variances",
            ),
            (lambda x, x_0, b, n, s, f: x_0, "three terms"),
        ],
    ),
    "check_enough_images": (
        [10_000, 9_500, 11_000],
        [
            (2_400, "0.8[0-9] points wide.*either side"),
            (38_000, "each. side"),
            (500, "too wide"),
            (100, "too wide"),
            (1_000_000, "fewer images"),
            (0.01, "whole number"),
        ],
    ),
    "check_score": (
        [score],
        [
            (lambda u, v: 2.5 * np.maximum((u * v).sum(1), 0), "depend on length"),
            (lambda u, v: score(u, v) * np.linalg.norm(v, axis=1), "only one"),
            (lambda u, v: score(u, v) * np.linalg.norm(u, axis=1), "only one"),
            (lambda u, v: 2.5 * np.maximum((u / np.linalg.norm(u) * v / np.linalg.norm(v)).sum(1), 0), "whole batch"),
            (
                lambda u, v: (
                    2.5 * np.maximum((u / np.linalg.norm(u, axis=0) * v / np.linalg.norm(v, axis=0)).sum(1), 0)
                ),
                "normalised the columns",
            ),
            (lambda u, v: 2.5 * (u * v).sum(1) / np.linalg.norm(u, axis=1) / np.linalg.norm(v, axis=1), "negative"),
            (lambda u, v: score(u, v) / 2.5, "multiplies it by a weight"),
            (lambda u, v: score(u, v) * 40, "other libraries"),
            (lambda u, v: 2.5 * np.maximum(u @ v.T, 0), r"shape \(6,\) here, not \(6, 6\)"),
            (lambda u, v: (u * u).sum(1), "by both lengths"),
        ],
    ),
    "check_frechet": (
        [frechet, lambda a, b: frechet_distance(a[:, None], b[:, None])],
        [
            (lambda a, b: root(frechet(a, b)), "root of the distance"),
            (lambda a, b: abs(a.mean() - b.mean()) + (a.std() - b.std()) ** 2, "difference of the means"),
            (lambda a, b: (a.mean() - b.mean()) ** 2 + (a.var() - b.var()) ** 2, "variances instead"),
            (lambda a, b: (a.mean() - b.mean()) ** 2 + a.var() + b.var() - 2 * a.var() * b.var(), "lost the root"),
            (lambda a, b: (a.mean() - b.mean()) ** 2 + a.var() + b.var(), "term is missing"),
            (lambda a, b: (a.mean() - b.mean()) ** 2 + (a.std() + b.std()) ** 2, "sign of the last term"),
            (lambda a, b: (a.mean() - b.mean()) ** 2, "can still differ"),
            (lambda a, b: (a.mean() - b.mean()) ** 2 + abs(a.std() - b.std()), "difference of the standard deviations"),
            (lambda a, b: a.mean(), "trace"),
        ],
    ),
}
