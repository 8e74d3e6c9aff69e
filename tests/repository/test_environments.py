"""The commands give the same pictures in other people's environments; what the modules do about it is in `tools`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OTHER_WORK = {"backend": "jax", "floatx": "float16", "epsilon": 1e-3, "image_data_format": "channels_first"}


def run(out, closing="", **environment):
    """`python -m helpers sample` in a shell; returns (exit code, output, error)."""
    python = os.environ | {"PYTHON": sys.executable, "OUT": str(out)} | environment
    line = f'"$PYTHON" -m helpers sample 31 --steps 2 --out "$OUT" {closing}'
    done = subprocess.run(["sh", "-c", line], cwd=ROOT, env=python, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The picture in the environment of the tests."""
    out = tmp_path_factory.mktemp("expected") / "digits.png"
    assert run(out) == (0, f"2 digits in {out}\n", "")
    return out.read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="a shell closes the outputs")
@pytest.mark.parametrize("closing", ["", "2>&-", ">&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_the_picture_is_the_same(closing, tmp_path, expected):
    """Keras and matplotlib are set up for other work, and there is no home folder to write to."""
    keras = tmp_path / "keras"
    keras.mkdir()
    (keras / "keras.json").write_text(json.dumps(OTHER_WORK), encoding="utf-8")
    homeless = dict.fromkeys(("HOME", "MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "HF_HOME"), "/dev/null/none")
    other_work = {"KERAS_HOME": str(keras), "KERAS_BACKEND": "torch", "KERAS_MAX_EPOCHS": "1", "MPLBACKEND": "Agg"}
    out = tmp_path / "digits.png"
    code, output, error = run(out, closing, **homeless, **other_work)
    assert (code, output) == (0, "" if ">&-" in closing.replace("2>&-", "") else f"2 digits in {out}\n"), error
    assert out.read_bytes() == expected
    assert "Traceback" not in error and "error" not in error


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a full disk at hand")
def test_an_output_that_is_full_is_one_line(tmp_path):
    code, output, error = run(tmp_path / "digits.png", ">/dev/full")
    assert (code, output, error) == (2, "", "error: [Errno 28] No space left on device\n")
