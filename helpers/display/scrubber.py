"""A slider over pictures that already exist: the widget that all the others are made from.

Every picture is a PNG file before the widget appears, and the browser holds all of them. Moving the slider only shows
another page there, without the kernel, so that nothing flickers or lags, even while the kernel is busy.
Works on ipywidgets 7.7 (Colab) and 8.1.
"""

import html
from collections.abc import Callable, Sequence

import ipywidgets
import numpy as np

from helpers.display.front_end import CLOSE, TOOLTIP, WRAP, Shown, heading
from helpers.display.images import as_pngs, data_url, decode_png
from helpers.display.player import page_html, player_html


def _as_lines(text: str | Sequence[str]) -> list[str]:
    lines = [text] if isinstance(text, str) else text
    if not isinstance(lines, Sequence) or not all(isinstance(line, str) for line in lines):
        raise ValueError(f"readout must give a text or a list of texts, not {text!r}.")
    return list(lines)


def _paragraph(lines: Sequence[str]) -> str:
    """Lines as HTML. All digits have one width, so that a changing number doesn't move its neighbours."""
    rows = "<br>".join(map(html.escape, lines))
    return f'<div class="frame-text" style="line-height: 1.6; font-variant-numeric: tabular-nums">{rows}</div>'


def _page(png: bytes, lines: Sequence[str], titles: Sequence[str]) -> str:
    """A picture under its titles, with the text beside it, as HTML. On a narrow screen the text moves below."""
    columns = f"display: grid; grid-template-columns: repeat({max(len(titles), 1)}, 1fr); text-align: center"
    spans = "".join(f"<span>{html.escape(title)}</span>" for title in titles)
    # Decoded at once, so that a page is never blank when it is first shown.
    image = f'<img decoding="sync" alt="{html.escape(", ".join(lines))}" src="{data_url(png)}" style="max-width: 100%">'
    picture = f'<div style="max-width: 100%"><div style="{columns}; align-items: end">{spans}</div>{image}</div>'
    row = "display: flex; flex-wrap: wrap; align-items: center; gap: 4px 16px"
    return f'<div style="{row}">{picture}{_paragraph(lines)}</div>'


class Scrubber(Shown):
    """A slider over `frames`: images `(h, w)` or `(h, w, 1 or 3)` in [-1, 1], or PNG files, all of one size.

    `readout(i)` gives the text beside frame i, a line or a list of lines; it is called once per frame, at the start.
    Its first line names the frame: it is the slider's value for screen readers, and a caption in `to_html`.
    `titles` stand above the picture, evenly spaced. `control` is the slider's name; it runs over `count` frames at a
    time (default: all). Arrow keys move the slider; the play button shows each frame for `milliseconds`.
    Raises `ValueError` for frames that aren't pictures, a readout that isn't text, a wrong `count` or `milliseconds`.
    """

    def __init__(
        self,
        frames: Sequence[np.ndarray | bytes],
        label: str = "Frames",
        readout: Callable[[int], str | Sequence[str]] | None = None,
        *,
        titles: Sequence[str] = (),
        control: str = "frame",
        milliseconds: int = 200,
        count: int | None = None,
    ) -> None:
        self.frames = as_pngs(frames)
        self.count = len(self.frames) if count is None else count
        if not isinstance(self.count, int) or not 1 <= self.count <= len(self.frames):
            raise ValueError(f"count must be a whole number in 1..{len(self.frames)}, not {count!r}.")
        if not isinstance(milliseconds, int) or milliseconds < 1:
            raise ValueError(f"milliseconds must be a whole number of at least 1, not {milliseconds!r}.")
        readout = readout or (lambda i: f"frame {i + 1} of {len(self.frames)}")
        self.readouts = [_as_lines(readout(i)) for i in range(len(self.frames))]
        self.label, self.titles, self.milliseconds = label, tuple(titles), milliseconds
        self.first = 0  # the frame where the slider's 0 is
        self._build(control)

    def _build(self, control: str) -> None:
        width = decode_png(self.frames[0]).shape[1]
        text, *others = self._shown()
        page = ipywidgets.HTML(text, layout={"margin": "0"})  # the Tab around it has a margin already
        shared = {"layout": page.layout, "style": page.style}  # one message per page instead of three
        self.pages = ipywidgets.Tab([page, *(ipywidgets.HTML(other, **shared) for other in others)])
        self.pages.selected_index = 0
        self.pages.add_class("frame-pages")
        controls = self._controls(control, WRAP | {"max_width": f"{max(width, 760)}px", "margin": "8px 0 0 0"})
        wait = max(500, 2 * self.milliseconds)  # longer than a frame while they play
        self.widget = ipywidgets.VBox([heading(self.label, wait), self.pages, controls])
        self.widget.add_class("course-widget")

    def _controls(self, control: str, layout: dict[str, str]) -> ipywidgets.HBox:
        places = {"value": 0, "min": 0, "max": self.count - 1}
        tooltip = {TOOLTIP: f"Drag, or click and use the arrow keys: {control} by {control}"}
        self.slider = ipywidgets.IntSlider(**places, description=control, readout=False, **tooltip, **CLOSE)
        self.slider.layout.flex, self.slider.layout.width = "1 1 240px", "auto"
        self.slider.layout.margin = "2px 2px 2px 12px"
        tooltip = {TOOLTIP: f"Play every {control}"}
        self.play = ipywidgets.Play(
            **places, interval=self.milliseconds, description="Play", show_repeat=False, **tooltip
        )
        # Linked in the browser, so that playing and dragging never wait for the kernel.
        self.links = [
            ipywidgets.jslink((self.play, "value"), (self.slider, "value")),
            ipywidgets.jslink((self.slider, "value"), (self.pages, "selected_index")),
        ]
        self.previous = _step_button("Previous", f"Previous {control}", self.slider, -1)
        self.next = _step_button("Next", f"Next {control}", self.slider, +1)
        return ipywidgets.HBox([self.play, self.previous, self.next, self.slider], layout=layout)

    def _in_reach(self) -> tuple[list[bytes], list[list[str]]]:
        """The frames that the slider runs over now, and their readouts."""
        reach = slice(self.first, self.first + self.count)
        return self.frames[reach], self.readouts[reach]

    def _shown(self) -> list[str]:
        """The pages that the slider runs over now."""
        return [_page(png, lines, self.titles) for png, lines in zip(*self._in_reach(), strict=True)]

    def to_html(self) -> str:
        """The slider's present frames for the output of a cell, as a strip that a script plays; see `player_html`."""
        return player_html(*self._in_reach(), self.label, self.titles, self.milliseconds)

    def to_page(self) -> str:
        """A whole page that plays the slider's present frames, to be written to a file; see `page_html`."""
        return page_html(*self._in_reach(), self.label, self.titles, self.milliseconds)


def _step_button(sign: str, tooltip: str, slider: ipywidgets.IntSlider, step: int) -> ipywidgets.Button:
    button = ipywidgets.Button(description=sign, tooltip=tooltip, layout={"width": "80px"})

    def move(_: ipywidgets.Button) -> None:
        slider.value = min(max(slider.value + step, slider.min), slider.max)

    button.on_click(move)
    return button
