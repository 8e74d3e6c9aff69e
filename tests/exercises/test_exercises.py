"""The self-checks of the exercises: right answers pass, and each plausible mistake gets its own hint."""

import re
import sys

import keras
import numpy as np
import pytest

import helpers.exercises
from helpers.diffusion import cosine_schedule, linear_schedule, velocity
from helpers.evaluation.clip import clip_score
from helpers.evaluation.metrics import wilson_interval
from helpers.exercises.answers import PENDING
from helpers.exercises.notebook_01 import SEVENS
from helpers.sampling.solvers import ddim_table, sampling_times
from helpers.unet import residual_block, sinusoidal_embedding
from tests.exercises import answers_01_to_03, answers_04_to_06
from tests.exercises.answers_04_to_06 import ddim, zero_loss

ANSWERS = answers_01_to_03.ANSWERS | answers_04_to_06.ANSWERS
BAR = cosine_schedule().alpha_bars
CHECKS = {name: getattr(helpers.exercises, name) for name in helpers.exercises.__all__ if name.startswith("check_")}
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
def test_plausible_mistakes_get_their_hint(name, answer, hint):
    reply = CHECKS[name](answer)
    assert reply.startswith("Not yet: ") and re.search(hint, reply), reply
    assert "\n" not in reply and reply.endswith((".", "?"))


@pytest.mark.parametrize("name", CHECKS)
def test_no_answer_yet(name):
    assert CHECKS[name](None) == PENDING
    if name in TAKES_FUNCTION:
        assert CHECKS[name](lambda *arguments: None) == "Not answered yet: the function returns None."


NONSENSE = [
    *("seven", b"7", "", "0.5", [], {}, {1, 2}, object(), np.nan, (np.inf, 1), 1j, True, [True, False], ...),
    *([[1], [2, 3]], range(99), 10**400, np, lambda: 1, lambda *a: "text", lambda *a: np.nan, lambda *a: 1 / 0),
    *(lambda *a: {}[3], lambda *a: object(), lambda *a: np.zeros((3, 3, 3)), lambda *a: [[1], [2, 3]]),
    *(lambda *a: True, lambda *a: 1j),
]


class Hostile:
    """An answer that can't even be looked at."""

    def __array__(self, *_, **__):
        raise ZeroDivisionError("oops")

    def __repr__(self):
        raise RuntimeError("no repr")


def print_without_end(*_):
    while True:
        print("all work and no play")


def complain_without_end(*_):
    while True:
        sys.stderr.write("x" * 100)


def recurse(*arguments):
    return recurse(*arguments)


def raising(error):
    def function(*_):
        raise error

    return function


class EndsEverything(BaseException):
    pass


def silence(*_):
    sys.stdout.close()
    return "text"


def leave_numpy_strict(*_):
    np.seterr(all="raise")
    return np.float64(1) / np.float64(0)


SURVIVED = {
    "SystemExit": (raising(SystemExit(3)), "stopped with SystemExit: 3"),
    "exit": (lambda *_: sys.exit("bye"), "stopped with SystemExit: bye"),
    "quit": (lambda *_: quit(), "stopped with SystemExit"),
    "KeyboardInterrupt": (raising(KeyboardInterrupt()), "stopped with KeyboardInterrupt: no message"),
    "GeneratorExit": (raising(GeneratorExit()), "stopped with GeneratorExit"),
    "MemoryError": (raising(MemoryError()), "stopped with MemoryError"),
    "of its own": (raising(EndsEverything("!")), "stopped with EndsEverything: !"),
    "many lines": (raising(ValueError("one\ntwo\n" * 10_000)), "stopped with ValueError: one"),
    "recursion": (recurse, "stopped with RecursionError: maximum recursion depth exceeded"),
    "endless output": (print_without_end, "prints without end"),
    "endless complaints": (complain_without_end, "prints without end"),
    "a closed output": (silence, "should return numbers"),
    "a strict numpy": (leave_numpy_strict, "stopped with FloatingPointError"),
    "a hostile result": (lambda *_: Hostile(), "stopped with ZeroDivisionError: oops"),
    "a generator": (lambda *_: (yield), "should return numbers"),
    "a function": (lambda *_: print, "should return numbers"),
}


@pytest.mark.parametrize("what", SURVIVED)
def test_a_check_survives_whatever_a_function_does(what, capfd):
    function, reply = SURVIVED[what]
    streams, state, limit = (sys.stdout, sys.stderr), np.geterr(), sys.getrecursionlimit()
    for name in TAKES_FUNCTION:
        found = CHECKS[name](function)
        assert found.startswith("Not yet: ") and reply in found and "\n" not in found and len(found) < 300, name
    assert (sys.stdout, sys.stderr) == streams and np.geterr() == state and sys.getrecursionlimit() == limit
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_survives_an_answer_that_cannot_be_looked_at(name):
    found = CHECKS[name](Hostile())
    assert found.startswith("Not yet: ") and "\n" not in found and len(found) < 300


@pytest.mark.parametrize("name", CHECKS)
def test_anything_else_gets_a_sentence(name):
    for answer in NONSENSE:
        reply = CHECKS[name](answer)
        assert reply.startswith("Not yet: ") and "\n" not in reply and len(reply) < 250, reply


def test_hints_do_not_reveal_the_numbers():
    secrets = {
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
        pieces = secrets.get(name, ())
        if not any(piece in str(answer) for piece in pieces):
            reply = CHECKS[name](answer)
            assert not any(piece in reply for piece in pieces), reply


# The checks hold the right answers as formulas of their own. The following tests compare these with the helpers.


def test_sevens(mnist):
    assert np.sum(mnist.train_labels == 7) == SEVENS


def test_the_best_guess_is_the_mean():
    pixel = np.array([1.0] * 4 + [-1.0] * 6)
    assert CHECKS["check_best_guess"]((pixel.mean(), pixel.var())).startswith("Right")


def test_the_schedule_warns_below_the_right_number_of_steps(recwarn):
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
    low, high = wilson_interval(round(0.99 * 2_400), 2_400)
    assert f"{100 * (high - low):.2f}" in CHECKS["check_enough_images"](2_400)
    low, high = wilson_interval(9_900, 10_000)
    assert 0.0036 <= high - low <= 0.0041 and CHECKS["check_enough_images"](10_000).startswith("Right")


def test_the_score_is_that_of_the_helper():
    def by_helper(u, v):
        unit = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)  # noqa: E731
        return clip_score(unit(u), unit(v))

    assert CHECKS["check_score"](by_helper).startswith("Right")
