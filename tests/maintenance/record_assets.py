"""Write into the READMEs what follows from other files: `python -m tests.maintenance.record_assets`.

Into assets/README.md: the size and SHA-256 of every asset, and the report card of both networks. Into README.md: the
report card's summary beside real digits, and the five figures whose rows are bold in assets/README.md.

The command that made each asset is kept from its row. An asset without a row needs one first, with any size and digest.
"""

import re
import sys
from pathlib import Path

from helpers.checkpoints import PRETRAINED, PRETRAINED_NOISE
from helpers.evaluation.classifiers import CLASSIFIERS
from helpers.evaluation.report_card import load_report, markdown_table
from helpers.tools.command_line import CommandLine, run_command
from helpers.tools.files import ASSETS, atomic_write, read_record, sha256_of_file

README, ASSETS_README = ASSETS.parent / "README.md", ASSETS / "README.md"
ROW = re.compile(r"^\| `([^`]+)` \| ([\d,]+) \| `([0-9a-f]*)` \| (.*) \|$", re.MULTILINE)
REPORT_CARD = ("<!-- report card -->", "<!-- end of report card -->")
SUMMARY = ("<!-- report card: summary -->", "<!-- end of summary -->")
FIGURES = ("<!-- figures -->", "<!-- end of figures -->")


def assets() -> dict[str, Path]:
    """Every file in assets/ but its README, by its path there."""
    files = (path for path in ASSETS.rglob("*") if path.is_file() and path != ASSETS_README)
    return {path.relative_to(ASSETS).as_posix(): path for path in sorted(files)}


def with_assets(text: str) -> str:
    """The text of assets/README.md with every asset's size and SHA-256.

    Raises `ValueError` unless the table names the files that are there, and no others.
    """
    files, named = assets(), {row[0] for row in ROW.findall(text)}
    if different := named ^ set(files):
        raise ValueError(f"only in the table or only in assets/: {', '.join(sorted(different))}.")

    def measured(row: re.Match) -> str:
        path = files[row[1]]
        return f"| `{row[1]}` | {path.stat().st_size:,} | `{sha256_of_file(path)}` | {row[4]} |"

    return ROW.sub(measured, text)


def between(markers: tuple[str, str], text: str, table: str) -> str:
    """The text with the table between the two markers. Raises `ValueError` unless each of them is there once."""
    if any(text.count(marker) != 1 for marker in markers):
        raise ValueError(f"the text must hold {markers[0]} and {markers[1]} once each.")
    before, _, rest = text.partition(markers[0])
    return f"{before}{markers[0]}\n{table}{markers[1]}{rest.partition(markers[1])[2]}"


def summary(report: dict) -> str:
    """Six figures of a report card, each beside that of real digits."""
    judge, clip, value = read_record(CLASSIFIERS / "judge.json"), report["clip"], report["training_value"]
    rows = {
        "measure": ("generated digits", "real digits"),
        "---": ("---", "---"),
        "digit accuracy, by a classifier that took no part in tuning": (
            f"{report['digits']['share']:.2%}",
            f"{judge['test_accuracy']:.2%}",
        ),
        "zero-shot accuracy of digit-clip, a small CLIP": (
            f"{clip['generated']['share']:.2%}",
            f"{clip['real']['share']:.2%}",
        ),
        "R: Frechet distance relative to that of real images": (f"{report['critic']['frechet']['ratio']:.2f}", "1"),
        "coverage, relative to that of real images": (f"{report['critic']['coverage']['share']:.1%}", "100%"),
        "density, relative to that of real images": (f"{report['critic']['density']['share']:.1%}", "100%"),
        "accuracy on real digits of a CNN trained on them": (f"{value['generated']:.2%}", f"{value['real']:.2%}"),
    }
    return "".join(f"| {measure} | {generated} | {real} |\n" for measure, (generated, real) in rows.items())


def figures(text: str) -> str:
    """The bold rows of assets/README.md as a table of their own."""
    rows = [line.replace("**", "") for line in text.splitlines() if line.startswith("| **")]
    return "\n".join(["| what | figure | command |", "|---|---|---|", *rows]) + "\n"


def updated() -> dict[Path, str]:
    """The text of both READMEs as it should be."""
    velocity, noise = load_report(PRETRAINED), load_report(PRETRAINED_NOISE)
    card = markdown_table({"predicts the velocity": velocity, "predicts the noise": noise})
    text = between(REPORT_CARD, with_assets(ASSETS_README.read_text(encoding="utf-8")), card)
    readme = between(SUMMARY, README.read_text(encoding="utf-8"), summary(velocity))
    return {ASSETS_README: text, README: between(FIGURES, readme, figures(text))}


def run(_: object) -> None:
    """Write both files."""
    for path, text in updated().items():
        with atomic_write(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = CommandLine(prog="python -m tests.maintenance.record_assets", description=__doc__.partition(":")[0] + ".")
    return run_command(run, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
