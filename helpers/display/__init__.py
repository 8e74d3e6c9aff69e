"""Figures, sliders and a page that needs no kernel. They show what the stages of the course compute."""

from helpers.display.draw_digits import DrawDigits
from helpers.display.explorers import DenoisingScrubber, ForwardScrubber, GuidanceExplorer
from helpers.display.images import histogram, in_view
from helpers.display.plots import (
    COLOURS,
    show_curve,
    show_filmstrip,
    show_histograms,
    show_images,
    show_matrices,
    show_pipeline,
    show_unet,
    use_course_style,
)
from helpers.display.trajectories import record_trajectories

__all__ = [
    "use_course_style",
    "COLOURS",
    "show_pipeline",
    "show_images",
    "show_filmstrip",
    "show_curve",
    "show_histograms",
    "show_matrices",
    "show_unet",
    "in_view",
    "histogram",
    "record_trajectories",
    "ForwardScrubber",
    "DenoisingScrubber",
    "GuidanceExplorer",
    "DrawDigits",
]
