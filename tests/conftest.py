"""Fixtures that many tests share, the option `--all`, and the memory that the run took."""

# ruff: noqa: E402

import os

# Two processes share the tests; each, and its kernels, computes on one thread. With more they wait for each other.
os.environ |= dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")

import helpers.tools.quiet  # noqa: F401

import ctypes
import gc
import signal
import sys
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
import tensorflow as tf
from tensorflow.python.framework.ops import gradient_registry

from helpers.custom_data import NAMES
from helpers.data import TRAINING_DIGEST, Mnist, load_mnist
from helpers.diffusion import Schedule, cosine_schedule
from helpers.evaluation import classifiers
from helpers.sampling import sampler
from helpers.unet import Denoiser, UNetConfig, build_denoiser

LIBC = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
# glibc keeps what a thread freed, in a pool for each thread. Two pools for all threads, and back with what is free:
# in this process from now on, and by their environment in those that it starts.
os.environ |= {"MALLOC_ARENA_MAX": "2", "MALLOC_TRIM_THRESHOLD_": "1000000"}
M_TRIM_THRESHOLD, M_ARENA_MAX = -1, -8
if hasattr(LIBC, "mallopt"):
    LIBC.mallopt(M_ARENA_MAX, 2)
    LIBC.mallopt(M_TRIM_THRESHOLD, 1_000_000)

tf.zeros(1)  # TensorFlow's threads start now: the training command, run by a test, would otherwise change them for all

TINY = UNetConfig(widths=(8, 8), embedding_width=16, heads=2, predicts="noise")  # the one tiny network
OF_DIGITS = {"data": "MNIST", "data_sha256": TRAINING_DIGEST}  # the recipe of a network that may be judged
SLOW_NOTEBOOKS = ("solutions", "extras")  # folders that only `--all` executes


def pytest_addoption(parser):
    parser.addoption("--all", action="store_true", help="also solutions, browser, workers, kills, Colab, slow faults")


def pytest_configure(config):
    # Run by `nohup` or in a script's background, the tests inherit that these are ignored. The course respects that, so
    # the tests of its signals would wait in vain.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    config.addinivalue_line("markers", "slow: only with --all")


def pytest_collection_modifyitems(config, items):
    """Without --all, leave out what is marked slow and the notebooks of solutions."""
    if config.getoption("--all"):
        return
    is_slow = [
        bool(item.get_closest_marker("slow"))
        or (item.path.suffix == ".ipynb" and item.path.parent.name in SLOW_NOTEBOOKS)
        for item in items
    ]
    config.hook.pytest_deselected(items=[item for item, slow in zip(items, is_slow, strict=True) if slow])
    items[:] = [item for item, slow in zip(items, is_slow, strict=True) if not slow]


class MemoryWatch(threading.Thread):
    """Looks every three seconds at the memory of this process and of all that it started, notebooks' kernels too."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.together = 0  # bytes
        self.finished = threading.Event()

    def run(self) -> None:
        this = psutil.Process()
        while not self.finished.wait(3):
            shares = [resident_bytes(process) for process in [this, *this.children(recursive=True)]]
            self.together = max(self.together, sum(shares))


def resident_bytes(process: psutil.Process) -> int:
    """A process's share of memory: TensorFlow's own code is there once, whoever uses it."""
    try:
        memory = process.memory_full_info()
    except psutil.Error:  # it has ended
        return 0
    return getattr(memory, "pss", memory.rss)  # only Linux counts shares


def pytest_sessionstart(session):
    if hasattr(session.config, "workerinput"):  # the process that distributes the tests watches its workers
        return
    session.config.memory = MemoryWatch()
    session.config.memory.start()
    # Who ends the run from outside ends it like Ctrl-C: each test clears up, and no process that it started is left.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter, config):
    config.memory.finished.set()
    terminalreporter.write_line(f"memory: at most {config.memory.together / 1e9:.2f} GB, all processes together")


@pytest.fixture(scope="module", autouse=True)
def memory_is_given_back():
    """What the tests of one file loaded and compiled isn't kept while those of the next ones run."""
    yield
    sampler._compiled_loop.cache_clear()
    classifiers._compiled.cache_clear()
    tf.keras.backend.clear_session()
    forget_custom_gradients()
    gc.collect()
    if hasattr(LIBC, "malloc_trim"):  # glibc keeps freed memory, in the hope of using it again
        LIBC.malloc_trim(0)


def forget_custom_gradients() -> None:
    """TensorFlow never forgets a gradient, and silu's each hold the whole graph that they were traced in (issue 97697).

    A network of two narrow levels left 121 graphs behind every time that it was trained, and 50 MB.
    """
    registry = gradient_registry._registry
    for name in [name for name in registry if name.startswith("CustomGradient-")]:
        del registry[name]


class Payload:
    """A stranger's object: unpickling it creates a file. Nothing of the course may ever do so."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple:
        return Path.touch, (self.file,)


def said(error: pytest.ExceptionInfo) -> str:
    """What a reader is told: one line."""
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture(scope="session")
def mnist() -> Mnist:
    return load_mnist()


@pytest.fixture(scope="session")
def schedule() -> Schedule:
    return cosine_schedule()


@pytest.fixture
def lively_denoiser(schedule) -> Denoiser:
    """A tiny network with no weight at zero, as if it had been trained: every path has an effect."""
    return lively(TINY, schedule)


@pytest.fixture
def shapes_denoiser(schedule) -> Denoiser:
    """The same for coloured pictures of four classes with names, 20 pixels a side."""
    size = {"image_size": 20, "channels": 3, "num_classes": 4, "class_names": NAMES}
    return lively(UNetConfig(widths=(8, 8), embedding_width=16, heads=2, **size), schedule)


def lively(config: UNetConfig, schedule: Schedule) -> Denoiser:
    denoiser = build_denoiser(config, schedule)
    random = np.random.default_rng(5)
    denoiser.unet.set_weights([random.normal(0, 0.2, weight.shape) for weight in denoiser.unet.get_weights()])
    return denoiser
