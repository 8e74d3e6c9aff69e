"""Sliders over pictures that already exist: drag through noise, denoising and guidance. No maths of its own.

Every picture is a PNG file before the widget appears, and the browser has all of them: a slider that moves only turns
to another page there, without asking the kernel, so that nothing flickers and nothing falls behind, not even while the
kernel is busy. Works on ipywidgets 7.7 (Colab) and 8.1.
"""

import base64
import html
from collections.abc import Callable, Sequence

import ipywidgets
import keras
import numpy as np
from IPython.display import display

from helpers.data import to_pixels
from helpers.diffusion import Schedule, add_noise
from helpers.pictures import PAPER, as_pngs, decode_png, encode_png, enlargement, histogram, image_grid
from helpers.player import player_html
from helpers.sampling import read_labels, sample
from helpers.trajectories import Trajectories

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
# ipywidgets 8 renamed what 7.7 calls description_tooltip.
TOOLTIP = "tooltip" if "tooltip" in ipywidgets.IntSlider.class_trait_names() else "description_tooltip"
CLOSE = {"style": {"description_width": "initial"}}  # a control's description right beside it
# The pages of a Tab without its bar, in both versions' names, and without the room and the line around a page.
BARE_PAGES = """<style>
.frame-pages > .lm-TabBar, .frame-pages > .p-TabBar { display: none !important }
.frame-pages > .widget-tab-contents { padding: 0 !important; border: 0 !important; overflow: visible !important }
</style>"""


def _as_lines(text: str | Sequence[str]) -> list[str]:
    lines = [text] if isinstance(text, str) else text
    if not isinstance(lines, Sequence) or not all(isinstance(line, str) for line in lines):
        raise ValueError(f"readout must give a text or a list of texts, not {text!r}.")
    return list(lines)


def _paragraph(lines: Sequence[str]) -> str:
    """Lines as HTML. Digits of one width: a number that changes doesn't move its neighbours."""
    rows = "<br>".join(map(html.escape, lines))
    return f'<div style="line-height: 1.6; white-space: nowrap; font-variant-numeric: tabular-nums">{rows}</div>'


def _page(png: bytes, lines: Sequence[str], titles: Sequence[str]) -> str:
    """A picture under its titles and the text beside it as HTML; on a narrow screen the text is below."""
    columns = f"display: grid; grid-template-columns: repeat({max(len(titles), 1)}, 1fr); text-align: center"
    spans = "".join(f"<span>{html.escape(title)}</span>" for title in titles)
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    # Decoded at once: a page that is turned to for the first time is never blank.
    image = f'<img decoding="sync" alt="{html.escape(", ".join(lines))}" src="{source}" style="max-width: 100%">'
    picture = f'<div style="max-width: 100%"><div style="{columns}">{spans}</div>{image}</div>'
    row = "display: flex; flex-wrap: wrap; align-items: center; gap: 4px 16px"
    return f'<div style="{row}">{picture}{_paragraph(lines)}</div>'


class Shown:
    """Something with a `widget`, which a cell that ends in it displays."""

    widget: ipywidgets.Widget

    def _ipython_display_(self) -> None:
        # The view alone, without a text beside it: a committed notebook keeps nothing of it, nbval compares nothing.
        view = {"version_major": 2, "version_minor": 0, "model_id": self.widget.model_id}
        display({WIDGET_VIEW: view}, raw=True)


