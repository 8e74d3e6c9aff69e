"""Write sizes and SHA-256 into the table of assets/README.md: `python tests/record_assets.py`, after remaking an asset.

The command that made each file is kept from the row that is there; a file without a row needs one typed first,
with any size and digest.
"""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from helpers.files import ASSETS, sha256_of_file, write_aside

ROW = re.compile(r"^\| `([^`]+)` \| ([\d,]+) \| `([0-9a-f]*)` \| (.*) \|$", re.MULTILINE)


def assets() -> dict[str, Path]:
    """Every file in assets/ but its README, by its path there."""
    files = (path for path in ASSETS.rglob("*") if path.is_file() and path.name != "README.md")
    return {path.relative_to(ASSETS).as_posix(): path for path in sorted(files)}


def recorded(text: str) -> dict[str, tuple[int, str]]:
    """(bytes, SHA-256) of each file that README's table names."""
    return {name: (int(size.replace(",", "")), digest) for name, size, digest, _ in ROW.findall(text)}


def measured(files: dict[str, Path]) -> dict[str, tuple[int, str]]:
    """(bytes, SHA-256) of each file that is there."""
    return {name: (path.stat().st_size, sha256_of_file(path)) for name, path in files.items()}


if __name__ == "__main__":
    readme = ASSETS / "README.md"
    text, found = readme.read_text(), measured(assets())
    if different := set(recorded(text)) ^ set(found):
        sys.exit(f"error: only in the table or only in assets/: {', '.join(sorted(different))}")
    new = ROW.sub(lambda row: "| `{}` | {:,} | `{}` | {} |".format(row[1], *found[row[1]], row[4]), text)
    with write_aside(readme) as temporary:
        temporary.write_text(new)
