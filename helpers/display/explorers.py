"""Sliders through noise, denoising and guidance. No maths of their own.

Each slider is a `Scrubber` over pictures that are made before it appears, see `scrubber`.
"""

from collections.abc import Sequence

import ipywidgets
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from helpers.data import to_pixels
from helpers.diffusion import Schedule, add_noise
from helpers.display.front_end import CLOSE, TOOLTIP, WRAP
from helpers.display.images import GAP, WIDTH, encode_png, enlargement, histogram, image_grid, in_view, join
from helpers.display.scrubber import Scrubber
from helpers.display.trajectories import Trajectories
from helpers.tools.checks import in_model_range

RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
CURVES = {"accuracy": ("#E69F00", "o-"), "coverage": ("#56B4E9", "s--")}  # two of the course's colours, on black


def _weights(alpha_bar: float) -> list[str]:
    """The weights of signal and noise in x_t, as lines of a readout."""
    return [f"signal √ᾱ = {alpha_bar**0.5:.3f}", f"noise √(1 − ᾱ) = {(1 - alpha_bar) ** 0.5:.3f}"]


def _number(value: float) -> str:
    """A positive number with three digits, or all those before the point: 0.0123, 1,580, 3.39 × 10⁻⁵."""
    if 0.001 <= value < 100_000:
        return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"
    digits, power = f"{value:.2e}".split("e")
    return f"{digits} × 10{str(int(power)).translate(RAISED)}"


class ForwardScrubber(Scrubber):
    """A slider over t: the image x_t, its histogram, and the shares of signal and noise.

    `x_0` and `noise` `(size, size, 1 or 3)`, x_0 in [-1, 1]. Frame t is `add_noise(schedule, x_0, t, noise)`, divided
    by 1 + √(1 − ᾱ): pure noise is drawn at half its value. Raises `ValueError` for other shapes or ranges.
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

        enlarge = enlargement(x_0.shape[1], WIDTH)

        def draw(t: int) -> bytes:
            shown = in_view(x_t[t], schedule.alpha_bars[t])
            picture = image_grid(to_pixels(shown[np.newaxis]), 1, enlarge)  # (252, 252)
            return encode_png(join([picture, histogram(x_t[t], len(picture))]))

        def read(t: int) -> list[str]:
            logsnr = schedule.logsnr[t]
            return [
                f"t = {t}",
                *_weights(schedule.alpha_bars[t]),
                f"SNR = {_number(np.exp(logsnr))}",
                f"log SNR = {logsnr:.2f}",
            ]

        frames, titles = [draw(t) for t in range(schedule.steps)], ("xₜ", "histogram of its values")
        super().__init__(frames, label, read, titles=titles, control="t", milliseconds=100)


class DenoisingScrubber(Scrubber):
    """Step x digit x guidance scale: the image x_t, the predicted x_0, and the effect of the requested digit.

    The pictures come from `record_trajectories`, which did the sampling. x_t is divided by 1 + √(1 − ᾱ), the guidance
    difference multiplied by -3, so that bright means more ink.
    """

    def __init__(self, trajectories: Trajectories, label: str | None = None) -> None:
        digits, scales, t, alpha_bars = trajectories[:4]
        names, kind = trajectories.names, trajectories.kind
        count = len(t) + 1
        places = [(s, n, k) for s in range(len(scales)) for n in range(len(digits)) for k in range(count)]

        def draw(s: int, n: int, k: int) -> bytes:
            x_t, x_0, difference = (images[s, k, n] for images in trajectories[4:7])
            x_t = x_t if k == len(t) else in_view(x_t, alpha_bars[k])
            panels = to_pixels(np.stack([x_t, x_0, -3 * difference]))  # (3, 28, 28)
            return encode_png(image_grid(panels, 3, enlargement(len(x_0), WIDTH), GAP, clear=True))

        def read(frame: int) -> list[str]:
            s, n, k = places[frame]
            choice = f"{kind} {names[n]}, guidance scale {scales[s]:g}"
            if k == len(t):
                return ["finished", choice]
            return [f"t = {t[k]}", f"step {k + 1} of {len(t)}", choice, *_weights(alpha_bars[k])]

        titles = ("xₜ", "predicted x₀", "guidance difference")
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
        self.widget.children = (title, ipywidgets.HBox([self.digit, self.scale], layout=WRAP), *others)
        self._choose()

    def _choose(self, _: object = None) -> None:
        self.first = (self.scale.value * len(self.digit.options) + self.digit.value) * self.count
        pages = self._shown()
        for i in sorted(range(self.count), key=lambda i: abs(i - self.slider.value)):  # the page in view first
            self.pages.children[i].value = pages[i]


class GuidanceExplorer(Scrubber):
    """A slider over guidance scales: a grid of samples, and the curves of accuracy and coverage with a marker.

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

        def draw(chosen: int) -> bytes:
            grid = to_pixels(grids[chosen])  # (n, 28, 28)
            grid = image_grid(grid, 10, enlargement(grid.shape[2], 56), clear=True)  # (H, W, 4)
            curves = _curves(
                scales, {"accuracy": accuracy, "coverage": coverage}, chosen, max(grid.shape[1], 2 * WIDTH)
            )
            return encode_png(join([grid, curves], axis=0))

        def read(chosen: int) -> list[str]:
            shares = [f"accuracy {accuracy[chosen]:.1%}", f"coverage {coverage[chosen]:.0%}"]
            return [f"guidance scale {scales[chosen]:g}", *shares]

        frames = [draw(i) for i in range(len(scales))]
        super().__init__(frames, label, read, control="scale", milliseconds=1000)


def _curves(scales: Sequence[float], shares: dict[str, Sequence[float]], chosen: int, width: int) -> np.ndarray:
    """Shares over the guidance scale, with a marker at the chosen one, white on black: `(240, width, 4)` uint8."""
    figure = Figure(figsize=(width / 100, 2.4), dpi=100, facecolor="black", layout="constrained")
    axis = figure.add_subplot(facecolor="black")
    for name, values in shares.items():
        colour, line = CURVES[name]
        percent = 100 * np.asarray(values)
        axis.plot(scales, percent, line, color=colour, markersize=4, label=name)
        axis.plot(scales[chosen], percent[chosen], line[0], color=colour, markersize=11, markeredgecolor="white")
    axis.axvline(scales[chosen], color="white", linewidth=1, zorder=1.9)  # above the grid, below the curves
    axis.set_xlabel("guidance scale", color="white", fontsize=12)
    axis.set_ylabel("%", color="white", fontsize=12)
    axis.set_ylim(-5, 105)
    axis.tick_params(colors="white", labelsize=11)
    axis.spines[:].set_color("dimgrey")
    axis.grid(color="dimgrey", linewidth=0.5)
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, fontsize=11, labelcolor="white", frameon=False)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())
