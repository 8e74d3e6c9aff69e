"""The benchmark's parts run and measure; how fast is for `python -m helpers.benchmark` to say, not for a test."""

import re
import time

from helpers.benchmark import main, median_seconds, training_images_per_second


def test_median_leaves_out_the_first_call():
    calls = []

    def slow_at_first():
        calls.append(None)
        time.sleep(0.5 if len(calls) == 1 else 0.01)

    assert 0.01 <= median_seconds(slow_at_first) < 0.4
    assert len(calls) == 4


def test_training_is_measured():
    assert training_images_per_second("float32", steps=1) > 0


def test_without_chromium_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert main(["--widgets"]) == 2
    assert re.fullmatch(r"error: .* isn't installed; .*\n", capsys.readouterr().err)


def test_refuses(capsys):
    assert main(["--repeats", "0"]) == 2
    assert capsys.readouterr().err == "error: --repeats must be at least 1, not 0.\n"
