"""Reading and writing files. A crash, a full disk or Ctrl-C while writing never leaves a damaged file."""

import csv
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ASSETS = Path(__file__).resolve().parents[2] / "assets"
ASIDE = ".writing-"  # the names of temporary folders begin with it
SEAL = "sha256_of_the_rest"  # the last name in a record


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` only when the block succeeds.

    The temporary name keeps the suffix, because `keras.Model.save_weights` and `np.savez` look at it.
    If the block fails, the old file stays as it was and the temporary one is removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A folder of its own, on the same file system: rename is atomic only within one.
    with tempfile.TemporaryDirectory(prefix=ASIDE, dir=path.parent) as folder:
        temporary = Path(folder) / path.name
        yield temporary
        os.replace(temporary, path)


def remove_strays(folder: str | Path) -> None:
    """Remove the temporary folders of killed writes from a folder that nobody else writes to."""
    for stray in Path(folder).glob(f"{ASIDE}*"):
        shutil.rmtree(stray)


def write_rows(path: str | Path, rows: list[dict]) -> None:
    """Write a CSV file: a header with the names that all rows share, then one line per row."""
    with atomic_write(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_rows(path: str | Path) -> list[dict[str, str]]:
    """Read the rows of a CSV file; every value comes back as text."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def write_record(path: str | Path, record: dict) -> None:
    """Write a JSON file that ends with the SHA-256 of its content, by which `read_record` notices any change."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(record | {SEAL: _sha256_of_record(record)}, indent=1) + "\n")


def read_record(path: str | Path) -> dict:
    """Read a JSON file of `write_record`. A file without a SHA-256 of its content is accepted as it is.

    Raises `ValueError` if it can't be read or was altered, `OSError` if it is missing.
    """
    try:
        record = json.loads(Path(path).read_text())
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


def reason(error: Exception) -> str:
    """The cause of an error, in one line that can end a sentence."""
    if isinstance(error, KeyError):
        return f"{error.args[0]!r} is missing"
    return str(error).strip().split("\n")[0].removesuffix(".") or type(error).__name__


def sha256_of_file(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
