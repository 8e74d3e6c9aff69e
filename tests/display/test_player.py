"""The player's data: pictures of different kinds in one sheet. What a reader sees is in test_untrusted."""

import base64
import json
import re

import numpy as np
import pytest

from helpers.display.images import decode_png, encode_png
from helpers.display.player import player_html

GREY, COLOUR = np.full((4, 4), 7, np.uint8), np.full((4, 4, 3), (1, 2, 3), np.uint8)
CLEAR = np.full((4, 4, 2), (9, 0), np.uint8)  # grey with transparency


def data_of(page):
    return json.loads(re.search(r"^const data = (.*);$", page, re.MULTILINE)[1])


@pytest.mark.parametrize(
    ("pictures", "pixels"),
    [
        ((GREY, COLOUR), [[1, 2, 3], [7, 7, 7]]),
        ((COLOUR, CLEAR), [[1, 2, 3, 255], [9, 9, 9, 0]]),
        ((GREY, CLEAR), [[7, 7, 7, 255], [9, 9, 9, 0]]),
    ],
)
def test_a_sheet_mixes_grey_colour_and_transparency(pictures, pixels):
    data = data_of(player_html([encode_png(picture) for picture in pictures], [["a"], ["b"]], "Both"))
    sheet = decode_png(base64.b64decode(data["sheet"].partition(",")[2]))
    np.testing.assert_array_equal(np.unique(sheet.reshape(-1, sheet.shape[2]), axis=0), pixels)


def test_a_frame_without_text_is_numbered_in_the_strip():
    page = player_html([encode_png(GREY)] * 3, [[], ["named"], []], "Label")
    assert 'alt="Label, 3 of 3 frames: 1; named; 3."' in page
