"""`python -m helpers tune`: its tables, which are resumed unasked and replaced only on request."""

import numpy as np
import pytest

from helpers.__main__ import main
from helpers.tools.files import read_rows
from helpers.workshop import tuning
from helpers.workshop.tuning import Quality


@pytest.fixture(autouse=True)
def measured(tmp_path, monkeypatch):
    """The settings measured so far, three of them for a table. Their accuracy is their number divided by 1,000."""
    settings = []

    class Counting:
        def __init__(self, images):
            pass

        def measure(self, denoiser, setting, seed, teach):
            settings.append(setting)
            return Quality(20, len(settings) / 1000, 2.0, 1.0, 0.9, 0.1, 0.5 if teach else None)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tuning, "Yardstick", Counting)
    monkeypatch.setattr(tuning, "load_digits_denoiser", lambda network: None)
    monkeypatch.setattr(tuning, "SHARES", (0.0,))
    monkeypatch.setattr(tuning, "SCALES", (2.0,))
    monkeypatch.setattr(tuning, "INTERVALS", (None, (0, 60)))
    return settings


def accuracies(table="runs/tuning.csv"):
    return [float(row["accuracy"]) for row in read_rows(table)]


def test_a_row_for_each_setting(measured, capsys):
    assert main(["tune"]) == 0
    assert accuracies() == [0.001, 0.002, 0.003]
    rows = read_rows("runs/tuning.csv")
    assert [(row["guidance_scale"], row["guidance_interval"]) for row in rows] == [
        ("1.0", ""),
        ("2.0", ""),
        ("2.0", "(0, 60)"),
    ]
    assert len(capsys.readouterr().out.splitlines()) == 3 and "taught" not in rows[0]


def test_an_interrupted_table_resumes_from_its_finished_rows(measured, monkeypatch, capsys):
    measure = tuning.Yardstick.measure

    def interrupted(self, *arguments):
        if len(measured) == 2:
            raise KeyboardInterrupt
        return measure(self, *arguments)

    monkeypatch.setattr(tuning.Yardstick, "measure", interrupted)
    assert main(["tune"]) == 130
    assert capsys.readouterr().err == "Stopped. Finished rows are kept; the same command resumes.\n"
    monkeypatch.setattr(tuning.Yardstick, "measure", measure)
    assert main(["tune"]) == 0
    assert accuracies() == [0.001, 0.002, 0.003] and len(measured) == 3


def test_a_table_that_cannot_be_written_loses_no_row(measured, monkeypatch, capsys):
    """A spreadsheet may hold it open."""

    def refused(path, rows):
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("helpers.tools.files.write_rows", refused)
        assert main(["tune"]) == 2 and capsys.readouterr().err == "error: the disk is full\n"
    assert main(["tune"]) == 0
    assert accuracies() == [0.001, 0.002, 0.003] and len(measured) == 3


def test_a_finished_table_is_replaced_only_on_request(measured, capsys):
    assert main(["tune", "--out", "table.csv"]) == 0
    capsys.readouterr()
    assert main(["tune", "--out", "table.csv"]) == 2
    assert capsys.readouterr().err == "error: table.csv exists already: choose another --out, or add --replace.\n"
    assert len(measured) == 3
    assert main(["tune", "--out", "table.csv", "--replace"]) == 0
    assert accuracies("table.csv") == [0.004, 0.005, 0.006]


def test_finalists_of_tables_also_teach(measured, monkeypatch, capsys):
    monkeypatch.setattr(tuning, "FINALIST_ACCURACY", 0.0)
    monkeypatch.setattr(tuning, "WANTED_ACCURACY", 0.0045)
    assert main(["tune", "--out", "table.csv"]) == 0
    assert main(["tune", "--finalists", "table.csv", "--out", "finalists.csv"]) == 0
    last = read_rows("finalists.csv")
    assert {row["guidance_interval"]: row["taught"] for row in last} == {"": "0.5", "(0, 60)": "0.5"}
    shown = capsys.readouterr().out.splitlines()[-1]
    assert shown.startswith("best teacher with an accuracy of 0.0045: ") and "accuracy 0.005" in shown


def test_the_front_has_its_own_settings(measured):
    assert main(["tune", "--front", "--out", "front.csv"]) == 0
    assert measured == tuning.front_settings()


def test_blocks_only_print(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(tuning, "block_distances", lambda: (np.array([0.02, 0.05]), 0.25))
    assert main(["tune", "--blocks"]) == 0
    shown = capsys.readouterr().out
    assert "0.020 to 0.050" in shown and "of the 5,000 validation images: 0.250" in shown
    assert list(tmp_path.iterdir()) == []


def test_only_one_kind_of_table(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["tune", "--front", "--blocks"])
    assert stopped.value.code == 2 and "not allowed with argument" in capsys.readouterr().err
