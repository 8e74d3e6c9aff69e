"""A player that needs no kernel: a filmstrip that every reader sees, and a script that replaces it by an animation.

`player_html` makes the output of a notebook cell, `page_html` a page for a file. Both refer to nothing outside.
JupyterLab, in a notebook that isn't trusted, and GitHub strip scripts and most styles. They keep the strip.
"""

import hashlib
import html
import json
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from helpers.display.images import GAP, WIDTH, as_rgba, caption_bar, data_url, decode_png, encode_png, first_panel, join

MAX_BYTES = 1_000_000
MOMENTS = 8  # in the strip
NOTEBOOK = "To play all of them here, run this cell or trust the notebook."
FILE = "To play all of them here, allow scripts for this page."

# A page can hold any number of players, so each script starts those that hold its own data and aren't started yet.
# Key presses stop at the player, or JupyterLab would take the arrow keys. The elements are made one by one, because
# some front ends refuse HTML that a script writes.
PLAYER_SCRIPT = """
(() => {
const data = {data};
const make = (tag, attributes, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};
const start = (player, sheet) => {
  const {label, titles, readouts, columns, width, height, milliseconds} = data;
  const last = readouts.length - 1;
  const button = (name) => make("button", {type: "button", style: "font: inherit; min-width: 5.5em; padding: 2px 0"},
    name);
  const canvas = make("canvas", {width, height, role: "img", style: "display: block; max-width: 100%"});
  const heads = make("div", {style: `width: ${width}px; max-width: 100%; display: grid; text-align: center; ` +
    `align-items: end; grid-template-columns: repeat(${titles.length || 1}, 1fr)`},
    ...titles.map((title) => make("span", {}, title)));
  const [play, previous, next] = ["Play", "Previous", "Next"].map(button);
  const slider = make("input", {type: "range", min: 0, max: last, value: 0, "aria-label": "Frame",
    style: "flex: 1 1 120px"});
  const controls = make("div", {style: "display: flex; flex-wrap: wrap; gap: 6px; margin: 8px 0; align-items: center"},
    play, previous, next, slider);
  const lines = Math.max(...readouts.map((readout) => readout.length));
  const text = make("div", {role: "status", style: `white-space: pre-line; min-height: ${1.5 * lines}em`});
  let timer = null;
  const show = (frame) => {
    slider.value = frame;
    const left = (frame % columns) * width, top = Math.floor(frame / columns) * height;
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, width, height);
    pen.drawImage(sheet, left, top, width, height, 0, 0, width, height);
    text.textContent = readouts[frame].join("\\n");
    slider.setAttribute("aria-valuetext", readouts[frame][0] ?? frame + 1);
    canvas.setAttribute("aria-label", `${label}: ${readouts[frame].join(", ")}`);
    previous.disabled = frame === 0;
    next.disabled = frame === last;
  };
  // While it plays, screen readers announce nothing. When it stops, the text is written again, which they announce.
  const rest = (frame) => {
    const played = timer !== null;
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
    show(frame);
    if (played) setTimeout(() => {
      if (timer === null) text.setAttribute("aria-live", "polite");
      text.replaceChildren(text.textContent);
    }, 100);
  };
  const run = () => {
    text.setAttribute("aria-live", "off");
    play.textContent = "Pause";
    if (+slider.value === last) show(0);
    timer = setInterval(() => (+slider.value + 1 < last ? show(+slider.value + 1) : rest(last)), milliseconds);
  };
  player.addEventListener("keydown", (event) => event.stopPropagation());
  slider.addEventListener("input", () => rest(+slider.value));
  previous.addEventListener("click", () => rest(Math.max(+slider.value - 1, 0)));
  next.addEventListener("click", () => rest(Math.min(+slider.value + 1, last)));
  play.addEventListener("click", () => (timer === null ? run() : rest(+slider.value)));
  player.querySelector(".frame-strip").replaceWith(heads, canvas, controls, text);
  rest(0);
};
for (const player of document.querySelectorAll('.frame-player[data-key="{key}"]')) {
  if (player.started) continue;
  player.started = true;
  const sheet = new Image();
  sheet.src = data.sheet;
  sheet.decode().then(() => start(player, sheet));
}
})();
"""

