"""The report card: complete, of the pre-trained weights, and shown as it is. Its measures: test_measures."""

import shutil

import pytest

from helpers.checkpoints import PRETRAINED, PRETRAINED_NOISE, load_denoiser, save_denoiser
from helpers.evaluation import report_card
from helpers.evaluation.measures import MEASURES
from helpers.evaluation.report_card import REPORT, RUN, describe_run, load_report, markdown_table, report_rows
from helpers.sampling.sampler import SamplerSettings
from helpers.tools.files import read_record, sha256_of_file, write_record
from tests.conftest import OF_DIGITS, said

NETWORKS = (PRETRAINED, PRETRAINED_NOISE)


@pytest.fixture
def network(lively_denoiser, tmp_path):
    """The folder of a tiny network of digits."""
    save_denoiser(tmp_path / "network", lively_denoiser, OF_DIGITS, [])
    return tmp_path / "network"


@pytest.fixture(scope="module")
def pretrained():
    return {network: load_denoiser(network) for network in NETWORKS}


@pytest.mark.parametrize("network", NETWORKS, ids=lambda path: path.name)
def test_the_pretrained_report_is_complete_and_of_these_weights(network, pretrained):
    report = load_report(network)  # refuses a report of other weights
    run = describe_run(network, pretrained[network], 10_000, 0)
    assert tuple(run) == RUN
    assert set(MEASURES) <= set(report)
    assert {name: report[name] for name in run} == run


