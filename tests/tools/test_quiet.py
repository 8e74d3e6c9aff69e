"""TensorFlow's start is quiet, and what others set up doesn't matter.

That a fresh process prints nothing is tested in `repository/test_imports`; fresh processes in other environments are in
`repository/test_environments`.
"""

from helpers.tools.quiet import standard_error_closed

import importlib
import os
import signal
import sys
from types import SimpleNamespace

import keras
import pytest
import tensorflow as tf

from helpers.tools import quiet


def test_what_c_code_writes_is_dropped_and_the_rest_arrives(capfd):
    with standard_error_closed():
        os.write(2, b"could not find cuda drivers\n")
    os.write(2, b"an error\n")
    print("another", file=sys.stderr)
    assert capfd.readouterr().err == "an error\nanother\n"


def test_an_exception_inside_still_arrives_and_standard_error_is_back(capfd):
    with pytest.raises(ImportError, match="no TensorFlow"), standard_error_closed():
        raise ImportError("no TensorFlow")
    os.write(2, b"an error\n")
    assert capfd.readouterr().err == "an error\n"


@pytest.fixture(params=[(2,), (0, 2)], ids=["2>&-", "<&- 2>&-"])
def without_standard_error(request):
    """File number 2 is closed, as a process starts with 2>&-."""
    kept = {number: os.dup(number) for number in request.param}
    for number in kept:
        os.close(number)
    yield
    for number, copy in kept.items():
        os.dup2(copy, number)
        os.close(copy)


def test_a_closed_standard_error_stays_out_of_the_way(tmp_path, without_standard_error):
    """No file gets its number, into which C code would write."""
    for _ in range(2):
        with standard_error_closed(), open(tmp_path / "weights", "wb") as file:
            assert file.fileno() != 2
            os.write(2, b"could not find cuda drivers\n")
    with open(tmp_path / "weights", "ab") as file:
        assert file.fileno() != 2
        os.write(2, b"a note\n")
    assert (tmp_path / "weights").read_bytes() == b""


# --- what others set up ---


@pytest.fixture
def again(monkeypatch):
    """Run the module once more; afterwards everything is as the course needs it, whatever the test did."""
    yield lambda: importlib.reload(quiet)
    monkeypatch.undo()
    importlib.reload(quiet)


@pytest.mark.parametrize("backend", ["torch", "jax", "nonsense", ""])
def test_the_backend_is_tensorflow(backend, again, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", backend)
    again()
    assert os.environ["KERAS_BACKEND"] == "tensorflow"


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_keras_on_another_backend_is_refused(backend, again, monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", SimpleNamespace(config=SimpleNamespace(backend=lambda: backend)))
    with pytest.raises(RuntimeError, match="^Keras runs on another backend already: .* or restart.$"):
        again()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image_data_format", "channels_first"),
        ("floatx", "float16"),
        ("floatx", "float64"),
        ("epsilon", 1e-3),
        ("dtype_policy", "mixed_float16"),
        ("max_epochs", 1),
        ("max_steps_per_epoch", 1),
    ],
)
def test_a_setting_of_other_work_does_not_count(name, value, again):
    expected = getattr(keras.config, name)()
    getattr(keras.config, f"set_{name}")(value)
    again()
    assert getattr(keras.config, name)() == expected


def test_the_settings_are_those_that_the_course_is_written_for():
    config = keras.config
    assert (config.backend(), config.image_data_format(), config.floatx()) == ("tensorflow", "channels_last", "float32")
    assert (config.dtype_policy().name, config.epsilon(), config.max_epochs()) == ("float32", 1e-7, None)


@pytest.mark.parametrize("error", [None, RuntimeError("in use"), ValueError("virtual devices")])
def test_each_gpu_gives_memory_as_it_is_needed(error, again, monkeypatch):
    grown = []

    def grow(gpu, enable):
        grown.append((gpu, enable))
        if error:
            raise error

    monkeypatch.setattr(tf.config, "list_physical_devices", {"GPU": ["first", "second"]}.__getitem__)
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", grow)
    again()
    assert grown == [("first", True), ("second", True)]


@pytest.mark.parametrize("stop", ["SIGINT", "SIGTERM"])
def test_ctrl_c_waits_for_the_whole_import(stop, again, monkeypatch, capfd):
    """A library half imported couldn't be imported again in the same notebook."""
    grown = []

    def interrupted(_):
        signal.raise_signal(getattr(signal, stop))
        return ["a GPU"]

    before = signal.signal(getattr(signal, stop), signal.default_int_handler)
    monkeypatch.setattr(tf.config, "list_physical_devices", interrupted)
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", lambda *_: grown.append(True))
    try:
        with pytest.raises(KeyboardInterrupt):
            again()
    finally:
        signal.signal(getattr(signal, stop), before)
    os.write(2, b"an error\n")
    assert grown == [True] and capfd.readouterr().err == "an error\n"
