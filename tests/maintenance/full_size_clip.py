"""Put a ViT-B/32 with random weights into the hub's cache, and use it. Not a test itself.

The test of `load_clip` runs `python -m tests.maintenance.full_size_clip FOLDER` in a process of its own, because the
network's 151 million weights take a gigabyte.
"""

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
import transformers
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

from helpers.data import load_mnist, to_model_range
from helpers.evaluation.clip import Clip, ClipUnavailable, load_clip
from helpers.workshop.digit_clip import build_tokenizer

NAME = "openai/clip-vit-base-patch32"


def put_into_the_cache(cache: Path) -> None:
    """Write the checkpoint in the form in which the hub's own downloads are stored."""
    repository = cache / f"models--{NAME.replace('/', '--')}"
    snapshot = repository / "snapshots" / ("a" * 40)
    for folder in (snapshot, repository / "blobs", repository / "refs"):
        folder.mkdir(parents=True)
    (repository / "refs" / "main").write_text("a" * 40, encoding="utf-8")
    tokenizer = build_tokenizer(["a photo of the number seven"], merges=10)
    torch.manual_seed(0)
    transformers.logging.disable_progress_bar()  # of writing; the test looks for that of loading
    config = CLIPConfig()
    config.text_config.eos_token_id = tokenizer.eos_token_id
    for part in (CLIPModel(config), tokenizer, CLIPImageProcessorPil()):
        part.save_pretrained(snapshot)
    transformers.logging.enable_progress_bar()
    for number, file in enumerate(list(snapshot.iterdir())):
        blob = repository / "blobs" / f"{number:064x}"
        file.rename(blob)
        try:
            file.symlink_to(os.path.relpath(blob, snapshot))
        except OSError:  # Windows allows links to administrators alone
            shutil.copy(blob, file)


def by_the_model_alone(clip: Clip, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The embeddings of pictures `(n, 28, 28)` uint8 and of "seven", without our own code and without the processor."""
    large = [Image.fromarray(picture).convert("RGB").resize((224, 224), Image.BICUBIC) for picture in pictures]
    mean, std = np.array([0.48145466, 0.4578275, 0.40821073]), np.array([0.26862954, 0.26130258, 0.27577711])
    pixels = (np.stack([np.asarray(picture) for picture in large]) / 255 - mean) / std  # (n, 224, 224, 3)
    tokens = clip.tokenizer(["seven"], return_tensors="pt")
    with torch.inference_mode():
        output = clip.model(**tokens, pixel_values=torch.from_numpy(pixels).permute(0, 3, 1, 2).float())
    return output.image_embeds.numpy(), output.text_embeds.numpy()


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    put_into_the_cache(folder / "cache")
    clip, pictures = load_clip(NAME), load_mnist().test_images[:2]
    found = {
        "name": clip.name,
        "image_embeds": clip.embed_images(to_model_range(pictures).numpy()),
        "text_embeds": clip.embed_texts(["seven"]),
        "shape_of_500_words": clip.embed_texts(["word " * 500]).shape,
    }
    found["models_image_embeds"], found["models_text_embeds"] = by_the_model_alone(clip, pictures)
    try:
        load_clip("openai/clip-vit-large-patch14")
    except ClipUnavailable as refusal:
        found["refusal"] = str(refusal)
    np.savez(folder / "found.npz", **found)
