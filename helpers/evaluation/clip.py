"""CLIP scores through transformers: how well does an image fit a text, in the eyes of one particular encoder?

    python -m helpers.clip --train                                # digit-clip, from scratch, into assets/
    python -m helpers.clip                                        # zero-shot accuracy on MNIST's test images
    python -m helpers.clip --clip openai/clip-vit-base-patch32 --download

Any CLIP checkpoint in the Hugging Face format will do; the default is digit-clip, which ships with the course.
Derived in notebook 06.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import transformers
from huggingface_hub import try_to_load_from_cache
from PIL import Image
from tqdm import tqdm
from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

from helpers.captions import DISTRACTING_PROMPT, OFFICIAL_PROMPT, UNSEEN_PROMPTS, digit_prompts
from helpers.classifier import check_labels
from helpers.command_line import CommandLine, one_line_errors
from helpers.data import held_out_split, in_model_range, load_mnist, to_model_range, to_pixels, training_split
from helpers.digit_clip import DIGESTS, DIGIT_CLIP, DigitClipConfig, train_digit_clip
from helpers.files import read_record, reason, sha256_of_file
from helpers.metrics import check_finite

__all__ = [
    "DISTRACTING_PROMPT",
    "OFFICIAL_PROMPT",
    "UNSEEN_PROMPTS",
    "Clip",
    "ClipUnavailable",
    "clip_score",
    "cosine_similarity",
    "digit_prompts",
    "load_clip",
    "prompt_matrix",
    "zero_shot",
]


class ClipUnavailable(RuntimeError):
    """The checkpoint isn't on this machine or is damaged; the message names the remedy."""


class Clip(NamedTuple):
    """A CLIP encoder: `embed_images` and `embed_texts` turn both into directions of one space."""

    name: str
    model: CLIPModel
    tokenizer: CLIPTokenizer
    processor: CLIPImageProcessorPil

    def embed_images(
        self, images: np.ndarray, inverted: bool = False, batch_size: int = 100, progress: bool = False
    ) -> np.ndarray:
        """Images `(n, 28, 28, 1)` float in [-1, 1] -> `(n, d)` float32 of length 1.

        As CLIP expects them: RGB, bicubic to the model's size, normalised by its own processor. `inverted` shows
        black digits on white. Raises `ValueError` for another shape, values outside [-1, 1], or NaN.
        """
        pictures = to_pixels(_in_range(images))  # (n, 28, 28)
        pictures = 255 - pictures if inverted else pictures
        embeds = []
        for start in tqdm(range(0, len(pictures), batch_size), disable=not progress, unit="batch"):
            batch = [Image.fromarray(picture).convert("RGB") for picture in pictures[start : start + batch_size]]
            pixels = self.processor(batch, return_tensors="pt")["pixel_values"]  # (batch, 3, size, size)
            with torch.inference_mode():
                embeds.append(self.model.visual_projection(self.model.vision_model(pixels).pooler_output).numpy())
        return _unit_length(np.concatenate(embeds))

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """`n` texts -> `(n, d)` float32 of length 1; what is longer than the model's 77 tokens is cut off.

        Raises `ValueError` for anything but a non-empty list of strings.
        """
        if isinstance(texts, str) or len(texts) == 0 or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"texts must be a non-empty list of strings, not {texts!r}.")
        length = self.model.config.text_config.max_position_embeddings
        tokens = self.tokenizer(list(texts), padding=True, truncation=True, max_length=length, return_tensors="pt")
        with torch.inference_mode():
            pooled = self.model.text_model(**tokens).pooler_output
            return _unit_length(self.model.text_projection(pooled).numpy())


def _in_range(images: np.ndarray) -> np.ndarray:
    images = np.asarray(images)
    if images.ndim != 4 or len(images) == 0 or not np.issubdtype(images.dtype, np.floating):
        raise ValueError(
            f"images must be (n, height, width, 1) float, n at least 1, not {images.shape} {images.dtype}."
        )
    if not in_model_range(images):
        raise ValueError("images must be numbers in [-1, 1].")
    return images


