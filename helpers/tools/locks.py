"""One process at a time in a folder: a second training, or report, doesn't overwrite the first."""

import errno
import os
import socket
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from helpers.tools.files import as_path, check_writable_folder, reason

LOCK, LOCK_FILE, HOLDER = ".lock", ".lock-file", ".lock-holder"
NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)


@contextmanager
def held(folder: str | Path) -> Iterator[None]:
    """Keep other processes from writing into `folder` while the block runs. A new folder that stays empty is removed.

    Raises `ValueError` that names the holder if another process holds the folder, or if it can't be written.
    """
    folder = as_path(folder)
    check_writable_folder(folder)
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = _locked(folder)
        try:
            now = time.strftime("%Y-%m-%d %H:%M")
            text = f"process {os.getpid()} on {socket.gethostname()} since {now}"
            (folder / HOLDER).write_text(text, encoding="utf-8")
            yield
        finally:
            for file in (HOLDER, LOCK):
                with suppress(OSError):  # Windows can't remove an open file: it stays, and does no harm
                    (folder / file).unlink()
            lock.release()
    finally:
        if is_new:
            with suppress(OSError):  # it holds something now
                folder.rmdir()


def _locked(folder: Path) -> BaseFileLock:
    """A lock on the folder, or `ValueError` with the reason why there is none."""
    try:
        try:
            return _acquired(FileLock(folder / LOCK))
        except (NotImplementedError, OSError) as error:
            if isinstance(error, Timeout) or getattr(error, "errno", errno.ENOSYS) not in NO_LOCKS:
                raise
        # A file system without locks, such as some network drives: a file is there while the folder is held.
        return _acquired(SoftFileLock(folder / LOCK_FILE))
    except Timeout as timeout:
        file = Path(timeout.lock_file)
        # Such a file stays if its process was killed, or its machine switched off.
        ended = f"; if that has ended, delete {file}" if file.name == LOCK_FILE else ""
        remedy = f"wait for it, or choose another folder{ended}"
        raise ValueError(f"{folder} is in use by {_holder(folder)}: {remedy}.") from None
    except OSError as error:
        with suppress(OSError):
            (folder / LOCK).unlink()
        raise ValueError(f"{folder} can't be locked: {reason(error)}.") from None


def _acquired(lock: BaseFileLock) -> BaseFileLock:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # filelock, too, takes a file instead in some cases, and says so
        lock.acquire(timeout=0)
    return lock


def _holder(folder: Path) -> str:
    try:
        return (folder / HOLDER).read_text(encoding="utf-8", errors="replace")
    except OSError:  # it may just have ended
        return "another process"
