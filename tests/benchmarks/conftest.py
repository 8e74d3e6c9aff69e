"""A training without a graph, for tests that make only a few steps."""

import warnings

import pytest
import tensorflow as tf


@pytest.fixture
def uncompiled():
    """Run TensorFlow's functions as plain Python. For a few steps that is faster than to compile them."""
    tf.config.run_functions_eagerly(True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Even though the `tf.config.experimental_run_functions_eagerly`")
        yield
    tf.config.run_functions_eagerly(False)
