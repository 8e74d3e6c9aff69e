"""Reading and writing files. A crash, a full disk, a power cut or Ctrl-C while writing never leaves a damaged file."""

import csv
import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

ASSETS = Path(__file__).resolve().parents[2] / "assets"
ASIDE = ".writing-"  # the names of temporary folders begin with it
READY = ".complete"  # the name of a folder whose files are complete, but not yet in their places
SEAL = "sha256_of_the_rest"  # the last name in a record
Result = TypeVar("Result")
PATIENCE = 2.0  # seconds that a file may stay blocked: on Windows a scanner or a viewer can hold it


def reason(error: Exception) -> str:
    """The cause of an error, in one line that can end a sentence."""
    if isinstance(error, KeyError):
        return f"{error.args[0]!r} is missing"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).strip().split("\n")[0].removesuffix(".") or type(error).__name__


def as_path(path: str | Path) -> Path:
    """The path with the home folder for "~".

    Raises `ValueError` for an empty path, which would mean this folder, and for the home of nobody.
    """
    if not str(path).strip():
        raise ValueError("the path must not be empty.")
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ValueError(f"there is no home folder for {str(path)!r}.") from None


def as_file(path: str | Path) -> Path:
    """The path of a file that is there. Raises `OSError` for anything else: a device or a pipe might never end."""
    path = as_path(path)
    if not path.is_file():
        wrong = errno.EINVAL if path.exists() else errno.ENOENT
        raise OSError(wrong, "it is no file" if path.exists() else os.strerror(wrong), str(path))
    return path


def check_writable(path: str | Path) -> None:
    """Raises `ValueError`, before any work is done, if no file can be written at `path`. Leaves nothing behind."""
    path = as_path(path)
    _check_folder(path.parent, path)


def check_writable_folder(folder: str | Path) -> None:
    """Raises `ValueError`, before any work is done, if no file can be written into `folder`. Leaves nothing behind."""
    folder = as_path(folder)
    _check_folder(folder, folder)


def _check_folder(folder: Path, asked_for: Path) -> None:
    try:
        asked_for.exists()  # its name may be too long
        nearest = next((parent for parent in (folder, *folder.parents) if parent.exists()), None)
        if nearest is None:  # a drive that isn't there
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        with _aside(nearest):
            pass
    except OSError as error:
        raise ValueError(f"{asked_for} can't be written: {reason(error)}.") from None


@contextmanager
def _aside(folder: Path) -> Iterator[Path]:
    """A temporary folder inside `folder`, on the same file system: rename is atomic only within one."""
    # It may have been renamed by the end.
    with tempfile.TemporaryDirectory(prefix=ASIDE, dir=folder, ignore_cleanup_errors=True) as temporary:
        yield Path(temporary)


def _flush(path: Path, target: Path) -> None:
    """Make the operating system write a file to the disk that will replace `target`."""
    with _patiently(lambda: open(path, "rb+"), target, PATIENCE) as file:
        os.fsync(file.fileno())


def _flush_names(folder: Path) -> None:
    """The same for the names in a folder, which not every system can: Windows opens no folders."""
    with suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def _replace(source: Path, target: Path, patience: float = PATIENCE) -> None:
    """Rename `source` to `target`, patiently."""
    _patiently(lambda: os.replace(source, target), target, patience)


def _patiently(act: Callable[[], Result], path: Path, patience: float) -> Result:
    """The result of `act` on the file `path`. A blocked one is tried again for some seconds, then `OSError`."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return act()
        except PermissionError as error:
            if time.monotonic() >= deadline:
                remedy = "close the program that uses it, or change its permissions"
                raise OSError(f"{path} can't be replaced ({reason(error)}): {remedy}.") from None
            time.sleep(0.05)


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` only when the block succeeds.

    The temporary name keeps the suffix, because `keras.Model.save_weights` and `np.savez` look at it.
    If the block fails, the old file stays as it was and the temporary one is removed.
    """
    path = as_path(path)
    check_writable(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _aside(path.parent) as folder:
        temporary = folder / path.name
        yield temporary
        _flush(temporary, path)
        _replace(temporary, path)
        _flush_names(path.parent)


@contextmanager
def atomic_files(folder: str | Path) -> Iterator[Path]:
    """Yield a temporary folder. When the block succeeds, its files replace those in `folder` together, or not at all.

    Renaming the temporary folder to `READY` is the one act that counts. From then on the new files are the folder's
    own: `newest` finds them, and `settle` moves them into their places, again and again if it is interrupted.
    """
    folder = as_path(folder)
    check_writable_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    settle(folder)
    with _aside(folder) as temporary:
        yield temporary
        for file in temporary.iterdir():
            _flush(file, folder / file.name)
        _flush_names(temporary)
        _replace(temporary, folder / READY)
    _flush_names(folder)
    settle(folder)


def settle(folder: str | Path, patience: float = PATIENCE) -> None:
    """Finish an `atomic_files` that was interrupted after its files were complete."""
    folder = as_path(folder)
    ready = folder / READY
    if not ready.is_dir():
        return
    with suppress(FileNotFoundError):  # another process has just moved it
        for file in sorted(ready.iterdir()):
            _replace(file, folder / file.name, patience)
    _flush_names(folder)
    with suppress(OSError):
        ready.rmdir()


def newest(folder: str | Path, name: str) -> Path:
    """Where a file that `atomic_files` wrote lies: in its place, or in `READY` while that is blocked or read-only."""
    folder = as_path(folder)
    with suppress(OSError):
        settle(folder, patience=0)
    return folder / READY / name if (folder / READY / name).is_file() else folder / name


def remove_strays(folder: str | Path) -> None:
    """Remove the temporary folders of killed writes from a folder that nobody else writes to."""
    for stray in as_path(folder).glob(f"{ASIDE}*"):
        shutil.rmtree(stray, ignore_errors=True)


def write_rows(path: str | Path, rows: list[dict]) -> None:
    """Write a CSV file: a header with the names that all rows share, then one line per row."""
    with atomic_write(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_rows(path: str | Path, columns: Sequence[str] = ()) -> list[dict[str, str]]:
    """Read the rows of a CSV file that has at least `columns`; every value comes back as text.

    Raises `ValueError` in one sentence for a file that can't be read or lacks a column or a value.
    """
    try:
        with open(as_file(path), newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise ValueError(f"{path} can't be read as a table: {reason(error)}.") from None
    missing = [name for name in columns if any(row.get(name) is None for row in rows)]
    if missing or any(None in row or None in row.values() for row in rows):
        raise ValueError(f"{path} is damaged: a row lacks {' or '.join(missing) or 'a value, or has too many'}.")
    return rows


def write_record(path: str | Path, record: dict) -> None:
    """Write a JSON file that ends with the SHA-256 of its content, by which `read_record` notices any change."""
    text = json.dumps(record | {SEAL: _sha256_of_record(record)}, indent=1) + "\n"
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def read_record(path: str | Path) -> dict:
    """Read a JSON file of `write_record`. A file without a SHA-256 of its content is accepted as it is.

    Raises `ValueError` if it can't be read or was altered, `OSError` if it is missing.
    """
    try:
        record = json.loads(as_file(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is no JSON file ({error})") from error
    if not isinstance(record, dict):
        raise ValueError(f"it holds a {type(record).__name__}, not names with values")
    found = _sha256_of_record(record)
    if record.pop(SEAL, found) != found:
        raise ValueError("it was altered: its SHA-256 isn't the recorded one")
    return record


def _sha256_of_record(record: dict) -> str:
    values = {name: value for name, value in record.items() if name != SEAL}
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def sha256_of_file(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with open(as_file(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
