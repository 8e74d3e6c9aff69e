"""The bar goes to standard error, begins where a resumed run begins, and can be left out."""

import sys

import pytest

from helpers.tools.progress import progress_bar


def test_a_bar_over_items(capsys):
    assert list(progress_bar(range(3), unit="batch")) == [0, 1, 2]
    printed = capsys.readouterr()
    assert "3/3" in printed.err and "batch" in printed.err and printed.out == ""


def test_a_bar_that_resumes(capsys):
    with progress_bar(total=10, done=7) as bar:
        bar.update()
    assert bar.n == 8 and "8/10" in capsys.readouterr().err


def test_no_bar(capsys):
    assert list(progress_bar(range(3), shown=False)) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_a_bar_without_standard_error(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)  # as Python starts with 2>&-
    assert list(progress_bar(range(3))) == [0, 1, 2]


def test_a_bar_says_what_the_first_step_waits_for(capsys):
    with progress_bar(total=10, done=7, first="compiling the first step") as bar:
        assert "7/10" in (shown := capsys.readouterr().err) and "compiling the first step" in shown
        bar.update()
        bar.refresh()
        assert "8/10" in (shown := capsys.readouterr().err) and "compiling" not in shown
        bar.set_postfix_str("loss 0.5")
        bar.update()
        bar.refresh()
        assert "loss 0.5" in capsys.readouterr().err


@pytest.mark.parametrize("first", ["", "compiling"])
def test_a_hidden_bar_has_all_that_a_shown_one_has(first, capsys):
    with progress_bar(total=3, shown=False, first=first) as bar:
        bar.update()
        bar.set_postfix_str("loss 0.5")
    assert capsys.readouterr().err == ""
