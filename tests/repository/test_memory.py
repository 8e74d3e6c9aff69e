"""The whole run stays small: what one file's tests compiled is gone when those of the next one run."""

import gc
import weakref

import tensorflow as tf

from tests.conftest import forget_custom_gradients


def test_compiled_graphs_are_given_back():
    compiled = tf.function(tf.nn.silu)
    graph = weakref.ref(compiled.get_concrete_function(tf.TensorSpec([2])).graph)
    del compiled
    gc.collect()
    assert graph() is not None, "TensorFlow has learned to forget: `forget_custom_gradients` isn't needed any more"
    forget_custom_gradients()
    gc.collect()
    assert graph() is None
