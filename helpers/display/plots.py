"""The figures that several notebooks share. They only draw; nothing here samples or loads.

Every function returns the matplotlib `Figure`, so that a notebook can add to it.
"""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from IPython import get_ipython
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.ticker import MaxNLocator, PercentFormatter

from helpers.unet import UNetConfig

# Okabe and Ito's colours, which colour-blind readers can tell apart.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
STYLE = {
    "axes.prop_cycle": plt.cycler(color=COLOURS),
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "figure.dpi": 80,
    "font.size": 11,
    "grid.alpha": 0.3,
    "image.cmap": "gray",
    "image.interpolation": "nearest",
    "savefig.dpi": 80,
}
STAGES = ["data", "forward\ndiffusion", "U-Net", "training", "guided\nsampling", "evaluation"]


def use_course_style() -> None:
    """Apply the one style sheet of the course to all figures that follow; in a notebook they appear in it."""
    shell = get_ipython()
    if hasattr(shell, "kernel"):  # a notebook, where MPLBACKEND=Agg would hide every figure
        shell.run_line_magic("matplotlib", "inline")
    plt.rcParams.update(STYLE)


def _as_pictures(images: np.ndarray) -> np.ndarray:
    """`(n, 28, 28, 1)` or `(n, 28, 28)`, any type -> `(n, 28, 28)` float."""
    images = np.asarray(images, dtype=float)
    if images.ndim == 4 and images.shape[-1] == 1:
        images = images[..., 0]
    if images.ndim != 3:
        raise ValueError(f"images must be (n, height, width) or (n, height, width, 1), not {images.shape}.")
    return images


def show_images(
    images: np.ndarray,
    titles: Sequence[object] | None = None,
    columns: int = 10,
    limits: tuple[float, float] | None = (-1, 1),
    size: float = 0.95,
    suptitle: str | None = None,
) -> Figure:
    """A grid of images `(n, 28, 28, 1)` or `(n, 28, 28)`; `limits` are the values drawn black and white.

    `limits=None` stretches each image over its own range. `size` is one image's width in inches.
    Raises `ValueError` for images of another shape.
    """
    pictures = _as_pictures(images)
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    low, high = limits if limits else (None, None)
    title_height = 0.25 if titles is not None else 0.0
    extra = 0.3 if suptitle else 0.0
    figure, axes = plt.subplots(
        rows, columns, figsize=(size * columns, (size + title_height) * rows + extra), squeeze=False
    )
    for i, axis in enumerate(axes.flat):
        axis.axis("off")
        if i < len(pictures):
            axis.imshow(pictures[i], vmin=low, vmax=high)
            if titles is not None:
                axis.set_title(str(titles[i]), fontsize=10)
    if suptitle:
        figure.suptitle(suptitle, fontsize=11)
    return figure


def show_filmstrip(
    frames: np.ndarray,
    t: Sequence[object],
    row_titles: Sequence[str] | None = None,
    size: float = 0.95,
    limits: tuple[float, float] = (-1, 1),
) -> Figure:
    """Time runs to the right, one row per image: frames `(times, n, 28, 28, 1)` under their captions `t` `(times,)`.

    `limits` and `size` as in `show_images`. Raises `ValueError` for frames of another shape, or not as many as `t`.
    """
    frames = np.asarray(frames, dtype=float)
    if frames.ndim != 5 or len(t) != len(frames):
        raise ValueError(
            f"frames must be (times, n, height, width, 1) with one t per time, not {frames.shape} and {len(t)} t."
        )
    times, rows = frames.shape[:2]
    figure, axes = plt.subplots(rows, times, figsize=(size * times, size * rows + 0.25), squeeze=False)
    for row in range(rows):
        for column in range(times):
            axis = axes[row, column]
            axis.imshow(frames[column, row, ..., 0], vmin=limits[0], vmax=limits[1])
            axis.set(xticks=[], yticks=[])
            axis.grid(False)
            axis.spines[:].set_visible(False)
            if row == 0:
                axis.set_title(str(t[column]), fontsize=10)
        if row_titles is not None:
            axes[row, 0].set_ylabel(row_titles[row], fontsize=10)
    return figure


def show_curve(
    x: np.ndarray,
    curves: dict[str, np.ndarray],
    x_label: str,
    y_label: str,
    *,
    log_y: bool = False,
    styles: dict[str, dict] | None = None,
) -> Figure:
    """Lines over one x, each with its name in the legend; `styles` hands matplotlib options to single lines."""
    figure, axis = plt.subplots(figsize=(7, 3.2))
    for name, values in curves.items():
        axis.plot(x, values, label=name, **(styles or {}).get(name, {}))
    axis.set(xlabel=x_label, ylabel=y_label, yscale="log" if log_y else "linear")
    axis.legend(fontsize=10)
    return figure


