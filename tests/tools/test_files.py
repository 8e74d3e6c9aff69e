"""Writes that fail leave what was there before; records notice any change."""

import hashlib
import json

import pytest

from helpers.tools.files import (
    ASIDE,
    atomic_write,
    read_record,
    read_rows,
    reason,
    remove_strays,
    sha256_of_file,
    write_record,
    write_rows,
)


def test_replaces_the_file_only_when_the_block_succeeds(tmp_path):
    target = tmp_path / "new folder" / "file.txt"
    with atomic_write(target) as temporary:
        temporary.write_text("first")
        assert temporary.suffix == ".txt" and not target.exists()
    with pytest.raises(OSError, match="disk full"), atomic_write(target) as temporary:
        temporary.write_text("half of the sec")
        raise OSError("disk full")
    assert target.read_text() == "first"
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
    text = path.read_text()
    path.write_text(text.replace("100", "101"))
    with pytest.raises(ValueError, match="it was altered"):
        read_record(path)
    path.write_text(json.dumps(record))  # written by hand, without a SHA-256
    assert read_record(path) == record
    for other, message in (("{", "it is no JSON file"), ("[1]", "it holds a list, not names with values")):
        path.write_text(other)
        with pytest.raises(ValueError, match=message):
            read_record(path)


def test_a_reason_ends_a_sentence():
    assert reason(ValueError("widths must be even.\nAnd more.")) == "widths must be even"
    assert reason(KeyError("schedule")) == "'schedule' is missing"
    assert reason(OSError()) == "OSError"
