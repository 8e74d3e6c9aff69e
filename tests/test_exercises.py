"""The self-checks of the exercises: right answers pass, the wrong ones that students give get their own hint."""

import re

import numpy as np
import pytest

from helpers import exercises_01_to_03, exercises_04_to_06
from helpers.answers import PENDING
from helpers.clip import clip_score
from helpers.diffusion import cosine_schedule, linear_schedule, posterior, predict_x_0, velocity
from helpers.metrics import frechet_distance, wilson_interval
from helpers.sampling import ddim_table, sampling_times
from helpers.unet import residual_block, sinusoidal_embedding

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


def too_loud(x_t, x_0, bar, bar_next, sigma, fresh):
    return root(bar_next) * x_0 + root(1 - bar_next) * (x_t - root(bar) * x_0) / root(1 - bar) + sigma * fresh


def by_deviation(x_t, x_0, bar, bar_next, sigma, fresh):
    noise = (x_t - root(bar) * x_0) / root(1 - bar)
    return root(bar_next) * x_0 + (root(1 - bar_next) - sigma) * noise + sigma * fresh


def score(u, v):
    cosine = (u * v).sum(1) / np.linalg.norm(u, axis=1) / np.linalg.norm(v, axis=1)
    return 2.5 * np.maximum(cosine, 0)


def frechet(a, b):
    return (a.mean() - b.mean()) ** 2 + (a.std() - b.std()) ** 2


