"""Pictures of pyramids: what they show, read from the artists."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

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


def texts(axes):
    return [text.get_text() for text in axes.texts]


def anchors(axes):
    """How many are drawn."""
    return sum(len(some.get_segments()) for some in axes.collections)


def test_every_level_stands_in_the_column_of_its_stride(image, view):
    rows = {"all": view.levels, "$C4<b>": view.body[2:]}
    figure = levels_figure(image, rows, boxes=BOXES)
    axes = np.array(figure.axes).reshape(2, 4)
    titles = [[one.get_title() for one in line] for line in axes]
    assert titles == [["all", "P2: 32 × 32", "P3: 16 × 16", "P4: 8 × 8"], ["$C4<b>", "", "", "C4: 8 × 8"]]
    assert len(axes[0, 0].patches) == 3
    assert not axes[1, 1].images
    with pytest.raises(DataError, match="no levels"):
        levels_figure(image, {})


def test_cells_are_drawn_where_they_are():
    """A map of 2 × 2 cells of 16 pixels, of which the image shows 20 × 32: the bright cell is at the upper right."""
    image = torch.full((3, 20, 32), 128, dtype=torch.uint8)
    figure = levels_figure(image, {"": [level("P4", 16, torch.tensor([[0.0, 3.0], [0.0, 0.0]]))]})
    shown = np.asarray(figure.axes[1].images[0].get_array())
    assert shown.shape == (200, 320, 3)
    bright = shown.std(axis=2) > 15  # grey where the energy is lowest
    rows, columns = np.where(bright)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (0, 159, 160, 319)


def test_boxes_have_the_colours_of_their_levels(image, view):
    figure = assignment_figure(image, view, BOXES, BOXES[:2], region=BOXES[1])
    left, right = figure.axes
    edges = [to_hex(patch.get_edgecolor()) for patch in left.patches]
    assert edges == [LEVEL_COLOURS[2], LEVEL_COLOURS[3], LEVEL_COLOURS[4], "#f6f740"]
    assert sorted(texts(left)) == ["1: P2", "2: P3", "3: P4"]
    assert len(left.collections[0].get_segments()) == 2
    names = [label.get_text() for label in right.get_yticklabels()]
    assert names == [f"P{k}\nobjects: 1\nproposals: {found}" for k, found in ((2, 1), (3, 1), (4, 0))]
    assert right.get_title().startswith("k = ⌊4 + log₂(√(wh) / 32)⌋")


def test_the_steps_are_where_the_equation_has_them(image, view):
    """Canonical size 32: level 3 begins at a side of 16, and level 4 at 32."""
    right = assignment_figure(image, view, BOXES, BOXES[:0]).axes[1]
    (stairs,) = right.patches
    values, edges, _ = stairs.get_data()
    assert (list(values), list(edges)) == ([0, 1, 2], [8, 16, 32, 128])


def test_without_an_equation_it_says_so(image):
    dense = {name: SMALL[name] for name in ("backbone", "channels", "min_size")} | {"kind": "retinanet"}
    seen = look(build_detector(dense, ("a",)), image)
    right = assignment_figure(image, seen, BOXES, BOXES[:0], what="detections").axes[1]
    assert right.get_title().startswith("the level of the anchor that overlaps most")
    assert not right.patches
    assert right.get_yticklabels()[0].get_text().endswith("detections: 0")
    single = {**SMALL, "pyramid": False}
    del single["channels"]
    right = assignment_figure(image, look(build_detector(single, ("a",)), image), BOXES, BOXES[:0]).axes[1]
    assert right.get_title().startswith("all RoIs from the one map")


def test_anchors_of_all_and_of_one_object(image, view):
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 20, 10], [50, 50, 70, 70], [90, 90, 99, 99]])
    seen = replace(view, anchors=boxes, anchor_levels=torch.tensor([0, 0, 1, 2]))
    boxes = torch.tensor([[0.0, 0, 10, 10], [50, 50, 70, 60]])
    match = seen.match(Target(boxes=boxes, labels=torch.ones(2, dtype=torch.long)))
    figure = anchors_figure(image, seen, match, boxes)
    *maps, bars = figure.axes
    assert [one.get_title().split(" of")[0] for one in maps] == [
        "P2: 1 matched\n1 ignored", "P3: 1 matched\n0 ignored", "P4: 0 matched\n0 ignored"
    ]  # fmt: skip
    assert [anchors(one) for one in maps] == [2, 1, 0]
    assert [patch.get_width() for patch in bars.patches[:2]] == pytest.approx([1, 0.5])
    assert [text.get_text() for text in bars.get_legend().get_texts()] == ["matched (1)", "best only (1)"]
    assert [line.get_xdata()[0] for line in bars.lines] == [0.3, 0.7]
    *maps, _ = anchors_figure(image, seen, match, boxes, chosen=1).axes
    assert [anchors(one) for one in maps] == [0, 1, 0]
    assert [patch.get_linestyle() for patch in maps[0].patches] == ["--", "-"]


def test_the_size_of_a_figure_does_not_follow_what_is_measured(image, view):
    nothing = Target(boxes=BOXES[:0], labels=torch.zeros(0, dtype=torch.long))
    some = Target(boxes=BOXES, labels=torch.ones(3, dtype=torch.long))
    one, other = (anchors_figure(image, view, view.match(given), given["boxes"]) for given in (nothing, some))
    assert str(one) == str(other)
    assert str(assignment_figure(image, view, BOXES[:0], BOXES)) == str(
        assignment_figure(image, view, BOXES, BOXES[:0])
    )
