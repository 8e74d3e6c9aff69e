"""CLIP scores: the embeddings are the model's own, the scores are the papers', and nothing is fetched unasked."""

import json
import os
import shutil
import socket
import subprocess
import sys
from fnmatch import fnmatch

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from helpers.data import to_model_range
from helpers.evaluation.clip import (
    DIGIT_CLIP,
    OFFICIAL_PROMPT,
    UNSEEN_PROMPTS,
    Clip,
    ClipUnavailable,
    clip_score,
    cosine_similarity,
    digit_prompts,
    load_clip,
    prompt_matrix,
    zero_shot,
)
from helpers.tools.clip_folder import DIGEST_LIST
from helpers.tools.files import ASSETS
from helpers.workshop.captions import describe
from tests.conftest import said

ROOT = ASSETS.parent


@pytest.fixture(scope="module")
def clip():
    return load_clip()


@pytest.fixture(scope="module")
def some(mnist):
    """Every third test image, `(n, 28, 28)` uint8, and their labels."""
    return mnist.test_images[::3], mnist.test_labels[::3]


@pytest.fixture(scope="module")
def some_embeds(clip, some):
    return clip.embed_images(to_model_range(some[0]).numpy())


@pytest.fixture
def no_network(monkeypatch):
    """The calls that would have reached the network, which fail."""
    calls = []

    def refuse(*arguments, **_):
        calls.append(arguments)
        raise OSError("no network")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return calls


def test_zero_shot_on_test_images(clip, some, some_embeds):
    def accuracy(template, words):
        return np.mean(zero_shot(some_embeds, clip.embed_texts(digit_prompts(template, words))) == some[1])

    assert accuracy(OFFICIAL_PROMPT, words=False) >= 0.985
    assert min(accuracy(template, words) for template in UNSEEN_PROMPTS for words in (False, True)) >= 0.97


def test_texts_describe_more_than_the_digit(clip, some, some_embeds):
    images, labels = some
    widths, leans = describe(images)
    for measured, pair, least in (
        (widths, ("with thick strokes", "with thin strokes"), 0.85),
        (leans, ("leaning right", "leaning left"), 0.75),
    ):
        told_apart = []
        for digit in range(10):
            high, low = clip.embed_texts([f"the digit {digit} {words}" for words in pair])
            clear = (labels == digit) & (measured != 1)
            difference = some_embeds[clear] @ (high - low)
            told_apart.append(np.mean((difference > np.median(difference)) == (measured[clear] == 2)))
        assert np.mean(told_apart) > least and min(told_apart) > 0.55, pair


def test_embeddings_are_the_models_own(clip, mnist):
    pixels = torch.from_numpy(mnist.test_images[:5].astype(np.float32) / 127.5 - 1)[:, None].expand(-1, 3, -1, -1)
    texts = ["a seven", "the number 3 by hand"]
    tokens = clip.tokenizer(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        output = clip.model(**tokens, pixel_values=pixels)
    images = to_model_range(mnist.test_images[:5]).numpy()
    np.testing.assert_allclose(clip.embed_images(images, batch_size=2), output.image_embeds, atol=1e-5)
    np.testing.assert_allclose(clip.embed_texts(texts), output.text_embeds, atol=1e-5)
    np.testing.assert_allclose(clip.embed_images(-images), clip.embed_images(images, inverted=True), atol=1e-5)
    assert np.abs(clip.embed_images(images) - clip.embed_images(images, inverted=True)).max() > 0.05


def test_long_texts_are_cut_off_at_77_tokens(clip):
    np.testing.assert_array_equal(clip.embed_texts(["7 " * 500]), clip.embed_texts(["7 " * 400]))
    assert np.abs(clip.embed_texts(["7 " * 500]) - clip.embed_texts(["7 " * 50])).max() > 1e-4


def test_the_hubs_cache_is_used_without_the_network(tmp_path, monkeypatch, no_network):
    repository = tmp_path / "models--openai--clip-vit-base-patch32"
    snapshot = repository / "snapshots" / ("a" * 40)
    shutil.copytree(DIGIT_CLIP, snapshot)  # the contents don't matter
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40, encoding="utf-8")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert load_clip("openai/clip-vit-base-patch32").name == "openai/clip-vit-base-patch32"
    with pytest.raises(ClipUnavailable, match="clip-vit-large-patch14 is no folder.*download=True"):
        load_clip("openai/clip-vit-large-patch14")
    assert no_network == []


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
def test_what_is_fetched_is_checked_before_it_is_used(weights, tmp_path, monkeypatch):
    """The hub's files are a stranger's, too. Other frameworks' weights, gigabytes of them, stay there."""
    hub, cache = {path.name: path for path in DIGIT_CLIP.iterdir()}, tmp_path / "cache"
    hub[weights] = hub.pop("model.safetensors")
    hub["tf_model.h5"] = hub[weights]
    cache.mkdir()

    def fetched(name, allow_patterns):
        assert name == "someone/clip"
        for file, path in hub.items():
            if any(fnmatch(file, pattern) for pattern in allow_patterns):
                shutil.copy(path, cache / file)
        return str(cache)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetched)
    if weights == "model.safetensors":
        assert load_clip("someone/clip", download=True).name == "someone/clip"
    else:
        with pytest.raises(ClipUnavailable, match="holds no readable CLIP"):  # it is no pickle; but it was fetched
            load_clip("someone/clip", download=True)
    assert {file.name for file in cache.iterdir()} == hub.keys() - {"tf_model.h5"}
    hub["config.json"] = tmp_path / "config.json"
    config = json.loads((DIGIT_CLIP / "config.json").read_text(encoding="utf-8"))
    config["vision_config"]["num_hidden_layers"] = 65
    hub["config.json"].write_text(json.dumps(config), encoding="utf-8")
    (hub.pop("sha256.json"), (cache / "sha256.json").unlink())
    with pytest.raises(ClipUnavailable, match="num_hidden_layers must be a whole number in 1..64, not 65.*again"):
        load_clip("someone/clip", download=True)


