"""The report card: how good are 10,000 generated digits, by measures that can disagree with each other?

    python -m helpers.evaluation                                  # the shipped network, into assets/evaluation.json
    python -m helpers.evaluation --weights assets/unet-noise      # any other, into its own folder
    python -m helpers.evaluation --readme                         # writes the table into README.md

What is measured, and by what, is in `measures`; here the samples are drawn, the figures kept and put into a table. They
are compared with the test set, by which no setting was chosen (README names the one rule that followed a look at it).
Read in notebook 06.
"""

import hashlib
import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from helpers.checkpoints import SHIPPED, load_digits_unet, load_unet
from helpers.classifier import CLASSIFIERS
from helpers.command_line import CommandLine, one_line_errors
from helpers.data import load_mnist
from helpers.digit_clip import DIGIT_CLIP
from helpers.files import ASSETS, read_record, reason, sha256_of_file, write_aside, write_record
from helpers.measures import MEASURES, Evaluation, bootstrap_interval
from helpers.sampling import default_settings, sample

__all__ = [
    "MEASURES",
    "Evaluation",
    "bootstrap_interval",
    "describe_run",
    "evaluate",
    "load_report",
    "markdown_table",
    "readme_with_table",
    "report_file",
    "report_rows",
    "work_folder",
]

README = ASSETS.parent / "README.md"
CHUNK = 500  # images between two saves: about 15 seconds of sampling


def describe_run(weights: Path, images: int, seed: int) -> dict:
    """What the figures depend on: networks by SHA-256, sampler settings, number of images, seed."""
    measuring = {role: sha256_of_file(CLASSIFIERS / f"{role}.weights.h5") for role in ("features", "judge")}
    sampler = _default_sampler(weights)  # first, because loading says in one sentence what is wrong with a folder
    return {
        "network": weights.name,
        "weights_sha256": sha256_of_file(weights / "unet.weights.h5"),
        "measured_by": {**measuring, "digit-clip": sha256_of_file(DIGIT_CLIP / "model.safetensors")},
        "sampler": sampler,
        "images": images,
        "seed": seed,
    }


def _default_sampler(weights: Path) -> dict:
    sampler = default_settings(load_digits_unet(weights)[1])
    return sampler | {"guidance_interval": list(sampler["guidance_interval"])}  # as JSON gives it back


def work_folder(run: dict, work: str | Path) -> Path:
    """Where an unfinished report lies: another network, seed or setting never goes on with these images."""
    return Path(work) / hashlib.sha256(json.dumps(run).encode()).hexdigest()[:16]


def evaluate(weights: str | Path, images: int, seed: int, work: str | Path, progress: bool = True) -> dict:
    """The report card of the network in the folder `weights`, on `images` samples at default settings.

    They have the labels of the first test images, one for one, so that no measure can differ by the mix of digits.
    What is done lies in a folder of this run in `work` until everything is: after an interruption the same call
    goes on. Raises `ValueError` if `images` isn't in 500..10000, or if the network can't be loaded.
    """
    if not 500 <= images <= 10_000:
        raise ValueError(f"images must be in 500..10000 (there are 10,000 test images), not {images}.")
    weights = Path(weights)
    run = describe_run(weights, images, seed)
    work = work_folder(run, work)
    figures_file = work / "figures.json"
    figures: dict[str, Any] = _kept(read_record, figures_file) if figures_file.exists() else {"seconds": {}}
    labels = load_mnist().test_labels[:images].astype(np.int32)
    started = time.monotonic()
    drawn = _draw(weights, labels, seed, work, progress)
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
    return {**run, **figures}


def _draw(weights: Path, labels: np.ndarray, seed: int, work: Path, progress: bool) -> np.ndarray:
    unet, schedule = load_unet(weights)
    chunks = []
    for start in tqdm(range(0, len(labels), CHUNK), desc="sampling", unit="chunk", disable=not progress):
        file, numbers = work / f"images-{start:05d}.npy", np.arange(start, min(start + CHUNK, len(labels)))
        if not file.exists():
            with write_aside(file) as temporary:
                np.save(temporary, sample(unet, schedule, labels[numbers], seed=seed, numbers=numbers).images)
        chunks.append(_kept(np.load, file))
    return np.concatenate(chunks)  # (n, 28, 28, 1)


def _kept(read: Callable[[Path], Any], file: Path) -> Any:  # noqa: ANN401
    """What an interrupted report left in `file`. Raises `ValueError` if it is damaged."""
    try:
        return read(file)
    except Exception as error:  # a damaged array can raise almost anything
        raise ValueError(f"{file} is damaged ({reason(error)}); delete it to go on without it.") from error


def report_file(weights: Path) -> Path:
    """Where the report of a network lies: assets/ for the one that ships, otherwise the network's own folder."""
    return ASSETS / "evaluation.json" if weights.resolve() == SHIPPED else weights / "evaluation.json"


