"""Imports TensorFlow and Keras the way the course needs them, whatever other work has set up on this machine.

Every module that uses TensorFlow or Keras imports this one first; so does the set-up cell of each notebook. Without it
TensorFlow's C++ code would print notes at start-up.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from helpers.tools.signals import stops_delayed


@contextmanager
def standard_error_closed() -> Iterator[None]:
    """Drop what is written to standard error by C++ code, which ignores TF_CPP_MIN_LOG_LEVEL (TensorFlow issue 100442).

    Python's own errors are exceptions, and still arrive.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        kept = None if nowhere == 2 else os.dup(2)
    except OSError:
        kept = None  # it was closed; from now on it leads nowhere, so that no file gets its number
    os.dup2(nowhere, 2)
    if nowhere != 2:
        os.close(nowhere)
    try:
        yield
    finally:
        if kept is not None:
            os.dup2(kept, 2)
            os.close(kept)


if "keras" in sys.modules and sys.modules["keras"].config.backend() != "tensorflow":
    raise RuntimeError("Keras runs on another backend already: import the course's helpers before Keras, or restart.")
os.environ["KERAS_BACKEND"] = "tensorflow"

# A half-finished import of TensorFlow can't be repeated: Ctrl-C waits for its end.
with stops_delayed(), standard_error_closed():
    import tensorflow

    # Looks for GPUs now, and complains now. Memory is taken as needed, so that two notebooks fit on one card.
    for gpu in tensorflow.config.list_physical_devices("GPU"):
        try:
            tensorflow.config.experimental.set_memory_growth(gpu, True)
        except (RuntimeError, ValueError):  # the GPU is in use already, or divided by other code
            pass
    import keras

# Not those of ~/.keras/keras.json and KERAS_MAX_EPOCHS, which belong to other work.
keras.config.set_image_data_format("channels_last")
keras.config.set_floatx("float32")
keras.config.set_epsilon(1e-7)
keras.config.set_dtype_policy("float32")
keras.config.set_max_epochs(None)
keras.config.set_max_steps_per_epoch(None)
