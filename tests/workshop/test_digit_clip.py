"""digit-clip's tokenizer spells any text, its loss is CLIP's, its training resumes. Its captions: test_captions."""

import copy
import dataclasses
import json
import os
import pickle
import shutil
import signal

import numpy as np
import pytest
import torch
from tokenizers.pre_tokenizers import ByteLevel
from torch.nn import functional
from transformers import CLIPModel, CLIPTokenizer

from helpers.data import to_model_range
from helpers.evaluation.clip import DIGIT_CLIP, load_clip
from helpers.tools.locks import held
from helpers.workshop import digit_clip
from helpers.workshop.digit_clip import (
    DigitClipConfig,
    DigitClipTrainer,
    build_tokenizer,
    contrastive_loss,
    jitter,
    save_digit_clip,
    train_digit_clip,
)
from tests.conftest import Payload, said

SHORT = DigitClipConfig(epochs=2, batch_size=16, merges=20)


@pytest.fixture(scope="module")
def some(mnist):
    return mnist.train_images[:96], mnist.train_labels[:96]


@pytest.fixture(scope="module")
def short(some):
    """A trainer after its first step, and the state that it would save."""
    trainer = DigitClipTrainer(SHORT, *some)
    trainer.advance()
    state = {"model": trainer.model.state_dict(), "optimizer": trainer.optimizer.state_dict(), "step": 1}
    return trainer, copy.deepcopy(state | {"config": dataclasses.asdict(SHORT)})


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
    clip, images = load_clip(tmp_path / "parts"), to_model_range(some[0][:4]).numpy()
    with torch.inference_mode():  # what it was trained on: pixels from -1 to 1
        seen = parts.get_image_features(
            torch.from_numpy(images).permute(0, 3, 1, 2).expand(-1, 3, -1, -1)
        ).pooler_output
    torch.testing.assert_close(
        torch.from_numpy(clip.embed_images(images)), functional.normalize(seen), rtol=0, atol=1e-4
    )


# --- one step ---


@pytest.fixture(scope="module")
def numbered(some):
    """A trainer whose labels are the pictures' numbers."""
    trainer = DigitClipTrainer(SHORT, *some)
    trainer.labels = np.arange(96)
    return trainer


def test_images_meet_their_own_captions(numbered, monkeypatch):
    """Captions say here which picture they belong to: the loss must be told the same."""
    pictures, told, pairs = [], [], []

    def write(labels, widths, leans, random):
        told.append((labels, widths, leans))
        return [str(label) for label in labels]

    def loss(image_embeds, text_embeds, caption, scale):
        pairs.append(caption)
        return contrastive_loss(image_embeds, text_embeds, caption, scale)

    monkeypatch.setattr(digit_clip, "write_captions", write)
    monkeypatch.setattr(digit_clip, "jitter", lambda images, random: pictures.append(images) or images)
    monkeypatch.setattr(digit_clip, "contrastive_loss", loss)
    numbered.advance()
    (labels, widths, leans), caption = told[0], pairs[0]
    np.testing.assert_array_equal(pictures[0], numbered.pictures[labels].float() / 127.5 - 1)
    np.testing.assert_array_equal(widths, numbered.widths[labels])
    np.testing.assert_array_equal(leans, numbered.leans[labels])
    assert np.array(sorted(map(str, labels)))[caption].tolist() == [str(label) for label in labels]


def test_every_epoch_has_another_order_and_every_step_other_words(numbered, monkeypatch):
    told = []

    def write(labels, widths, leans, random):
        told.append((labels.tolist(), random.random()))
        raise InterruptedError

    monkeypatch.setattr(digit_clip, "write_captions", write)
    for numbered.step in range(12):  # two epochs of six batches
        with pytest.raises(InterruptedError):
            numbered.advance()
    orders = [sum((labels for labels, _ in told[first : first + 6]), []) for first in (0, 6)]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(96)) and orders[0] != orders[1]
    assert len({words for _, words in told}) == 12


def test_gradients_and_temperature_stay_in_bounds(numbered, monkeypatch):
    scales = []
    monkeypatch.setattr(digit_clip, "write_captions", lambda labels, *_: [str(label) for label in labels])

    def steep(image_embeds, text_embeds, caption, scale):
        scales.append(float(scale.detach()))
        return 1e4 * contrastive_loss(image_embeds, text_embeds, caption, scale)

    monkeypatch.setattr(digit_clip, "contrastive_loss", steep)
    numbered.step = 3
    numbered.advance()
    squares = [float(weight.grad.square().sum()) for weight in numbered.model.parameters() if weight.grad is not None]
    assert np.sqrt(sum(squares)) == pytest.approx(1, rel=1e-3)
    with torch.no_grad():
        numbered.model.logit_scale.fill_(9.0)  # e to the 9 is 8,103
    numbered.advance()
    assert scales[0] < 20 and scales[1] == pytest.approx(100)


