"""Imports TensorFlow without the notes that its C++ code prints at start-up.

Every module that uses TensorFlow or Keras imports this one first; so does the set-up cell of each notebook.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def standard_error_closed() -> Iterator[None]:
    """Drop what is written to standard error by C++ code, which ignores TF_CPP_MIN_LOG_LEVEL (TensorFlow issue 100442).

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


with standard_error_closed():
    import tensorflow

    tensorflow.config.list_physical_devices()  # looks for a GPU now, and complains now
