"""Weights that may be anyone's: compared before they are read, and every damage ends in one sentence."""

import functools
import shutil

import h5py
import keras
import numpy as np
import pytest

from helpers.checkpoints import load_denoiser, save_denoiser
from helpers.evaluation.classifiers import CLASSIFIERS, load_classifier
from helpers.tools.files import read_record, sha256_of_file, write_record
from helpers.tools.weights import load_weights
from tests.conftest import TINY, lively, said

ROWS, COLUMNS = 3, 2


@pytest.fixture(scope="module")
def model():
    model = keras.Sequential([keras.Input((ROWS,)), keras.layers.Dense(COLUMNS)])
    model.set_weights([np.ones((ROWS, COLUMNS)), np.ones(COLUMNS)])
    return model


@pytest.fixture
def weights(model, tmp_path):
    model.save_weights(tmp_path / "a.weights.h5")
    return tmp_path / "a.weights.h5"


KERNEL, BIAS = "layers/dense/vars/0", "layers/dense/vars/1"


def put(file: h5py.File, name: str, **options) -> None:
    del file[name]
    file.create_dataset(name, **options)


def linked(link):
    def damage(file):
        file.move(KERNEL, "elsewhere")
        file[KERNEL] = link

    return damage


LIES = {  # what is wrong with the file, and what the reader is told
    "a huge array": (lambda file: put(file, KERNEL, shape=(10**6, 10**6), dtype="f4"), "other shapes or types"),
    "huge and in pieces": (
        lambda file: put(file, KERNEL, shape=(10**6, 10**6), dtype="f4", chunks=(1, 1000)),
        "'layers/dense/vars/0' is packed",
    ),
    "right, in one huge piece": (
        lambda file: put(file, BIAS, shape=(COLUMNS,), maxshape=(None,), chunks=(10**8,), dtype="f4"),
        "'layers/dense/vars/1' is packed",
    ),
    "right, but packed": (
        lambda file: put(file, BIAS, shape=(COLUMNS,), dtype="f4", chunks=(1,), compression="gzip"),
        "is packed",
    ),
    "in another file": (
        lambda file: put(file, BIAS, shape=(COLUMNS,), dtype="f4", external=[("/dev/zero", 0, 4 * COLUMNS)]),
        "lies in another file",
    ),
    "another type": (lambda file: put(file, BIAS, shape=(COLUMNS,), dtype="f8"), "other shapes or types"),
    "texts": (lambda file: put(file, BIAS, data=["a", "b"]), "other shapes or types"),
    "an array too many": (lambda file: file.create_dataset("more", shape=(10**6, 10**6), dtype="f4"), "other shapes"),
    "an array too few": (lambda file: file.pop(BIAS), "other shapes or types"),
    "transposed": (lambda file: put(file, KERNEL, shape=(COLUMNS, ROWS), dtype="f4"), "other shapes or types"),
    "a link to another file": (linked(h5py.ExternalLink("/dev/zero", "x")), f"'{KERNEL}' is a link"),
    "a link to itself": (linked(h5py.SoftLink(f"/{KERNEL}")), f"'{KERNEL}' is a link"),
    "a group for an array": (lambda file: (file.pop(BIAS), file.create_group(BIAS)), "other shapes or types"),
    "nothing": (lambda file: file.clear(), "other shapes or types"),
}


@pytest.mark.parametrize("lie", LIES)
def test_weights_that_lie_are_refused_before_an_array_is_read(lie, model, weights, monkeypatch):
    damage, why = LIES[lie]
    with h5py.File(weights, "a") as file:
        damage(file)
    monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda *_: pytest.fail("read before it was refused"))
    monkeypatch.setattr(h5py.Dataset, "__array__", lambda *_, **__: pytest.fail("read before it was refused"))
    with pytest.raises(ValueError, match=why) as raised:
        load_weights(model, weights)
    assert len(said(raised)) < 200


def test_an_honest_file_is_read(model, weights):
    kept = model.get_weights()
    model.set_weights([0 * weight for weight in kept])
    load_weights(model, weights)
    np.testing.assert_array_equal(model.get_weights()[0], kept[0])


# --- Damaged headers: both loaders, with a SHA-256 that was made to fit ---


def damages(data: bytes):
    """Cut off at many places, and flipped in the header and here and there."""
    random = np.random.default_rng(0)
    yield from (data[:length] for length in (0, 1, 8, 40, 96, 200, 512, 1000, 2048, len(data) // 2, len(data) - 1))
    places = [*range(0, 96, 5), *random.integers(96, 4000, 30)]
    for place in places:
        changed = bytearray(data)
        changed[place] ^= 0xFF
        yield bytes(changed)
    yield bytes(len(data))
    yield data[:96] + bytes(2000) + data[2096:]
    yield b"\x89HDF\r\n\x1a\n" + b"\xff" * 4000


def test_damaged_headers_end_in_one_sentence(model, weights):
    """A flip may hit a byte that nobody reads: then the file loads."""
    data, refused = weights.read_bytes(), 0
    for damaged in damages(data):
        weights.write_bytes(damaged)
        try:
            load_weights(model, weights)
        except ValueError as error:
            assert "\n" not in str(error) and len(str(error)) < 300
            refused += 1
    assert refused > 25


@pytest.mark.parametrize("which", ["network", "classifier"])
def test_both_loaders_name_the_damaged_file(which, schedule, tmp_path):
    """Although the recorded SHA-256 was made to fit."""
    if which == "network":
        save_denoiser(tmp_path, lively(TINY, schedule), {}, [])
        path, record, load = tmp_path / "unet.weights.h5", tmp_path / "config.json", load_denoiser
    else:
        for name in ("judge.json", "judge.weights.h5"):
            shutil.copy(CLASSIFIERS / name, tmp_path)
        path, record = tmp_path / "judge.weights.h5", tmp_path / "judge.json"
        load = functools.partial(load_classifier, "judge")
    data = path.read_bytes()
    for damaged in (data[:200], data[:96] + bytes(2000) + data[2096:], b"", bytes(len(data)), data[: len(data) // 2]):
        path.write_bytes(damaged)
        write_record(record, read_record(record) | {"weights_sha256": sha256_of_file(path)})
        with pytest.raises(ValueError) as raised:
            load(tmp_path)
        assert str(path) in said(raised) and len(said(raised)) < 600
