"""A stranger's CLIP is refused before it is built, if it would be far larger than any real one, or isn't whole."""

import json
import os
import shutil

import pytest
import transformers

from helpers.evaluation.clip import DIGIT_CLIP, ClipUnavailable, load_clip
from helpers.tools.clip_folder import DIGEST_LIST, check_clip_folder
from helpers.tools.files import READY, write_record
from tests.conftest import said


@pytest.fixture
def folder(tmp_path):
    """As from the hub: without digests."""
    shutil.copytree(DIGIT_CLIP, tmp_path / "clip")
    (tmp_path / "clip" / DIGEST_LIST).unlink()
    return tmp_path / "clip"


@pytest.fixture
def never_built(monkeypatch):
    monkeypatch.setattr(
        transformers.CLIPModel, "from_pretrained", lambda *_, **__: pytest.fail("built before it was refused")
    )


def change(file, **values):
    config = json.loads(file.read_text(encoding="utf-8"))
    for name, value in values.items():
        part = config
        *parents, last = name.split("__")
        for parent in parents:
            part = part.setdefault(parent, {})
        part[last] = value
    file.write_text(json.dumps(config), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("text_config__num_hidden_layers", 100_000, "num_hidden_layers must be a whole number in 1..64, not 100000"),
        ("vision_config__num_hidden_layers", 100_000, "num_hidden_layers must be"),
        ("vision_config_dict__num_hidden_layers", 100_000, "num_hidden_layers must be"),
        ("vision_config__image_size", 100_000, "image_size must be a whole number in 1..1,024, not 100000"),
        ("vision_config__hidden_size", -1, "hidden_size must be"),
        ("text_config__vocab_size", 10**12, "vocab_size must be"),
        ("text_config__hidden_size", "64", "hidden_size must be .* not '64'"),
        ("text_config__hidden_size", True, "hidden_size must be"),
        ("text_config__hidden_size", 1e9, "hidden_size must be"),
        ("projection_dim", 10**9, "projection_dim must be"),
        ("projection_dim", [64], "projection_dim must be"),
        ("text_config", [1], "config.json describes no CLIP"),
        ("text_config", "clip", "config.json describes no CLIP"),
        # Each size is allowed, but not all of them together: bounds multiply.
        ("text_config__intermediate_size", 16_384, "config.json describes .* weights, but the files have only"),
        ("text_config__vocab_size", 400_000, "config.json describes .* weights, but the files have only"),
    ],
)
def test_a_config_that_asks_for_too_much(name, value, why, folder, never_built):
    change(folder / "config.json", **{name: value})
    with pytest.raises(ClipUnavailable, match=why) as raised:
        load_clip(folder)
    assert str(folder) in said(raised)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("size", {"height": 100_000, "width": 100_000}),
        ("size", {"shortest_edge": 100_000}),
        ("size", 100_000),
        ("size", "large"),
        ("crop_size", {"height": 28, "width": 1e9}),
        ("crop_size", [100_000]),
    ],
)
def test_pictures_of_a_hundred_thousand_pixels(name, value, folder, never_built):
    change(folder / "preprocessor_config.json", **{name: value})
    with pytest.raises(ClipUnavailable, match=f"{name} must be a whole number in 1..1,024") as raised:
        load_clip(folder)
    said(raised)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null", "[" * 100_000, "{}"], ids=lambda text: text[:5])
@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json"])
def test_a_config_that_is_none(file, text, folder):
    (folder / file).write_text(text, encoding="utf-8")
    if (file, text) != ("preprocessor_config.json", "{}"):  # which are the defaults
        with pytest.raises(ClipUnavailable, match="holds no readable CLIP") as raised:
            load_clip(folder)
        said(raised)


@pytest.mark.parametrize("name", ["/dev/zero", "../x", "..", ".", "", "none.json", "sub/config.json", "\x1b[2J"])
def test_digests_name_only_files_of_the_folder(name, folder, never_built, monkeypatch):
    (folder / "sub").mkdir()
    (folder / "sub" / "config.json").touch()
    (folder.parent / "x").touch()
    write_record(folder / DIGEST_LIST, {name: "0" * 64})
    with pytest.raises(ClipUnavailable, match="names .* which is no file of this folder") as raised:
        load_clip(folder)
    assert "\x1b" not in said(raised)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no /dev/zero")
@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "extra.bin"])
def test_a_link_to_a_device_is_not_read(file, folder, never_built):
    write_record(folder / DIGEST_LIST, {file: "0" * 64})
    (folder / file).unlink(missing_ok=True)
    (folder / file).symlink_to("/dev/zero")
    with pytest.raises(ClipUnavailable, match="config.json is missing|which is no file of this folder"):
        load_clip(folder)


def test_new_files_that_are_complete_are_put_in_their_places(folder):
    """As after a power cut in the middle of `save_digit_clip`."""
    shutil.copytree(folder, folder / READY)
    (folder / "config.json").write_text("{", encoding="utf-8")
    (folder / "model.safetensors").write_bytes(b"")
    check_clip_folder(folder)
    load_clip(folder)
    assert not (folder / READY).exists()


def test_the_remedy_leads_out_of_the_trouble(folder):
    """Training without --out would leave this folder as it is."""
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(ClipUnavailable) as raised:
        load_clip(folder)
    assert f"train-clip --out {folder} --replace`" in said(raised)
