"""Titles of neighbouring panels do not touch, and the ground of a sheet is clear."""

from __future__ import annotations

import io

import numpy as np
import torch
from IPython.core.pylabtools import print_figure
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from workbench.figures.drawing.boxes import draw_boxes
from workbench.figures.drawing.canvas import text_width
from workbench.figures.drawing.sheet import GAP, SIZE, Sheet


def test_a_title_is_no_wider_than_its_panel_and_the_gap():
    sheet = Sheet.blank(1, 2, 1.25, 100)
    picture = np.full((125, 125, 3), 9, np.uint8)
    sheet.show(0, 0, picture, "short")
    sheet.show(0, 1, picture, "loss of each window\nfrom −0.003 to +0.003")
    short, long = sheet.figure.texts
    assert short.get_fontsize() == SIZE
    assert long.get_fontsize() < SIZE
    widest = max(text_width(line, long.get_fontsize()) for line in long.get_text().split("\n"))
    assert widest <= 1.01 * 72 * (1.25 + GAP)


def test_what_no_panel_covers_is_clear():
    sheet = Sheet.blank(1, 1, 1.0, 50)
    sheet.show(0, 0, np.full((50, 50, 3), 9, np.uint8))
    assert (sheet.pixels[..., 3] > 0).sum() == 50 * 50
    assert (sheet.pixels[sheet.pixels[..., 3] > 0] == (9, 9, 9, 255)).all()


def test_panels_keep_their_pixels_and_another_size_is_resampled():
    noise = np.random.default_rng(0).integers(0, 256, (25, 25, 3), dtype=np.uint8).repeat(5, 0).repeat(5, 1)
    sheet = Sheet.blank(1, 2, 1.25, 100)
    sheet.show(0, 1, noise, "a title")
    figure = sheet.finished()

    def drawn(dpi):
        figure.set_dpi(dpi)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].astype(float)

    left, top = (round(100 * value) for value in sheet.place(0, 1))
    assert (drawn(100)[top : top + 125, left : left + 125] == noise).all()
    large = drawn(200)[2 * top : 2 * top + 250, 2 * left : 2 * left + 250]
    assert np.corrcoef(large.ravel(), noise.repeat(2, 0).repeat(2, 1).ravel())[0, 1] > 0.8


def test_a_figure_that_is_cut_keeps_its_panels_under_their_lines():
    """As notebooks show it: cut to what is drawn, with a margin."""
    sheet = Sheet.blank(1, 1, 1.0, 100, labels=1.0, bar=0.5)
    sheet.show(0, 0, np.zeros((100, 100, 3), np.uint8))
    draw_boxes(sheet.figure, torch.tensor([[0.0, 0, 10, 10]]), colours="#ff0000", **sheet.inside(0, 0, (10, 10)))
    figure = sheet.finished(None)
    for options in ({"bbox_inches": None}, {"bbox_inches": "tight"}, {"bbox_inches": "tight", "dpi": 200}):
        shown = np.asarray(Image.open(io.BytesIO(print_figure(figure, facecolor="white", **options))).convert("RGB"))
        dark, red = (shown.max(axis=2) < 100), (shown[..., 0] > 200) & (shown[..., 1] < 60)
        for axis in (0, 1):
            black, line = (np.flatnonzero(one.any(axis=axis)) for one in (dark | red, red))
            assert abs(black[0] - line[0]) <= 3, options
            assert abs(black[-1] - line[-1]) <= 3, options
