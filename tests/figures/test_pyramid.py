"""Pictures of pyramids: what they show, read from the artists."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.collections import CircleCollection, LineCollection
from matplotlib.colors import to_hex

from tests.support.figures import bars, collections, lines, marks, sheet_pixels, words
from workbench.analysis.pyramid import Level, look
from workbench.data import load_data
from workbench.detectors import build_detector
from workbench.errors import DataError
from workbench.figures.pyramid import LEVEL_COLOURS, anchors_figure, assignment_figure, levels_figure
from workbench.types import Target

SMALL = {"kind": "faster-rcnn", "backbone": {"name": "small", "widths": [8, 8, 8]}, "channels": 8, "min_size": None,
         "canonical_size": 32}  # fmt: skip
BOXES = torch.tensor([[0.0, 0, 8, 8], [10, 10, 40, 40], [0, 0, 100, 100]])  # P2, P3, P4


@pytest.fixture(scope="module")
def image():
    return load_data("digit-scenes", split="test")[7][0]


@pytest.fixture(scope="module")
def view(image):
    torch.manual_seed(0)
    return look(build_detector(SMALL, tuple("0123456789")), image)


def level(name, stride, energy):
    height, width = energy.shape
    return Level(name, stride, energy, (height * stride, width * stride))


def drawn(figure, width):
    """How many lines each collection of a width has."""
    return [
        len(some.get_segments()) for some in collections(figure, LineCollection) if some.get_linewidths()[0] == width
    ]


def test_every_level_stands_in_the_column_of_its_stride(image, view):
    rows = {"all": view.levels, "$C4<b>": view.body[2:]}
    figure = levels_figure(image, rows, boxes=BOXES)
    assert words(figure) == ["all", "P2: 32 × 32", "P3: 16 × 16", "P4: 8 × 8", "$C4<b>", "C4: 8 × 8"]
    places = {text.get_text(): text.get_position() for text in figure.texts}
    assert places["C4: 8 × 8"][0] == places["P4: 8 × 8"][0] > places["P3: 16 × 16"][0]
    assert places["C4: 8 × 8"][1] == places["$C4<b>"][1] > places["all"][1]
    assert len(lines(figure)) == 2 * 2 * 3, "the boxes with their dark edges in both rows"
    covered = sheet_pixels(figure)[..., 3] > 0
    assert [covered[320, round(100 * (0.95 + 1.96 * column))] for column in range(4)] == [True, False, False, True]
    with pytest.raises(DataError, match="no levels"):
        levels_figure(image, {})


def test_cells_are_drawn_where_they_are():
    """A map of 2 × 2 cells of 16 pixels, of which the image shows 20 × 32: the bright cell is at the upper right."""
    image = torch.full((3, 20, 32), 128, dtype=torch.uint8)
    figure = levels_figure(image, {"": [level("P4", 16, torch.tensor([[0.0, 3.0], [0.0, 0.0]]))]})
    shown = sheet_pixels(figure)[23 : 23 + 119, 196 : 196 + 190, :3]
    bright = shown.std(axis=2) > 15  # grey where the energy is lowest
    rows, columns = np.where(bright)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (0, 94, 95, 189)


def test_boxes_have_the_colours_of_their_levels(image, view):
    figure = assignment_figure(image, view, BOXES, BOXES[:2], region=BOXES[1])
    _, left = figure.axes
    found, _, objects, region = left.collections
    assert [to_hex(colour) for colour in objects.get_edgecolors()] == [LEVEL_COLOURS[level] for level in (2, 3, 4)]
    assert to_hex(region.get_edgecolors()[0]) == "#f6f740"
    assert sorted(text.get_text() for text in left.texts) == ["1: P2", "2: P3", "3: P4"]
    assert len(found.get_segments()) == 2
    names = words(figure, ha="right")
    assert names == [f"P{k}\nobjects: 1\nproposals: {found}" for k, found in ((2, 1), (3, 1), (4, 0))]
    assert words(figure, va="bottom")[0].startswith("k = ⌊4 + log₂(√(wh) / 32)⌋")
    dots, more = collections(figure, CircleCollection)
    assert dots.get_offsets() == pytest.approx(np.array([[3, -0.13], [np.log2(30), 1 - 0.13]]), abs=1e-4)
    assert [to_hex(colour) for colour in more.get_facecolors()] == [LEVEL_COLOURS[level] for level in (2, 3, 4)]


def test_the_steps_are_where_the_equation_has_them(image, view):
    """Canonical size 32: level 3 begins at a side of 16, and level 4 at 32."""
    stairs, _ = marks(assignment_figure(image, view, BOXES, BOXES[:0]))
    assert list(2 ** stairs.get_xdata()) == [8, 16, 16, 32, 32, 128]
    assert list(stairs.get_ydata()) == [0, 0, 1, 1, 2, 2]


def test_without_an_equation_it_says_so(image):
    dense = {name: SMALL[name] for name in ("backbone", "channels", "min_size")} | {"kind": "retinanet"}
    seen = look(build_detector(dense, ("a",)), image)
    figure = assignment_figure(image, seen, BOXES, BOXES[:0], what="detections")
    assert words(figure, va="bottom")[0].startswith("the level of the anchor that overlaps most")
    assert len(marks(figure)) == 1, "the sides of the anchors alone"
    assert words(figure, ha="right")[0].endswith("detections: 0")
    single = {**SMALL, "pyramid": False}
    del single["channels"]
    figure = assignment_figure(image, look(build_detector(single, ("a",)), image), BOXES, BOXES[:0])
    assert words(figure, va="bottom")[0].startswith("all RoIs from the one map")


def test_anchors_of_all_and_of_one_object(image, view):
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 20, 10], [50, 50, 70, 70], [90, 90, 99, 99]])
    seen = replace(view, anchors=boxes, anchor_levels=torch.tensor([0, 0, 1, 2]))
    boxes = torch.tensor([[0.0, 0, 10, 10], [50, 50, 70, 60]])
    match = seen.match(Target(boxes=boxes, labels=torch.ones(2, dtype=torch.long)))
    figure = anchors_figure(image, seen, match, boxes)
    assert [text.split(" of")[0] for text in words(figure, va="bottom")[:3]] == [
        "P2: 1 matched\n1 ignored", "P3: 1 matched\n0 ignored", "P4: 0 matched\n0 ignored"
    ]  # fmt: skip
    assert drawn(figure, 0.6) == [1, 0, 0], "ignored"
    assert drawn(figure, 1.3) == [1, 1, 0], "matched"
    assert [high for _, _, high, _ in bars(figure)[:2]] == pytest.approx([1, 0.5])
    assert words(figure, ha="left") == ["matched (1)", "best only (1)"]
    assert [line.get_xdata()[0] for line in marks(figure)] == [0.3, 0.7]
    figure = anchors_figure(image, seen, match, boxes, chosen=1)
    assert drawn(figure, 0.6) + drawn(figure, 1.3) == [0, 0, 0, 0, 1, 0]
    assert drawn(figure, 1.6)[:2] == [1, 1], "the other object and this one"


def test_the_size_of_a_figure_does_not_follow_what_is_measured(image, view):
    nothing = Target(boxes=BOXES[:0], labels=torch.zeros(0, dtype=torch.long))
    some = Target(boxes=BOXES, labels=torch.ones(3, dtype=torch.long))
    one, other = (anchors_figure(image, view, view.match(given), given["boxes"]) for given in (nothing, some))
    assert str(one) == str(other)
    assert str(assignment_figure(image, view, BOXES[:0], BOXES)) == str(
        assignment_figure(image, view, BOXES, BOXES[:0])
    )