def test_only_matrices_decay(numbered):
    decays = {
        (weight.ndim > 1, group["weight_decay"])
        for group in numbered.optimizer.param_groups
        for weight in group["params"]
    }
    assert decays == {(True, SHORT.weight_decay), (False, 0.0)}


def test_the_seed_decides_the_first_weights(some):
    first = [
        DigitClipTrainer(dataclasses.replace(SHORT, seed=seed), *some).model.vision_model.embeddings.class_embedding
        for seed in (1, 1, 2)
    ]
    assert torch.equal(first[0], first[1]) and not torch.equal(first[0], first[2])


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
    torch.save({"config": Payload(tmp_path / "made")}, path)  # unpickling it would create a file
    with pytest.raises(ValueError, match="can.t be resumed from"):
        trainer.restore(path)
    assert not (tmp_path / "made").exists()


def first_moments(name, convert):
    def change(state):
        state["optimizer"]["state"][0][name] = convert(state["optimizer"]["state"][0][name])

    return change


DAMAGES = {
    "no config": lambda state: state.pop("config"),
    "a list for the config": lambda state: state.update(config=[1]),
    "no model": lambda state: state.pop("model"),
    "a list for the model": lambda state: state.update(model=[1]),
    "a weight less": lambda state: state["model"].pop("logit_scale"),
    "a weight of another shape": lambda state: state["model"].update(logit_scale=torch.zeros(3)),
    "a text for a weight": lambda state: state["model"].update(logit_scale="high"),
    "NaN weights": lambda state: state["model"]["visual_projection.weight"].fill_(float("nan")),
    "no step": lambda state: state.pop("step"),
    "half a step": lambda state: state.update(step=0.5),
    "a text for the step": lambda state: state.update(step="1"),
    "a step beyond the last": lambda state: state.update(step=10**9),
    "no optimizer": lambda state: state.pop("optimizer"),
    "a list for the optimizer": lambda state: state.update(optimizer=[]),
    "no groups": lambda state: state["optimizer"].pop("param_groups"),
    "a group less": lambda state: state["optimizer"]["param_groups"].pop(),
    "other settings": lambda state: state["optimizer"]["param_groups"][0].update(betas="high"),
    "other weights": lambda state: state["optimizer"]["param_groups"][0]["params"].pop(),
    "no moments": lambda state: state["optimizer"]["state"].clear(),
    "a list for the moments": lambda state: state["optimizer"].update(state=[]),
    "moments of another shape": first_moments("exp_avg", lambda moment: moment[..., :1]),
    "texts for moments": first_moments("exp_avg_sq", lambda _: "small"),
    "NaN moments": first_moments("exp_avg_sq", lambda moment: moment * float("nan")),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_checkpoint_of_another_form_ends_in_one_sentence(damage, short, tmp_path):
    trainer, state = short
    state = copy.deepcopy(state)
    DAMAGES[damage](state)
    torch.save(state, tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match="checkpoint.pt (can't be resumed from|belongs to another recipe)") as raised:
        trainer.restore(tmp_path / "checkpoint.pt")
    assert len(said(raised)) < 400 and said(raised).endswith("; delete it to start anew.")


@pytest.mark.parametrize("content", [b"", b"a text", b"\x80\x04N.", b"PK\x03\x04", pickle.dumps(print)])
def test_another_file_named_checkpoint(content, short, tmp_path):
    """PyTorch would advise to load it all the same, with `weights_only=False`, which may run anything."""
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with pytest.raises(ValueError, match="checkpoint.pt can't be resumed from: it is damaged; delete it") as raised:
        short[0].restore(tmp_path / "checkpoint.pt")
    assert "weights" not in said(raised)


def test_an_undamaged_one_is_restored(short, tmp_path):
    trainer, state = short
    torch.save(state, tmp_path / "checkpoint.pt")
    trainer.restore(tmp_path / "checkpoint.pt")
    assert trainer.step == 1


def test_a_second_training_is_refused_and_told_who_holds_the_folder(some, tmp_path):
    with held(tmp_path), pytest.raises(ValueError, match=f"is in use by process {os.getpid()} on ") as raised:
        train_digit_clip(SHORT, *some, tmp_path)
    said(raised)


def test_a_power_cut_between_any_two_renames_leaves_a_clip_that_loads(tmp_path, monkeypatch):
    """The one that ships is saved over an older one, until the power is cut at the k-th rename."""
    clip, renames = load_clip(), 0
    rename, folder = os.replace, tmp_path / "clip"
    for last in range(10):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(DIGIT_CLIP, folder)
        done = []

        def renamed_until(source, target, last=last, done=done):
            if len(done) == last + 1:  # the first one writes the record of the digests, aside
                raise SystemExit("power cut")
            done.append(target)
            rename(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", renamed_until)
            try:
                save_digit_clip(folder, clip.model, clip.tokenizer)
            except SystemExit:
                renames += 1
        load_clip(folder)
    assert 5 <= renames < 10


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
    config = json.loads((DIGIT_CLIP / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["CLIPModel"]
