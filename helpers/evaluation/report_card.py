"""The report card: how good are 10,000 generated digits, by measures that can disagree with each other?

`measures` defines what is measured; here the figures are loaded and put into a table. The digits are compared with the
test set, which chose no setting (assets/README.md names the one rule that followed a look at it). Used in notebook 06.
`python -m helpers evaluate` makes a report card.
"""

import dataclasses
from pathlib import Path

from helpers.checkpoints import PRETRAINED, WEIGHTS, folder_of, load_digits_denoiser
from helpers.evaluation.classifiers import CLASSIFIERS
from helpers.evaluation.clip import DIGIT_CLIP
from helpers.evaluation.measures import MEASURES
from helpers.evaluation.neighbours import Neighbourhood
from helpers.evaluation.strokes import RULE
from helpers.sampling.sampler import default_settings
from helpers.tools.files import newest, read_record, reason, sha256_of_file
from helpers.unet import Denoiser

REPORT = "evaluation.json"  # in the folder of the network
RUN = ("network", "weights_sha256", "measured_by", "sampler", "images", "seed")  # what its figures depend on


def describe_run(network: Path, denoiser: Denoiser, images: int, seed: int) -> dict:
    """Everything that the figures depend on: networks by SHA-256, sampler settings, number of images, seed."""
    measuring = {role: sha256_of_file(CLASSIFIERS / f"{role}.weights.h5") for role in ("judge", "critic")}
    return {
        "network": network.name,
        "weights_sha256": sha256_of_file(newest(network, WEIGHTS)),
        "measured_by": {**measuring, "digit-clip": sha256_of_file(DIGIT_CLIP / "model.safetensors")},
        "sampler": _default_settings(denoiser),
        "images": images,
        "seed": seed,
    }


def _default_settings(denoiser: Denoiser) -> dict:
    settings = dataclasses.asdict(default_settings(denoiser.config).on(denoiser.schedule))
    return settings | {"guidance_interval": list(settings["guidance_interval"])}  # as JSON gives it back


def load_report(network: str | Path = PRETRAINED) -> dict:
    """The report card in a network's folder, if it was made with these weights and the sampler's defaults.

    Raises `ValueError` with the remedy otherwise.
    """
    network = folder_of(network)
    file = network / REPORT
    remedy = f"make it with `python -m helpers evaluate {network} --out {file} --replace`"
    try:
        report = read_record(file)
        is_whole = all(name in report for name in (*MEASURES, "images"))
        is_its_own = report["weights_sha256"] == sha256_of_file(newest(network, WEIGHTS))
        figures = [figure for _, figure in report_rows(report)] if is_whole and is_its_own else []
        if any(word in figure for figure in figures for word in ("nan", "inf")):
            raise ValueError("it holds figures that aren't numbers")
    except Exception as error:  # a value of another type can raise almost anything
        raise ValueError(f"{file} is missing or damaged ({reason(error)}); {remedy}.") from error
    if not (is_whole and is_its_own):
        raise ValueError(f"{file} is incomplete or belongs to other weights than those in {network}; {remedy}.")
    if report.get("sampler") != _default_settings(load_digits_denoiser(network)):
        raise ValueError(f"{file} was made by another sampler than today's default; {remedy}.")
    return report


def report_rows(report: dict) -> list[tuple[str, str]]:
    """(measure, figure with its interval) for each line of the report card."""
    digits, clip, critic, value = (report[name] for name in ("digits", "clip", "critic", "training_value"))
    worst = min(range(10), key=lambda digit: digits["per_digit"][digit]["share"])
    frechet, shares = critic["frechet"], Neighbourhood._fields
    distances = f"{frechet['distance']:.3f} over {frechet['floor']:.3f} +- {frechet['floor_spread']:.3f}"
    by_pixels = [f"{name} {report['components'][name]['share']:.1%}" for name in shares]
    rows = {
        "generated images": f"{report['images']:,}",
        "digit accuracy, by a classifier that took no part in tuning": _percent(digits),
        "lowest accuracy of a single digit": f"{digits['per_digit'][worst]['share']:.1%} ({worst})",
        "zero-shot accuracy of digit-clip": _percent(clip["generated"]),
        "zero-shot accuracy of digit-clip on the real test digits": _percent(clip["real"]),
        "R: Frechet distance relative to that of real images": f"{frechet['ratio']:.2f} +- {frechet['spread']:.2f}",
        "the two distances, the second with its spread over five draws": distances,
        **{f"{name}, relative to that of real images": f"{critic[name]['share']:.1%}" for name in shares},
        "the same by the pixels' principal components, which no network has taught": ", ".join(
            [f"R {report['components']['frechet']['ratio']:.2f}", *by_pixels]
        ),
        "accuracy on real digits of a CNN trained on them": f"{value['generated']:.2%}",
        "accuracy of a CNN trained on as many real digits": f"{value['real']:.2%}",
    }
    for name, share in report["rule"].items():
        beside = f"{_percent(share['generated'])}, real {share['real']['share']:.1%}"
        rows[f"digits whose {name} is above {RULE[name]:g}, against MNIST's rule"] = beside
    for space, found in report["copies"].items():
        low, high = found["auc_interval"]
        closer = {"share": found["share_closer"], "interval": found["share_closer_interval"]}
        flag = ": look at the pairs" if found["flagged"] else ""
        auc = f"{found['auc']:.3f} ({low:.3f} to {high:.3f})"
        rows[f"probability of being closer to the training images than a test image is, in {space}"] = auc
        share = _percent(closer) + flag
        rows[f"share closer to the training images than 99 % of test images are, in {space}"] = share
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
