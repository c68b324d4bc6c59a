"""Many boxes are drawn as one is, and those on a sheet are cut at the edges of their panel."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from tests.support.figures import collections, lines
from workbench.figures.drawing.boxes import draw_boxes, outlines
from workbench.figures.drawing.quick import pixels_of
from workbench.figures.drawing.sheet import Sheet

BOXES = torch.tensor([[10.0, 10, 30, 30], [35, 35, 80, 80]])


def test_outlines_are_closed():
    assert outlines(BOXES[:1]).tolist() == [[[10, 10], [30, 10], [30, 30], [10, 30], [10, 10]]]
    assert outlines(BOXES[:0]).shape == (0, 5, 2)


def test_solid_boxes_have_a_dark_edge_and_dashed_ones_none():
    figure = Figure()
    draw_boxes(figure, BOXES, colours=["#ff0000", "#00ff00"])
    dark, light = collections(figure, LineCollection)
    assert dark.get_linewidths()[0] > light.get_linewidths()[0]
    assert [to_hex(colour) for colour in light.get_colors()] == ["#ff0000", "#00ff00"]
    figure = Figure()
    draw_boxes(figure, BOXES, dashed=True)
    assert len(lines(figure, "dashed")) == len(lines(figure)) == 2


def test_boxes_on_a_panel_are_cut_at_its_edges():
    """Of two panels of 40 × 40 pixels of an image the left one has a box that reaches beyond it."""
    sheet = Sheet.blank(1, 2, 1.0, 100, labels=0, bar=0)
    draw_boxes(sheet.figure, BOXES, colours="#ff0000", **sheet.inside(0, 0, (40, 40)))
    figure = sheet.finished(None)
    figure.patch.set_facecolor("white")
    red = (pixels_of(figure)[..., :3] == (255, 0, 0)).all(axis=2)
    left, top = (round(100 * place) for place in sheet.place(0, 0))
    rows, columns = np.where(red)
    assert columns.max() < left + 100
    assert rows.max() < top + 100
    assert red[top + 25, left + 26 : left + 74].all(), "the upper line of the first box, at 10 of 40"
    assert not red[top + 30 : top + 70, left + 30 : left + 70].any()