def show_histograms(
    measured: dict[str, dict[str, np.ndarray]], limits: dict[str, float], y_label: str = "share of digits"
) -> Figure:
    """Histograms side by side, one for each measure in `limits`, which is marked with a dashed line.

    `measured` holds sets by the name in the legend, such as real and generated digits: each has values `(n,)` by
    measure. Whole numbers get a bar each. Raises `ValueError` if a set lacks a measure.
    """
    for name, values in measured.items():
        if missing := limits.keys() - values.keys():
            raise ValueError(f"measured[{name!r}] must hold {min(missing)!r}.")
    figure, axes = plt.subplots(1, len(limits), figsize=(3.6 * len(limits), 2.9), squeeze=False)
    for axis, (measure, limit) in zip(axes[0], limits.items(), strict=True):
        everything = np.concatenate([values[measure] for values in measured.values()])
        is_whole = np.array_equal(everything, np.rint(everything))
        edges = np.arange(everything.min() - 0.5, everything.max() + 1) if is_whole else 30
        bins = np.histogram_bin_edges(everything, edges)
        for name, values in measured.items():
            weights = np.full(len(values[measure]), 1 / len(values[measure]))
            axis.hist(values[measure], bins, weights=weights, label=name, histtype="step", linewidth=1.8)
        axis.axvline(limit + 0.5 * is_whole, color="black", linestyle="--", linewidth=1)
        axis.set(xlabel=measure, ylabel=y_label if axis is axes[0, 0] else "")
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=is_whole))
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes[0, 0].legend(fontsize=10)
    return figure


def show_matrices(
    matrices: dict[str, np.ndarray], rows: Sequence[object], columns: Sequence[object], y_label: str, x_label: str
) -> Figure:
    """Matrices `(rows, columns)` side by side under their titles, each on its own scale from dark to bright."""
    figure, axes = plt.subplots(1, len(matrices), figsize=(4.6 * len(matrices), 3.9), squeeze=False)
    for axis, (title, matrix) in zip(axes[0], matrices.items(), strict=True):
        drawn = axis.imshow(matrix, cmap="cividis")
        axis.set(title=title, xlabel=x_label, ylabel=y_label)
        axis.set_xticks(range(len(columns)), columns)
        axis.set_yticks(range(len(rows)), rows)
        axis.grid(False)
        figure.colorbar(drawn, ax=axis, shrink=0.8)
    return figure


def show_pipeline(current: int) -> Figure:
    """The map of the course: six stages in a row, number `current` marked. Raises `ValueError` outside 1..6."""
    if not 1 <= current <= len(STAGES):
        raise ValueError(f"current must be in 1..{len(STAGES)}, not {current}.")
    figure, axis = plt.subplots(figsize=(9, 1.1))
    axis.set(xlim=(-0.55, len(STAGES) - 0.45), ylim=(-0.5, 0.5))
    axis.axis("off")
    for i, name in enumerate(STAGES):
        here = i + 1 == current
        face, ink = (COLOURS[0], "white") if here else ("#eeeeee", "black")
        axis.add_patch(
            FancyBboxPatch((i - 0.36, -0.3), 0.72, 0.6, "round,pad=0.02,rounding_size=0.08", fc=face, ec="none")
        )
        axis.text(i, 0, f"{i + 1:02d} {name}", ha="center", va="center", color=ink, fontsize=10)
        if i:
            axis.add_patch(
                FancyArrowPatch((i - 0.62, 0), (i - 0.38, 0), arrowstyle="-|>", mutation_scale=10, color="grey")
            )
    return figure


def show_unet(config: UNetConfig) -> Figure:
    """The U-Net that `config` describes, as a U: resolution falls downwards, dashed arrows are skip connections."""
    sizes = [config.image_size // 2**level for level in range(len(config.widths))]
    bottom = len(sizes) - 1
    figure, axis = plt.subplots(figsize=(9, 1.25 * len(sizes) + 0.8))
    axis.axis("off")
    axis.set(xlim=(-1.75, 2 * bottom + 1.75), ylim=(-bottom - 0.62, 0.72))

    def box(x: float, level: int, text: str, colour: str) -> None:
        shape = FancyBboxPatch((x - 0.42, -level - 0.24), 0.84, 0.48, "round,pad=0.02", fc=colour, ec="none")
        axis.add_patch(shape)
        axis.text(x, -level, text, ha="center", va="center", fontsize=9, color="white")

    def arrow(start: tuple[float, float], end: tuple[float, float], dashed: bool = False) -> None:
        style = {"linestyle": "--", "color": COLOURS[1]} if dashed else {"color": "grey"}
        axis.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=12, **style))

    for level, (size, width) in enumerate(zip(sizes, config.widths, strict=True)):
        label = f"{size} x {size}\n{width} channels"
        if level == bottom:
            box(level, level, label + "\nattention", COLOURS[2])
            continue
        for x in (level, 2 * bottom - level):
            box(x, level, label, COLOURS[0])
        if config.skip_connections:
            arrow((level + 0.46, -level), (2 * bottom - level - 0.46, -level), dashed=True)
            axis.text(bottom, -level + 0.06, "skip connection", ha="center", va="bottom", fontsize=9, color=COLOURS[1])
        arrow((level + 0.1, -level - 0.28), (level + 0.6, -level - 0.72))
        arrow((2 * bottom - level - 0.6, -level - 0.72), (2 * bottom - level - 0.1, -level - 0.28))
    digit = f"x_t: {config.channels} channel{'s' * (config.channels > 1)}\n+ digit: {config.num_classes} maps"
    axis.text(-1.15, 0, digit, ha="center", va="center", fontsize=9)
    axis.text(2 * bottom + 1.15, 0, config.predicts, ha="center", va="center", fontsize=9)
    arrow((-0.68, 0), (-0.45, 0))
    arrow((2 * bottom + 0.45, 0), (2 * bottom + 0.72, 0))
    note = "every box: a residual block that receives t" + (" and the digit" if config.class_in_embedding else "")
    axis.text(-1.6, -bottom, note.replace(": ", ":\n"), ha="left", va="center", fontsize=9, color="dimgrey")
    return figure
