"""CLIP scores: the helper's embeddings are the model's own, the scores are the papers', nothing is fetched unasked."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import helpers.clip as clip_module
from helpers.clip import (
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
from helpers.data import to_model_range
from helpers.digit_clip import DIGESTS, DIGIT_CLIP

TESTS = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def clip():
    return load_clip()


@pytest.fixture(scope="module")
def test_embeds(clip, mnist):
    return clip.embed_images(to_model_range(mnist.test_images).numpy())


@pytest.fixture(scope="module")
def full_size(tmp_path_factory):
    """What `full_size_clip.py` found out about a ViT-B/32 in the hub's cache, and what it said on standard error."""
    folder = tmp_path_factory.mktemp("vit-b-32")
    environment = {**os.environ, "PYTHONPATH": str(TESTS.parent), "HF_HUB_CACHE": str(folder / "cache")}
    command = [sys.executable, str(TESTS / "full_size_clip.py"), str(folder)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    with np.load(folder / "found.npz") as file:
        found = dict(file)
    shutil.rmtree(folder)
    return found, run.stderr


def test_zero_shot_on_all_test_images(clip, test_embeds, mnist):
    def accuracy(template, words):
        return np.mean(zero_shot(test_embeds, clip.embed_texts(digit_prompts(template, words))) == mnist.test_labels)

    assert accuracy(OFFICIAL_PROMPT, words=False) >= 0.985
    assert min(accuracy(template, words) for template in UNSEEN_PROMPTS for words in (False, True)) >= 0.97


def test_the_text_matters_beyond_the_digit(clip, test_embeds, mnist):
    from helpers.captions import describe

    widths, leans = describe(mnist.test_images)
    for measured, pair, least in (
        (widths, ("with thick strokes", "with thin strokes"), 0.85),
        (leans, ("leaning right", "leaning left"), 0.75),
    ):
        told_apart = []
        for digit in range(10):
            high, low = clip.embed_texts([f"the digit {digit} {words}" for words in pair])
            clear = (mnist.test_labels == digit) & (measured != 1)
            difference = test_embeds[clear] @ (high - low)
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


def test_a_full_size_checkpoint_takes_the_same_path(full_size):
    found, _ = full_size
    assert found["image_embeds"].shape == (2, 512)
    np.testing.assert_allclose(found["image_embeds"], found["models_image_embeds"], atol=1e-4)
    np.testing.assert_allclose(found["text_embeds"], found["models_text_embeds"], atol=1e-4)
    assert tuple(found["shape_of_500_words"]) == (1, 512)  # cut off at 77 tokens


def test_the_hubs_cache_is_used_and_nothing_fetched(full_size):
    found, said = full_size
    assert found["name"] == "openai/clip-vit-base-patch32"
    refusal = str(found["refusal"])
    assert refusal.startswith("openai/clip-vit-large-patch14 is no folder") and "download=True" in refusal
    assert said == ""


def test_a_name_that_is_not_here_is_not_looked_up(monkeypatch):
    calls = []
    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, lambda self, address: calls.append(address))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **_: calls.append(arguments))
    with pytest.raises(ClipUnavailable, match="not in the hub's cache on this machine; load_clip"):
        load_clip("nobody/no-such-clip")
    assert calls == []


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json", "preprocessor_config.json"])
def test_missing_or_damaged_files_of_any_clip_are_named_unreadable(tmp_path, file):
    folder = tmp_path / "clip"
    shutil.copytree(DIGIT_CLIP, folder)
    (folder / DIGESTS).unlink()  # which folders from the hub don't have
    (folder / file).write_bytes((folder / file).read_bytes()[:-200])
    with pytest.raises(ClipUnavailable, match="holds no readable CLIP"):
        load_clip(folder)
    (folder / file).unlink()
    with pytest.raises(ClipUnavailable, match="holds no readable CLIP") as raised:
        load_clip(folder)
    if file == "config.json":  # before transformers builds, for want of one, a network of 600 MB
        assert "(config.json is missing); " in str(raised.value)


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


def test_command_line(capsys, monkeypatch, mnist):
    assert clip_module.main(["--epochs", "0", "--train"]) == 2
    assert capsys.readouterr().err == "error: --epochs must be at least 1, not 0.\n"
    assert clip_module.main(["--clip", "nobody/no-such-clip"]) == 2
    assert capsys.readouterr().err.startswith("error: nobody/no-such-clip is no folder")
    few = mnist._replace(test_images=mnist.test_images[:100], test_labels=mnist.test_labels[:100])
    monkeypatch.setattr(clip_module, "load_mnist", lambda: few)
    assert clip_module.main([]) == 0
    assert "digit-clip, zero-shot accuracy on 100 test images" in capsys.readouterr().out


def test_loading_leaves_transformers_as_it_was():
    from transformers import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    assert isinstance(load_clip(), Clip)
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before
