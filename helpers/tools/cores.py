"""How many cores there are, and how a training uses them."""

import helpers.tools.quiet  # noqa: F401

import tensorflow as tf
from joblib import cpu_count

SMALLEST_PIECE = 8  # images that a core computes on its own: fewer aren't worth their compilation


def one_stream_per_core(batch_size: int) -> int:
    """Give each core its own piece of every batch, which is faster without a GPU; returns the number of pieces.

    By default TensorFlow splits each operation over the cores, which then wait for each other after every one of
    hundreds. Only before TensorFlow's first use can a process change that; if it is too late, returns 1.
    """
    if tf.config.list_physical_devices("GPU"):
        return 1
    if tf.config.threading.get_intra_op_parallelism_threads() != 1:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(1)
        except RuntimeError:  # TensorFlow's threads have started already
            return 1
    return pieces_of(batch_size, cpu_count())  # a job, or a container, may have only some of the machine's cores


def pieces_of(batch_size: int, most: int) -> int:
    """The largest number of equal pieces, up to `most`, that hold at least `SMALLEST_PIECE` images each."""
    most = min(most, max(1, batch_size // SMALLEST_PIECE))
    return max(pieces for pieces in range(1, most + 1) if batch_size % pieces == 0)
