"""Writes that fail or end half-way leave the old or the new, wholly; records notice any change."""

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.tools import files
from helpers.tools.files import (
    ASIDE,
    ASSETS,
    HOLDER,
    READY,
    as_file,
    as_path,
    atomic_files,
    atomic_write,
    check_writable,
    check_writable_folder,
    held,
    newest,
    read_record,
    read_rows,
    reason,
    remove_strays,
    settle,
    sha256_of_file,
    write_record,
    write_rows,
)
from tests.repository.disk import read_only


def test_replaces_the_file_only_when_the_block_succeeds(tmp_path):
    target = tmp_path / "new folder" / "file.txt"
    with atomic_write(target) as temporary:
        temporary.write_text("first", encoding="utf-8")
        assert temporary.suffix == ".txt" and not target.exists()
    with pytest.raises(OSError, match="disk full"), atomic_write(target) as temporary:
        temporary.write_text("half of the sec", encoding="utf-8")
        raise OSError("disk full")
    assert target.read_text(encoding="utf-8") == "first"
    assert [file.name for file in target.parent.iterdir()] == ["file.txt"]


def test_only_the_folders_of_killed_writes_are_removed(tmp_path):
    (tmp_path / f"{ASIDE}killed").mkdir()
    (tmp_path / f"{ASIDE}killed" / "half.npz").write_bytes(b"half")
    (tmp_path / "kept").mkdir()
    remove_strays(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_sha256_of_file(tmp_path):
    (tmp_path / "x").write_bytes(b"digits")
    assert sha256_of_file(tmp_path / "x") == hashlib.sha256(b"digits").hexdigest()


def test_rows_come_back_as_text(tmp_path):
    rows = [{"step": 1, "why": "a, comma"}, {"step": 2, "why": 'and "quotes"'}]
    write_rows(tmp_path / "rows.csv", rows)
    assert read_rows(tmp_path / "rows.csv") == [{"step": "1", "why": "a, comma"}, {"step": "2", "why": 'and "quotes"'}]


def test_a_record_comes_back_and_notices_any_change(tmp_path):
    path, record = tmp_path / "record.json", {"steps": 100, "interval": [0.25, 0.75], "name": "R"}
    write_record(path, record)
    assert read_record(path) == record
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("100", "101"), encoding="utf-8")
    with pytest.raises(ValueError, match="it was altered"):
        read_record(path)
    path.write_text(json.dumps(record), encoding="utf-8")  # written by hand, without a SHA-256
    assert read_record(path) == record
    for other, message in (("{", "it is no JSON file"), ("[1]", "it holds a list, not names with values")):
        path.write_text(other, encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            read_record(path)


def test_a_reason_ends_a_sentence():
    assert reason(ValueError("widths must be even.\nAnd more.")) == "widths must be even"
    assert reason(KeyError("schedule")) == "'schedule' is missing"
    assert reason(OSError()) == "OSError"
    assert reason(PermissionError(errno.EACCES, "Permission denied", "/a/b")) == "Permission denied"


# --- Files that belong together ---

NAMES = ("config.json", "history.csv", "unet.weights.h5")


def write_together(folder: Path, text: str) -> None:
    with atomic_files(folder) as temporary:
        for name in NAMES:
            (temporary / name).write_text(text, encoding="utf-8")


def found_in(folder: Path) -> set[str]:
    """What a reader finds, as `load_denoiser` does."""
    return {newest(folder, name).read_text(encoding="utf-8") for name in NAMES}


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class PowerCut(BaseException):
    """Nothing that the code could handle."""


@pytest.mark.parametrize("last", range(5))
def test_a_power_cut_between_any_two_renames_leaves_the_old_or_the_new(last, tmp_path, monkeypatch):
    """Four renames: one that counts, then one for each file. The reader in the next process finds one or the other."""
    write_together(tmp_path, "old")
    rename, done = os.replace, []

    def renamed_until(source, target):
        if len(done) == last:
            raise PowerCut
        done.append(Path(target).name)
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", renamed_until)
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)  # nothing is cleared up either
        try:
            write_together(tmp_path, "new")
        except PowerCut:
            assert last < 4
    assert done == [READY, *NAMES][:last]
    assert found_in(tmp_path) == ({"new"} if last else {"old"})
    remove_strays(tmp_path)
    assert names_in(tmp_path) == sorted(NAMES)
    write_together(tmp_path, "newer")
    assert found_in(tmp_path) == {"newer"}


