"""Text is UTF-8 and lines end in LF, on every system and whatever its settings are."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.tools.files import ASSETS, sha256_of_file

ROOT = ASSETS.parent
SOURCES = sorted([*(ROOT / "helpers").rglob("*.py"), *(ROOT / "tests").rglob("*.py")])
TEXT = ("read_text", "write_text")
OPENS = ("open", "fdopen", "NamedTemporaryFile", "TemporaryFile", "TextIOWrapper")


def mode_of(call: ast.Call, position: int) -> str:
    """The mode that a file is opened in: the argument at that position, or named so."""
    given = [keyword.value for keyword in call.keywords if keyword.arg == "mode"] or call.args[position : position + 1]
    return str(given[0].value) if given and isinstance(given[0], ast.Constant) else ""


def is_text(call: ast.Call) -> bool:
    """Whether a call opens, reads or writes a file as text."""
    function = call.func
    if isinstance(function, ast.Name):
        return function.id in OPENS and "b" not in mode_of(call, 1)
    if not isinstance(function, ast.Attribute):
        return False
    owner = ast.unparse(function.value)
    if function.attr == "open" and owner in ("os", "Image", "zipfile", "tarfile", "webbrowser", "archive", "page"):
        return False  # not of text
    if function.attr == "open" and owner == "file":  # an entry of an archive
        return False
    if function.attr == "open" and owner not in ("io", "codecs"):  # of a path
        return "b" not in mode_of(call, 0)
    if function.attr in ("NamedTemporaryFile", "TemporaryFile"):
        return "b" not in (mode_of(call, 0) or "w+b")
    return function.attr in TEXT or (function.attr in OPENS and "b" not in mode_of(call, 1))


def without_encoding(source: str) -> list[int]:
    """The lines of calls that leave the encoding to the system."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and is_text(node)]
    named = lambda call: any(keyword.arg == "encoding" for keyword in call.keywords)  # noqa: E731
    return [call.lineno for call in calls if not named(call)]


@pytest.mark.parametrize(
    "call",
    [
        *("open(x)", 'open(x, "w")', 'open(x, mode="a")', "path.open()", 'path.open("w")', "path.read_text()"),
        *("(a / b).write_text(text)", "io.open(x)", "os.fdopen(3)", 'tempfile.NamedTemporaryFile("w")'),
    ],
)
def test_what_is_looked_for(call):
    assert without_encoding(call) == [1]
    assert without_encoding(call[:-1] + (", " if call[-2] != "(" else "") + 'encoding="utf-8")') == []


def test_what_is_not_text():
    for call in ('open(x, "rb")', 'open(x, mode="wb")', 'path.open("rb")', "os.open(x, 0)", "Image.open(x)", "read(x)"):
        assert without_encoding(call) == []


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_every_text_file_is_opened_as_utf_8(file):
    assert without_encoding(file.read_text(encoding="utf-8")) == []


SAYS = r"""
from helpers.__main__ import main
from helpers.checkpoints import save_denoiser
from helpers.diffusion import cosine_schedule
from helpers.tools.command_line import run_command
from helpers.unet import UNetConfig, build_denoiser

names = ("caf\u00e9", "na\u00efve \u2192", "\uac00")
config = UNetConfig(widths=(8, 8), embedding_width=16, heads=2, num_classes=3, class_names=names)
save_denoiser("network", build_denoiser(config, cosine_schedule()), {}, [])
print(main(["sample", "cafe\u0301, \uac00", "network", "--steps", "1", "--out", "two.png"]))
print(main(["sample", "th\u00e9", "network", "--out", "none.png"]))
print(run_command(lambda _: print("in caf\u00e9.png"), None))
"""


def test_a_system_that_knows_only_ascii(tmp_path):
    """Names with other characters are read and written, and printed as escapes: nothing fails after the work."""
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": str(ROOT)}
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONIOENCODING"} | plain
    done = subprocess.run([sys.executable, "-c", SAYS], cwd=tmp_path, env=environment, capture_output=True)
    printed, error = done.stdout.decode("ascii").splitlines(), done.stderr.decode("ascii")
    assert printed == ["2 pictures in two.png", "0", "2", r"in caf\xe9.png", "0"], error
    assert done.returncode == 0 and (tmp_path / "two.png").exists()
    assert error.splitlines() == [
        r"error: 'th\xe9' is none of the classes (caf\xe9, na\xefve \u2192, \uac00); separate several by commas."
    ]


# --- A clone on a system whose Git turns line endings ---


def clone(to: Path) -> Path:
    """What is committed, checked out as Git does on Windows."""
    options = ["-c", "core.autocrlf=true", "-c", "core.eol=crlf"]
    subprocess.run(["git", *options, "clone", "--quiet", "--shared", "--no-checkout", str(ROOT), str(to)], check=True)
    subprocess.run(["git", *options, "checkout", "--quiet", "HEAD", "--", "."], cwd=to, check=True)
    return to


def committed(pattern: str) -> list[str]:
    names = subprocess.run(["git", "ls-files", "-z", pattern], cwd=ROOT, capture_output=True, check=True).stdout
    return [name for name in names.decode().split("\0") if name]


@pytest.fixture(scope="module")
def cloned(tmp_path_factory):
    return clone(tmp_path_factory.mktemp("clone") / "course")


def test_a_clone_has_the_same_bytes(cloned):
    """Of every asset, text or not: their SHA-256 are recorded."""
    names = committed("assets")
    assert {"assets/digit-clip/tokenizer.json", "assets/recipes.csv", "assets/unet-noise/config.json"} <= set(names)
    for name in names:
        if (ROOT / name).is_file():
            assert sha256_of_file(cloned / name) == sha256_of_file(ROOT / name), name
    for name in (*committed("*.py"), *committed("*.ipynb"), *committed("*.md")):
        assert b"\r\n" not in (cloned / name).read_bytes(), name


LOADS = """
from helpers.checkpoints import PRETRAINED, PRETRAINED_NOISE, load_digits_denoiser, read_history
from helpers.data import load_mnist
from helpers.evaluation.classifiers import ROLES, load_classifier
from helpers.evaluation.clip import load_clip
from helpers.evaluation.report_card import load_report
from helpers.tools.files import ASSETS
from helpers.workshop import recipes, tuning

load_mnist()
load_clip()
for network in (PRETRAINED, PRETRAINED_NOISE):
    load_digits_denoiser(network), load_report(network), read_history(network / "history.csv")
for role in ROLES:
    load_classifier(role)
for table in ("tuning", "front", "finalists"):
    assert tuning.read_table(ASSETS / f"{table}.csv")
assert recipes.finished_rows(ASSETS / "recipes.csv")
print(ASSETS)
"""


@pytest.mark.slow  # a process of its own
def test_a_clone_loads_everything(cloned):
    done = subprocess.run([sys.executable, "-c", LOADS], cwd=cloned, capture_output=True, text=True, encoding="utf-8")
    assert (done.returncode, done.stderr, done.stdout) == (0, "", f"{cloned / 'assets'}\n")
