"""A diffusion model for handwritten digits, in the order a lesson would tell it.

data -> diffusion -> unet -> checkpoints -> optimizer -> augmentation -> objective -> workers -> trainer -> training ->
solvers -> request -> sampling -> shapes -> classifier -> metrics -> tuning -> recipes -> strokes -> captions ->
digit_clip -> clip -> measures -> evaluation -> plots, trajectories, player, scrubber, widgets, latency, profiling,
peers, scaling, benchmark.
Each module imports only the ones before it; `files`, `pictures`, `browser` and `command_line` are the small tools they
share. `exercises_01_to_03` and `exercises_04_to_06` check the answers to the notebooks' exercises, `answers` is their
tool, and `broken` holds the samplers that the break-it lab has to diagnose.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# PyTorch's threads spin while they wait for each other: on a busy machine a training step took eight times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


@contextmanager
def _standard_error_closed() -> Iterator[None]:
    """TensorFlow's C++ start-up notes ignore TF_CPP_MIN_LOG_LEVEL (its issue 100442): drop what they write.

    Python's own errors are exceptions, and still arrive.
    """
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


with _standard_error_closed():
    import tensorflow

    tensorflow.config.list_physical_devices()  # looks for a GPU now, and complains now