def _unit_length(embeds: np.ndarray) -> np.ndarray:
    return embeds / np.linalg.norm(embeds, axis=-1, keepdims=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' progress bars and advice on loading, which would end up in a notebook's outputs."""
    logging = transformers.logging
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def load_clip(name: str | Path = DIGIT_CLIP, download: bool = False) -> Clip:
    """A CLIP encoder by the name of a local folder or of a repository on the Hugging Face hub.

    What the hub's cache holds loads offline. Only with `download=True` is anything else fetched (about 600 MB for
    "openai/clip-vit-base-patch32"). Raises `ClipUnavailable` if it isn't there or can't be read.
    """
    name = str(name)
    source = name if download or Path(name).is_dir() else _cached_folder(name)
    if source is None:
        remedy = "load_clip(..., download=True) fetches it, about 600 MB for ViT-B/32"
        raise ClipUnavailable(f"{name} is no folder, and not in the hub's cache on this machine; {remedy}.")
    try:
        _check_files(Path(source))
        with _quiet():
            parts = (CLIPModel, CLIPTokenizer, CLIPImageProcessorPil)
            model, tokenizer, processor = (part.from_pretrained(source) for part in parts)
        if len(tokenizer) < 2 * 256:  # transformers makes an empty one, silently, if its file is missing
            raise ValueError(f"its tokenizer has only {len(tokenizer)} tokens, not one for each byte")
    except Exception as error:  # OSError, ValueError, SafetensorError, ... : whatever a damaged file leads to
        remedy = "restore it; digit-clip is remade with `python -m helpers.clip --train`"
        remedy = "try again later" if download and not Path(name).is_dir() else remedy
        raise ClipUnavailable(f"{name} holds no readable CLIP ({reason(error)}); {remedy}.") from error
    return Clip(Path(name).name if Path(name).is_dir() else name, model.eval(), tokenizer, processor)


def _check_files(folder: Path) -> None:
    """A folder must have a config, and the files that it names the SHA-256 of must have it; only digit-clip's does."""
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise ValueError("config.json is missing")  # transformers would build a ViT-B/32, and fail at its weights
    if (folder / DIGESTS).is_file():
        for name, digest in read_record(folder / DIGESTS).items():
            if sha256_of_file(folder / name) != digest:
                raise ValueError(f"the SHA-256 of {name} isn't the recorded one")


def _cached_folder(name: str) -> str | None:
    """Where the hub's cache holds a repository. `from_pretrained` would find it too, but ask the hub on the way."""
    try:
        config = try_to_load_from_cache(name, "config.json")
    except ValueError:  # not a name that the hub could have
        return None
    return str(Path(config).parent) if isinstance(config, str) else None


def _check_embeds(image_embeds: np.ndarray, text_embeds: np.ndarray) -> list[np.ndarray]:
    pair = {"image_embeds": image_embeds, "text_embeds": text_embeds}
    image_embeds, text_embeds = (check_finite(name, embeds, 2, dtype=None) for name, embeds in pair.items())
    columns = image_embeds.shape[1]
    if text_embeds.shape[1] != columns:
        raise ValueError(f"text_embeds must have {columns} columns like image_embeds, not {text_embeds.shape[1]}.")
    return [image_embeds, text_embeds]


def cosine_similarity(image_embeds: np.ndarray, text_embeds: np.ndarray) -> np.ndarray:
    """Every image `(n, d)` with every text `(m, d)`: `(n, m)` in [-1, 1]. Their length is 1, so it is a product.

    Raises `ValueError` for a differing d and for values that aren't finite, as do those that build on it.
    """
    image_embeds, text_embeds = _check_embeds(image_embeds, text_embeds)
    return image_embeds @ text_embeds.T  # (n, d) @ (d, m) -> (n, m)


