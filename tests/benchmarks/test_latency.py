"""What the command says; the measurement itself needs a browser, see `repository/test_browser`."""

import re
import sys
import types

from tests.benchmarks import latency


def test_the_report(monkeypatch, capsys):
    monkeypatch.setattr(latency, "widget_latencies", lambda presses: ([10.0 + i for i in range(presses)], 0.85))
    assert latency.main(["--presses", "101"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "median 60 ms, p95 105 ms, longest 110 ms",
        "ten typed digits to their picture, warm: 0.85 s",
    ]


def test_without_chromium_it_says_so(monkeypatch, capsys):
    for name in ("playwright", "playwright.sync_api"):  # importing the real one takes seconds
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert latency.main([]) == 2
    assert re.fullmatch(r"error: Chromium isn't installed; .*\n", capsys.readouterr().err)
