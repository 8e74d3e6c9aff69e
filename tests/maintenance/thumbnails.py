"""The small pictures in the README's map of the notebooks: `python tests/thumbnails.py`, after executing the notebooks.

Each is the committed figure of the notebook's one cell that is tagged `thumbnail`.
"""

import base64
import sys
from io import BytesIO
from pathlib import Path

import nbformat
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from helpers.files import ASSETS, write_aside

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
THUMBNAILS = ASSETS / "thumbnails"
SIZE = (260, 150)  # pixels, the largest


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
        with write_aside(THUMBNAILS / f"{path.stem}.png") as temporary:
            thumbnail(path).save(temporary, format="PNG", optimize=True)
