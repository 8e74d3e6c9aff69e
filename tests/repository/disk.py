"""Writes that fail: a full disk, a read-only one, and a file that can't get its name."""

import errno
import os
import tempfile
from contextlib import contextmanager

import pytest


@contextmanager
def no_space_left():
    """No file may grow beyond 64 bytes: Python's own files and those of libraries fail in the middle."""
    resource = pytest.importorskip("resource", reason="Windows can't limit a file's size")
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


@contextmanager
def read_only():
    """No folder takes a new file or folder. The rights of a folder wouldn't do: root may write everywhere."""

    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "mkdtemp", refuse)
        patch.setattr(os, "mkdir", refuse)
        yield
