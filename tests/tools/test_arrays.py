"""Archives that may be anyone's are described before anything is unpacked; checkpoints of another form are refused."""

import io
import json
import zipfile

import numpy as np
import pytest

from helpers.custom_data import load_pictures
from helpers.data import DataError, load_mnist
from helpers.tools import arrays
from helpers.tools.arrays import forms_of, load_checkpoint, read_array, read_arrays
from tests.conftest import said

IMAGES, LABELS = np.zeros((20, 16, 16), np.uint8), np.arange(20) % 2


@pytest.fixture
def never_unpacked(monkeypatch):
    monkeypatch.setattr(np.lib.format, "read_array", lambda *_, **__: pytest.fail("unpacked before it was refused"))


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def header(shape: tuple, dtype: str = "|u1") -> bytes:
    """The header of an array, without the array."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue()


def archive(path, compression=zipfile.ZIP_DEFLATED, **entries: bytes):
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in entries.items():
            file.writestr(f"{name}.npy", content)
    return path


def test_forms_are_those_of_the_arrays(tmp_path):
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", images=IMAGES, labels=LABELS, names=np.array(["a", "bc"]))
        forms = forms_of(tmp_path / "a.npz")
        assert {name: form.shape for name, form in forms.items()} == {
            "images": (20, 16, 16),
            "labels": (20,),
            "names": (2,),
        }
        assert forms["images"].dtype == np.uint8 and forms["names"].dtype == "<U2"
        assert list(forms_of(tmp_path / "a.npz", ["labels", "more"])) == ["labels"]
        np.testing.assert_array_equal(read_arrays(tmp_path / "a.npz", ["labels"])["labels"], LABELS)
    np.save(tmp_path / "b.npy", IMAGES)
    np.testing.assert_array_equal(read_array(tmp_path / "b.npy"), IMAGES)


def bomb(path):
    """A megabyte that would be a gigabyte: black pictures of a form that is allowed."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        with file.open("images.npy", "w", force_zip64=True) as entry:
            entry.write(header((244_140, 64, 64)))
            for _ in range(60):
                entry.write(bytes(244_140 * 64 * 64 // 60))
        file.writestr("labels.npy", npy(np.arange(244_140) % 2))
    return path


@pytest.mark.slow  # two seconds, to pack a gigabyte of zeros
def test_a_megabyte_that_unpacks_to_a_gigabyte(tmp_path, never_unpacked):
    assert bomb(tmp_path / "bomb.npz").stat().st_size < 2_000_000
    with pytest.raises(
        DataError, match=r"bomb\.npz can't be read \(its .* bytes would unpack to 1,00\d,...,...\)"
    ) as raised:
        load_pictures(tmp_path / "bomb.npz")
    said(raised)


def test_many_small_bombs(tmp_path, never_unpacked, monkeypatch):
    monkeypatch.setattr(arrays, "HARMLESS", 100_000)
    path = archive(tmp_path / "a.npz", **{f"unet/{number}": npy(np.zeros(50_000, np.uint8)) for number in range(9)})
    for read in (read_arrays, forms_of):
        with pytest.raises(ValueError, match="would unpack to 451,152"):
            read(path)
    with pytest.raises(ValueError, match="can't be resumed from .its .* would unpack"):
        load_checkpoint(path)
    forms_of(path, ["unet/1"])  # one alone is harmless


REFUSED = {
    "no array": ({"images": b"hello"}, "its entry 'images' is no array"),
    "nothing": ({"images": b""}, "its entry 'images' is no array"),
    "half a header": ({"images": npy(IMAGES)[:40]}, "its entry 'images' is no array"),
    "a header that is code": ({"images": npy(IMAGES).replace(b"(20, 16, 16)", b"(exit(), 1,)")}, "is no array"),
    "another version": ({"images": npy(IMAGES).replace(b"NUMPY\x01", b"NUMPY\x07", 1)}, "is no array"),
    "cut off": ({"images": npy(IMAGES)[:-100]}, "'images' hasn't the size that its header says"),
    "too long": ({"images": npy(IMAGES) + b"more"}, "'images' hasn't the size that its header says"),
    "a huge shape": ({"images": header((10**6, 64, 64, 3)) + b"few"}, "hasn't the size that its header says"),
    "a shape below zero": ({"images": header((-20, -16, 16)) + b"few"}, "hasn't the size"),
    "pickled": ({"images": npy(np.array([{}], object))}, "'images' holds objects"),
    "pickled labels": ({"images": npy(IMAGES), "labels": npy(np.array([print], object))}, "'labels' holds objects"),
    "pickled fields": ({"images": npy(np.zeros(2, [("a", object)]))}, "'images' holds objects"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_entries_that_are_no_plain_arrays(what, tmp_path, never_unpacked):
    entries, why = REFUSED[what]
    path = archive(tmp_path / "mine.npz", **({"labels": npy(LABELS)} | entries))
    for read, error in ((read_arrays, ValueError), (load_pictures, DataError), (load_checkpoint, ValueError)):
        with pytest.raises(error, match=why) as raised:
            read(path)
        said(raised)
    (tmp_path / "one.npy").write_bytes(list(entries.values())[-1])
    with pytest.raises(ValueError, match=why.replace("'images'", "'one'").replace("'labels'", "'one'")):
        read_array(tmp_path / "one.npy")


@pytest.mark.parametrize(
    "content",
    [b"a text that somebody named .npz", b"", b"PK\x03\x04 half an archive", "{'a': 'ü'}".encode(), npy(IMAGES)],
    ids=lambda content: repr(content)[:12],
)
def test_other_files_named_npz(content, tmp_path):
    """Nobody is told of pickles, which only numpy would think of."""
    path = tmp_path / "mine.npz"
    path.write_bytes(content)
    for read, error in ((load_pictures, DataError), (load_mnist, DataError), (load_checkpoint, ValueError)):
        with pytest.raises(error, match=r"mine\.npz can't be .*it is no \.npz file") as raised:
            read(path)
        assert "pickle" not in said(raised)
    (tmp_path / "mine.npy").write_bytes(content)
    if content != npy(IMAGES):
        with pytest.raises(ValueError, match="is no array") as raised:
            read_array(tmp_path / "mine.npy")
        assert "pickle" not in said(raised)


def test_a_file_that_cannot_be_opened_is_not_called_damaged(tmp_path, monkeypatch):
    """`zipfile.is_zipfile` calls it no archive."""
    (tmp_path / "folder.npz").mkdir()
    for read, error in ((load_pictures, DataError), (load_checkpoint, ValueError)):
        with pytest.raises(error, match="it is no file|Is a directory") as raised:
            read(tmp_path / "folder.npz")
        assert ".npz file" not in said(raised)


def test_an_entry_without_the_suffix_does_not_hide_the_array(tmp_path):
    """`np.load` would give the bytes of `images`, not the array of `images.npy`."""
    path = archive(tmp_path / "mine.npz", images=npy(IMAGES), labels=npy(LABELS))
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("readme.txt", "other entries are nobody's business")
    np.testing.assert_array_equal(load_pictures(path).images, IMAGES)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("images", b"bytes")
    with pytest.raises(DataError, match="its entry 'images' is no array"):
        load_pictures(path)


@pytest.mark.parametrize("state", [b"7", b"[]", b"null", b'"text"', b"{", b"", b"[" * 100_000, b"\xff"])
def test_a_state_that_is_none(state, tmp_path):
    np.savez(tmp_path / "checkpoint.npz", state=np.frombuffer(state, np.uint8) if state == b"\xff" else state.decode())
    with pytest.raises(
        ValueError, match="can't be resumed from .*; choose another folder, or start anew with --replace"
    ) as raised:
        load_checkpoint(tmp_path / "checkpoint.npz")
    said(raised)
    np.savez(tmp_path / "checkpoint.npz", other=np.array(json.dumps({})))
    with pytest.raises(ValueError, match="'state' is missing"):
        load_checkpoint(tmp_path / "checkpoint.npz")
