"""CLIP scores through transformers: how well does an image match a text, as measured by one particular encoder?

Any CLIP checkpoint in the Hugging Face format will do; the default is digit-clip, which ships with the course.
Derived in notebook 06. PyTorch and transformers take seconds to import, so only `load_clip` and a `Clip` do.
"""

import string
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from helpers.data import to_pixels
from helpers.tools.checks import check_labels, check_pair, in_model_range
from helpers.tools.clip_folder import cached_folder, check_clip_folder, fetched_folder, quiet_transformers
from helpers.tools.files import ASSETS, reason
from helpers.tools.progress import progress_bar

if TYPE_CHECKING:
    from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

DIGIT_CLIP = ASSETS / "digit-clip"

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
NUMERALS = tuple(string.digits)

OFFICIAL_PROMPT = 'a photo of the number: "{}".'  # OpenAI's for MNIST
# None of these sentences, and few of their words, occur in digit-clip's training.
UNSEEN_PROMPTS = (
    "my daughter drew the {} on this envelope",
    "postal clerk, please read: {}",
    "grayscale image showing a handwritten {} from the MNIST test set",
    "which digit? I would say {}",
    "{} as children learn to write it at school",
    "blurry scribble that means {}",
    "an old cheque with the amount {} on it",
)
DISTRACTING_PROMPT = "the answer to question one was {}"  # names a second number: a test of reading sentences


class ClipUnavailable(RuntimeError):
    """The checkpoint isn't on this machine or is damaged; the message names the remedy."""


class Clip(NamedTuple):
    """A CLIP encoder: `embed_images` and `embed_texts` turn both into directions of one space."""

    name: str
    model: "CLIPModel"
    tokenizer: "CLIPTokenizer"
    processor: "CLIPImageProcessorPil"

    def embed_images(
        self, images: np.ndarray, inverted: bool = False, batch_size: int = 100, progress: bool = False
    ) -> np.ndarray:
        """Images `(n, 28, 28, 1)` float in [-1, 1] -> `(n, d)` float32 of length 1.

        As CLIP expects them: RGB, bicubic to the model's size, normalised by its own processor. `inverted` shows
        black digits on white. Raises `ValueError` for another shape, values outside [-1, 1], or NaN.
        """
        import torch
        from PIL import Image

        pictures = to_pixels(_in_range(images))  # (n, 28, 28)
        pictures = 255 - pictures if inverted else pictures
        embeds = []
        for start in progress_bar(range(0, len(pictures), batch_size), unit="batch", shown=progress):
            batch = [Image.fromarray(picture).convert("RGB") for picture in pictures[start : start + batch_size]]
            pixels = self.processor(batch, return_tensors="pt")["pixel_values"]  # (batch, 3, size, size)
            with torch.inference_mode():
                embeds.append(self.model.visual_projection(self.model.vision_model(pixels).pooler_output).numpy())
        return _unit_length(np.concatenate(embeds))

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """`n` texts -> `(n, d)` float32 of length 1. Texts longer than the model's 77 tokens are cut off.

        Raises `ValueError` for anything but a non-empty list of strings.
        """
        if isinstance(texts, str) or len(texts) == 0 or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"texts must be a non-empty list of strings, not {texts!r}.")
        import torch

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


def load_clip(name: str | Path = DIGIT_CLIP, download: bool = False) -> Clip:
    """A CLIP encoder by the name of a local folder or of a repository on the Hugging Face hub.

    A repository in the hub's cache on this machine loads offline. Any other is fetched only with `download=True`, about
    600 MB for "openai/clip-vit-base-patch32". Raises `ClipUnavailable` if it is missing or can't be read.
    """
    from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

    name = str(Path(name).expanduser()) if str(name).startswith("~") else str(name)
    is_folder = Path(name).is_dir()
    folder = name if is_folder else None if download else cached_folder(name)
    if folder is None and not download:
        remedy = "load_clip(..., download=True) fetches it, about 600 MB for ViT-B/32"
        raise ClipUnavailable(f"{name} is no folder, and not in the hub's cache on this machine; {remedy}.")
    try:
        with quiet_transformers():
            folder = folder or fetched_folder(name)
            check_clip_folder(Path(folder))
            model, loading = CLIPModel.from_pretrained(folder, output_loading_info=True)
            tokenizer, processor = (part.from_pretrained(folder) for part in (CLIPTokenizer, CLIPImageProcessorPil))
        for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
            if loading[kind]:  # transformers would fill in random numbers, silently
                raise ValueError(
                    f"its weights have {kind.replace('_', ' ')}: {sorted(map(str, loading[kind]))[0]}, ..."
                )
        if len(tokenizer) < 2 * 256:  # transformers makes an empty one, silently, if its file is missing
            raise ValueError(f"its tokenizer has only {len(tokenizer)} tokens, not one for each byte")
    except Exception as error:  # OSError, ValueError, SafetensorError, ... : whatever a damaged file leads to
        remedy = "try again later" if download else "load_clip(..., download=True) fetches what is missing"
        if is_folder:
            remedy = f"restore it, or train a digit-clip with `python -m helpers train-clip --out {name} --replace`"
        raise ClipUnavailable(f"{name} holds no readable CLIP ({reason(error)}); {remedy}.") from error
    return Clip(Path(name).name if is_folder else name, model.eval(), tokenizer, processor)


def cosine_similarity(image_embeds: np.ndarray, text_embeds: np.ndarray) -> np.ndarray:
    """The cosine of every image `(n, d)` with every text `(m, d)`: `(n, m)` in [-1, 1], for vectors of length 1.

    Raises `ValueError` for a differing d and for values that aren't finite, as do the functions that build on it.
    """
    image_embeds, text_embeds = check_pair("image_embeds", image_embeds, "text_embeds", text_embeds, dtype=None)
    return image_embeds @ text_embeds.T  # (n, d) @ (d, m) -> (n, m)


def clip_score(image_embeds: np.ndarray, text_embeds: np.ndarray, weight: float = 2.5) -> np.ndarray:
    """Hessel et al. 2021, section 3: weight * max(cosine, 0) of each image `(n, d)` with its own text `(n, d)`: `(n,)`.

    2.5 is the paper's weight. Each cosine is clipped at zero, before any mean is taken; torchmetrics clips only the
    mean, with a weight of 100, so wrong captions score lower there. Raises `ValueError` for shapes that differ.
    """
    image_embeds, text_embeds = check_pair("image_embeds", image_embeds, "text_embeds", text_embeds, dtype=None)
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

    `centre` subtracts each prompt's mean over the classes, because some prompts lie nearer to *every* image.
    Raises `ValueError` if a class below the largest label has no image.
    """
    cosines = cosine_similarity(image_embeds, text_embeds)  # (n, m)
    labels = check_labels(labels, count=len(cosines))
    if np.bincount(labels).min() == 0:
        raise ValueError("labels must hold every class up to the largest.")
    matrix = np.stack([cosines[labels == label].mean(axis=0) for label in range(labels.max() + 1)])  # (classes, m)
    return matrix - matrix.mean(axis=0) if centre else matrix


def digit_prompts(template: str = OFFICIAL_PROMPT, words: bool = False) -> list[str]:
    """The ten prompts of one template, `{}` standing for the digit: "7", or "seven" with `words`.

    Raises `ValueError` unless the template holds one `{}`.
    """
    if template.count("{}") != 1:
        raise ValueError(f"template must hold one {{}} for the digit, not {template!r}.")
    return [template.format(name) for name in (WORDS if words else NUMERALS)]
