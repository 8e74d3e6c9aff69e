"""assets/README.md and README.md say of files and figures what `record_assets` writes."""

import pytest

from tests.maintenance.record_assets import FIGURES, between, figures, updated


def test_the_readmes_are_as_the_command_writes_them():
    """Every asset with its size and SHA-256; the report cards; the summary and the five figures."""
    for path, text in updated().items():
        assert path.read_text(encoding="utf-8") == text, (
            f"run python -m tests.maintenance.record_assets: {path} is out of date"
        )


def test_bold_rows_become_a_table():
    text = "| what | figure |\n|---|---|\n| **a** | 1 |\n| b | 2 |\n| **c** | 3 |\n"
    assert figures(text) == "| what | figure | command |\n|---|---|---|\n| a | 1 |\n| c | 3 |\n"


def test_a_table_is_put_between_its_markers():
    start, end = FIGURES
    assert between(FIGURES, f"before\n{start}\nold\n{end}\nafter", "new\n") == f"before\n{start}\nnew\n{end}\nafter"
    for wrong in (f"{start}\nno end", f"{start}{end}{start}{end}"):
        with pytest.raises(ValueError, match="once each"):
            between(FIGURES, wrong, "new\n")
