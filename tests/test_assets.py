"""assets/README.md speaks of the files that are there: each with its size and SHA-256."""

import re

from helpers.files import ASSETS, sha256_of_file


def test_every_asset_is_recorded_as_it_is():
    rows = re.findall(
        r"^\| `([^`]+)` \| ([\d,]+) \| `([0-9a-f]{64})` \|", (ASSETS / "README.md").read_text(), re.MULTILINE
    )
    recorded = {name: (int(size.replace(",", "")), digest) for name, size, digest in rows}
    files = [path for path in ASSETS.rglob("*") if path.is_file() and path.name != "README.md"]
    found = {path.relative_to(ASSETS).as_posix(): (path.stat().st_size, sha256_of_file(path)) for path in files}
    assert recorded == found
