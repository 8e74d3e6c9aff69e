"""Make the small pictures in README.md's table of lessons: `python -m tests.maintenance.thumbnails`.

Run it after executing the notebooks. Each picture is the committed figure of the notebook's one cell with the tag
`thumbnail`.
"""

import base64
from io import BytesIO
from pathlib import Path

import nbformat
from PIL import Image

from helpers.tools.files import ASSETS, atomic_write

NOTEBOOKS = ASSETS.parent / "notebooks"
THUMBNAILS = ASSETS / "thumbnails"
SIZE = (400, 240)  # pixels, at most: text in the figures stays legible in a table of three columns


def thumbnail(path: Path) -> Image.Image:
    """The tagged figure of a notebook, small enough for a table."""
    notebook = nbformat.read(path, as_version=4)
    (cell,) = (cell for cell in notebook.cells if "thumbnail" in cell.metadata.get("tags", []))
    (png,) = (output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", {}))
    picture = Image.open(BytesIO(base64.b64decode(png))).convert("RGB")
    picture.thumbnail(SIZE, Image.Resampling.LANCZOS)
    return picture


if __name__ == "__main__":
    THUMBNAILS.mkdir(exist_ok=True)
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        with atomic_write(THUMBNAILS / f"{path.stem}.png") as temporary:
            thumbnail(path).save(temporary, format="PNG", optimize=True)