def test_everything_is_on_the_disk_before_the_rename_that_counts(tmp_path, monkeypatch):
    """And the names are, after it: by the order of the calls. Each is noted with the name of what it is about."""
    calls, flush, rename = [], os.fsync, os.replace

    def noted_flush(number):
        calls.append(("flush", Path(os.readlink(f"/proc/self/fd/{number}")).name))
        flush(number)

    def noted_rename(source, target):
        calls.append(("rename", Path(target).name))
        rename(source, target)

    monkeypatch.setattr(os, "fsync", noted_flush)
    monkeypatch.setattr(os, "replace", noted_rename)
    write_together(tmp_path, "text")
    of_that, calls_after = calls.index(("rename", READY)), calls[calls.index(("rename", READY)) :]
    assert {("flush", name) for name in NAMES} <= set(calls[:of_that])
    assert calls_after == [
        ("rename", READY),
        ("flush", tmp_path.name),
        *(("rename", name) for name in NAMES),
        ("flush", tmp_path.name),
    ]
    calls.clear()
    with atomic_write(tmp_path / "one.txt") as temporary:
        temporary.write_text("text", encoding="utf-8")
    assert calls == [("flush", "one.txt"), ("rename", "one.txt"), ("flush", tmp_path.name)]


def test_a_folder_whose_names_cannot_be_flushed_is_written_all_the_same(tmp_path, monkeypatch):
    """As on some network drives, and on Windows, which opens no folders."""
    flush = os.fsync

    def only_files(number):
        if Path(os.readlink(f"/proc/self/fd/{number}")).is_dir():
            raise OSError(errno.EINVAL, "Invalid argument")
        flush(number)

    monkeypatch.setattr(os, "fsync", only_files)
    write_together(tmp_path, "text")
    assert found_in(tmp_path) == {"text"}


def blocked(monkeypatch, name: str, times: float) -> list:
    """The file of this name can't be replaced so many times, as on Windows while a viewer has it open."""
    rename, refused = os.replace, []

    def replace(source, target):
        if Path(target).name == name and len(refused) < times:
            refused.append(target)
            raise PermissionError(errno.EACCES, "Permission denied", str(target))
        rename(source, target)

    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(files.time, "sleep", lambda _: None)
    return refused


@pytest.mark.parametrize("name", [READY, *NAMES])
def test_a_file_that_is_blocked_for_a_moment_is_tried_again(name, tmp_path, monkeypatch):
    write_together(tmp_path, "old")
    refused = blocked(monkeypatch, name, 3)
    write_together(tmp_path, "new")
    assert len(refused) == 3 and found_in(tmp_path) == {"new"} and names_in(tmp_path) == sorted(NAMES)
    with atomic_write(tmp_path / "one.txt") as temporary:
        temporary.write_text("text", encoding="utf-8")


@pytest.mark.parametrize("name", [READY, *NAMES])
def test_a_file_that_stays_blocked_is_named_and_no_mixture_is_found(name, tmp_path, monkeypatch):
    monkeypatch.setattr(files._replace, "__defaults__", (0.0,))
    monkeypatch.setattr(settle, "__defaults__", (0.0,))
    write_together(tmp_path, "old")
    with monkeypatch.context() as patch:
        blocked(patch, name, float("inf"))
        with pytest.raises(OSError, match=f"{name} can't be replaced .Permission denied.: close the program") as raised:
            write_together(tmp_path, "new")
        assert "\n" not in str(raised.value)
        assert found_in(tmp_path) == ({"old"} if name == READY else {"new"})  # it's still blocked
        if name != READY:
            with pytest.raises(OSError, match="can't be replaced"):
                write_together(tmp_path, "newer")  # the new isn't lost to the newer either
    assert found_in(tmp_path) == ({"old"} if name == READY else {"new"})
    write_together(tmp_path, "newer")
    assert found_in(tmp_path) == {"newer"} and names_in(tmp_path) == sorted(NAMES)


def test_a_failing_block_leaves_all_old_files(tmp_path):
    write_together(tmp_path, "old")
    with pytest.raises(OSError, match="disk full"), atomic_files(tmp_path) as temporary:
        (temporary / NAMES[0]).write_text("new", encoding="utf-8")
        raise OSError("disk full")
    assert found_in(tmp_path) == {"old"} and names_in(tmp_path) == sorted(NAMES)


# --- One process at a time ---


