"""The bar goes to standard error, begins where a resumed run begins, and can be left out."""

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
