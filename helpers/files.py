"""Writing files so that a crash, a full disk or Ctrl-C never leaves a damaged one."""

import csv
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ASSETS = Path(__file__).resolve().parent.parent / "assets"


@contextmanager
def write_aside(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` only when the block succeeds.

    The temporary name keeps the suffix, because `keras.Model.save_weights` and `np.savez` look at it.
    Whatever goes wrong inside the block, the old file stays as it was and the temporary one is removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A folder of its own, on the same file system: rename is atomic only within one.
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.parent) as folder:
        temporary = Path(folder) / path.name
        yield temporary
        os.replace(temporary, path)


def write_rows(path: str | Path, rows: list[dict]) -> None:
    """A CSV file whose first line has the rows' names, the same for all, and then a line for each row."""
    with write_aside(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_rows(path: str | Path) -> list[dict[str, str]]:
    """The rows that `write_rows` wrote; every value comes back as text."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def sha256_of_file(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
