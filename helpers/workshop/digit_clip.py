"""digit-clip: a CLIP small enough to train on two cores, from MNIST and captions written for it.

The architecture and the loss are CLIP's own (`transformers.CLIPModel`; Radford et al. 2021, figure 3). Only the sizes,
the vocabulary and the data are small. Its captions are in `captions`. Used in notebook 06. `python -m helpers
train-clip` trains it.
"""

import dataclasses
import json
import math
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from tokenizers.pre_tokenizers import ByteLevel
from torch.nn import functional
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

from helpers.tools.checks import check_number, check_whole
from helpers.tools.clip_folder import DIGEST_LIST
from helpers.tools.files import as_path, atomic_files, atomic_write, reason, sha256_of_file, write_record
from helpers.tools.locks import held
from helpers.tools.progress import progress_bar
from helpers.tools.signals import stops_noted
from helpers.workshop.captions import describe, write_captions

CHECKPOINT = "checkpoint.pt"


@dataclasses.dataclass(frozen=True)
class DigitClipConfig:
    """The recipe; the defaults are those of the digit-clip that ships. Raises `ValueError` for an invalid setting."""

    epochs: int = 24  # passes over the 55,000 training images; under 30 minutes on 2 cores
    batch_size: int = 128  # images that each caption is compared with
    learning_rate: float = 1.5e-3  # the peak, after the warm-up
    warm_up: float = 0.05  # share of the steps
    weight_decay: float = 0.05  # of matrices
    merges: int = 400  # tokens that byte-pair encoding adds to the single bytes
    seed: int = 0

    def __post_init__(self) -> None:
        for name, smallest in {"epochs": 1, "batch_size": 2, "merges": 0, "seed": 0}.items():
            object.__setattr__(self, name, check_whole(name, getattr(self, name), smallest))
        check_number("learning_rate", self.learning_rate, 0, above=True)
        check_number("weight_decay", self.weight_decay, 0)
        check_number("warm_up", self.warm_up, 0, 1, above=True, below=True)


def build_tokenizer(captions: Iterable[str], merges: int) -> CLIPTokenizer:
    """CLIP's byte-pair encoding with a small vocabulary: 512 tokens that spell any text, and `merges` frequent ones."""
    letters = sorted(ByteLevel.alphabet())  # one character for each of the 256 bytes
    spelled = letters + [letter + "</w>" for letter in letters]  # the latter end a word
    ends = ["<|startoftext|>", "<|endoftext|>"]

    def tokenizer(tokens: list[str], pairs: list[tuple[str, str]]) -> CLIPTokenizer:
        return CLIPTokenizer({token: i for i, token in enumerate(tokens + ends)}, pairs, model_max_length=77)

    learnt = tokenizer(spelled, []).train_new_from_iterator(
        captions, len(spelled) + merges + len(ends), show_progress=False
    )
    pairs = [tuple(pair) for pair in json.loads(learnt.backend_tokenizer.to_str())["model"]["merges"]][:merges]
    return tokenizer(spelled + ["".join(pair) for pair in pairs], pairs)


