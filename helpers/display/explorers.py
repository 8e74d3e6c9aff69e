"""Sliders through noise, denoising and guidance, and digits drawn as they are typed. No maths of its own.

Each slider is a `Scrubber` over pictures that are made before it appears, see `scrubber`.
"""

import html
from collections.abc import Sequence

import ipywidgets
import numpy as np

from helpers.data import to_pixels
from helpers.diffusion import Schedule, add_noise
from helpers.display.images import PAPER, encode_png, enlargement, histogram, image_grid
from helpers.display.scrubber import CLOSE, TOOLTIP, Scrubber, Shown
from helpers.display.trajectories import Trajectories
from helpers.sampling.labels import parse_labels
from helpers.sampling.sampler import sample
from helpers.tools.checks import in_model_range
from helpers.unet import Denoiser


def _shares(t: int, alpha_bar: float) -> list[str]:
    """The shares of signal and noise after step t, as lines of a readout."""
    return [
        f"t = {t}",
        f"signal share, sqrt(alpha_bar): {alpha_bar**0.5:.3f}",
        f"noise share, sqrt(1 - alpha_bar): {(1 - alpha_bar) ** 0.5:.3f}",
    ]


class ForwardScrubber(Scrubber):
    """A slider over t: the image x_t, its histogram, and the shares of signal and noise.

    `x_0` and `noise` `(size, size, 1 or 3)`, x_0 in [-1, 1]. Frame t is `add_noise(schedule, x_0, t, noise)`, drawn at
    half its value, because noise has no limits. Raises `ValueError` for other shapes or ranges.
    """

    def __init__(
        self, schedule: Schedule, x_0: np.ndarray, noise: np.ndarray, label: str = "Forward diffusion, step by step"
    ) -> None:
        x_0, noise = np.asarray(x_0, np.float32), np.asarray(noise, np.float32)
        if x_0.ndim != 3 or x_0.shape[2] not in (1, 3) or x_0.shape != noise.shape:
            raise ValueError(f"x_0 and noise must be (size, size, 1 or 3) both, not {x_0.shape} and {noise.shape}.")
        if not in_model_range(x_0) or not np.isfinite(noise).all():
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
    """Step x digit x guidance scale: the image x_t, the predicted x_0, and the effect of the requested digit.

    The pictures come from `record_trajectories`, which did the sampling. x_t is drawn at half its value, the guidance
    difference at -3 times its value, so that bright means more ink.
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
            {TOOLTIP: f"The requested {kind}"},
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
    """A slider over guidance scales: a grid of samples, with the accuracy and coverage of every scale beside it.

    `grids` are images `(n, 28, 28, 1)` in [-1, 1], one array per scale; `accuracy` and `coverage` are shares in [0, 1],
    measured elsewhere. Raises `ValueError` unless there are equally many of each.
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
            raise ValueError(f"grids, scales, accuracy and coverage must be equally many, not {counts}.")
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
    """A text field and a seed: type up to 40 digits, press Enter, and the network draws them.

    For a network of your own pictures, type names of classes with commas between them. An invalid request is answered
    with a sentence.
    """

    LONGEST = 40

    def __init__(self, denoiser: Denoiser) -> None:
        self.denoiser, config = denoiser, denoiser.config
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
            labels = parse_labels(digits, self.denoiser.config)
            if len(labels) > self.LONGEST:
                raise ValueError(f"{self.things} must be at most {self.LONGEST}, not {len(labels)}.")
            self._say(f"Drawing {digits} ...")
            images = sample(self.denoiser, labels, seed=self.seed.value).images
        except ValueError as error:
            self.image.layout.display = "none"
            self._say(str(error))
            return
        self.image.value = encode_png(image_grid(to_pixels(images), 10, enlargement(images.shape[1], 84)))
        self.image.layout.display = None
        self._say(f"{digits}, seed {self.seed.value}")
