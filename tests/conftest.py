"""Fixtures that many tests share, and what the run took of memory."""

import ctypes
import gc
import os
import signal
import threading

import keras
import numpy as np
import psutil
import pytest
import tensorflow as tf
from tensorflow.python.framework.ops import gradient_registry

import helpers.classifier as classifier
import helpers.sampling as sampling
from helpers.data import Mnist, load_mnist
from helpers.diffusion import Schedule, cosine_schedule
from helpers.shapes import NAMES
from helpers.unet import UNetConfig, build_unet

LIBC = ctypes.CDLL(None)
# glibc keeps what a thread freed, in a pool for each thread. Two pools for all threads, and back with what is free:
# in this process from now on, and by their environment in those that it starts.
os.environ |= {"MALLOC_ARENA_MAX": "2", "MALLOC_TRIM_THRESHOLD_": "1000000"}
M_TRIM_THRESHOLD, M_ARENA_MAX = -1, -8
if hasattr(LIBC, "mallopt"):
    LIBC.mallopt(M_ARENA_MAX, 2)
    LIBC.mallopt(M_TRIM_THRESHOLD, 1_000_000)

tf.zeros(1)  # TensorFlow's threads start now: the training command, run by a test, would otherwise change them for all


class MemoryWatch(threading.Thread):
    """Looks twice a second at what this process and those that it started, notebooks' kernels too, have in memory."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.own = self.largest_other = self.together = 0  # bytes
        self.when = ""  # all at once took most
        self.finished = threading.Event()

    def run(self) -> None:
        this = psutil.Process()
        while not self.finished.wait(0.5):
            sizes = [resident_bytes(process) for process in [this, *this.children(recursive=True)]]
            resident, shares = zip(*sizes, strict=True)
            self.own = max(self.own, resident[0])
            self.largest_other = max(self.largest_other, *resident[1:], 0)
            if sum(shares) > self.together:
                self.together, self.when = sum(shares), os.environ.get("PYTEST_CURRENT_TEST", "no test")


def resident_bytes(process: psutil.Process) -> tuple[int, int]:
    """What a process has in memory, and its share of that: TensorFlow's own code is there once, whoever uses it."""
    try:
        memory = process.memory_full_info()
    except psutil.Error:  # it has ended
        return 0, 0
    return memory.rss, getattr(memory, "pss", memory.rss)  # only Linux counts shares


def pytest_sessionstart(session):
    session.config.memory = MemoryWatch()
    session.config.memory.start()
    # Who ends the run from outside ends it like Ctrl-C: each test clears up, and no process that it started is left.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """First what starts large processes, the notebooks' kernels too, or needs much itself, while this one is small."""
    files = ["browser", "workers", "scaling", "notebook", "measures", "faults", "colab", "clip", "sampling"]
    files += ["evaluation", "benchmark", "own_pictures", "tuning", "any other"]

    def turn(item: pytest.Item) -> int:
        name = "notebook" if item.path.suffix == ".ipynb" else item.path.stem.removeprefix("test_")
        return files.index(name if name in files else "any other")

    items.sort(key=turn)


def pytest_terminal_summary(terminalreporter, config):
    memory = config.memory
    memory.finished.set()
    own, other, together = (f"{size / 1e9:.2f} GB" for size in (memory.own, memory.largest_other, memory.together))
    terminalreporter.write_line(
        f"memory: pytest at most {own}, the largest process that it started {other}, all at once {together} "
        f"in {memory.when.split(' (')[0]}"
    )


@pytest.fixture(scope="module", autouse=True)
def memory_is_given_back():
    """What the tests of one file loaded and compiled isn't kept while those of the next ones run."""
    yield
    sampling._compiled_loop.cache_clear()
    classifier._compiled.cache_clear()
    keras.backend.clear_session()
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


@pytest.fixture(scope="session")
def small_config() -> UNetConfig:
    return UNetConfig(widths=(8, 8, 8), embedding_width=16, heads=2, predicts="noise")


@pytest.fixture
def lively_unet(small_config):
    """A small U-Net with no weight at zero, as if it had been trained: every path has an effect."""
    return _lively(small_config)


@pytest.fixture
def shapes_unet():
    """The same for coloured pictures of four classes with names, 20 pixels a side."""
    return _lively(
        UNetConfig(
            image_size=20, channels=3, num_classes=4, class_names=NAMES, widths=(8, 8), embedding_width=16, heads=2
        )
    )


def _lively(config):
    unet = build_unet(config)
    random = np.random.default_rng(5)
    unet.set_weights([random.normal(0, 0.2, weight.shape) for weight in unet.get_weights()])
    return unet