FRAGMENT = """<div class="frame-player" data-key="{key}" role="group" aria-label="{label}"
 style="width: {wide}px; max-width: 100%; margin: 12px 0">
<{heading}>{label}</{heading}>
<div class="frame-strip">
<p><img alt="{alt}" src="{strip}" style="max-width: 100%"></p>
<p>{sentence}</p>
</div>
</div>
<script>{script}</script>
"""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{label}</title>
</head>
<body style="margin: 16px; font: 16px/1.5 system-ui, sans-serif">
<main>
{fragment}</main>
</body>
</html>
"""


def sprite_sheet(pngs: Sequence[bytes]) -> tuple[bytes, int]:
    """All frames in one PNG, row by row, and its number of columns. Frames are PNG files of one size."""
    frames = [decode_png(png) for png in pngs]  # (h, w, channels) each
    height, width = frames[0].shape[:2]
    # About square, because browsers refuse pictures that are tens of thousands of pixels long.
    columns = min(len(frames), max(1, round(math.sqrt(len(frames) * height / width))))
    rows = -(-len(frames) // columns)
    channels = {frame.shape[2] for frame in frames}
    if len(channels) > 1 and channels & {2, 4}:
        frames, channels = [as_rgba(frame) for frame in frames], {4}
    sheet = np.zeros((rows * height, columns * width, max(channels)), np.uint8)
    for i, frame in enumerate(frames):
        top, left = i // columns * height, i % columns * width
        sheet[top : top + height, left : left + width] = frame  # grey frames broadcast to all channels
    return encode_png(sheet), columns


def filmstrip(pngs: Sequence[bytes], captions: Sequence[str]) -> bytes:
    """The first panel of each picture over its caption, in rows of about 500 pixels, as a PNG file.

    Panels are drawn at half their size, in which four of 252 pixels fit into a row.
    """
    panels = [Image.fromarray(as_rgba(first_panel(decode_png(png)))) for png in pngs]
    width, height = (max(1, side // 2) for side in panels[0].size)
    width, height = (width, height) if width <= 2 * WIDTH else (2 * WIDTH, max(1, height * 2 * WIDTH // width))
    columns = max(1, (2 * WIDTH) // width)
    captioned = []
    for panel, caption in zip(panels, captions, strict=True):
        small = np.asarray(panel.resize((width, height), Image.Resampling.BOX))
        bar = as_rgba(caption_bar(caption, width)[..., np.newaxis])
        captioned.append(np.concatenate([small, bar]))
    rows = [join(captioned[start : start + columns]) for start in range(0, len(captioned), columns)]
    return encode_png(join(rows, axis=0))


def player_html(
    pngs: Sequence[bytes],
    readouts: Sequence[Sequence[str]],
    label: str,
    titles: Sequence[str] = (),
    milliseconds: int = 200,
    *,
    heading: str = "strong",
    invitation: str = NOTEBOOK,
) -> str:
    """The frames `pngs`, PNG files of one size, as HTML for a notebook's output: a strip, which a script can play.

    `readouts` are each frame's lines of text; the first line is its caption in the strip. `titles` stand above the
    picture, evenly spaced. `heading` is the tag of the label, `invitation` the sentence under the strip.
    Raises `ValueError` if the result would be larger than 1 MB.
    """
    sheet, columns = sprite_sheet(pngs)
    height, width = decode_png(pngs[0]).shape[:2]
    moments = sorted({round(i) for i in np.linspace(0, len(pngs) - 1, min(MOMENTS, len(pngs)))})
    captions = [readouts[i][0] if readouts[i] else str(i + 1) for i in moments]
    data = {"label": label, "titles": list(titles), "readouts": [list(lines) for lines in readouts]}
    data |= {"columns": columns, "width": width, "height": height, "milliseconds": milliseconds}
    data = json.dumps(data | {"sheet": data_url(sheet)}).replace("<", "\\u003c")  # or a text could end the script
    key = hashlib.sha256(data.encode()).hexdigest()[:12]
    fragment = FRAGMENT.format(
        key=key,
        label=html.escape(label),
        heading=heading,
        wide=max(width, 2 * WIDTH + 3 * GAP),  # room for the strip and the controls
        alt=html.escape(f"{label}, {len(moments)} of {len(pngs)} frames: {'; '.join(captions)}."),
        strip=data_url(filmstrip([pngs[i] for i in moments], captions)),
        sentence=f"{len(moments)} of {len(pngs)} frames. {invitation}",
        script=PLAYER_SCRIPT.replace("{key}", key).replace("{data}", data),
    )
    return _small_ascii(fragment)


def page_html(
    pngs: Sequence[bytes],
    readouts: Sequence[Sequence[str]],
    label: str,
    titles: Sequence[str] = (),
    milliseconds: int = 200,
) -> str:
    """The player as a whole page, to be written to a file. Takes and raises what `player_html` does."""
    fragment = player_html(pngs, readouts, label, titles, milliseconds, heading="h1", invitation=FILE)
    return _small_ascii(PAGE.format(label=html.escape(label), fragment=fragment))


def _small_ascii(page: str) -> str:
    """HTML in ASCII, which is correct in every encoding. Raises `ValueError` from 1 MB on."""
    page = page.encode("ascii", "xmlcharrefreplace").decode()
    if len(page) >= MAX_BYTES:
        raise ValueError(f"frames must fit into a page of 1 MB, not {len(page) / 1e6:.1f} MB; use fewer of them.")
    return page