def build_digit_clip(tokenizer: CLIPTokenizer) -> CLIPModel:
    """The untrained network: 7x7 patches, four layers of width 112; a text tower of two layers; 0.8 M parameters."""
    layers = {"num_attention_heads": 4, "hidden_act": "gelu", "projection_dim": 64}
    # transformers pools at the first eos_token_id; the default id of CLIPTextConfig is that of another vocabulary.
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    text = {"vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 2}
    vision = {"image_size": 28, "patch_size": 7, "hidden_size": 112, "intermediate_size": 448, "num_hidden_layers": 4}
    return CLIPModel(
        CLIPConfig(text_config={**text, **layers, **ids}, vision_config={**vision, **layers}, projection_dim=64)
    )


def contrastive_loss(
    image_embeds: torch.Tensor, text_embeds: torch.Tensor, caption: torch.Tensor, scale: torch.Tensor | float
) -> torch.Tensor:
    """Radford et al. 2021, figure 3, except that all images with the same caption are its positives.

    `image_embeds` `(batch, d)` and `text_embeds` `(captions, d)` have unit length, `scale` multiplies their cosines
    (one over the temperature), and `caption` `(batch,)` names the row of each image's text.
    """
    logits = (
        scale * image_embeds @ text_embeds.T
    )  # (batch, captions): each caption once, even if several images share it
    of_text = functional.cross_entropy(logits, caption)
    target = functional.one_hot(caption, len(text_embeds)).float()  # (batch, captions)
    target = target / target.sum(dim=0)  # an equal share for each of a caption's images
    of_image = -(target * logits.log_softmax(dim=0)).sum(dim=0).mean()
    return (of_text + of_image) / 2


def jitter(images: torch.Tensor, random: np.random.Generator) -> torch.Tensor:
    """Images `(batch, 1, 28, 28)` shifted by up to 2 pixels and stretched by up to a tenth, upright as before."""
    count = len(images)
    grid = np.zeros((count, 2, 3), np.float32)
    grid[:, [0, 1], [0, 1]] = random.uniform(0.9, 1.1, (count, 2))
    grid[:, :, 2] = random.uniform(-2, 2, (count, 2)) / 14  # the grid runs from -1 to 1
    grid = functional.affine_grid(torch.from_numpy(grid), images.shape, align_corners=False)
    # Outside the image comes background, which is 0 only for images in [0, 1].
    return functional.grid_sample((images + 1) / 2, grid, align_corners=False) * 2 - 1


class DigitClipTrainer:
    """A training in progress: the network, its optimizer and its step.

    `pictures` `(n, 28, 28)` uint8 and `labels` `(n,)`, n at least a batch.
    """

    def __init__(self, config: DigitClipConfig, pictures: np.ndarray, labels: np.ndarray) -> None:
        self.config, self.labels = config, labels
        self.pictures = torch.from_numpy(pictures)[:, None]  # (n, 1, 28, 28) uint8
        self.widths, self.leans = describe(pictures)
        random = np.random.default_rng((config.seed, 1))
        few = slice(0, 256)
        corpus = [write_captions(labels[few], self.widths[few], self.leans[few], random) for _ in range(200)]
        self.tokenizer = build_tokenizer((caption for captions in corpus for caption in captions), config.merges)
        torch.manual_seed(config.seed)
        self.model = build_digit_clip(self.tokenizer)
        matrices = [weight for weight in self.model.parameters() if weight.ndim > 1]
        others = [weight for weight in self.model.parameters() if weight.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98))
        self.step, self.steps = 0, config.epochs * (len(labels) // config.batch_size)

    def learning_rate(self) -> float:
        """Linear warm-up, then a cosine to zero."""
        warm_up = self.config.warm_up * self.steps
        done = (self.step - warm_up) / (self.steps - warm_up)
        rise = min(1.0, (self.step + 1) / warm_up)
        return self.config.learning_rate * rise * (1 + math.cos(math.pi * max(0.0, done))) / 2

    def advance(self) -> float:
        """One step; returns the loss. The batch depends only on the step's number.

        Raises `FloatingPointError` if the loss is no longer a number; the weights then stay as they were.
        """
        config, per_epoch = self.config, len(self.labels) // self.config.batch_size
        order = np.random.default_rng((config.seed, 2, self.step // per_epoch)).permutation(len(self.labels))
        index = order[self.step % per_epoch * config.batch_size :][: config.batch_size]
        random = np.random.default_rng((config.seed, 3, self.step))
        texts = write_captions(self.labels[index], self.widths[index], self.leans[index], random)
        captions, caption = np.unique(texts, return_inverse=True)
        images = jitter(self.pictures[index].float() / 127.5 - 1, random)  # (batch, 1, 28, 28)
        tokens = self.tokenizer(list(captions), padding=True, truncation=True, return_tensors="pt")
        output = self.model(**tokens, pixel_values=images.expand(-1, 3, -1, -1))
        scale = self.model.logit_scale.clamp(max=math.log(100)).exp()
        loss = contrastive_loss(output.image_embeds, output.text_embeds, torch.from_numpy(caption), scale)
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the loss at step {self.step} is {loss.item()}.")
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        self.optimizer.step()
        self.step += 1
        return loss.item()

    def save_checkpoint(self, path: Path) -> None:
        """Write everything that `restore` needs."""
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "step": self.step}
        with atomic_write(path) as temporary:
            torch.save({**state, "config": dataclasses.asdict(self.config)}, temporary)

    def restore(self, path: Path) -> None:
        """Resume from a checkpoint. Raises `ValueError` if it is damaged or belongs to another recipe."""
        try:
            state = torch.load(path, weights_only=True)
            is_other = state["config"] != dataclasses.asdict(self.config)
        except Exception as error:  # a damaged archive can raise almost anything, and give dangerous advice
            raise ValueError(f"{path} can't be resumed from: it is damaged; delete it to start anew.") from error
        if is_other:
            raise ValueError(f"{path} belongs to another recipe; delete it to start anew.")
        try:
            self.step = check_whole("step", state["step"], 0, self.steps)
            self.model.load_state_dict(state["model"])
            self._check_moments(state["optimizer"])
            self.optimizer.load_state_dict(state["optimizer"])
            if not all(torch.isfinite(weight).all() for weight in self.model.parameters()):
                raise ValueError("not all of its weights are finite")
        except Exception as error:  # whatever follows from a value of another type
            raise ValueError(f"{path} can't be resumed from ({reason(error)}); delete it to start anew.") from error

    def _check_moments(self, state: dict) -> None:
        """Raises almost anything unless it is the state of this optimizer, which PyTorch finds out only in a step."""
        mine = self.optimizer.state_dict()["param_groups"]
        if [group | {"lr": 0} for group in state["param_groups"]] != [group | {"lr": 0} for group in mine]:
            raise ValueError("its optimizer has other settings")
        weights = [weight for group in self.optimizer.param_groups for weight in group["params"]]
        for number, weight in enumerate(weights):
            moments = {name: tuple(value.shape) for name, value in state["state"][number].items()}
            if moments != {"step": (), "exp_avg": tuple(weight.shape), "exp_avg_sq": tuple(weight.shape)}:
                raise ValueError("its optimizer belongs to other weights")
            if not all(torch.isfinite(value).all() for value in state["state"][number].values()):
                raise ValueError("not all numbers of its optimizer are finite")


def save_digit_clip(folder: Path, model: CLIPModel, tokenizer: CLIPTokenizer) -> None:
    """Write the standard files that `from_pretrained` reads, and their SHA-256, together or not at all."""
    half = {"do_center_crop": False, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}  # pixels -> [-1, 1]
    processor = CLIPImageProcessorPil(size={"height": 28, "width": 28}, **half)
    with atomic_files(folder) as temporary:
        for part in (model, tokenizer, processor):
            part.save_pretrained(temporary)
        files = sorted(temporary.iterdir())
        write_record(temporary / DIGEST_LIST, {file.name: sha256_of_file(file) for file in files})


def train_digit_clip(
    config: DigitClipConfig,
    pictures: np.ndarray,
    labels: np.ndarray,
    folder: str | Path,
    save_every_seconds: float = 180.0,
) -> CLIPModel:
    """Train on images `(n, 28, 28)` uint8 and labels `(n,)` and write `folder`; resumes from a checkpoint there.

    Ctrl-C saves, then raises `KeyboardInterrupt`; the same call then resumes as if there had been no interruption.
    Raises `ValueError` for a checkpoint that is damaged or of another recipe, and `FloatingPointError` as `advance`.
    """
    folder = as_path(folder)
    with held(folder):
        trainer, checkpoint = DigitClipTrainer(config, pictures, labels), folder / CHECKPOINT
        if checkpoint.exists():
            trainer.restore(checkpoint)
        _run(trainer, checkpoint, save_every_seconds)
        save_digit_clip(folder, trainer.model.eval(), trainer.tokenizer)
        checkpoint.unlink(missing_ok=True)
    return trainer.model


def _run(trainer: DigitClipTrainer, checkpoint: Path, save_every_seconds: float) -> None:
    last_save = time.monotonic()
    bar = progress_bar(total=trainer.steps, done=trainer.step)
    with bar, stops_noted() as stopped:
        while trainer.step < trainer.steps:
            loss = trainer.advance()
            bar.update()
            if trainer.step % 20 == 0:
                bar.set_postfix_str(f"loss {loss:.3f}")
            if stopped.is_set() or time.monotonic() - last_save > save_every_seconds:
                trainer.save_checkpoint(checkpoint)
                last_save = time.monotonic()
            if stopped.is_set():
                raise KeyboardInterrupt(f"Stopped after step {trainer.step}, saved in {checkpoint.parent}.")
