"""`python -m helpers recipes`: no finished row is made twice, and rows that can't be compared don't mix."""

import pytest

from helpers.__main__ import main
from helpers.tools.files import read_rows, write_rows
from helpers.tools.locks import held
from helpers.workshop import recipes


@pytest.fixture(autouse=True)
def made(monkeypatch):
    """The (recipe, seed) of every row made so far, of two recipes that aren't trained."""
    rows = []

    def run(name, seed, minutes, yardstick, out):
        rows.append((name, seed))
        return {"recipe": name, "seed": seed, "number": len(rows)}

    def yardstick(images, validation):
        assert validation  # no recipe is chosen by images that it was trained on

    monkeypatch.setattr("helpers.workshop.tuning.Yardstick", yardstick)
    monkeypatch.setattr("helpers.tools.cores.one_stream_per_core", lambda batch_size: 1)
    monkeypatch.setattr(recipes, "RECIPES", {"one": None, "two": None})
    monkeypatch.setattr(recipes, "run", run)
    return rows


def test_rows_are_added_and_none_is_made_twice(made, tmp_path):
    for arguments in (["one"], [], ["two", "--seed", "1"]):
        assert main(["recipes", *arguments, "--out", str(tmp_path)]) == 0
    assert made == [("one", 0), ("two", 0), ("two", 1)]
    rows = read_rows(tmp_path / "recipes.csv")
    assert [(row["recipe"], row["seed"], row["number"]) for row in rows] == [
        ("one", "0", "1"),
        ("two", "0", "2"),
        ("two", "1", "3"),
    ]


def test_an_interrupted_comparison_keeps_its_rows_and_resumes(made, tmp_path, monkeypatch, capsys):
    run = recipes.run

    def interrupted(name, *arguments):
        if name == "two":
            raise KeyboardInterrupt
        return run(name, *arguments)

    monkeypatch.setattr(recipes, "run", interrupted)
    assert main(["recipes", "--out", str(tmp_path)]) == 130
    assert capsys.readouterr().err.endswith("keeps the finished rows; the same command resumes.\n")
    assert [row["recipe"] for row in read_rows(tmp_path / "recipes.csv")] == ["one"]
    monkeypatch.setattr(recipes, "run", run)
    assert main(["recipes", "--out", str(tmp_path)]) == 0
    assert made == [("one", 0), ("two", 0)]


def test_a_comparison_stopped_before_its_first_row_promises_no_table(made, tmp_path, monkeypatch, capsys):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(recipes, "run", stopped)
    assert main(["recipes", "--out", str(tmp_path)]) == 130
    assert capsys.readouterr().err == "Stopped. The same command resumes.\n"


def test_two_at_a_time_would_overwrite_each_others_rows(made, tmp_path, capsys):
    with held(tmp_path):
        assert main(["recipes", "--out", str(tmp_path)]) == 2
    assert "is in use by process" in capsys.readouterr().err and made == []


def test_a_file_for_the_folder_is_refused(made, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["recipes", "--out", str(tmp_path / "file")]) == 2
    assert "--out must be a folder" in capsys.readouterr().err and made == []


@pytest.mark.parametrize("option", ["--minutes", "--images"])
def test_rows_of_another_comparison_are_refused(made, tmp_path, capsys, option):
    assert main(["recipes", "one", "--out", str(tmp_path)]) == 0
    assert main(["recipes", "two", "--out", str(tmp_path), option, "300"]) == 2
    expected = f"error: {tmp_path} compares with other --minutes or --images: choose another --out.\n"
    assert capsys.readouterr().err == expected and made == [("one", 0)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["huge"], "RECIPE must be one of 'one', 'two', not 'huge'."),
        (["one", "--minutes", "0"], "--minutes must be a finite number above 0, not 0.0."),
    ],
)
def test_refused_before_any_work(made, arguments, message, tmp_path, capsys):
    assert main(["recipes", *arguments, "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == f"error: {message}\n"
    assert made == [] and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("file", "text", "why"),
    [
        ("recipes.csv", "recipe,seed\none,zero\n", "recipes.csv is damaged: seed must be a whole number, not 'zero'"),
        ("recipes.csv", "recipe,seed\none,0.0\n", "seed must be a whole number, not '0.0'"),
        ("recipes.csv", "recipe,seed\none,-1\n", "seed must be a whole number, not '-1'"),
        ("recipes.csv", "recipe,seed\none\n", "recipes.csv is damaged: a row lacks seed"),
        ("recipes.csv", "name,seed\none,0\n", "recipes.csv is damaged: a row lacks recipe"),
        ("recipes.csv", "recipe,seed\none,0,7\n", "recipes.csv is damaged: a row lacks a value, or has too many"),
        ("comparison.json", "{", "comparison.json is damaged: it is no JSON file"),
        ("comparison.json", "[300]", "comparison.json is damaged: it holds a list"),
        ("comparison.json", '{"minutes": "8"}', "compares with other --minutes or --images"),
        ("comparison.json", '{"minutes": NaN, "images": 2000}', "compares with other --minutes or --images"),
    ],
)
def test_damaged_files_are_named(made, file, text, why, tmp_path, capsys):
    (tmp_path / file).write_text(text, encoding="utf-8")
    assert main(["recipes", "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert why in error and str(tmp_path) in error and error.count("\n") == 1 and made == []


def test_rows_of_an_older_version_are_kept(made, tmp_path):
    write_rows(tmp_path / "recipes.csv", [{"recipe": "one", "seed": 0, "number": 9}])
    assert main(["recipes", "--out", str(tmp_path)]) == 0
    assert made == [("two", 0)]
