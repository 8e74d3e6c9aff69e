"""Making a report card: the samples are drawn and measured, and finished parts are kept, so that it can resume.

`python -m helpers evaluate` runs it. `helpers/evaluation/measures.py` defines what is measured, and `report_card` there
loads a report and shows it.
"""

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from helpers.checkpoints import folder_of, load_digits_denoiser
from helpers.data import load_mnist
from helpers.evaluation.measures import MEASURES, Evaluation
from helpers.evaluation.report_card import describe_run
from helpers.sampling.sampler import sample
from helpers.tools.arrays import read_array
from helpers.tools.checks import check_number, check_whole
from helpers.tools.files import as_path, atomic_write, read_record, reason, write_record
from helpers.tools.locks import held
from helpers.tools.progress import progress_bar
from helpers.unet import Denoiser

CHUNK = 500  # images between two saves: about 15 seconds of sampling


def work_folder(run: dict, work: str | Path) -> Path:
    """The folder of an unfinished report. Another network, seed or setting has another folder."""
    return as_path(work) / hashlib.sha256(json.dumps(run).encode()).hexdigest()[:16]


def evaluate(network: str | Path, images: int, seed: int, work: str | Path, progress: bool = True) -> dict:
    """The report card of the network in a folder, on `images` samples at default settings.

    The samples have the labels of the first test images, so that no measure can differ by the mix of digits.
    Finished parts are kept in a folder of this run in `work`: after an interruption the same call resumes.
    Raises `ValueError` if `images` isn't in 500..10000 (there are 10,000 test images), or if the network can't be
    loaded.
    """
    check_whole("images", images, 500, 10_000)
    network = folder_of(network)
    denoiser = load_digits_denoiser(network)
    run = describe_run(network, denoiser, images, seed)
    work = work_folder(run, work)
    with held(work):
        figures = _measure(denoiser, images, seed, work, progress)
    return {**run, **figures}


def _measure(denoiser: Denoiser, images: int, seed: int, work: Path, progress: bool) -> dict:
    figures_file = work / "figures.json"
    figures: dict[str, Any] = _kept(_figures, figures_file) if figures_file.exists() else {"seconds": {}}
    labels = load_mnist().test_labels[:images].astype(np.int32)
    started = time.monotonic()
    drawn = _draw(denoiser, labels, seed, work, progress)
    figures["seconds"]["sampling"] = figures["seconds"].get("sampling", 0) + round(time.monotonic() - started)
    evaluation = Evaluation(drawn, labels, seed)
    for name, measure in MEASURES.items():
        if name not in figures:
            started = time.monotonic()
            figures[name] = measure(evaluation)
            figures["seconds"][name] = round(time.monotonic() - started)
            write_record(figures_file, figures)
            if progress:
                print(f"{name}: {figures['seconds'][name]} s", flush=True)
    return figures


def _draw(denoiser: Denoiser, labels: np.ndarray, seed: int, work: Path, progress: bool) -> np.ndarray:
    chunks = []
    for start in progress_bar(range(0, len(labels), CHUNK), unit="chunk", shown=progress):
        file, sample_ids = work / f"images-{start:05d}.npy", np.arange(start, min(start + CHUNK, len(labels)))
        if not file.exists():
            with atomic_write(file) as temporary:
                np.save(temporary, sample(denoiser, labels[sample_ids], seed=seed, sample_ids=sample_ids).images)
        chunks.append(_kept(read_array, file))
        if chunks[-1].shape != (len(sample_ids), 28, 28, 1):
            raise ValueError(f"{file} is damaged (its shape is {chunks[-1].shape}); delete it to make it again.")
    return np.concatenate(chunks)  # (n, 28, 28, 1)


def _figures(file: Path) -> dict:
    figures = read_record(file)
    if not isinstance(seconds := figures["seconds"], dict):
        raise ValueError("its seconds aren't numbers by name")
    for name, value in seconds.items():
        check_number(name, value, 0)
    return figures


def _kept(read: Callable[[Path], Any], file: Path) -> Any:  # noqa: ANN401
    """The content of a file of an interrupted report. Raises `ValueError` if it is damaged."""
    try:
        return read(file)
    except Exception as error:  # a damaged array can raise almost anything
        raise ValueError(f"{file} is damaged ({reason(error)}); delete it to make it again.") from error