class Scrubber(Shown):
    """A slider over `frames`: images `(h, w)` or `(h, w, 1 or 3)` in [-1, 1], or PNG files, all of one size.

    `readout(i)` gives the text beside frame i, a line or a list of lines; it is asked once a frame, here. `titles`
    stand above the picture, evenly spaced. `control` names what the slider runs over, `count` frames of them at a time
    (default: all). Arrow keys move the slider.
    Raises `ValueError` for frames that aren't pictures.
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
        shared = {"layout": page.layout, "style": page.style}  # of a hundred pages: one message each, not three
        self.pages = ipywidgets.Tab([page, *(ipywidgets.HTML(other, **shared) for other in others)])
        self.pages.selected_index = 0
        self.pages.add_class("frame-pages")
        heading = ipywidgets.HTML(f"{BARE_PAGES}<strong>{html.escape(self.label)}</strong>")
        # One row, or on a narrow screen two.
        layout = {"width": "100%", "max_width": f"{max(width, 760)}px", "margin": "8px 0 0 0", "flex_flow": "row wrap"}
        controls = self._controls(control, layout)
        self.widget = ipywidgets.VBox([heading, self.pages, controls])

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
        # In the browser, not here: while it plays or is dragged, nothing waits for the kernel.
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
        """A page that plays what the slider runs over now, without a kernel; `player_html` says more."""
        return player_html(*self._in_reach(), self.label, self.titles, self.milliseconds)


def _step_button(sign: str, tooltip: str, slider: ipywidgets.IntSlider, step: int) -> ipywidgets.Button:
    button = ipywidgets.Button(description=sign, tooltip=tooltip, layout={"width": "80px"})

    def move(_: ipywidgets.Button) -> None:
        slider.value = min(max(slider.value + step, slider.min), slider.max)

    button.on_click(move)
    return button


def _shares(t: int, alpha_bar: float) -> list[str]:
    """What is left of the image after step t, and what noise there is, as lines of a readout."""
    return [
        f"t = {t}",
        f"signal share, sqrt(alpha_bar): {alpha_bar**0.5:.3f}",
        f"noise share, sqrt(1 - alpha_bar): {(1 - alpha_bar) ** 0.5:.3f}",
    ]


class ForwardScrubber(Scrubber):
    """A slider over t: the image x_t, its histogram, and how much signal and noise there is.

    `x_0` and `noise` `(size, size, 1 or 3)`, x_0 in [-1, 1]; frame t is `add_noise(schedule, x_0, t, noise)`, and half
    of it is what is drawn, because noise has no limits. Raises `ValueError` for other shapes or ranges.
    """

    def __init__(
        self, schedule: Schedule, x_0: np.ndarray, noise: np.ndarray, label: str = "Forward diffusion, step by step"
    ) -> None:
        x_0, noise = np.asarray(x_0, np.float32), np.asarray(noise, np.float32)
        if x_0.ndim != 3 or x_0.shape[2] not in (1, 3) or x_0.shape != noise.shape:
            raise ValueError(f"x_0 and noise must be (size, size, 1 or 3) both, not {x_0.shape} and {noise.shape}.")
        if not np.all(np.abs(x_0) <= 1.001) or not np.isfinite(noise).all():  # NaN fails this too
            raise ValueError("x_0 must be numbers in [-1, 1], and noise finite numbers.")
        x_t = add_noise(schedule, x_0[np.newaxis], np.arange(schedule.steps), noise[np.newaxis]).numpy()

        def draw(image: np.ndarray) -> bytes:
            picture = image_grid(to_pixels(image[np.newaxis] / 2), 1, enlargement(len(image), 168))  # (168, 168)
            bars = histogram(image, len(picture))  # (168, 168)
            if picture.ndim == 3:
                bars = bars[..., np.newaxis].repeat(3, axis=2)  # (168, 168, 3)
            return encode_png(image_grid(np.stack([picture, bars]), 2, gap=8, fill=PAPER))

        def read(t: int) -> list[str]:
            alpha_bar = schedule.alpha_bars[t]
            return [
                *_shares(t, alpha_bar),
                f"signal-to-noise ratio: {np.exp(schedule.logsnr[t]):.3g}",
                f"its log: {schedule.logsnr[t]:.2f}",
            ]

        frames, titles = [draw(image) for image in x_t], ("x_t", "its pixels' values, -3 to 3")
        super().__init__(frames, label, read, titles=titles, control="t", milliseconds=100)


class DenoisingScrubber(Scrubber):
    """Step x digit x guidance scale: the image x_t, the predicted x_0, and what asking for the digit changes.

    The pictures come from `record_trajectories`, which did the sampling. x_t is drawn at half its value, the difference
    -3 times, so that bright means more ink.
    """

    def __init__(self, trajectories: Trajectories, label: str | None = None) -> None:
        digits, scales, t, alpha_bars = trajectories[:4]
        names, kind = trajectories.names, trajectories.kind
        count = len(t) + 1
        places = [(s, n, k) for s in range(len(scales)) for n in range(len(digits)) for k in range(count)]

        def draw(s: int, n: int, k: int) -> bytes:
            x_t, x_0, difference = (images[s, k, n] for images in trajectories[4:7])
            panels = to_pixels(np.stack([x_t if k == len(t) else x_t / 2, x_0, -3 * difference]))  # (3, 28, 28)
            return encode_png(image_grid(panels, 3, enlargement(len(x_0), 168), gap=8, fill=PAPER))

        def read(frame: int) -> list[str]:
            s, n, k = places[frame]
            state = [f"step {k + 1} of {len(t)}", *_shares(t[k], alpha_bars[k])] if k < len(t) else ["finished"]
            return [f"{kind} {names[n]}, guidance scale {scales[s]:g}", *state]

        titles = ("x_t", "predicted x_0", "guidance difference")
        label = label or f"A {'digit' if kind == 'digit' else 'picture'} being born"
        super().__init__([draw(*place) for place in places], label, read, titles=titles, control="step", count=count)
        tooltips = (
            {TOOLTIP: f"The {kind} that was asked for"},
            {TOOLTIP: f"0: the {kind} is ignored; above 1: guided"},
        )
        options = [[(name, n) for n, name in enumerate(names)], [(f"{x:g}", s) for s, x in enumerate(scales)]]
        self.digit = ipywidgets.Dropdown(options=options[0], description=kind, **tooltips[0], **CLOSE)
        self.scale = ipywidgets.SelectionSlider(
            options=options[1], value=len(scales) // 2, description="guidance scale", **tooltips[1], **CLOSE
        )
        self.digit.layout.width = f"{102 + 8 * max(map(len, names))}px"
        self.scale.layout.margin = "2px 2px 2px 24px"
        for choice in (self.digit, self.scale):
            choice.observe(self._choose, "value")
        title, *others = self.widget.children
        self.widget.children = (title, ipywidgets.HBox([self.digit, self.scale]), *others)
        self._choose()

    def _choose(self, _: object = None) -> None:
        self.first = (self.scale.value * len(self.digit.options) + self.digit.value) * self.count
        pages = self._shown()
        for i in sorted(range(self.count), key=lambda i: abs(i - self.slider.value)):  # the page in view first
            self.pages.children[i].value = pages[i]


class GuidanceExplorer(Scrubber):
    """A slider over guidance scales: a grid of samples, and accuracy and coverage of that scale beside the others'.

    `grids` are images `(n, 28, 28, 1)` in [-1, 1], one array a scale; `accuracy` and `coverage` are shares in [0, 1],
    measured elsewhere. Raises `ValueError` unless there are as many of each.
    """

    def __init__(
        self,
        grids: Sequence[np.ndarray],
        scales: Sequence[float],
        accuracy: Sequence[float],
        coverage: Sequence[float],
        label: str = "What guidance buys, and what it costs",
    ) -> None:
        counts = [len(values) for values in (grids, scales, accuracy, coverage)]
        if len(set(counts)) > 1:
            raise ValueError(f"grids, scales, accuracy and coverage must be as many of each, not {counts}.")
        if not all(0 <= share <= 1 for share in [*accuracy, *coverage]):  # NaN fails this too
            raise ValueError("accuracy and coverage must be shares in [0, 1].")
        rows = [
            f"{scale:g}: accuracy {right:.1%}, coverage {covered:.0%}"
            for scale, right, covered in zip(scales, accuracy, coverage, strict=True)
        ]

        def read(chosen: int) -> list[str]:
            marked = [("▸ " if i == chosen else "\u2003") + row for i, row in enumerate(rows)]
            return ["guidance scale", *marked]

        frames = [encode_png(image_grid(to_pixels(grid), 10, enlargement(len(grid[0]), 56))) for grid in grids]
        super().__init__(frames, label, read, control="scale", milliseconds=1000)


class DrawDigits(Shown):
    """A text field and a seed: type digits, press Enter, and the network draws them, in any number up to 40.

    A network of your own pictures is asked for its classes by name, with commas between them. What it doesn't know is
    answered with a sentence.
    """

    LONGEST = 40

    def __init__(self, unet: keras.Model, schedule: Schedule) -> None:
        self.unet, self.schedule = unet, schedule
        config = unet.unet_config
        self.things = "digits" if config.kind == "digit" else "classes"
        several = ", ".join(config.classes[:2]) if config.kind == "class" else "2024" if config.num_classes > 4 else "0"
        self.text = ipywidgets.Text(
            description=self.things,
            placeholder=f"such as {several}, then Enter",
            continuous_update=False,  # not at every key
            **{TOOLTIP: f"Up to {self.LONGEST} {self.things}, then press Enter"},
            **CLOSE,
        )
        self.seed = ipywidgets.BoundedIntText(
            value=0, min=0, max=2**31 - 1, description="seed", **{TOOLTIP: "Another seed, another handwriting"}, **CLOSE
        )
        self.seed.layout.width, self.seed.layout.margin = "140px", "2px 16px"
        self.button = ipywidgets.Button(description="Draw", tooltip=f"Draw the {self.things}", button_style="primary")
        self.message = ipywidgets.HTML()
        self.image = ipywidgets.Image(format="png", layout={"display": "none", "align_self": "flex-start"})
        self._say(f"Type {self.things} and press Enter.")
        for field in (self.text, self.seed):
            field.observe(self._draw, "value")
        self.button.on_click(self._draw)
        controls = ipywidgets.HBox([self.text, self.seed, self.button])
        self.widget = ipywidgets.VBox([controls, self.message, self.image])

    def _say(self, sentence: str) -> None:
        self.message.value = f'<div role="status">{html.escape(sentence)}</div>'

    def _draw(self, _: object = None) -> None:
        digits = self.text.value.strip()
        try:
            labels = read_labels(digits, self.unet.unet_config)
            if len(labels) > self.LONGEST:
                raise ValueError(f"{self.things} must be at most {self.LONGEST}, not {len(labels)}.")
            self._say(f"Drawing {digits} ...")
            images = sample(self.unet, self.schedule, labels, seed=self.seed.value).images
        except ValueError as error:
            self.image.layout.display = "none"
            self._say(str(error))
            return
        self.image.value = encode_png(image_grid(to_pixels(images), 10, enlargement(images.shape[1], 84)))
        self.image.layout.display = None
        self._say(f"{digits}, seed {self.seed.value}")
