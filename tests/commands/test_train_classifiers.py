"""`python -m helpers train-classifiers`: resumes unasked, replaces only on request. The training itself is replaced."""

import os

import pytest

from helpers.__main__ import main
from helpers.tools.files import READY
from helpers.tools.locks import held
from helpers.workshop import classifier_training


@pytest.fixture(autouse=True)
def trained(tmp_path, monkeypatch):
    """(role, epochs, seed) of every training so far; none of them takes any time."""
    trainings = []

    def train(role, epochs, *, seed, backup):
        trainings.append((role, epochs, seed))
        backup.rmdir()  # as Keras does at the end
        return role

    def save(role, folder):
        assert folder.resolve().is_relative_to(tmp_path)  # never into assets/, even if a test fails
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{role}.json").write_text(str(len(trainings)), encoding="utf-8")
        return {"test_accuracy": 0.99}

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("helpers.workshop.classifier_training.train_classifier", train)
    monkeypatch.setattr("helpers.workshop.classifier_training.save_classifier", save)
    return trainings


def test_all_are_trained_into_runs(trained, tmp_path, capsys):
    assert main(["train-classifiers", "--epochs", "2", "--seed", "5"]) == 0
    assert trained == [("features", 2, 5), ("judge", 2, 5), ("critic", 2, 5)]
    assert (tmp_path / "runs" / "classifiers" / "judge.json").exists()
    shown = capsys.readouterr().out
    assert shown == "".join(f"{role} {{'test_accuracy': 0.99}}\n" for role in ("features", "judge", "critic"))


def test_finished_classifiers_are_replaced_only_on_request(trained, tmp_path, capsys):
    for role in ("features", "judge"):
        (tmp_path / f"{role}.json").write_text("finished", encoding="utf-8")
    assert main(["train-classifiers", "--out", str(tmp_path)]) == 0
    assert trained == [("critic", 4, 0)]
    assert all((tmp_path / f"{role}.json").read_text(encoding="utf-8") == "finished" for role in ("features", "judge"))
    assert main(["train-classifiers", "--out", str(tmp_path)]) == 2
    assert "holds all classifiers: choose another --out, or add --replace." in capsys.readouterr().err
    assert main(["train-classifiers", "--out", str(tmp_path), "--replace"]) == 0
    assert trained[1:] == [("features", 16, 0), ("judge", 16, 0), ("critic", 4, 0)]
    assert (tmp_path / "features.json").read_text(encoding="utf-8") != "finished"


def test_an_interrupted_training_resumes_with_the_same_recipe_only(trained, monkeypatch, capsys):
    backups = []

    def interrupted(role, epochs, *, seed, backup):
        backup.mkdir(parents=True, exist_ok=True)
        backups.append(backup)
        raise KeyboardInterrupt

    monkeypatch.setattr("helpers.workshop.classifier_training.train_classifier", interrupted)
    for _ in range(2):
        assert main(["train-classifiers", "--out", "out"]) == 130
        assert capsys.readouterr().err == "Stopped. The same command resumes from the last finished epoch.\n"
    assert backups[0] == backups[1]
    for option in ("--epochs", "--seed"):
        assert main(["train-classifiers", "--out", "out", option, "3"]) == 2
        assert "belongs to another recipe; delete it to start anew" in capsys.readouterr().err
    assert len(backups) == 2


@pytest.mark.parametrize(
    ("stopped_at", "left"),
    [("features", ["features", "judge", "critic"]), ("judge", ["judge", "critic"]), ("critic", ["critic"])],
)
def test_an_interrupted_replacement_resumes_where_it_stopped(trained, tmp_path, monkeypatch, stopped_at, left):
    assert main(["train-classifiers", "--out", "out"]) == 0
    train = classifier_training.train_classifier

    def interrupted(role, epochs, *, seed, backup):
        if role == stopped_at:
            raise KeyboardInterrupt
        return train(role, epochs, seed=seed, backup=backup)

    monkeypatch.setattr(classifier_training, "train_classifier", interrupted)
    assert main(["train-classifiers", "--out", "out", "--replace"]) == 130
    monkeypatch.setattr(classifier_training, "train_classifier", train)
    trained.clear()
    assert main(["train-classifiers", "--out", "out", "--replace"]) == 0
    assert [role for role, _, _ in trained] == left


def test_a_second_training_is_refused_and_told_who_holds_the_folder(trained, tmp_path, capsys):
    for options in ([], ["--replace"]):
        with held(tmp_path / "out"):
            assert main(["train-classifiers", "--out", "out", *options]) == 2
        error = capsys.readouterr().err
        assert f"out is in use by process {os.getpid()} on " in error and error.count("\n") == 1
    assert trained == []


def test_new_classifiers_that_are_complete_count_as_finished(trained, tmp_path, capsys):
    """After a power cut before they were moved into their places."""
    for role in ("features", "judge", "critic"):
        (tmp_path / "out" / READY).mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / READY / f"{role}.json").write_text("finished", encoding="utf-8")
    assert main(["train-classifiers", "--out", "out"]) == 2
    assert "holds all classifiers" in capsys.readouterr().err and trained == []
    assert (tmp_path / "out" / "judge.json").read_text(encoding="utf-8") == "finished"


def test_refused_before_any_work(trained, tmp_path, capsys):
    (tmp_path / "file").touch()
    for arguments, message in (
        (["--epochs", "0"], "--epochs must be a whole number of at least 1, not 0."),
        (["--out", "file"], "--out must be a folder, not 'file'."),
    ):
        assert main(["train-classifiers", *arguments]) == 2
        assert capsys.readouterr().err == f"error: {message}\n"
    assert trained == []
