"""The command `distil`, with a tiny teacher: what it passes on, refuses and leaves behind."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers.__main__ import main
from helpers.checkpoints import PRETRAINED, load_denoiser, save_denoiser
from helpers.sampling.sampler import sample
from helpers.workshop import distillation
from helpers.workshop.distillation import PASSES, STUDENT_RECIPE
from tests.conftest import OF_DIGITS, TINY, lively


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def calls(monkeypatch):
    """Nothing is distilled; the calls are noted."""
    calls = []
    monkeypatch.setattr(distillation, "distil", lambda *arguments, **options: calls.append((arguments, options)))
    return calls


def test_without_options_the_pretrained_network_is_distilled(calls, capsys):
    assert main(["distil"]) == 0
    assert calls == [((PRETRAINED, Path("runs/distilled"), STUDENT_RECIPE, PASSES), {"streams": 1, "replace": False})]
    assert capsys.readouterr().out == f"Done: {Path('runs/distilled')} holds the student.\n"


def test_every_option_is_passed_on(calls):
    recipe = "--steps 5 --batch-size 24 --learning-rate 0.5 --seed 3"
    assert main(["distil", "mine", "--out", "new", "--replace", "--passes", "2", *recipe.split()]) == 0
    config = replace(STUDENT_RECIPE, steps=5, batch_size=24, learning_rate=0.5, seed=3)
    assert calls == [((Path("mine"), Path("new"), config, 2), {"streams": 1, "replace": True})]


def test_a_student_from_beginning_to_end(schedule, capsys):
    save_denoiser(Path("teacher"), lively(replace(TINY, predicts="velocity"), schedule), OF_DIGITS, [])
    command = ["distil", "teacher", "--out", "student", "--steps", "2", "--batch-size", "8", "--passes", "2"]
    assert main(command) == 0
    student = load_denoiser("student")
    assert student.config.distilled_steps == 2
    assert main(["sample", "31", "student", "--out", "31.png"]) == 0 and Path("31.png").is_file()
    assert np.isfinite(sample(student, [3, 1]).images).all()
    capsys.readouterr()
    assert main(["sample", "31", "student", "--steps", "5"]) == 2
    assert "settings must be left out" in capsys.readouterr().err
    Path("student/checkpoint.npz").unlink()
    assert main(command) == 2
    assert "student holds a finished network: choose another folder, or" in capsys.readouterr().err
    assert main(["distil", "student", "--out", "new"]) == 2
    assert "not a student itself" in capsys.readouterr().err and not Path("new").exists()


def test_an_interruption_says_how_to_resume(monkeypatch, capsys):
    def stopped(*_, **__):
        raise KeyboardInterrupt("Stopped after step 3, saved in runs/distilled.")

    monkeypatch.setattr(distillation, "distil", stopped)
    assert main(["distil"]) == 130
    said = "Stopped after step 3, saved in runs/distilled. The same command resumes the distillation.\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(("option", "message"), [("--passes", "--passes must be"), ("--steps", "steps must be")])
def test_nonsense_is_refused(option, message, capsys):
    assert main(["distil", option, "0"]) == 2
    assert message in capsys.readouterr().err and not Path("runs").exists()
