"""Files that belong together: a reader finds all of the old or all of the new, whatever ends the write."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from helpers.tools import files
from helpers.tools.files import READY, atomic_files, atomic_write, newest, remove_strays, settle

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


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_cannot_be_flushed_for_a_moment_is_tried_again(name, tmp_path, monkeypatch):
    """A scanner looks at every new file."""
    write_together(tmp_path, "old")
    refused, opened = [], open

    def open_refused(path, mode="r", **options):
        if Path(path).name == name and "+" in mode and len(refused) < 3:
            refused.append(path)
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, mode, **options)

    monkeypatch.setattr(files, "open", open_refused, raising=False)
    monkeypatch.setattr(files.time, "sleep", lambda _: None)
    write_together(tmp_path, "new")
    assert len(refused) == 3 and found_in(tmp_path) == {"new"}
