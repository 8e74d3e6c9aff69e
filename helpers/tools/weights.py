"""Weights from an HDF5 file that may be anyone's."""

import helpers.tools.quiet  # noqa: F401

import warnings
from pathlib import Path

import h5py
import keras

from helpers.tools.files import reason


def load_weights(model: keras.Model, path: Path) -> None:
    """Fill in weights from an HDF5 file that holds exactly the model's arrays.

    Shapes and types are compared before a byte of the arrays is read, so a stranger's file can't take more memory than
    the model. Raises `ValueError` with the reason if the file doesn't fit or can't be read.
    """
    try:
        with h5py.File(path) as file:
            found = _arrays_in(file)
        if sorted(found) != sorted((tuple(weight.shape), weight.dtype) for weight in model.weights):
            raise ValueError("its arrays have other shapes or types")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras warns of every part that doesn't fit before it raises
            model.load_weights(path)
    except Exception as error:  # a damaged HDF5 file can raise almost anything, RuntimeError included
        raise ValueError(reason(error)) from error


def _arrays_in(file: h5py.File) -> list[tuple[tuple[int, ...], str]]:
    """Shape and type of each array. Raises `ValueError` for what Keras never writes, and what could be endless."""
    arrays, strange = [], []

    def note_link(name: str, link: h5py.HardLink | h5py.SoftLink | h5py.ExternalLink) -> None:
        if not isinstance(link, h5py.HardLink):
            strange.append(f"its entry {name!r:.60} is a link")

    def note(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            if item.chunks or item.external or item.is_virtual:
                strange.append(f"its array {name!r:.60} is packed, or lies in another file")
            arrays.append((item.shape, item.dtype.name))

    file.visititems_links(note_link)
    file.visititems(note)
    if strange:
        raise ValueError(strange[0])
    return arrays
