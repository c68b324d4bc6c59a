"""Figures of mean shapes and of overlaps show the numbers."""

from __future__ import annotations

import pytest

import workbench as wb
from workbench.detectors import ShapeMasks
from workbench.errors import DataError
from workbench.evaluation import mask_overlap
from workbench.figures.shape_masks import mask_overlap_figure, pasted_figure, shape_mask_figure


@pytest.fixture(scope="module")
def shapes():
    return ShapeMasks.learn(wb.load_data("digit-scenes", length=30), aspects=2, side=12, progress=False)


@pytest.fixture(scope="module")
def data():
    return wb.load_data("digit-scenes", "test", length=8)


def test_mean_shapes(shapes):
    figure = shape_mask_figure(shapes, ["7", "1"])
    pictures = [axes.images[0].get_array() for axes in figure.axes]
    own = [shapes.classes.index(name) for name in ("7", "1")]
    assert [(picture == shapes.means[place, aspect].numpy()).all() for picture, (place, aspect) in zip(
        pictures, [(place, aspect) for place in own for aspect in (0, 1)], strict=True,
    )] == [True] * 4  # fmt: skip
    assert figure.axes[0].get_title() == f"7 {int(shapes.counts[own[0], 0])}"
    every = shape_mask_figure(shapes)
    every.draw_without_rendering()
    assert len(every.axes) == 20
    with pytest.raises(DataError, match="no shape of 'x'"):
        shape_mask_figure(shapes, ["x"])


def test_overlap_by_class(shapes, data):
    overlap = mask_overlap(shapes.on("digit-scenes/faster-rcnn"), data, progress=False)
    (axes,) = overlap.figure().axes
    bars = [bar.get_height() for bar in axes.patches]
    assert bars[:-1] == sorted(overlap.by_class["overlap"].dropna(), reverse=True)
    assert bars[-1] == overlap.mean
    both = mask_overlap_figure(overlap, others={"again": overlap})
    both.draw_without_rendering()
    assert len(both.axes[0].patches) == 2 * len(bars)


def test_pasted_masks(shapes, data):
    image, target = data[0]
    found = shapes.on("digit-scenes/faster-rcnn").detect([image])[0]
    figure = pasted_figure(image, target, found, data.classes, most=2)
    figure.draw_without_rendering()
    assert 1 <= len(figure.axes) <= 2
    assert "masks 0." in figure.axes[0].get_title()
    with pytest.raises(DataError, match="no box is right"):
        pasted_figure(image, target, found[:0], data.classes)
    found.masks = None
    with pytest.raises(DataError, match="must have masks"):
        pasted_figure(image, target, found, data.classes)
