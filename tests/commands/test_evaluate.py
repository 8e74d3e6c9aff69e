"""`python -m helpers evaluate`: where the report goes, what it replaces, and Ctrl-C. Nothing is measured."""

import pytest

from helpers.__main__ import main
from helpers.checkpoints import save_denoiser
from helpers.evaluation.report_card import REPORT, RUN
from helpers.tools.files import read_record
from helpers.workshop.reporting import work_folder
from tests.conftest import OF_DIGITS
from tests.repository.disk import read_only


@pytest.fixture(autouse=True)
def assets(tmp_path, monkeypatch):
    """A folder behind a link takes the place of assets/, so that a failing test can't harm the real one."""
    folder, link = tmp_path / "assets", tmp_path / "link"
    folder.mkdir()
    try:
        link.symlink_to(folder)
    except OSError:  # Windows allows links to administrators alone
        link = folder
    monkeypatch.chdir(tmp_path)  # default outputs go to runs/ in the working directory
    monkeypatch.setattr("helpers.tools.files.ASSETS", link)
    monkeypatch.setattr("helpers.checkpoints.PRETRAINED", folder / "pretrained")
    return folder


@pytest.fixture
def network(tmp_path):
    """The folder of a network that isn't loaded."""
    (tmp_path / "network").mkdir()
    return tmp_path / "network"


@pytest.fixture
def evaluated(monkeypatch):
    """The runs that were evaluated. Each leaves a file among the unfinished work."""
    runs = []

    def evaluate(network, images, seed, work):
        runs.append({name: "" for name in RUN} | {"network": network.name, "images": images, "seed": seed})
        folder = work_folder(runs[-1], work)
        folder.mkdir(parents=True)
        (folder / "figures.json").touch()
        return runs[-1] | {"number": len(runs)}

    monkeypatch.setattr("helpers.workshop.reporting.evaluate", evaluate)
    monkeypatch.setattr(
        "helpers.evaluation.report_card.report_rows", lambda report: [("images", str(report["images"]))]
    )
    return runs


def test_the_report_lies_in_the_networks_folder(network, evaluated, tmp_path, capsys):
    assert main(["evaluate", str(network), "--images", "500", "--seed", "4"]) == 0
    report = {"network": "network", "images": 500, "seed": 4, "number": 1}
    assert read_record(network / REPORT).items() >= report.items()
    shown = capsys.readouterr().out
    assert shown.startswith("images ") and shown.endswith(f"500\nThe report is in {network / REPORT}.\n")
    assert list((tmp_path / "runs" / "evaluation").iterdir()) == []  # the unfinished work is removed


def test_the_report_of_a_network_that_ships_goes_to_runs(assets, evaluated, tmp_path):
    (assets / "pretrained").mkdir()
    (assets / "pretrained" / REPORT).write_text("shipped", encoding="utf-8")
    for number, arguments in enumerate(([], ["assets/pretrained"]), 1):  # the first is the default
        assert main(["evaluate", *arguments, "--replace"]) == 0
        assert read_record(tmp_path / "runs" / "pretrained" / REPORT)["number"] == number
    assert (assets / "pretrained" / REPORT).read_text(encoding="utf-8") == "shipped"


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


def test_a_report_that_another_process_wrote_in_the_meantime_stays(network, evaluated, monkeypatch, capsys):
    def slow(network, images, seed, work):
        (network / REPORT).write_text("of another process", encoding="utf-8")
        return {"images": images}

    monkeypatch.setattr("helpers.workshop.reporting.evaluate", slow)
    assert main(["evaluate", str(network)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert (network / REPORT).read_text(encoding="utf-8") == "of another process"


@pytest.mark.parametrize("out", [[], ["--out", "reports/mine.json"]])
def test_a_folder_that_cannot_be_written_is_noticed_before_any_work(network, evaluated, out, capsys):
    with read_only():
        assert main(["evaluate", str(network), *out]) == 2
    wanted = out[1] if out else network / REPORT
    assert capsys.readouterr().err == f"error: {wanted} can't be written: Read-only file system.\n" and evaluated == []


def test_ctrl_c_keeps_what_is_finished(network, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("helpers.workshop.reporting.evaluate", interrupted)
    assert main(["evaluate", str(network), "--work", "kept"]) == 130
    assert capsys.readouterr().err == "Stopped. kept keeps what is finished; the same command resumes.\n"
    assert not (network / REPORT).exists()


def test_refused_before_any_work(network, lively_denoiser, tmp_path, capsys):
    save_denoiser(tmp_path / "tiny", lively_denoiser, OF_DIGITS, [])
    for arguments, message in (
        ([str(tmp_path / "tiny"), "--images", "100"], "images must be a whole number in 500..10000, not 100"),
        ([str(network)], "is not a trained network: config.json is missing"),
        ([str(network), "--out", str(tmp_path)], "--out must be a file"),
    ):
        assert main(["evaluate", *arguments]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "runs").exists() and not (tmp_path / "tiny" / REPORT).exists()
