"""Arrays from `.npz` files that may be anyone's: described before they are unpacked, and never unpickled."""

import json
import math
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from helpers.tools.files import as_file, atomic_write, reason

HARMLESS = 50_000_000  # bytes that may be packed as tightly as they like
TIGHTEST = 100  # times that more may be packed: pictures never are, but zeros can be a thousand times


class Form(NamedTuple):
    """What the header of an array says."""

    shape: tuple[int, ...]
    dtype: np.dtype


def forms_of(path: str | Path, names: Iterable[str] | None = None) -> dict[str, Form]:
    """The form of each array in an `.npz` file, or of those of `names` that are there. Only headers are unpacked.

    Raises `OSError` for a file that can't be opened, and `ValueError` or `BadZipFile` for one that isn't a plain
    `.npz` file: arrays of objects, entries that don't have the size that their header says, entries packed so tightly
    that they would fill the memory.
    """
    with open(as_file(path), "rb") as file:  # `is_zipfile` would answer False if it can't be opened
        if not zipfile.is_zipfile(file):
            raise ValueError("it is no .npz file")
        with zipfile.ZipFile(file) as archive:
            found = {entry.removesuffix(".npy"): archive.getinfo(entry) for entry in archive.namelist()}
            wanted = found if names is None else {name: found[name] for name in names if name in found}
            unpacked, packed = (sum(getattr(e, s) for e in wanted.values()) for s in ("file_size", "compress_size"))
            if unpacked > max(HARMLESS, TIGHTEST * packed):
                raise ValueError(f"its {packed:,} bytes would unpack to {unpacked:,}")
            return {name: _form(archive.open(entry), name, entry.file_size) for name, entry in wanted.items()}


def _form(opened: IO[bytes], name: str, size: int) -> Form:
    """The form of the array in an opened file of `size` bytes."""
    with opened as file:
        try:
            version = np.lib.format.read_magic(file)
            read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            shape, _, dtype = read_header[version](file)
        except Exception as error:  # a damaged header can raise almost anything
            raise ValueError(f"its entry {name!r:.60} is no array") from error
        if dtype.hasobject:
            raise ValueError(f"its array {name!r:.60} holds objects")
        if file.tell() + math.prod(shape) * dtype.itemsize != size:
            raise ValueError(f"its array {name!r:.60} hasn't the size that its header says")
    return Form(shape, dtype)


def read_arrays(path: str | Path, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays themselves. Raises as `forms_of`, and almost anything for an entry that is damaged inside."""
    forms = forms_of(path, names)
    with zipfile.ZipFile(as_file(path)) as archive:
        found = {entry.removesuffix(".npy"): entry for entry in archive.namelist()}
        return {name: np.lib.format.read_array(archive.open(found[name]), allow_pickle=False) for name in forms}


def read_array(path: str | Path) -> np.ndarray:
    """The array in an `.npy` file. Raises `ValueError` with the reason for anything else."""
    path = as_file(path)
    _form(open(path, "rb"), path.stem, path.stat().st_size)
    with open(path, "rb") as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def save_checkpoint(path: Path, arrays: dict[str, list[np.ndarray]], state: dict) -> None:
    """Write everything that a training needs to resume: lists of arrays by name, and a JSON-able `state`, as `.npz`."""
    named = {f"{name}/{i}": array for name, values in arrays.items() for i, array in enumerate(values)}
    with atomic_write(path) as temporary:
        np.savez(temporary, state=json.dumps(state), **named)


def load_checkpoint(path: Path) -> tuple[dict[str, list[np.ndarray]], dict]:
    """The arrays and the state of a checkpoint. Raises `ValueError` if the file is missing or damaged."""
    try:
        named, arrays = read_arrays(path), {}
        state = json.loads(str(named.pop("state")))
        for key, array in named.items():
            arrays.setdefault(key.rsplit("/", 1)[0], []).append(array)
        if not isinstance(state, dict):
            raise ValueError("its state isn't a list of names with values")
    except Exception as error:  # a damaged archive can raise almost anything, from zlib.error to KeyError
        raise ValueError(
            f"{path} can't be resumed from ({reason(error)}); choose another folder, or start anew with --replace."
        ) from error
    return arrays, state
