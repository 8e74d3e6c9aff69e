"""A player that needs no kernel: frames in one picture, plain HTML and a few lines of JavaScript.

`player_html` makes a page that works from a file and inside a larger page. It refers to nothing outside itself.
"""

import base64
import html
import json
import math
from collections.abc import Sequence

import numpy as np

from helpers.display.images import decode_png, encode_png

MAX_BYTES = 1_000_000

# A player keeps everything in its own element, so that a page can hold any number of them: each script starts the
# players that aren't started yet. Key presses stop at the player, or JupyterLab would take the arrow keys.
SCRIPT = """
for (const player of document.querySelectorAll(".frame-player")) {
  if (player.started) continue;
  player.started = true;
  const [canvas, sheet, slider, text] = ["canvas", "img", "input", "output"].map((tag) => player.querySelector(tag));
  const [play, previous, next] = player.querySelectorAll("button");
  const {columns, readouts, milliseconds} = JSON.parse(player.dataset.frames);
  const last = readouts.length - 1;
  let timer = null;
  const show = (frame) => {
    slider.value = frame;
    const left = (frame % columns) * canvas.width, top = Math.floor(frame / columns) * canvas.height;
    const pen = canvas.getContext("2d");
    pen.drawImage(sheet, left, top, canvas.width, canvas.height, 0, 0, canvas.width, canvas.height);
    text.textContent = readouts[frame].join("\\n");
    slider.setAttribute("aria-valuetext", readouts[frame].join(", "));
    previous.disabled = frame === 0;
    next.disabled = frame === last;
  };
  const stop = () => { clearInterval(timer); timer = null; play.textContent = "Play"; };
  const start = () => {
    if (+slider.value === last) show(0);
    play.textContent = "Pause";
    timer = setInterval(() => { show(+slider.value + 1); if (+slider.value === last) stop(); }, milliseconds);
  };
  player.addEventListener("keydown", (event) => event.stopPropagation());
  slider.addEventListener("input", () => { stop(); show(+slider.value); });
  previous.addEventListener("click", () => { stop(); show(Math.max(+slider.value - 1, 0)); });
  next.addEventListener("click", () => { stop(); show(Math.min(+slider.value + 1, last)); });
  play.addEventListener("click", () => (timer === null ? start() : stop()));
  sheet.decode().then(() => show(+slider.value));
}
"""

PAGE = """<!doctype html><meta charset="utf-8"><title>{label}</title>
<div class="frame-player" role="group" aria-label="{label}" data-frames="{data}"
 style="width: {wide}px; max-width: 100%; margin: 12px 0; font: 14px/1.5 system-ui, sans-serif">
<strong>{label}</strong>
<div style="width: {width}px; max-width: 100%; display: grid; text-align: center;
 grid-template-columns: repeat({panels}, 1fr)">{titles}</div>
<canvas width="{width}" height="{height}" role="img" aria-label="{label}: the picture"
 style="display: block; max-width: 100%; background: black"></canvas>
<div style="display: flex; flex-wrap: wrap; gap: 6px; margin: 8px 0; align-items: center">
<button type="button" style="{button}">Play</button>
<button type="button" style="{button}">Previous</button>
<button type="button" style="{button}">Next</button>
<input type="range" min="0" max="{last}" value="0" aria-label="Frame" style="flex: 1 1 120px">
</div>
<output style="display: block; white-space: pre-line; min-height: {lines}em">{first}</output>
<img alt="" hidden src="data:image/png;base64,{sheet}">
</div>
<script>{script}</script>
"""


def sprite_sheet(pngs: Sequence[bytes]) -> tuple[bytes, int]:
    """All frames in one PNG, row by row, and its number of columns. Frames are PNG files of one size."""
    frames = [decode_png(png) for png in pngs]  # (h, w, channels) each
    height, width = frames[0].shape[:2]
    # About square, because browsers refuse pictures that are tens of thousands of pixels long.
    columns = min(len(frames), max(1, round(math.sqrt(len(frames) * height / width))))
    rows = -(-len(frames) // columns)
    channels = max(frame.shape[2] for frame in frames)
    sheet = np.zeros((rows * height, columns * width, channels), np.uint8)
    for i, frame in enumerate(frames):
        top, left = i // columns * height, i % columns * width
        sheet[top : top + height, left : left + width] = frame  # grey frames broadcast to all channels
    return encode_png(sheet), columns


def player_html(
    pngs: Sequence[bytes],
    readouts: Sequence[Sequence[str]],
    label: str,
    titles: Sequence[str] = (),
    milliseconds: int = 200,
) -> str:
    """One HTML page that plays the frames `pngs`, PNG files of one size, each with its lines of text from `readouts`.

    `titles` stand above the picture, evenly spaced. Raises `ValueError` if the page would be larger than 1 MB.
    """
    sheet, columns = sprite_sheet(pngs)
    height, width = decode_png(pngs[0]).shape[:2]
    data = json.dumps({"columns": columns, "readouts": list(map(list, readouts)), "milliseconds": milliseconds})
    page = PAGE.format(
        label=html.escape(label),
        data=html.escape(data),
        titles="".join(f"<span>{html.escape(title)}</span>" for title in titles),
        panels=max(len(titles), 1),
        width=width,
        wide=max(width, 420),  # room for the controls
        height=height,
        last=len(pngs) - 1,
        lines=1.5 * max(len(lines) for lines in readouts),
        first=html.escape("\n".join(readouts[0])),
        button="font: inherit; min-width: 5.5em; padding: 2px 0",
        sheet=base64.b64encode(sheet).decode(),
        script=SCRIPT,
    )
    # In ASCII it is correct whatever the encoding of the page around it.
    page = page.encode("ascii", "xmlcharrefreplace").decode()
    if len(page) >= MAX_BYTES:
        raise ValueError(f"frames must fit into a page of 1 MB, not {len(page) / 1e6:.1f} MB; use fewer of them.")
    return page