def load_report(weights: str | Path = SHIPPED) -> dict:
    """The report card of a network, if it is of these weights and of the sampler's defaults.

    Raises `ValueError` with the remedy otherwise.
    """
    weights = Path(weights)
    file, remedy = report_file(weights), f"make it with `python -m helpers.evaluation --weights {weights}`"
    try:
        report = read_record(file)
        recorded = report["weights_sha256"]
        missing = [name for name in MEASURES if name not in report]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is missing or damaged ({reason(error)}); {remedy}.") from error
    if missing or recorded != sha256_of_file(weights / "unet.weights.h5"):
        raise ValueError(f"{file} is incomplete or was made from other weights than those in {weights}; {remedy}.")
    if report.get("sampler") != _default_sampler(weights):
        raise ValueError(f"{file} was made by another sampler than today's default; {remedy}.")
    return report


def report_rows(report: dict) -> list[tuple[str, str]]:
    """(measure, figure with its interval) for each line of the report card."""
    digits, clip, frechet, cover = (report[name] for name in ("digits", "clip", "frechet", "coverage"))
    worst = min(range(10), key=lambda digit: digits["per_digit"][digit]["share"])
    value, distances = report["training_value"], f"{frechet['distance']:.3f} over {frechet['floor']:.3f}"
    rows = {
        "digit accuracy, by a CNN that made no choice": _percent(digits),
        "its lowest digit": f"{digits['per_digit'][worst]['share']:.1%} ({worst})",
        "digit-clip's zero-shot accuracy": _percent(clip["generated"]),
        "the same of the real test digits": _percent(clip["real"]),
        "R: Frechet distance over that of real images": f"{frechet['ratio']:.2f}",
        "the two distances, spread of the second over five draws": f"{distances} +- {frechet['floor_spread']:.3f}",
        "coverage, as a share of that of real images": f"{cover['share']:.1%}",
        "accuracy of a CNN taught by them": f"{value['generated']:.2%}",
        "the same taught by as many real ones": f"{value['real']:.2%}",
    }
    for space, found in report["copies"].items():
        low, high = found["auc_interval"]
        closer = {"share": found["share_closer"], "interval": found["share_closer_interval"]}
        flag = ": look at the pairs" if found["flagged"] else ""
        rows[f"closer to training images than a test image is, {space}"] = (
            f"{found['auc']:.3f} ({low:.3f} to {high:.3f})"
        )
        rows[f"closer than 99 % of test images, {space}"] = _percent(closer) + flag
    return list(rows.items())


def _percent(entry: dict) -> str:
    low, high = entry["interval"]
    return f"{entry['share']:.2%} ({low:.2%} to {high:.2%})"


def markdown_table(reports: dict[str, dict]) -> str:
    """The report cards of several networks beside each other, `reports` by column title."""
    columns = [dict(report_rows(report)) for report in reports.values()]
    lines = [["measure", *reports], ["---"] * (len(reports) + 1)]
    lines += [[measure, *(column[measure] for column in columns)] for measure in columns[0]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def readme_with_table(text: str) -> str:
    """README's text with the shipped networks' table between its two markers. Raises `ValueError` without them."""
    begin, end = "<!-- report card -->\n", "<!-- end of report card -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"README.md must hold {begin.strip()} and {end} once each.")
    before, after = text.split(begin)[0], text.split(end)[1]
    table = markdown_table(
        {"predicts the velocity": load_report(), "predicts the noise": load_report(ASSETS / "unet-noise")}
    )
    return f"{before}{begin}{table}{end}{after}"


@one_line_errors
def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = CommandLine(prog="python -m helpers.evaluation", description="The report card of a trained network.")
    parser.add_argument("--images", type=int, default=10_000, help="samples (default %(default)s)")
    parser.add_argument("--weights", type=Path, default=SHIPPED, help="folder of a trained network")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="JSON to write (default: assets/evaluation.json, or in the folder)")
    parser.add_argument("--work", type=Path, default=Path("runs/evaluation"), help="what is done so far lies here")
    parser.add_argument("--readme", action="store_true", help="only write the table of both networks into README.md")
    args = parser.parse_args(arguments)
    try:
        if args.readme:
            text = readme_with_table(README.read_text())
            with write_aside(README) as temporary:
                temporary.write_text(text)
            return 0
        report = evaluate(args.weights, args.images, args.seed, args.work)
        write_record(args.out or report_file(args.weights), report)
        shutil.rmtree(work_folder(describe_run(args.weights, args.images, args.seed), args.work))
        for measure, figure in report_rows(report):
            print(f"{measure:58} {figure}")
    except KeyboardInterrupt:
        print(f"Stopped; what is done is in {args.work}. To go on, run the same command again.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