HOLD = """
import sys
from helpers.tools.files import held

with held(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


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
    assert names_in(folder) == []


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP])
@pytest.mark.filterwarnings("error")
def test_a_file_system_without_locks(code, tmp_path, monkeypatch):
    """Such as some network drives: a file stands for the lock."""

    def no_locks(*_):
        raise OSError(code, os.strerror(code))

    fcntl = pytest.importorskip("fcntl", reason="Windows locks otherwise")
    monkeypatch.setattr(fcntl, "flock", no_locks)
    for _ in range(2):
        with held(tmp_path):
            with pytest.raises(ValueError, match=f"is in use by process {os.getpid()}"):
                with held(tmp_path):
                    pytest.fail("two at a time")
    assert names_in(tmp_path) == []


def test_a_folder_that_cannot_be_locked_for_another_reason(tmp_path, monkeypatch):
    def broken(*_):
        raise OSError(errno.EIO, "Input/output error")

    fcntl = pytest.importorskip("fcntl", reason="Windows locks otherwise")
    monkeypatch.setattr(fcntl, "flock", broken)
    with pytest.raises(ValueError, match="can't be locked: Input/output error"), held(tmp_path):
        pytest.fail("not locked")


def test_a_drive_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "exists", lambda path: False)
    for check in (check_writable, check_writable_folder):
        with pytest.raises(ValueError, match=r"^\S+a can't be written: No such file or directory\.$"):
            check(tmp_path / "runs" / "a")


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


# --- Paths ---


def test_what_can_be_written_is_known_before_and_nothing_is_left(tmp_path):
    check_writable(tmp_path / "new" / "deeper" / "a.png")
    check_writable_folder(tmp_path / "new" / "deeper")
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a.png", "Read-only file system"),
        ("new/deeper/a.png", "Read-only file system"),
        ("file/a.png", "Not a directory"),
        ("a" * 300 + ".png", "File name too long"),
    ],
)
def test_what_cannot_be_written_is_named_as_it_was_asked_for(name, why, tmp_path):
    (tmp_path / "file").touch()
    for check in (check_writable, check_writable_folder):
        with pytest.raises(ValueError) as raised:
            if "Read" in why:
                with read_only():
                    check(tmp_path / name)
            else:
                check(tmp_path / name)
        assert str(raised.value) == f"{tmp_path / name} can't be written: {why}."
    with pytest.raises(ValueError, match="can't be written") as raised:
        if "Read" in why:
            with read_only(), atomic_write(tmp_path / name):
                pytest.fail("written")
        else:
            with atomic_write(tmp_path / name):
                pytest.fail("written")
    assert str(tmp_path / name) in str(raised.value)


def test_home_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    write_record("~/runs/record.json", {"a": 1})
    write_rows("~/runs/rows.csv", [{"a": 1}])
    write_together("~/runs", "text")
    assert read_record("~/runs/record.json") == {"a": 1} and read_rows("~/runs/rows.csv") == [{"a": "1"}]
    assert found_in("~/runs") == {"text"} and sha256_of_file("~/runs/rows.csv")
    with held("~/runs"):
        pass
    assert names_in(tmp_path) == ["home"]
    with pytest.raises(ValueError, match="^there is no home folder for '~no-such-user/x'.$"):
        as_path("~no-such-user/x")


@pytest.mark.parametrize("empty", ["", " ", "\t\n"])
def test_an_empty_path_is_not_this_folder(empty):
    for use in (as_path, check_writable, read_record, lambda path: newest(path, "x")):
        with pytest.raises(ValueError, match="the path must not be empty"):
            use(empty)


@pytest.mark.skipif(os.name != "posix", reason="Windows has neither /dev/zero nor named pipes")
@pytest.mark.parametrize("device", ["/dev/zero", "a folder", "a pipe", "a link to a device"])
def test_only_files_are_read_devices_might_never_end(device, tmp_path):
    path = Path(device) if device == "/dev/zero" else tmp_path / device
    if device == "a folder":
        path.mkdir()
    elif device == "a pipe":
        os.mkfifo(path)
    elif device == "a link to a device":
        path.symlink_to("/dev/zero")
    for read in (as_file, read_record, sha256_of_file):
        with pytest.raises(OSError, match="it is no file"):
            read(path)
    with pytest.raises(ValueError, match="can't be read as a table: it is no file"):
        read_rows(path)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"step,loss\n1\n", "a row lacks loss"),
        (b"step\n1\n", "a row lacks loss"),
        (b"loss,other\n1,2\n", "a row lacks step"),
        (b"step,loss\n1,2,3\n", "a value, or has too many"),
        (b"step,loss,more\n1,2\n", "a value, or has too many"),
        (b"\xff\xfe\x00", "can't be read as a table"),
        (b"step,loss\n1,\x00\n2", None),
        (b'step,loss\n1,"' + b"9" * 200_000, "field larger than field limit"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_damaged_table_is_one_sentence(content, why, tmp_path):
    (tmp_path / "rows.csv").write_bytes(content)
    with pytest.raises(ValueError, match=why) as raised:
        read_rows(tmp_path / "rows.csv", ("step", "loss"))
    assert "\n" not in str(raised.value) and "rows.csv" in str(raised.value)
