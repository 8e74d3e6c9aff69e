"""Writes that fail leave what was there before."""

import hashlib

import pytest

from helpers.files import read_rows, sha256_of_file, write_aside, write_rows


def test_replaces_the_file_only_when_the_block_succeeds(tmp_path):
    target = tmp_path / "new folder" / "file.txt"
    with write_aside(target) as temporary:
        temporary.write_text("first")
        assert temporary.suffix == ".txt" and not target.exists()
    with pytest.raises(OSError, match="disk full"), write_aside(target) as temporary:
        temporary.write_text("half of the sec")
        raise OSError("disk full")
    assert target.read_text() == "first"
    assert [file.name for file in target.parent.iterdir()] == ["file.txt"]


def test_sha256_of_file(tmp_path):
    (tmp_path / "x").write_bytes(b"digits")
    assert sha256_of_file(tmp_path / "x") == hashlib.sha256(b"digits").hexdigest()


def test_rows_come_back_as_text(tmp_path):
    rows = [{"step": 1, "why": "a, comma"}, {"step": 2, "why": 'and "quotes"'}]
    write_rows(tmp_path / "rows.csv", rows)
    assert read_rows(tmp_path / "rows.csv") == [{"step": "1", "why": "a, comma"}, {"step": "2", "why": 'and "quotes"'}]
