"""Writes that fail: a full disk, and a file that can't get its name."""

import os
import resource
from contextlib import contextmanager

import pytest


@contextmanager
def no_space_left():
    """No file may grow beyond 64 bytes: Python's own files and those of libraries fail in the middle."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@contextmanager
def no_renaming():
    """The files are complete, but can't get their names."""

    def refuse(*_):
        raise OSError("No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        yield
