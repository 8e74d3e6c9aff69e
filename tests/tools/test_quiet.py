"""TensorFlow's start is quiet. That a fresh process prints nothing is tested in `repository/test_imports`."""

from helpers.tools.quiet import standard_error_closed

import os
import sys

import pytest


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