# Each check: the right answers, then wrong ones with a piece of the hint that they must get.
ANSWERS = {
    "check_quarters": (
        [6265**4, 1.54e15],
        [
            (6265, "patch = 28"),
            (4 * 6265, "added"),
            (6265**2, "half as wide"),
            (60_000**4, "come from `sevens`"),
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
            ((102, 15_606), "bytes"),
            ((0.96, -0.2), "smallest error"),
            ((-0.2, 0.24), "if black were 0"),
            ((-0.2, 0.98), "standard deviation"),
            ((-0.2, 1.04), "40 % of the squares"),
            ((-0.2, 0.04), "square of the guess"),
            (-0.2, "2 numbers, not 1"),
        ],
    ),
    "check_to_bytes": (
        [bytes_of, lambda x, m, s: np.uint8(np.rint(255 * np.clip(x * s + m, 0, 1)))],
        [
            (lambda x, m, s: ((x * s + m) * 255).clip(0, 255).astype(np.uint8), "one too small"),
            (lambda x, m, s: ((x * s + m) * 255).clip(0, 255).astype(int), "one too small"),
            (lambda x, m, s: np.rint((x * s + m) * 255).astype(np.uint8), "black must stay black"),
            (lambda x, m, s: np.rint((x * s + m) * 255), "black must stay black"),
            (lambda x, m, s: np.rint((x + m) * s * 255), "last thing first"),
            (lambda x, m, s: np.rint((x / s + m) * 255), "undoes a division"),
            (lambda x, m, s: np.rint((x - m) / s * 255), "scaled again"),
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
            (1000, "fewer are enough"),
            (594, "fewer are enough"),
            (592.7, "whole number"),
            (0, "whole number in"),
        ],
    ),
    "check_joined_beta": (
        [1 - BAR[39] / BAR[19], 1 - np.prod(ALPHA[20:40])],
        [
            (BAR[39] / BAR[19], "kept"),
            (BETA[20:40].sum(), "added the betas"),
            (1 - BAR[39], "clean image"),
            (1 - BAR[39] / BAR[20], "off by one"),
            (1 - BAR[38] / BAR[19], "off by one"),
            (1 - np.prod(ALPHA[20:41]), "off by one"),
            (root(1 - BAR[39] / BAR[19]), "standard deviation"),
            (1 - root(BAR[39] / BAR[19]), "square root"),
            (np.prod(BETA[20:40]), "alphas that multiply"),
            (0.5, "product of alphas"),
            (0.28, "as a measurement is"),
        ],
    ),
    "check_mean_from_noise": (
        [
            mean_from_noise,
            lambda x, e, t: posterior(cosine_schedule(), predict_x_0(cosine_schedule(), x, t, e), x, t)[0],
        ],
        [
            (lambda x, e, t: (x + BETA[t] / root(1 - BAR[t]) * e) / root(ALPHA[t]), "added noise"),
            (lambda x, e, t: (x - BETA[t] / root(1 - BAR[t]) * e) / root(BAR[t]), "not by alpha_bar"),
            (lambda x, e, t: (x - BETA[t] / root(1 - ALPHA[t]) * e) / root(ALPHA[t]), "noise of .all. steps"),
            (lambda x, e, t: (x - root(BETA[t] / (1 - BAR[t])) * e) / root(ALPHA[t]), "no root"),
            (lambda x, e, t: (x - root(1 - BAR[t]) * e) / root(ALPHA[t]), "all the noise at once"),
            (lambda x, e, t: (x - root(1 - BAR[t]) * e) / root(BAR[t]), "that is x_0"),
            (lambda x, e, t: mean_from_noise(x, e, t - 1), "off by one"),
            (lambda x, e, t: (x - BETA[t] / root(1 - BAR[t - 1]) * e) / root(ALPHA[t]), "off by one"),
            (lambda x, e, t: x - e, "collect x_t and noise"),
            (lambda x, e, t: 0.5, r"shape \(2, 28, 28, 1\) here, not \(\)"),
        ],
    ),
    "check_reach": (
        [(27, 6), np.array([27, 6])],
        [
            ((28, 7), "at 28 x 28: one too many"),
            ((14, 4), "from the middle"),
            ((27, 3), "at 7 x 7: that is the way from the middle"),
            ((10, 3), "windows overlap"),
            ((27, 7), "at 7 x 7: one too many"),
            ((784, 49), "all directions"),
            ((54, 12), "diagonal"),
            ((26, 6), "at 28 x 28: raise `count`"),
        ],
    ),
    "check_block_parameters": (
        [block_parameters],
        [
            (lambda c, d, e: block_parameters(c, d, e) - (5 if c != d else 4) * d, "biases"),
            (lambda c, d, e: block_parameters(c, d, e) - c - d, "normalisation"),
            (lambda c, d, e: block_parameters(c, d, e) - d * e - d, "scale .and. a shift"),
            (lambda c, d, e: block_parameters(c, d, e) - 9 * d * d + 9 * c * d, "second convolution"),
            (lambda c, d, e: block_parameters(c, d, e) - (c != d) * (c * d + d), "another width"),
            (lambda c, d, e: block_parameters(c, d, e) + (c == d) * (c * d + d), "isn't it"),
            (lambda c, d, e: 18 * c * d, "list of layers"),
        ],
    ),
    "check_similarity": (
        [lambda n, w: np.cos(omegas(w) * n).mean()],
        [
            (lambda n, w: np.cos(omegas(w) * n).sum(), "how long"),
            (lambda n, w: np.cos(omegas(w) * n).sum() / w, "at distance 0"),
            (lambda n, w: np.cos(omegas(w) * n).sum() / root(w / 2), "divide by both"),
            (lambda n, w: np.sin(omegas(w) * n).mean(), "addition theorems"),
            (lambda n, w: np.cos(10_000 ** (-np.arange(w // 2) / (w // 2)) * n).mean(), "base"),
            (lambda n, w: np.cos(1000 ** (-np.arange(w) / (w // 2)) * n).mean(), "how many different"),
            (lambda n, w: np.cos(omegas(w).mean() * n), "sum over the frequencies"),
        ],
    ),
    "check_half_life": (
        [0.5 ** (1 / 100), 0.9931],
        [
            (0.99, "rule of thumb"),
            (0.995, "same amount"),
            (0.9, "after 7 steps"),
            (0.998, "after 347 steps"),
            (0.007, "half way after 1 "),
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
            (lambda y, u, s: np.where(u < s, 10, y), "eleventh"),
            (lambda y, u, s: np.append(np.full(int(s * len(y)), -1), y[int(s * len(y)) :]), "always the first"),
            (lambda y, u, s: y[u >= s], "shape"),
            (lambda y, u, s: y, "no label"),
            (lambda y, u, s: np.where(np.random.default_rng(0).random(len(y)) < s, -1, y), "where a sample's draw"),
            (forget_in_place, "handed in were changed"),
        ],
    ),
    "check_zero_loss": (
        [zero_loss],
        [
            (lambda a, m: 1.0, "for the noise"),
            (lambda a, m: a * m + 1 - a, "swapped"),
            (lambda a, m: root(a) + root(1 - a) * m, "square the weights"),
            (lambda a, m: a - (1 - a) * m, "minus is squared"),
            (lambda a, m: (root(a) - root(1 - a) * root(m)) ** 2, "cross term"),
            (lambda a, m: (root(a) + root(1 - a) * root(m)) ** 2, "cross term"),
            (lambda a, m: a + (1 - a) * m**2, "given already"),
            (lambda a, m: root(zero_loss(a, m)), "no root"),
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
            ((3, 3), "first formula: that is the paper's w"),
            ((7, 3), "carries the scale"),
            ((1, 3), "add up"),
            ((-3, 3), "weight of uncond"),
            ((5, 3), "first formula: write it"),
            ((4, 2), "second formula: set its 2 to 0"),
            ((4, 1), "second formula: what is left"),
            ((4, -1), "two minus signs"),
            ((4, -2), "two minus signs"),
            ((4, 4), "second formula: write it"),
        ],
    ),
    "check_ddim_step": (
        [ddim],
        [
            (too_loud, "make room"),
            (by_deviation, "standard deviations of independent"),
            (lambda x, x_0, b, n, s, f: ddim(x, x_0, b, n, s, s * f), "deviation of the fresh noise already"),
            (lambda x, x_0, b, n, s, f: ddim(x, x_0, b, n, 0, f), "without fresh noise"),
            (lambda x, x_0, b, n, s, f: ddim(x, x_0, b, n, s, 0 * f), "forgot to add"),
            (lambda x, x_0, b, n, s, f: ddim(x, x_0, n, b, s, f), "swapped"),
            (
                lambda x, x_0, b, n, s, f: ddim(x, x_0, b, n, root(s), 0) + s * f,
                "among variances",
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
            (lambda u, v: 2.5 * np.maximum((u * v).sum(1), 0), "know of length"),
            (lambda u, v: score(u, v) * np.linalg.norm(v, axis=1), "only one"),
            (lambda u, v: score(u, v) * np.linalg.norm(u, axis=1), "only one"),
            (lambda u, v: 2.5 * np.maximum((u / np.linalg.norm(u) * v / np.linalg.norm(v)).sum(1), 0), "whole batch"),
            (
                lambda u, v: (
                    2.5 * np.maximum((u / np.linalg.norm(u, axis=0) * v / np.linalg.norm(v, axis=0)).sum(1), 0)
                ),
                "each column",
            ),
            (lambda u, v: 2.5 * (u * v).sum(1) / np.linalg.norm(u, axis=1) / np.linalg.norm(v, axis=1), "negative"),
            (lambda u, v: score(u, v) / 2.5, "weight in front"),
            (lambda u, v: score(u, v) * 40, "other libraries"),
            (lambda u, v: 2.5 * np.maximum(u @ v.T, 0), r"shape \(6,\) here, not \(6, 6\)"),
            (lambda u, v: (u * u).sum(1), "over both lengths"),
        ],
    ),
    "check_frechet": (
        [frechet, lambda a, b: frechet_distance(a[:, None], b[:, None])],
        [
            (lambda a, b: root(frechet(a, b)), "its root"),
            (lambda a, b: abs(a.mean() - b.mean()) + (a.std() - b.std()) ** 2, "means enters squared"),
            (lambda a, b: (a.mean() - b.mean()) ** 2 + (a.var() - b.var()) ** 2, "variances where"),
            (lambda a, b: (a.mean() - b.mean()) ** 2 + a.var() + b.var() - 2 * a.var() * b.var(), "lost the root"),
            (lambda a, b: (a.mean() - b.mean()) ** 2 + a.var() + b.var(), "term is missing"),
            (lambda a, b: (a.mean() - b.mean()) ** 2 + (a.std() + b.std()) ** 2, "sign of the last term"),
            (lambda a, b: (a.mean() - b.mean()) ** 2, "may still differ"),
            (lambda a, b: (a.mean() - b.mean()) ** 2 + abs(a.std() - b.std()), "deviations enters squared"),
            (lambda a, b: a.mean(), "trace"),
        ],
    ),
}
CHECKS = {
    name: check
    for module in (exercises_01_to_03, exercises_04_to_06)
    for name, check in vars(module).items()
    if name.startswith("check_")
}
RIGHT = [(name, answer) for name, (answers, _) in ANSWERS.items() for answer in answers]
WRONG = [(name, answer, hint) for name, (_, answers) in ANSWERS.items() for answer, hint in answers]
TAKES_FUNCTION = {name for name, (answers, _) in ANSWERS.items() if callable(answers[0])}


def test_every_check_is_tested():
    assert list(CHECKS) == list(ANSWERS) and len(CHECKS) == 18
    assert all(right and len(wrong) >= 2 for right, wrong in ANSWERS.values())


@pytest.mark.parametrize("name, answer", RIGHT)
def test_right_answers_pass(name, answer):
    assert CHECKS[name](answer).startswith("Right: ")


@pytest.mark.parametrize("name, answer, hint", WRONG)
def test_plausible_wrong_answers_get_their_hint(name, answer, hint):
    said = CHECKS[name](answer)
    assert said.startswith("Not yet: ") and re.search(hint, said), said
    assert "\n" not in said and said.endswith((".", "?"))


@pytest.mark.parametrize("name", CHECKS)
def test_no_answer_yet(name):
    assert CHECKS[name](None) == PENDING
    if name in TAKES_FUNCTION:
        assert CHECKS[name](lambda *arguments: None) == "Not answered yet: the function returns None."


NONSENSE = [
    *(
        "seven",
        b"7",
        "",
        "0.5",
        [],
        {},
        {1, 2},
        object(),
        np.nan,
        (np.inf, 1),
        1j,
        True,
        [True, False],
        ...,
        [[1], [2, 3]],
    ),
    *(range(99), 10**400, np, lambda: 1, lambda *a: "text", lambda *a: np.nan, lambda *a: 1 / 0, lambda *a: {}[3]),
    *(lambda *a: object(), lambda *a: np.zeros((3, 3, 3)), lambda *a: [[1], [2, 3]], lambda *a: True, lambda *a: 1j),
]


@pytest.mark.parametrize("name", CHECKS)
def test_anything_else_gets_a_sentence(name):
    for answer in NONSENSE:
        said = CHECKS[name](answer)
        assert said.startswith("Not yet: ") and "\n" not in said and len(said) < 250, said


def test_hints_do_not_give_numbers_away():
    told = {
        "check_quarters": ("6265", "6,265", "1.54", "e15"),
        "check_best_guess": ("-0.2", "0.96"),
        "check_enough_steps": ("593",),
        "check_joined_beta": ("0.28", "0.279"),
        "check_reach": ("27", "6."),
        "check_half_life": ("0.993",),
        "check_times": ("99", "79", "59", "39", "19"),
        "check_enough_images": ("9,5", "10,000", "10000"),
    }
    for name, answer, _ in WRONG:
        if not any(piece in str(answer) for piece in told.get(name, ())):
            said = CHECKS[name](answer)
            assert not any(piece in said for piece in told.get(name, ())), said


# The checks hold the right answers as formulas of their own; here they meet the helpers.


def test_sevens(mnist):
    assert np.sum(mnist.train_labels == 7) == exercises_01_to_03.SEVENS


def test_the_best_guess_is_the_mean():
    pixel = np.array([1.0] * 4 + [-1.0] * 6)
    assert CHECKS["check_best_guess"]((pixel.mean(), pixel.var())).startswith("Right")


def test_enough_steps_is_where_the_schedule_stops_to_warn(recwarn):
    linear_schedule(593, 1e-4, 0.02)
    assert not recwarn
    with pytest.warns(UserWarning, match="5% of the signal left"):
        linear_schedule(592, 1e-4, 0.02)


def test_reach_of_convolutions():
    answer = []
    for size in (28, 7):
        heard, count = np.zeros((size + 2, size + 2), bool), 0
        heard[1, 1] = True
        while not heard[1:-1, 1:-1].all():
            windows = np.lib.stride_tricks.sliding_window_view(heard, (3, 3))
            heard[1:-1, 1:-1] = windows.any(axis=(2, 3))
            count += 1
        answer.append(count)
    assert CHECKS["check_reach"](answer).startswith("Right")


def test_block_parameters_are_those_of_the_network():
    import keras

    def counted(c, d, e):
        x, embedding = keras.Input((4, 4, c)), keras.Input((e,))
        return keras.Model([x, embedding], residual_block(x, embedding, d)).count_params()

    assert CHECKS["check_block_parameters"](counted).startswith("Right")


def test_similarity_is_that_of_the_embedding():
    def measured(distance, width):
        a, b = np.asarray(sinusoidal_embedding(np.array([13, 13 + distance]), width), np.float64)
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    assert CHECKS["check_similarity"](measured).startswith("Right")


def test_zero_loss_is_the_mean_square_of_the_velocity():
    random = np.random.default_rng(0)
    x_0 = np.where(random.random((200, 28, 28, 1)) < 0.2, 0.7, -1).astype(np.float32)
    noise = random.standard_normal(x_0.shape).astype(np.float32)
    for t in (10, 50, 90):
        measured = np.mean(np.square(velocity(cosine_schedule(), x_0, t, noise)))
        np.testing.assert_allclose(measured, zero_loss(BAR[t], np.mean(x_0**2)), rtol=0.02)


def test_times_are_those_of_the_sampler():
    assert CHECKS["check_times"](sampling_times(cosine_schedule(), 5)).startswith("Right")


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_the_ddim_step_is_that_of_the_sampler(eta):
    times = sampling_times(cosine_schedule(), 20)
    x_t, x_0, fresh = np.random.default_rng(1).standard_normal((3, 5))
    table = ddim_table(cosine_schedule(), times, eta)
    for here, after, (of_x_t, of_x_0, _, sigma) in zip(times, times[1:], table, strict=False):
        expected = of_x_t * x_t + of_x_0 * x_0 + sigma * fresh
        np.testing.assert_allclose(ddim(x_t, x_0, BAR[here], BAR[after], sigma, fresh), expected)


def test_enough_images_follow_wilson():
    for count in (2_400, 10_000):
        low, high = wilson_interval(round(0.99 * count), count)
        assert f"{100 * (high - low):.2f}" in CHECKS["check_enough_images"](count) or 0.0036 <= high - low <= 0.0041


def test_the_score_is_that_of_the_helper():
    def by_helper(u, v):
        unit = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)  # noqa: E731
        return clip_score(unit(u), unit(v))

    assert CHECKS["check_score"](by_helper).startswith("Right")