def clip_score(image_embeds: np.ndarray, text_embeds: np.ndarray, weight: float = 2.5) -> np.ndarray:
    """Hessel et al. 2021, section 3: weight * max(cosine, 0) of each image `(n, d)` with its own text `(n, d)`: `(n,)`.

    2.5 is the paper's weight; torchmetrics uses 100. Raises `ValueError` for shapes that differ.
    """
    image_embeds, text_embeds = _check_embeds(image_embeds, text_embeds)
    if image_embeds.shape != text_embeds.shape:
        raise ValueError(
            f"image_embeds and text_embeds must pair up, not {image_embeds.shape} and {text_embeds.shape}."
        )
    return weight * np.maximum(np.sum(image_embeds * text_embeds, axis=-1), 0)


def zero_shot(image_embeds: np.ndarray, text_embeds: np.ndarray) -> np.ndarray:
    """The text nearest to each image: `(n, d)` and `(m, d)` -> `(n,)` int64 (Radford et al. 2021, section 3.1)."""
    return cosine_similarity(image_embeds, text_embeds).argmax(axis=-1)


def prompt_matrix(
    image_embeds: np.ndarray, labels: np.ndarray, text_embeds: np.ndarray, centre: bool = False
) -> np.ndarray:
    """Mean cosine of each class of images with each prompt: `(n, d)`, `(n,)` and `(m, d)` -> `(classes, m)`.

    `centre` subtracts each prompt's mean over the classes: a prompt lies nearer to *any* image than another does.
    Raises `ValueError` if a class below the largest label has no image.
    """
    cosines = cosine_similarity(image_embeds, text_embeds)  # (n, m)
    labels = check_labels(labels, count=len(cosines))
    if np.bincount(labels).min() == 0:
        raise ValueError("labels must hold every class up to the largest.")
    matrix = np.stack([cosines[labels == label].mean(axis=0) for label in range(labels.max() + 1)])  # (classes, m)
    return matrix - matrix.mean(axis=0) if centre else matrix


def _print_zero_shot(clip: Clip, title: str, images: np.ndarray, labels: np.ndarray) -> None:
    embeds = clip.embed_images(to_model_range(images).numpy(), progress=True)
    print(f"{clip.name}, zero-shot accuracy on {len(labels)} {title} images")
    for template in (OFFICIAL_PROMPT, *UNSEEN_PROMPTS, DISTRACTING_PROMPT):
        for words in (False, True):
            accuracy = np.mean(zero_shot(embeds, clip.embed_texts(digit_prompts(template, words))) == labels)
            print(f"  {accuracy:7.2%}  {template.format('seven' if words else '7')}", flush=True)


@one_line_errors
def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    recipe = DigitClipConfig()
    parser = CommandLine(prog="python -m helpers.clip", description="CLIP's zero-shot reading of MNIST, or digit-clip.")
    parser.add_argument("--train", action="store_true", help="train digit-clip first; a stopped training goes on")
    parser.add_argument("--epochs", type=int, default=recipe.epochs, help="of the training (default %(default)s)")
    parser.add_argument("--out", type=Path, default=DIGIT_CLIP, help="folder to train into (default assets/digit-clip)")
    parser.add_argument("--clip", help="folder or hub name to evaluate (default: digit-clip)")
    parser.add_argument("--download", action="store_true", help="fetch a hub name that isn't on this machine")
    parser.add_argument(
        "--held-out", action="store_true", help="5,000 held-out training images instead of the test set"
    )
    args = parser.parse_args(arguments)
    try:
        if args.epochs < 1:
            raise ValueError(f"--epochs must be at least 1, not {args.epochs}.")
        mnist = load_mnist()
        if args.train:
            train_digit_clip(DigitClipConfig(epochs=args.epochs), *training_split(mnist), args.out)
        clip = load_clip(args.clip or args.out, args.download)
        if args.held_out:
            _print_zero_shot(clip, "held-out", *held_out_split(mnist))
        else:
            _print_zero_shot(clip, "test", mnist.test_images, mnist.test_labels)
    except KeyboardInterrupt as interrupt:
        print(f"{interrupt} To go on, run the same command again.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
