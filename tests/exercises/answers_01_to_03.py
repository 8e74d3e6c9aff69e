"""Right answers to the exercises of notebooks 01 to 03, and plausible mistakes. `test_exercises` uses them."""

import numpy as np

from helpers.diffusion import cosine_schedule, posterior, predict_x_0

BAR, BETA, ALPHA = (getattr(cosine_schedule(100), name) for name in ("alpha_bars", "betas", "alphas"))
root = np.sqrt


def bytes_of(x, mean, std):
    return np.clip(np.rint((x * std + mean) * 255), 0, 255).astype(np.uint8)


def mean_from_noise(x, e, t):
    return (x - BETA[t] / root(1 - BAR[t]) * e) / root(ALPHA[t])


def block_parameters(c, d, e):
    total = c + (9 * c * d + d) + (2 * d * e + 2 * d) + d + (9 * d * d + d)
    return total if c == d else total + c * d + d


def omegas(width):
    return 1000 ** (-np.arange(width // 2) / (width // 2))


# For each check the right answers, then the wrong ones, each with a part of its hint.
ANSWERS = {
    "check_quarters": (
        [6265**4, 1.54e15],
        [
            (6265, "patch = 28"),
            (4 * 6265, "added"),
            (6265**2, "half as wide"),
            (60_000**4, "come from `sevens`"),
            (6265 * 6264 * 6263 * 6262, "same seven"),
            (5843 * 6265**3, "counts different images"),
            (1.53e15, "count the pieces"),
            (6265**196, "far too many"),
            (4**6265, "far too many"),
            (5.0, "count the pieces"),
        ],
    ),
    "check_best_guess": (
        [(-0.2, 0.96), np.array([-0.2, 0.96]), [-0.2, 0.9600001]],
        [
            ((0.2, 0.96), "sign"),
            ((-1, 1.6), "most common"),
            ((0, 1), "middle"),
            ((0.4, 0.24), "if black were 0"),
            ((102, 15_606), "byte value"),
            ((0.96, -0.2), "smaller error"),
            ((-0.2, 0.24), "if black were 0"),
            ((-0.2, 0.98), "standard deviation"),
            ((-0.2, 1.04), "white by 40 %"),
            ((-0.2, 0.04), "square of the guess"),
            (-0.2, "2 numbers, not 1"),
        ],
    ),
    "check_to_bytes": (
        [bytes_of, lambda x, m, s: np.uint8(np.rint(255 * np.clip(x * s + m, 0, 1)))],
        [
            (lambda x, m, s: ((x * s + m) * 255).clip(0, 255).astype(np.uint8), "one too small"),
            (lambda x, m, s: ((x * s + m) * 255).clip(0, 255).astype(int), "one too small"),
            (lambda x, m, s: np.rint((x * s + m) * 255).astype(np.uint8), "Black must stay black"),
            (lambda x, m, s: np.rint((x * s + m) * 255), "Black must stay black"),
            (lambda x, m, s: np.rint((x + m) * s * 255), "last operation first"),
            (lambda x, m, s: np.rint((x / s + m) * 255), "undoes a division"),
            (lambda x, m, s: np.rint((x - m) / s * 255), "scales the pixel once more"),
            (lambda x, m, s: bytes_of(x, m, s).ravel(), r"shape \(2, 16, 8\) here, not \(256,\)"),
            (lambda x, m, s: x * s + m, "up to 255"),
            (lambda x, m, s: np.uint8(x * s + m), "up to 255"),
            (lambda x, m, s: np.clip(np.rint((x + 1) * 127.5), 0, 255), "doesn't restore"),
            (lambda x, m, s: np.clip(np.rint((x * s + m) * 255), 0, 255), "uint8"),
        ],
    ),
    "check_enough_steps": (
        [593, np.int64(593), 593.0],
        [
            (297, "variance"),
            (592, "5.0[0-9]% of the signal; that is too much"),
            (100, "60.*too much"),
            (1000, "fewer steps are enough"),
            (594, "fewer steps are enough"),
            (592.7, "whole number"),
            (0, "whole number in"),
        ],
    ),
    "check_joined_beta": (
        [1 - BAR[39] / BAR[19], 1 - np.prod(ALPHA[20:40])],
        [
            (BAR[39] / BAR[19], "keeps"),
            (BETA[20:40].sum(), "added the betas"),
            (1 - BAR[39], "clean image"),
            (1 - BAR[39] / BAR[20], "off by one"),
            (1 - BAR[38] / BAR[19], "off by one"),
            (1 - np.prod(ALPHA[20:41]), "off by one"),
            (root(1 - BAR[39] / BAR[19]), "standard deviation"),
            (1 - root(BAR[39] / BAR[19]), "square root"),
            (np.prod(BETA[20:40]), "multiply the alphas"),
            (0.5, "product of alphas"),
            (0.28, "only a measurement"),
        ],
    ),
    "check_mean_from_noise": (
        [
            mean_from_noise,
            lambda x, e, t: posterior(cosine_schedule(), predict_x_0(cosine_schedule(), x, t, e), x, t)[0],
        ],
        [
            (lambda x, e, t: (x + BETA[t] / root(1 - BAR[t]) * e) / root(ALPHA[t]), "added the noise"),
            (lambda x, e, t: (x - BETA[t] / root(1 - BAR[t]) * e) / root(BAR[t]), "not of alpha_bar"),
            (lambda x, e, t: (x - BETA[t] / root(1 - ALPHA[t]) * e) / root(ALPHA[t]), "noise of .all. steps"),
            (lambda x, e, t: (x - root(BETA[t] / (1 - BAR[t])) * e) / root(ALPHA[t]), "no root of beta"),
            (lambda x, e, t: (x - root(1 - BAR[t]) * e) / root(ALPHA[t]), "all the noise at once"),
            (lambda x, e, t: (x - root(1 - BAR[t]) * e) / root(BAR[t]), "that is x_0"),
            (lambda x, e, t: mean_from_noise(x, e, t - 1), "off by one"),
            (lambda x, e, t: (x - BETA[t] / root(1 - BAR[t - 1]) * e) / root(ALPHA[t]), "off by one"),
            (lambda x, e, t: x - e, "collect the terms"),
            (lambda x, e, t: 0.5, r"shape \(2, 28, 28, 1\) here, not \(\)"),
        ],
    ),
    "check_reach": (
        [(27, 6), np.array([27, 6])],
        [
            ((28, 7), "at 28 x 28: one too many"),
            ((14, 4), "distance from the middle"),
            ((27, 3), "at 7 x 7: that is the distance from the middle"),
            ((10, 3), "windows overlap"),
            ((27, 7), "at 7 x 7: one too many"),
            ((784, 49), "all directions"),
            ((54, 12), "diagonal"),
            ((26, 6), "at 28 x 28: find the smallest"),
        ],
    ),
    "check_block_parameters": (
        [block_parameters],
        [
            (lambda c, d, e: block_parameters(c, d, e) - (5 if c != d else 4) * d, "biases"),
            (lambda c, d, e: block_parameters(c, d, e) - c - d, "normalisation"),
            (lambda c, d, e: block_parameters(c, d, e) - d * e - d, "scale .and. a shift"),
            (lambda c, d, e: block_parameters(c, d, e) - 9 * d * d + 9 * c * d, "second convolution's input"),
            (lambda c, d, e: block_parameters(c, d, e) - (c != d) * (c * d + d), "different number of channels"),
            (lambda c, d, e: block_parameters(c, d, e) + (c == d) * (c * d + d), "When is it needed"),
            (lambda c, d, e: block_parameters(c, d, e) - (c > d) * (c * d + d), "narrows its input"),
            (lambda c, d, e: 18 * c * d, "list of layers"),
        ],
    ),
    "check_similarity": (
        [lambda n, w: np.cos(omegas(w) * n).mean()],
        [
            (lambda n, w: np.cos(omegas(w) * n).sum(), "How long"),
            (lambda n, w: np.cos(omegas(w) * n).sum() / w, "at distance 0"),
            (lambda n, w: np.cos(omegas(w) * n).sum() / root(w / 2), "Divide by both"),
            (lambda n, w: np.sin(omegas(w) * n).mean(), "addition theorem"),
            (lambda n, w: np.cos(10_000 ** (-np.arange(w // 2) / (w // 2)) * n).mean(), "base"),
            (lambda n, w: np.cos(1000 ** (-np.arange(w) / (w // 2)) * n).mean(), "fewer different frequencies"),
            (lambda n, w: np.cos(omegas(w).mean() * n), "sum over the frequencies"),
        ],
    ),
}
