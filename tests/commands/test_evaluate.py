"""`python -m helpers evaluate`: the place of the report, what it replaces, and Ctrl-C."""

import pytest

from helpers.__main__ import main
from helpers.checkpoints import PRETRAINED, load_denoiser, save_denoiser
from helpers.evaluation.report_card import REPORT, describe_run, work_folder
from helpers.tools.files import read_record


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    """Default outputs go to runs/ in the working directory."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def network(lively_denoiser, tmp_path):
    """The folder of a tiny network of digits."""
    save_denoiser(tmp_path / "network", lively_denoiser, {"data": "MNIST"}, [])
    return tmp_path / "network"


@pytest.fixture
def evaluated(monkeypatch):
    """The runs that were evaluated. Nothing is measured, but a file is kept as if it had been."""
    runs = []

    def evaluate(network, images, seed, work):
        run = describe_run(network, load_denoiser(network), images, seed)
        folder = work_folder(run, work)
        folder.mkdir(parents=True)
        (folder / "figures.json").touch()
        runs.append(run)
        return {"images": images, "seed": seed, "number": len(runs)}

    monkeypatch.setattr("helpers.evaluation.report_card.evaluate", evaluate)
    monkeypatch.setattr(
        "helpers.evaluation.report_card.report_rows", lambda report: [("images", str(report["images"]))]
    )
    return runs


def test_the_report_lies_in_the_networks_folder(network, evaluated, tmp_path, capsys):
    assert main(["evaluate", str(network), "--images", "500", "--seed", "4"]) == 0
    assert read_record(network / REPORT) == {"images": 500, "seed": 4, "number": 1}
    shown = capsys.readouterr().out
    assert shown.startswith("images ") and shown.endswith(f"500\nThe report is in {network / REPORT}.\n")
    assert list((tmp_path / "runs" / "evaluation").iterdir()) == []  # unfinished work is removed


def test_the_report_of_a_network_that_ships_goes_to_runs(evaluated, tmp_path):
    shipped = (PRETRAINED / REPORT).read_bytes()
    assert main(["evaluate", "--images", "500"]) == 0
    assert read_record(tmp_path / "runs" / "unet-velocity" / REPORT)["images"] == 500
    assert (PRETRAINED / REPORT).read_bytes() == shipped


def test_a_finished_report_is_replaced_only_on_request(network, evaluated, tmp_path, capsys):
    for out in ([], ["--out", str(tmp_path / "report.json")]):
        file, before = tmp_path / "report.json" if out else network / REPORT, len(evaluated)
        assert main(["evaluate", str(network), *out]) == 0
        capsys.readouterr()
        assert main(["evaluate", str(network), *out]) == 2
        assert capsys.readouterr().err == f"error: {file} exists already: choose another --out, or add --replace.\n"
        assert len(evaluated) == before + 1
        assert main(["evaluate", str(network), *out, "--replace"]) == 0
        assert read_record(file)["number"] == before + 2


def test_ctrl_c_keeps_what_is_finished(network, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("helpers.evaluation.report_card.evaluate", interrupted)
    assert main(["evaluate", str(network), "--work", "kept"]) == 130
    assert capsys.readouterr().err == "Stopped. kept keeps what is finished; the same command resumes.\n"
    assert not (network / REPORT).exists()


def test_refused_before_any_work(network, tmp_path, capsys):
    for arguments, message in (
        ([str(network), "--images", "100"], "images must be a whole number in 500..10000, not 100"),
        ([str(tmp_path / "nothing")], "is not a trained network: config.json is missing"),
        ([str(network), "--out", str(tmp_path)], "--out must be a file"),
    ):
        assert main(["evaluate", *arguments]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
