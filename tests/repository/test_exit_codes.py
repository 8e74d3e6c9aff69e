"""`python -m helpers ...` ends with code 0, with 2 and one line after an error, or with 130 and one line after Ctrl-C.

In this process, as `python -m` runs it; with --all, also in processes of their own.
"""

import importlib.abc
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import helpers.workshop.classifier_training
import helpers.workshop.digit_clip
import helpers.workshop.recipes  # noqa: F401 - and with these, all modules that read something
from helpers.commands import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
STOPS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@pytest.fixture
def end_of(monkeypatch, capsys, tmp_path):
    """A function that runs a line of the shell; returns (code, output, error)."""
    monkeypatch.setattr("helpers.tools.command_line.ignore_stops", lambda: None)  # this process goes on
    monkeypatch.delitem(sys.modules, "helpers.__main__", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["helpers", *arguments])
        with pytest.raises((SystemExit, KeyboardInterrupt)) as stop:
            runpy.run_module("helpers", run_name="__main__")
        assert stop.type is SystemExit
        return (stop.value.code, *capsys.readouterr())

    return run


def test_the_list_and_the_help(end_of):
    for arguments in ([], ["--help"], *([command, "--help"] for command in COMMANDS)):
        code, output, error = end_of(*arguments)
        assert (code, error) == (0, "") and output.startswith("usage: python -m helpers"), arguments


UNFIT = [
    "smaple 314",
    "sample",
    "sample 314 --steps many",
    "sample 314 --out digits.jpg",
    "sample 314 --out .",
    "sample 314 --seed -1",
    "sample 314 runs/none",
    "sample 3x4",
    "train",
    "train --out runs --steps 0",
    "train --out runs --data none.npz",
    "train --out runs --distribute multiworker",
    "train --out runs --distribute cloud",
    "train --out ~nobody-of-this-name/runs",
    "validate runs/none",
    "accuracy --images 3",
    "accuracy runs/none",
    "evaluate --images 3",
    "clip one two",
    "shapes",
    "shapes --out shapes.npz --images 0",
    "shapes --out shapes.npz --images 1000000000000",
    "tune runs/none",
    "recipes none",
    "distil runs/none",
    "distil noise",
    "distil --passes 11",
    "train-classifiers --epochs 0",
    "train-clip --out ''",
]


@pytest.mark.parametrize("line", UNFIT)
def test_an_error_is_one_line_and_code_2(line, end_of, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    code, output, error = end_of(*[part.strip("'") for part in line.split()])
    assert (code, output) == (2, "") and error.startswith("error: ") and error.count("\n") == 1, error


def test_every_command_has_an_unfit_line():
    assert {line.split()[0] for line in UNFIT} == {*COMMANDS, "smaple"}


LINES = {command: [command] for command in COMMANDS} | {
    "sample": ["sample", "314"],
    "train": ["train", "--out", "new"],
    "shapes": ["shapes", "--out", "shapes.npz"],
    "tune": ["tune", "--out", "tune.csv"],
}


READS = ("load_mnist", "load_denoiser", "load_digits_denoiser", "draw_shapes")


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_stopped_command_is_one_line_and_code_130(command, stop, end_of, monkeypatch):
    """A signal while it reads what it needs: each of the commands reads, or draws, one of these."""
    seen = []

    def interrupted(*_, **__):
        seen.append(command)
        signal.raise_signal(stop)

    for module in [module for name, module in sys.modules.items() if name.startswith("helpers.")]:
        for name in READS:
            if hasattr(module, name):
                monkeypatch.setattr(module, name, interrupted)
    code, output, error = end_of(*LINES[command])
    assert (code, output, seen) == (130, "", [command])
    assert error.startswith("Stopped.") and error.count("\n") == 1


@pytest.mark.parametrize("module", ["helpers.commands", "helpers.tools.command_line", "helpers.commands.train"])
def test_ctrl_c_during_the_first_imports(module, end_of, monkeypatch):
    class Interrupting(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path, target=None):
            if name == module:
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    monkeypatch.delitem(sys.modules, module)
    assert end_of("sample", "314") == (130, "", "Stopped.\n")


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT to another process")
@pytest.mark.parametrize("seconds", [0.2, 0.5, 1, 2, 4])
def test_ctrl_c_during_any_import(seconds, tmp_path):
    """After `helpers` itself is there: before, only Python runs. By then TensorFlow, or a compilation, is under way."""
    ready = "import helpers, runpy, sys; print(flush=True); sys.argv = sys.argv[1:]; "
    ready += "runpy.run_module('helpers', run_name='__main__')"
    command = [sys.executable, "-c", ready, "helpers", "sample", "7" * 200, "--out", str(tmp_path / "digits.png")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        output, error = process.communicate(timeout=120)
    assert (process.returncode, output, error) == (130, "", "Stopped.\n")


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="there is no nohup")
@pytest.mark.parametrize("ignored", [stop for stop in STOPS if stop != signal.SIGTERM])
def test_a_signal_that_is_ignored_stays_so(ignored, tmp_path):
    """As by `nohup`, or in the background of a script."""
    ready = f"""import runpy, signal, sys
signal.signal({ignored:d}, signal.SIG_IGN)
import helpers.tools.command_line
sys.argv = sys.argv[1:]
itself = helpers.tools.command_line.stops_raised
def announced():
    print(flush=True)
    return itself()
helpers.tools.command_line.stops_raised = announced
runpy.run_module("helpers", run_name="__main__")"""
    out = tmp_path / "digits.png"
    command = [sys.executable, "-c", ready, "helpers", "sample", "7", "--steps", "1", "--out", str(out)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        for _ in range(10):
            process.send_signal(ignored)
            time.sleep(0.5)
        output, error = process.communicate(timeout=120)
    assert (process.returncode, output, error) == (0, f"1 digits in {out}\n", "") and out.exists()