@pytest.mark.slow  # a process of its own with a gigabyte of weights
def test_a_full_size_checkpoint_takes_the_same_path(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, str(ROOT / "tests" / "maintenance" / "full_size_clip.py"), str(tmp_path)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0 and run.stderr == "", run.stderr
    with np.load(tmp_path / "found.npz") as file:
        found = dict(file)
    shutil.rmtree(tmp_path / "cache")
    assert found["name"] == "openai/clip-vit-base-patch32" and found["image_embeds"].shape == (2, 512)
    np.testing.assert_allclose(found["image_embeds"], found["models_image_embeds"], atol=1e-4)
    np.testing.assert_allclose(found["text_embeds"], found["models_text_embeds"], atol=1e-4)
    assert tuple(found["shape_of_500_words"]) == (1, 512)
    assert str(found["refusal"]).startswith("openai/clip-vit-large-patch14 is no folder")


def test_an_unknown_name_is_not_looked_up(no_network):
    with pytest.raises(ClipUnavailable, match="not in the hub's cache on this machine; load_clip"):
        load_clip("nobody/no-such-clip")
    assert no_network == []


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json", "preprocessor_config.json"])
def test_a_missing_or_damaged_file_makes_any_clip_unreadable(tmp_path, file):
    folder = tmp_path / "clip"
    shutil.copytree(DIGIT_CLIP, folder)
    (folder / DIGEST_LIST).unlink()  # folders from the hub have none
    (folder / file).write_bytes((folder / file).read_bytes()[:-200])
    with pytest.raises(ClipUnavailable, match="holds no readable CLIP"):
        load_clip(folder)
    (folder / file).unlink()
    with pytest.raises(ClipUnavailable, match="holds no readable CLIP") as raised:
        load_clip(folder)
    if file == "config.json":  # without one, transformers would build a network of 600 MB
        assert "(config.json is missing); " in str(raised.value)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda weights: weights.pop("logit_scale"), "its weights have missing keys: logit_scale"),
        (lambda weights: weights.pop("text_model.final_layer_norm.weight"), "missing keys: text_model.final"),
        (lambda weights: weights.update(more=torch.zeros(3)), "its weights have unexpected keys: more"),
        (lambda weights: weights.update(logit_scale=torch.zeros(3)), "mismatched|size"),
        (lambda weights: [weights.pop(name) for name in list(weights)[:-1]], "weights, but the files have only"),
        (lambda weights: weights.clear(), "weights, but the files have only"),
    ],
    ids=["one missing", "another missing", "one too many", "another shape", "nearly all missing", "all missing"],
)
def test_weights_with_holes_are_not_filled_in_silently(change, why, tmp_path):
    folder = shutil.copytree(DIGIT_CLIP, tmp_path / "clip")
    (folder / DIGEST_LIST).unlink()
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ClipUnavailable, match=why) as raised:
        load_clip(folder)
    said(raised)


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"\x08\0\0\0\0\0\0\0{}      ", b"\xff" * 4_000_000])
def test_weights_that_are_none(content, tmp_path):
    folder = shutil.copytree(DIGIT_CLIP, tmp_path / "clip")
    (folder / DIGEST_LIST).unlink()
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ClipUnavailable, match="holds no readable CLIP") as raised:
        load_clip(folder)
    said(raised)


def test_clip_score_of_known_directions():
    images = np.array([[1.0, 0.0], [1.0, 0.0], [0.6, 0.8]])
    texts = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(clip_score(images, texts), [2.5, 0, 2.0])
    np.testing.assert_allclose(clip_score(images, texts, weight=100), [100, 0, 80])
    np.testing.assert_allclose(cosine_similarity(images, texts[:2]), [[1, -1], [1, -1], [0.6, -0.6]])
    assert zero_shot(images, texts).tolist() == [0, 0, 2]
    with pytest.raises(ValueError, match="must pair up"):
        clip_score(images, texts[:2])


def test_prompt_matrix_is_the_mean_over_each_class():
    random = np.random.default_rng(0)
    images, texts = random.normal(size=(40, 6)), random.normal(size=(3, 6))
    labels = np.arange(40) % 4
    expected = np.zeros((4, 3))
    for i in range(40):
        for j in range(3):
            expected[labels[i], j] += images[i] @ texts[j] / 10
    np.testing.assert_allclose(prompt_matrix(images, labels, texts), expected)
    centred = prompt_matrix(images, labels, texts, centre=True)
    np.testing.assert_allclose(centred, expected - expected.mean(axis=0))
    with pytest.raises(ValueError, match="labels must be"):
        prompt_matrix(images, labels[:3], texts)
    with pytest.raises(ValueError, match="every class"):
        prompt_matrix(images, np.full(40, 2), texts)


def test_texts_and_templates_refused(clip):
    for texts in ("seven", [], [7]):
        with pytest.raises(ValueError, match="texts must be"):
            clip.embed_texts(texts)
    for template in ("a digit", "{} {}"):
        with pytest.raises(ValueError, match="template must hold"):
            digit_prompts(template)
    assert digit_prompts()[7] == 'a photo of the number: "7".' and digit_prompts("a {}", words=True)[7] == "a seven"


def test_loading_leaves_transformers_as_it_was():
    from transformers import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    assert isinstance(load_clip(), Clip)
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before