def test_a_report_of_other_weights_is_refused(tmp_path):
    with pytest.raises(ValueError, match=f"missing or damaged.*python -m helpers evaluate {tmp_path} "):
        load_report(tmp_path)
    (tmp_path / "unet.weights.h5").write_bytes(b"other weights")
    (tmp_path / REPORT).write_text((PRETRAINED / REPORT).read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(ValueError, match="other weights"):
        load_report(tmp_path)


def test_a_report_of_another_sampler_is_refused(monkeypatch):
    monkeypatch.setattr(report_card, "default_settings", lambda _: SamplerSettings(guidance_scale=7.0))
    with pytest.raises(ValueError, match="another sampler than today's default; make it with"):
        load_report()


def test_a_report_is_loaded_beside_its_weights_if_it_is_complete(network):
    report = load_report() | {"weights_sha256": sha256_of_file(network / "unet.weights.h5")}
    write_record(network / REPORT, report)
    assert load_report(network) == report
    del report["copies"]
    write_record(network / REPORT, report)
    with pytest.raises(ValueError, match="incomplete"):
        load_report(network)


def changed(*names, value):
    def change(report):
        part = report
        for name in names[:-1]:
            part = part[name]
        part[names[-1]] = value

    return change


DAMAGES = {
    "a list for the digits": changed("digits", value=[]),
    "no digit": changed("digits", "per_digit", value=[]),
    "a dictionary for the digits": changed("digits", "per_digit", value={"0": 1}),
    "a text for a share": changed("digits", "share", value="high"),
    "NaN for a share": changed("digits", "share", value=float("nan")),
    "half an interval": changed("digits", "interval", value=[0.9]),
    "a text for an interval": changed("digits", "interval", value="90"),
    "None for an interval": changed("clip", "generated", value=None),
    "a number for the distances": changed("critic", "frechet", value=3.0),
    "NaN for a distance": changed("critic", "frechet", "distance", value=float("nan")),
    "a list for the coverage": changed("critic", "coverage", "share", value=[1]),
    "no density by components": lambda report: report["components"].pop("density"),
    "a rule that MNIST doesn't have": changed("rule", "colour", value={"generated": {}, "real": {}}),
    "no value": changed("training_value", value={}),
    "a text for the images": changed("images", value="10,000"),
    "a list for the copies": changed("copies", value=[1]),
    "a text for the copies": changed("copies", value={"pixels": "none"}),
    "infinity": changed("critic", "frechet", "ratio", value=float("inf")),
    "another version": lambda report: report.pop("copies"),
    "no weights": lambda report: report.pop("weights_sha256"),
    "a number for the weights": changed("weights_sha256", value=7),
    "no sampler": lambda report: report.pop("sampler"),
    "a list for the sampler": changed("sampler", value=[]),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_report_of_another_form_ends_in_one_sentence(damage, tmp_path):
    """Its seal fits. What is advised leads out: it names the file, and replaces it."""
    for name in ("config.json", "history.csv", "unet.weights.h5"):
        shutil.copy(PRETRAINED / name, tmp_path)
    report = read_record(PRETRAINED / REPORT)
    DAMAGES[damage](report)
    write_record(tmp_path / REPORT, report)
    with pytest.raises(ValueError) as raised:
        load_report(tmp_path)
    advice = f"make it with `python -m helpers evaluate {tmp_path} --out {tmp_path / REPORT} --replace`."
    assert said(raised).startswith(str(tmp_path / REPORT)) and said(raised).endswith(advice) and len(said(raised)) < 500


def share(value):
    return {"share": value, "interval": (value - 0.01, value + 0.01)}


def of_neighbours(*shares):
    names = ("coverage", "density", "precision", "recall")
    return {name: {"generated": 0.9, "real": 0.97, "share": found} for name, found in zip(names, shares, strict=True)}


def test_every_row_shows_its_own_figure():
    """No two figures of this report are equal, so none can stand in the row of another."""
    copies = {"auc": 0.51, "auc_interval": (0.49, 0.53), "share_closer": 0.012, "share_closer_interval": (0.008, 0.02)}
    others = {"auc": 0.61, "auc_interval": (0.59, 0.63), "share_closer": 0.072, "share_closer_interval": (0.07, 0.08)}
    report = {
        "images": 1234,
        "digits": share(0.95) | {"per_digit": [share(0.91 - 0.01 * abs(digit - 3)) for digit in range(10)]},
        "clip": {"generated": share(0.8), "real": share(0.85)},
        "critic": {
            "frechet": {"distance": 2.5, "floor": 2.0, "floor_spread": 0.125, "ratio": 1.25, "spread": 0.09},
            **of_neighbours(0.928, 0.737, 0.946, 0.955),
        },
        "components": {
            "frechet": {"distance": 2.9, "floor": 2.0, "floor_spread": 0.125, "ratio": 1.45, "spread": 0.19},
            **of_neighbours(0.828, 0.637, 0.846, 0.855),
        },
        "rule": {
            "displacement in pixels": {"generated": share(0.48), "real": share(0.003)},
            "longest side in pixels": {"generated": share(0.23), "real": share(0.002)},
            "number of pieces": {"generated": share(0.08), "real": share(0.031)},
        },
        "training_value": {"generated": 0.97, "real": 0.98},
        "copies": {"features": copies | {"flagged": False}, "pixels": others | {"flagged": True}},
    }
    assert [figure for _, figure in report_rows(report)] == [
        "1,234",
        "95.00% (94.00% to 96.00%)",
        "85.0% (9)",
        "80.00% (79.00% to 81.00%)",
        "85.00% (84.00% to 86.00%)",
        "1.25 +- 0.09",
        "2.500 over 2.000 +- 0.125",
        "92.8%",
        "73.7%",
        "94.6%",
        "95.5%",
        "R 1.45, coverage 82.8%, density 63.7%, precision 84.6%, recall 85.5%",
        "97.00%",
        "98.00%",
        "48.00% (47.00% to 49.00%), real 0.3%",
        "23.00% (22.00% to 24.00%), real 0.2%",
        "8.00% (7.00% to 9.00%), real 3.1%",
        "0.510 (0.490 to 0.530)",
        "1.20% (0.80% to 2.00%)",
        "0.610 (0.590 to 0.630)",
        "7.20% (7.00% to 8.00%): look at the pairs",
    ]
    names = [name for name, _ in report_rows(report)]
    assert "of digit-clip on the real test digits" in names[4] and "real" not in names[3]
    assert [name.partition(",")[0] for name in names[7:11]] == ["coverage", "density", "precision", "recall"]
    assert names[12].endswith("on real digits of a CNN trained on them") and "as many real digits" in names[13]
    limits = [name.removesuffix(", against MNIST's rule").rpartition(" is above ")[2] for name in names[14:17]]
    assert limits == ["0.6", "20", "1"] and "displacement in pixels" in names[14]
    assert ["features" in name for name in names[17:]] == [True, True, False, False]


def test_the_table_shows_what_the_report_holds():
    report = load_report()
    rows = dict(report_rows(report))
    assert rows["generated images"] == "10,000"
    for shown in (f"{report['digits']['share']:.2%}", f"{report['critic']['frechet']['ratio']:.2f}"):
        assert any(figure.startswith(shown) for figure in rows.values())
    table = markdown_table({"one": report, "other": report})
    assert table.startswith("| measure | one | other |\n| --- | --- | --- |\n")
    assert len(table.splitlines()) == len(rows) + 2
