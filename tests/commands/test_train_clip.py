"""`python -m helpers train-clip`: resumes unasked, replaces only on request. The training itself is replaced."""

import pytest

from helpers.__main__ import main
from helpers.workshop.digit_clip import CHECKPOINT, DigitClipConfig


@pytest.fixture(autouse=True)
def trained(tmp_path, monkeypatch):
    """The (recipe, folder) of every training so far; none of them takes any time."""
    trainings = []

    def train(config, pictures, labels, folder):
        assert pictures.shape == (55_000, 28, 28) and labels.shape == (55_000,)
        assert folder.resolve().is_relative_to(tmp_path)  # never into assets/, even if a test fails
        trainings.append((config, folder))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(str(len(trainings)), encoding="utf-8")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("helpers.workshop.digit_clip.train_digit_clip", train)
    return trainings


def test_it_is_trained_into_runs(trained, tmp_path, capsys):
    assert main(["train-clip", "--epochs", "2", "--seed", "5"]) == 0
    ((config, folder),) = trained
    assert config == DigitClipConfig(epochs=2, seed=5) and folder.resolve() == tmp_path / "runs" / "digit-clip"
    assert "`python -m helpers clip runs/digit-clip` judges it." in capsys.readouterr().out.replace("\\", "/")


def test_a_finished_network_is_replaced_only_on_request(trained, tmp_path, capsys):
    (tmp_path / "config.json").write_text("finished", encoding="utf-8")  # as in the folder of any network
    assert main(["train-clip", "--out", str(tmp_path)]) == 2
    expected = f"error: {tmp_path} holds a finished network: choose another --out, or add --replace.\n"
    assert capsys.readouterr().err == expected and trained == []
    assert main(["train-clip", "--out", str(tmp_path), "--replace"]) == 0
    assert (tmp_path / "config.json").read_text(encoding="utf-8") == "1"


def test_an_unfinished_training_resumes_unasked(trained, tmp_path, monkeypatch, capsys):
    def interrupted(config, pictures, labels, folder):
        raise KeyboardInterrupt(f"Stopped after step 5, saved in {folder}.")

    with monkeypatch.context() as patch:
        patch.setattr("helpers.workshop.digit_clip.train_digit_clip", interrupted)
        assert main(["train-clip", "--out", "out"]) == 130
    assert capsys.readouterr().err == "Stopped after step 5, saved in out. The same command resumes the training.\n"
    (tmp_path / CHECKPOINT).touch()
    (tmp_path / "config.json").touch()  # of a finished training, which is being replaced
    assert main(["train-clip", "--out", str(tmp_path)]) == 0


def test_refused_before_any_work(trained, capsys):
    assert main(["train-clip", "--epochs", "0"]) == 2
    assert capsys.readouterr().err == "error: epochs must be a whole number of at least 1, not 0.\n"
    assert trained == []
