"""One process at a time in a folder, on every file system; nothing stays behind."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.tools.files import ASSETS
from helpers.tools.locks import HOLDER, LOCK_FILE, held

HOLD = """
import sys
from helpers.tools.locks import held

with held(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_another_process_is_refused_and_told_who_holds_the_folder(tmp_path):
    folder, pipes = tmp_path / "runs" / "v", {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], cwd=ASSETS.parent, **pipes) as other:
        try:
            assert other.stdout.readline() == b"held\n"
            with pytest.raises(
                ValueError, match=f"v is in use by process {other.pid} on .*: wait for it, or "
            ) as raised:
                with held(folder):
                    pytest.fail("two at a time")
            assert "\n" not in str(raised.value)
        finally:
            other.kill()  # which leaves its files behind
    assert (folder / HOLDER).exists()
    with held(folder):
        assert f"process {os.getpid()} on " in (folder / HOLDER).read_text(encoding="utf-8")
    assert list(folder.iterdir()) == []


@pytest.fixture
def locking_fails(monkeypatch):
    """A function that makes every lock fail with an error of this number."""
    fcntl = pytest.importorskip("fcntl", reason="Windows locks otherwise")

    def fail(code):
        def refused(*_):
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(fcntl, "flock", refused)

    return fail


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP])
@pytest.mark.filterwarnings("error")
def test_a_file_system_without_locks(code, tmp_path, locking_fails):
    """Such as some network drives: a file stands for the lock."""
    locking_fails(code)
    for _ in range(2):
        with held(tmp_path):
            with pytest.raises(ValueError, match=f"is in use by process {os.getpid()}"):
                with held(tmp_path):
                    pytest.fail("two at a time")
    assert names_in(tmp_path) == []


def test_a_file_that_stands_for_a_lock_is_named(tmp_path, locking_fails):
    """Another machine of the network drive was switched off: nobody can see from here that its process has ended."""
    locking_fails(errno.ENOLCK)
    (tmp_path / LOCK_FILE).write_text("12345\nanother-machine\n", encoding="utf-8")
    (tmp_path / HOLDER).write_text("process 12345 on another-machine since 2026-01-01 12:00", encoding="utf-8")
    with pytest.raises(ValueError) as raised, held(tmp_path):
        pytest.fail("two at a time")
    assert str(raised.value) == (
        f"{tmp_path} is in use by process 12345 on another-machine since 2026-01-01 12:00: wait for it, or choose "
        f"another folder; if that has ended, delete {tmp_path / LOCK_FILE}."
    )


def test_a_folder_that_cannot_be_locked_for_another_reason(tmp_path, locking_fails):
    locking_fails(errno.EIO)
    with pytest.raises(ValueError, match="can't be locked: Input/output error"), held(tmp_path / "new"):
        pytest.fail("not locked")
    assert names_in(tmp_path) == []


def test_a_new_folder_that_stays_empty_is_removed(tmp_path):
    (tmp_path / "old").mkdir()
    for name in ("old", "new", "used"):
        with held(tmp_path / name):
            if name == "used":
                (tmp_path / name / "file").touch()
    assert names_in(tmp_path) == ["old", "used"]


def test_a_holder_that_nobody_can_read(tmp_path):
    with held(tmp_path):
        (tmp_path / HOLDER).write_bytes(b"\xff\xfe")
        with pytest.raises(ValueError, match="is in use by"), held(tmp_path):
            pytest.fail("two at a time")
        (tmp_path / HOLDER).unlink()
        with pytest.raises(ValueError, match="is in use by another process"), held(tmp_path):
            pytest.fail("two at a time")
