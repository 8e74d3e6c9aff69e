"""What counts as resumed. With --all, `repository/test_faults` kills two trainings."""

import shutil

import pytest

from helpers.checkpoints import save_denoiser
from tests.maintenance import kill_and_resume
from tests.maintenance.kill_and_resume import RECIPE, Ended, count_survivors, is_as_if_never_killed

HISTORY = [{"step": step, "loss": 1 / step, "seconds": 0.1 * step} for step in range(1, RECIPE.steps + 1)]


@pytest.fixture
def folders(lively_denoiser, tmp_path):
    """The folders of an uninterrupted run and of one that ended like it."""
    save_denoiser(tmp_path / "whole", lively_denoiser, {}, HISTORY)
    shutil.copytree(tmp_path / "whole", tmp_path / "0")
    return tmp_path / "0", tmp_path / "whole"


def test_a_run_that_starts_anew_has_not_resumed(folders):
    """It ends with the same losses, because all randomness follows from the seed."""
    for saved, resumed, expected in [
        (4, 8, True),
        (11, 1, True),
        (0, 12, False),  # no checkpoint
        (4, 12, False),  # a checkpoint that wasn't used
        (4, 9, False),
        (4, 7, False),
    ]:
        assert is_as_if_never_killed(Ended("", saved, resumed), *folders) is expected


def test_a_resumed_run_has_the_same_losses_and_leaves_nothing_behind(folders, lively_denoiser):
    mine, whole = folders
    resumed = Ended("", 4, 8)
    (mine / ".writing-half").mkdir()
    assert not is_as_if_never_killed(resumed, mine, whole)
    (mine / ".writing-half").rmdir()
    save_denoiser(mine, lively_denoiser, {}, [*HISTORY[:-1], HISTORY[-1] | {"loss": 0.5}])
    assert not is_as_if_never_killed(resumed, mine, whole)
    (mine / "config.json").unlink()
    assert not is_as_if_never_killed(resumed, mine, whole)


@pytest.mark.parametrize(("resumed", "survivors"), [(8, 3), (12, 0)], ids=["resumed", "started anew"])
def test_survivors_are_counted(resumed, survivors, folders, monkeypatch, capsys):
    mine, whole = folders
    for copy in ("1", "2"):
        shutil.copytree(whole, mine.parent / copy)
    kills = []

    def ended(folder, kill, step, delay):
        assert 2 <= step < RECIPE.steps - 2
        kills.append(kill)
        return Ended(f"kill {folder.name}", 4, resumed)

    class Finished:
        def join(self):
            pass

    monkeypatch.setattr(kill_and_resume, "start", lambda folder: (Finished(), None))
    monkeypatch.setattr(kill_and_resume, "kill_and_resume", ended)
    assert count_survivors(3, 0, mine.parent) == survivors
    assert len(set(kills)) == 2
    assert capsys.readouterr().out.count("the same losses") == survivors
