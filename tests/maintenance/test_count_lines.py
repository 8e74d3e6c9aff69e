"""`helpers/` stays within its limits, and the command says so."""

from tests.maintenance import count_lines


def test_helpers_stay_within_their_limits(capsys):
    code, said = count_lines.main([]), capsys.readouterr()
    assert code == 0, said.out + said.err
    *rooms, total, entries = said.out.splitlines()
    assert len(rooms) == 7 and total.startswith("lines together") and entries.startswith("entries")


def test_lines_are_counted_in_files_and_packages(monkeypatch, tmp_path, capsys):
    (tmp_path / "training" / "__pycache__").mkdir(parents=True)
    for name, lines in {"data.py": 3, "training/__init__.py": 1, "training/loop.py": 5, "README.md": 9}.items():
        (tmp_path / name).write_text("\n" * lines, encoding="utf-8")
    monkeypatch.setattr(count_lines, "HELPERS", tmp_path)
    monkeypatch.setattr(count_lines, "ROOMS", ("data.py", "training"))
    assert count_lines.lines_per_room() == {"data.py": 3, "training": 6}
    assert count_lines.entries() == ["data.py", "training"]
    for limit, highest in (("MOST_LINES", 8), ("MOST_ENTRIES", 1)):
        with monkeypatch.context() as patch:
            patch.setattr(count_lines, limit, highest)
            assert count_lines.main([]) == 2
            assert capsys.readouterr().err == "error: helpers/ is larger than its limits allow.\n"
