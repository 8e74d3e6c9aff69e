"""Threads that ask for the same at the same time wait for one of them."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from helpers.evaluation import classifiers
from helpers.evaluation.classifiers import build_classifier, classify
from helpers.sampling import sampler
from helpers.sampling.sampler import SamplerSettings, sample
from helpers.tools.once import KEPT, made_once


def test_threads_wait_for_one_of_them():
    made, together = [], threading.Barrier(8)

    @made_once
    def make(name):
        made.append(name)
        time.sleep(0.05)
        return object()

    def ask(name):
        together.wait()
        return make(name)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, "aabbaabb"))
    assert sorted(made) == ["a", "b"] and len(set(found)) == 2
    make.cache_clear()
    assert make("a") not in found


def test_an_error_is_raised_and_not_kept():
    @made_once
    def make(name):
        raise ValueError(name)

    for _ in range(2):
        with pytest.raises(ValueError, match="a"):
            make("a")


def test_only_the_last_results_are_kept():
    made = []
    make = made_once(lambda number: made.append(number))
    for number in [*range(KEPT + 1), 0]:
        make(number)
    assert made == [*range(KEPT + 1), 0]


@pytest.mark.parametrize("what", ["sample", "classify"])
def test_a_cold_cache_compiles_once(what, lively_denoiser, monkeypatch):
    traced, together = [], threading.Barrier(4)
    if what == "sample":
        monkeypatch.setattr(sampler, "predict", lambda _, x_t, *__: traced.append(1) or (0 * x_t, x_t))
        brief = SamplerSettings(steps=1, guidance_scale=1.0)
        call = lambda: sample(lively_denoiser, [3], brief).images  # noqa: E731
        most = 2  # one for each branch of `tf.cond`, which are traced together
    else:
        classifier = build_classifier("judge")
        argmax = classifiers.tf.argmax
        monkeypatch.setattr(classifiers.tf, "argmax", lambda *it, **named: traced.append(1) or argmax(*it, **named))
        call = lambda: classify(classifier, np.zeros((3, 28, 28, 1), np.float32))  # noqa: E731
        most = 1

    def ask(_):
        together.wait()
        return call()

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(ask, range(4)))
    assert len(traced) == most
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])
