"""A folder with a CLIP that may be anyone's: looked at before transformers builds what it describes."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from helpers.tools.files import as_file, read_record, settle, sha256_of_file

DIGEST_LIST = "sha256.json"  # in a trained folder: the SHA-256 of each of the files that transformers reads
# The sizes of a config.json; those of OpenAI's largest CLIP are about half of them.
LARGEST = {"num_hidden_layers": 64, "hidden_size": 4_096, "intermediate_size": 16_384, "projection_dim": 4_096}
LARGEST |= {"num_attention_heads": 64, "image_size": 1_024, "patch_size": 64, "vocab_size": 500_000}
LARGEST |= {"max_position_embeddings": 4_096, "num_channels": 3}
PICTURE = ("size", "crop_size")  # in a preprocessor_config.json: pixels, or a dictionary of them


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence transformers' progress bars and advice on loading, which would end up in a notebook's outputs."""
    from transformers import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def cached_folder(name: str) -> str | None:
    """The folder of a repository in the hub's cache. `from_pretrained` would find it too, but ask the hub first."""
    from huggingface_hub import try_to_load_from_cache

    try:
        config = try_to_load_from_cache(name, "config.json")
    except ValueError:  # not a name that the hub could have
        return None
    return str(Path(config).parent) if isinstance(config, str) else None


def fetched_folder(name: str) -> str:
    """The folder of a repository whose files were just fetched from the hub."""
    from huggingface_hub import snapshot_download

    folder = snapshot_download(name, allow_patterns=["*.json", "*.txt", "*.safetensors"])
    if not list(Path(folder).glob("*.safetensors")):  # older repositories have their weights in this form alone
        snapshot_download(name, allow_patterns=["pytorch_model*.bin"])
    return folder


def check_clip_folder(folder: Path) -> None:
    """A folder must have reasonable sizes, and weights for them. If it lists digests, its files must have them.

    Raises `ValueError` or `OSError` with the reason.
    """
    settle(folder)
    if not (folder / "config.json").is_file():
        raise ValueError("config.json is missing")  # transformers would build a ViT-B/32, and fail at its weights
    if (folder / DIGEST_LIST).is_file():
        for name, digest in read_record(folder / DIGEST_LIST).items():
            if Path(name).name != name or not (folder / name).is_file():
                raise ValueError(f"{DIGEST_LIST} names {name!r:.60}, which is no file of this folder")
            if sha256_of_file(folder / name) != digest:
                raise ValueError(f"the SHA-256 of {name!r:.60} isn't the recorded one")
    config = _read(folder / "config.json")
    _check_sizes(config)
    _check_weights(folder, config)
    if (folder / "preprocessor_config.json").is_file():
        _check_pictures(_read(folder / "preprocessor_config.json"))


def _read(file: Path) -> dict:
    try:
        config = json.loads(as_file(file).read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError(f"{file.name} is nested without end") from None
    if not isinstance(config, dict):
        raise ValueError(f"{file.name} holds a {type(config).__name__}, not names with values")
    return config


def _check_sizes(config: dict) -> None:
    """Raises `ValueError` for a CLIP that would be far larger than any real one."""
    # transformers still reads the names that end in _dict, which were used once.
    towers = [config.get(f"{tower}_config{end}") or {} for tower in ("text", "vision") for end in ("", "_dict")]
    if not all(isinstance(tower, dict) for tower in towers):
        raise ValueError("config.json describes no CLIP")
    for name, largest in LARGEST.items():
        for value in (part.get(name, 1) for part in (config, *towers)):
            if value is not None and (type(value) is not int or not 1 <= value <= largest):
                raise ValueError(f"{name} must be a whole number in 1..{largest:,}, not {value!r:.60}")


def _check_weights(folder: Path, config: dict) -> None:
    """Raises `ValueError` if the weights have fewer bytes than the model has numbers.

    transformers would fill up the rest of the memory with random numbers.
    """
    import torch
    from transformers import CLIPConfig, CLIPModel

    with torch.device("meta"):  # shapes alone
        numbers = sum(weight.numel() for weight in CLIPModel(CLIPConfig(**config)).parameters())
    found = sum(file.stat().st_size for end in ("safetensors", "bin") for file in folder.glob(f"*.{end}"))
    if numbers > found:
        raise ValueError(f"config.json describes {numbers:,} weights, but the files have only {found:,} bytes")


def _check_pictures(config: dict) -> None:
    """Raises `ValueError` if every digit would be enlarged to a picture that fills the memory."""
    for name in PICTURE:
        value = config.get(name) or {}
        for pixels in value.values() if isinstance(value, dict) else [value]:
            if pixels is not None and (type(pixels) is not int or not 1 <= pixels <= LARGEST["image_size"]):
                raise ValueError(f"{name} must be a whole number in 1..{LARGEST['image_size']:,}, not {pixels!r:.60}")
