"""Writes that fail or end half-way leave the old or the new, wholly; records notice any change."""

import errno
import hashlib
import json
import os
from pathlib import Path

import pytest

from helpers.tools.files import (
    ASIDE,
    as_file,
    as_path,
    atomic_files,
    atomic_write,
    check_writable,
    check_writable_folder,
    newest,
    read_record,
    read_rows,
    reason,
    remove_strays,
    sha256_of_file,
    write_record,
    write_rows,
)
from helpers.tools.locks import held
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


# --- Paths ---


def test_a_drive_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "exists", lambda path: False)
    for check in (check_writable, check_writable_folder):
        with pytest.raises(ValueError, match=r"^\S+a can't be written: No such file or directory\.$"):
            check(tmp_path / "runs" / "a")


def test_what_can_be_written_is_known_before_and_nothing_is_left(tmp_path):
    check_writable(tmp_path / "new" / "deeper" / "a.png")
    check_writable_folder(tmp_path / "new" / "deeper")
    assert list(tmp_path.iterdir()) == []


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
    with atomic_files("~/runs") as temporary:
        (temporary / "a.txt").write_text("text", encoding="utf-8")
    assert read_record("~/runs/record.json") == {"a": 1} and read_rows("~/runs/rows.csv") == [{"a": "1"}]
    assert newest("~/runs", "a.txt").read_text(encoding="utf-8") == "text" and sha256_of_file("~/runs/rows.csv")
    with held("~/runs"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
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
