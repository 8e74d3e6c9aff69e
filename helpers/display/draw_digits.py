"""Digits drawn as they are typed: a text, a seed, a picture to take home. Every failure ends in a sentence."""

import helpers.tools.quiet  # noqa: F401

import html
import re

import ipywidgets
import tensorflow as tf

from helpers.data import to_pixels
from helpers.display.front_end import CLOSE, TOOLTIP, WRAP, Shown, heading
from helpers.display.images import WIDTH, data_url, encode_png, enlargement, image_grid
from helpers.sampling.labels import parse_labels
from helpers.sampling.sampler import sample
from helpers.tools.checks import check_whole
from helpers.unet import Denoiser, UNetConfig

SEED = 4  # the README's, too: the first digits that a reader sees are well formed
LARGEST_SEED = 2**31 - 1
ROW = 784  # pixels: the width of a full row of pictures, about


def first_request(config: UNetConfig) -> str:
    """The request that is drawn before anything is typed: digits, or the names of two classes."""
    if config.kind == "class":
        return ", ".join(config.classes[:2])
    return "2024" if config.num_classes > 4 else "0"


def parse_seed(text: str) -> int:
    """A typed seed. Raises `ValueError` for anything but a whole number from 0 on, in plain digits."""
    text = text.strip()
    return check_whole("seed", int(text) if re.fullmatch("[0-9]{1,12}", text) else text[:40], 0, LARGEST_SEED)


class DrawDigits(Shown):
    """A text field and a seed: type up to 40 digits, press Enter, and the network draws them.

    It opens with `text` drawn from `seed` (default: see `first_request`). Spaces between digits are ignored. For a
    network of your own pictures, type names of classes with commas between them. Whatever can't be drawn is answered
    with a sentence.
    """

    LONGEST = 40

    def __init__(self, denoiser: Denoiser, text: str | None = None, seed: int = SEED) -> None:
        self.denoiser, config = denoiser, denoiser.config
        self.things = "digits" if config.kind == "digit" else "classes"
        text = first_request(config) if text is None else text
        self.text = ipywidgets.Text(
            text,
            description=self.things,
            placeholder=f"such as {first_request(config)}, then Enter",
            continuous_update=False,  # not at every key
            **{TOOLTIP: f"Up to {self.LONGEST} {self.things}, then press Enter"},
            **CLOSE,
        )
        self.seed = ipywidgets.Text(
            str(seed),
            description="seed",
            continuous_update=False,
            **{TOOLTIP: "A whole number: another seed, another handwriting"},
            **CLOSE,
        )
        self.text.layout.max_width, self.seed.layout.width = "100%", "140px"
        self.seed.layout.margin = "2px 2px 2px 16px"
        tooltips = (f"Draw the {self.things}", "Draw them with the next seed")
        self.button = ipywidgets.Button(description="Draw", tooltip=tooltips[0], button_style="primary")
        self.other = ipywidgets.Button(description="New handwriting", tooltip=tooltips[1])
        self.button.layout.width, self.other.layout.width = "80px", "150px"
        self.message, self.picture = ipywidgets.HTML(), ipywidgets.HTML()
        self.message.add_class("course-message")
        for field in (self.text, self.seed):
            field.observe(self._draw, "value")
        self.button.on_click(self._draw)
        self.other.on_click(self._next_seed)
        controls = ipywidgets.HBox([self.text, self.seed, self.button, self.other], layout=WRAP)
        title = heading(f"Type {self.things}, and the network draws them")
        self.widget = ipywidgets.VBox([title, controls, self.message, self.picture])
        self.widget.add_class("course-widget")
        self._draw()

    def _say(self, sentence: str) -> None:
        self.message.value = html.escape(sentence)

    def _next_seed(self, _: object = None) -> None:
        try:
            self.seed.value = str((parse_seed(self.seed.value) + 1) % (LARGEST_SEED + 1))  # which draws
        except ValueError as error:
            self._fail(str(error))

    def _draw(self, _: object = None) -> None:
        try:
            self._draw_or_raise()
        except (MemoryError, tf.errors.ResourceExhaustedError):
            self._fail(f"There isn't enough memory for so many {self.things}; draw fewer at once.")
        except KeyboardInterrupt:
            self._fail("Stopped before the picture was finished.")
        except BaseException as error:  # nobody above would tell the reader
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
            self._fail(reason if isinstance(error, ValueError) else f"This couldn't be drawn: {reason}")

    def _fail(self, sentence: str) -> None:
        self.picture.value = ""
        self._say(sentence)

    def _draw_or_raise(self) -> None:
        text = self.text.value.strip()
        if self.denoiser.config.kind == "digit":
            text = "".join(text.split())
        labels = parse_labels(text, self.denoiser.config)
        if len(labels) > self.LONGEST:
            raise ValueError(f"{self.things} must be at most {self.LONGEST}, not {len(labels)}.")
        seed = parse_seed(self.seed.value)
        self._say(f"Drawing {text} ...")
        pixels = to_pixels(sample(self.denoiser, labels, seed=seed).images)
        columns = min(len(labels), 10)
        enlarge = enlargement(pixels.shape[2], min(WIDTH, ROW // columns))
        url = data_url(encode_png(image_grid(pixels, columns, enlarge, clear=True)))
        drawn = html.escape(f"{text}, seed {seed}")
        file = re.sub(r"\W+", "-", f"{text[:60]} seed {seed}")
        self.picture.value = (
            f'<img alt="{drawn}, as the network draws it" src="{url}" style="display: block; max-width: 100%">'
            f'<a download="{file}.png" href="{url}" style="text-decoration: underline">Download the picture</a>'
        )
        self._say(f"{text}, seed {seed}")
