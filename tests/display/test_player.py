"""The player: its page holds every frame, refers to nothing outside, and stays small."""

import base64
import json
import re

import numpy as np
import pytest

from helpers.display.images import as_pngs, decode_png, encode_png
from helpers.display.player import MAX_BYTES, player_html

RANDOM = np.random.default_rng(0)
FRAMES = as_pngs(RANDOM.uniform(-1, 1, (7, 8, 9, 1)))


def sheet_of(page):
    return decode_png(base64.b64decode(re.search(r'src="data:image/png;base64,([^"]+)"', page)[1]))


def test_player_holds_every_frame():
    readouts = [[f"t = {i}", "größer > 0"] for i in range(7)]
    page = player_html(FRAMES, readouts, 'Zwölf "Bilder" & <mehr>', ["x_t", "<x_0>"], 200)
    assert page.isascii() and len(page) < MAX_BYTES
    data = json.loads(re.search(r'data-frames="([^"]*)"', page)[1].replace("&quot;", '"').replace("&gt;", ">"))
    assert data["readouts"] == readouts and data["milliseconds"] == 200
    sheet = sheet_of(page)
    for i, frame in enumerate(FRAMES):
        top, left = i // data["columns"] * 48, i % data["columns"] * 54
        np.testing.assert_array_equal(sheet[top : top + 48, left : left + 54], decode_png(frame))
    assert 'max="6"' in page and "&lt;mehr&gt;" in page and "&lt;x_0&gt;" in page and "<x_0>" not in page


def test_player_refers_to_nothing_outside():
    page = player_html(FRAMES, [["frame"]] * 7, "Frames")
    assert not re.search(r"https?:|//|@import|url\(", page.replace("data:image/png;base64," + _data(page), ""))
    assert re.findall(r'(?:src|href)="([^"]{0,10})', page) == ["data:image"]
    assert not re.search(r'\bid="', page)  # several players share a page


def _data(page):
    return re.search(r"base64,([^\"]+)", page)[1]


def test_player_mixes_grey_and_colour():
    pngs = [encode_png(np.full((4, 4), 7, np.uint8)), encode_png(np.full((4, 4, 3), (1, 2, 3), np.uint8))]
    sheet = sheet_of(player_html(pngs, [["a"], ["b"]], "Both"))
    assert sheet.shape[2] == 3
    np.testing.assert_array_equal(np.unique(sheet.reshape(-1, 3), axis=0), [[1, 2, 3], [7, 7, 7]])


def test_player_refuses_more_than_a_megabyte():
    with pytest.raises(ValueError, match=r"frames must fit into a page of 1 MB, not 1\.\d MB"):
        player_html([encode_png(RANDOM.integers(0, 255, (900, 900), np.uint8))], [["noise"]], "Large")
