"""Titles of neighbouring panels do not touch, and the ground of a sheet is clear."""

from __future__ import annotations

import numpy as np

from workbench.figures.drawing.canvas import text_width
from workbench.figures.drawing.sheet import GAP, SIZE, Sheet


def test_a_title_is_no_wider_than_its_panel_and_the_gap():
    sheet = Sheet.blank(1, 2, 1.25, 100)
    picture = np.full((125, 125, 3), 9, np.uint8)
    sheet.show(0, 0, picture, "short")
    sheet.show(0, 1, picture, "loss of each window\nfrom −0.003 to +0.003")
    short, long = sheet.axes.texts
    assert short.get_fontsize() == SIZE
    assert long.get_fontsize() < SIZE
    widest = max(text_width(line, long.get_fontsize()) for line in long.get_text().split("\n"))
    assert widest <= 1.01 * 72 * (1.25 + GAP)


def test_what_no_panel_covers_is_clear():
    sheet = Sheet.blank(1, 1, 1.0, 50)
    sheet.show(0, 0, np.full((50, 50, 3), 9, np.uint8))
    assert (sheet.pixels[..., 3] > 0).sum() == 50 * 50
    assert (sheet.pixels[sheet.pixels[..., 3] > 0] == (9, 9, 9, 255)).all()
