"""digit-clip's tokenizer spells any text, its loss is CLIP's, its training resumes. Its captions: test_captions."""

import dataclasses
import json
import signal

import numpy as np
import pytest
import torch
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPModel, CLIPTokenizer

from helpers.evaluation.clip import DIGIT_CLIP
from helpers.workshop.digit_clip import (
    DigitClipConfig,
    DigitClipTrainer,
    build_tokenizer,
    contrastive_loss,
    jitter,
    train_digit_clip,
)

SHORT = DigitClipConfig(epochs=2, batch_size=16, merges=20)


@pytest.fixture(scope="module")
def some(mnist):
    return mnist.train_images[:96], mnist.train_labels[:96]


def test_the_tokenizer_spells_any_text():
    tokenizer = build_tokenizer(["a photo of the number seven", "a photo of a digit"] * 5, merges=30)
    assert len(tokenizer) <= 512 + 30 + 2
    assert "photo</w>" in tokenizer.get_vocab()
    for text in ("seven", "zürich ☃ 10,000!", "".join(chr(i) for i in range(33, 127)).lower()):
        ids = tokenizer(text)["input_ids"]
        assert ids[0] == tokenizer.bos_token_id and ids[-1] == tokenizer.eos_token_id
        assert tokenizer.eos_token_id not in ids[1:-1]  # it also stands for what can't be spelled
        pieces = "".join(tokenizer.convert_ids_to_tokens(ids[1:-1])).replace("</w>", "")
        expected = "".join(piece for piece, _ in ByteLevel(add_prefix_space=False).pre_tokenize_str(text))
        assert pieces == expected.replace("Ġ", "")


def test_loss_of_distinct_captions_is_clips_own():
    from transformers.models.clip.modeling_clip import image_text_contrastive_loss

    torch.manual_seed(0)
    images, texts = (torch.nn.functional.normalize(torch.randn(6, 5), dim=-1) for _ in range(2))
    found = contrastive_loss(images, texts, torch.arange(6), 7.0)
    torch.testing.assert_close(found, image_text_contrastive_loss(7.0 * texts @ images.T))


def test_images_with_the_same_caption_are_all_positives():
    torch.manual_seed(1)
    texts = torch.nn.functional.normalize(torch.randn(2, 4), dim=-1)
    caption = torch.tensor([0, 0, 1])
    aligned = texts[caption]
    assert contrastive_loss(aligned, texts, caption, 50.0) < contrastive_loss(aligned, texts, 1 - caption, 50.0)
    # Both images of caption 0 coincide with it, so each gets half of its softmax over the images: a loss of log 2.
    sharp = contrastive_loss(torch.eye(2)[caption], torch.eye(2), caption, 1000.0)
    assert float(sharp) == pytest.approx(np.log(2) / 4, abs=1e-4)


def test_jitter_moves_but_keeps_range_and_background():
    images = -torch.ones(64, 1, 28, 28)
    images[:, :, 10:18, 12:16] = 1
    moved = jitter(images, np.random.default_rng(0))
    assert moved.min() >= -1 and moved.max() <= 1 and moved[:, :, :4].max() == -1
    rows = (moved[:, 0].sum(dim=2) * torch.arange(28)).sum(dim=1)
    assert len(set(rows.tolist())) == 64
    ink = ((moved + 1) / 2).sum(dim=(1, 2, 3))
    assert ink.min() > 32 * 0.78 and ink.max() < 32 * 1.28 and abs(float(ink.mean()) - 32) < 1.5


def test_training_resumes_and_writes_standard_files(some, tmp_path, monkeypatch):
    whole = train_digit_clip(SHORT, *some, tmp_path / "whole")

    advance = DigitClipTrainer.advance

    def interrupted(self):
        loss = advance(self)
        if self.step == 5:
            signal.raise_signal(signal.SIGINT)
        return loss

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(DigitClipTrainer, "advance", interrupted)
    try:
        with pytest.raises(KeyboardInterrupt, match="Stopped after step 5"):
            train_digit_clip(SHORT, *some, tmp_path / "parts")
    finally:
        signal.signal(signal.SIGINT, before)
    assert (tmp_path / "parts" / "checkpoint.pt").exists()
    monkeypatch.setattr(DigitClipTrainer, "advance", advance)
    parts = train_digit_clip(SHORT, *some, tmp_path / "parts")
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)
    assert not (tmp_path / "parts" / "checkpoint.pt").exists()
    loaded = CLIPModel.from_pretrained(tmp_path / "parts")
    torch.testing.assert_close(loaded.state_dict(), parts.state_dict())


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number of at least 1, not 0"),
        ({"batch_size": 1}, "batch_size must be a whole number of at least 2, not 1"),
        ({"merges": 1.5}, "merges must be a whole number of at least 0, not 1.5"),
        ({"learning_rate": float("nan")}, "learning_rate must be a finite number above 0, not nan"),
        ({"weight_decay": -1.0}, "weight_decay must be a finite number of at least 0, not -1.0"),
        ({"warm_up": 0.0}, "warm_up must be a finite number above 0 and below 1, not 0.0"),
    ],
)
def test_an_invalid_setting_is_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        DigitClipConfig(**setting)


def test_damaged_or_foreign_checkpoints_are_refused(some, tmp_path):
    trainer = DigitClipTrainer(SHORT, *some)
    trainer.advance()
    path = tmp_path / "checkpoint.pt"
    trainer.save_checkpoint(path)
    with pytest.raises(ValueError, match="another recipe"):
        DigitClipTrainer(dataclasses.replace(SHORT, seed=1), *some).restore(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="can.t be resumed from"):
        trainer.restore(path)


def test_a_repeated_batch_is_learnt(some):
    trainer = DigitClipTrainer(dataclasses.replace(SHORT, warm_up=0.1), *some)
    losses = []
    for _ in range(60):
        trainer.step = 4  # the same images, captions, jitter and rate each time
        losses.append(trainer.advance())
    assert losses[-1] < 0.6 * losses[0]


def test_the_rate_warms_up_and_ends_at_zero(some):
    trainer = DigitClipTrainer(dataclasses.replace(SHORT, epochs=10, warm_up=0.5), *some)
    rates = []
    for step in range(trainer.steps + 1):
        trainer.step = step
        rates.append(trainer.learning_rate())
    assert int(np.argmax(rates)) in (29, 30) and max(rates) == SHORT.learning_rate
    assert rates[0] == SHORT.learning_rate / 30 and rates[-1] < 1e-9 and rates[45] == pytest.approx(rates[30] / 2)


def test_the_shipped_folder_is_small_and_standard():
    assert sum(file.stat().st_size for file in DIGIT_CLIP.iterdir()) < 4_000_000
    names = {file.name for file in DIGIT_CLIP.iterdir()}
    assert {"config.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json"} <= names
    model, tokenizer = CLIPModel.from_pretrained(DIGIT_CLIP), CLIPTokenizer.from_pretrained(DIGIT_CLIP)
    assert model.config.text_config.eos_token_id == tokenizer.eos_token_id == tokenizer("x")["input_ids"][-1]
    config = json.loads((DIGIT_CLIP / "config.json").read_text())
    assert config["architectures"] == ["CLIPModel"]
