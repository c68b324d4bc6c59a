"""Pictures of saliency: what is drawn and said, read from the artists."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from workbench.analysis.saliency import LevelMap, Saliency
from workbench.analysis.saliency_curves import SaliencyCurves
from workbench.errors import DataError
from workbench.figures.saliency import (
    saliency_curves_figure,
    saliency_figure,
    saliency_levels_figure,
    saliency_of_objects,
    saliency_summary_figure,
)

CLASSES = ("$one$", "<b>two</b>")


@pytest.fixture
def image():
    return torch.full((3, 12, 16), 100, dtype=torch.uint8)


@pytest.fixture
def saliency():
    """Bright in the upper left cell of 4 × 4 pixels, negative in the lower right one."""
    values = torch.zeros(12, 16)
    values[:4, :4], values[8:, 12:] = 2, -5
    levels = (
        LevelMap("fine", torch.tensor([[1.0, 0], [0, 0]]), 8.0, 0.25),
        LevelMap("coarse", torch.ones(1, 1), 16.0, 0.75),
    )
    return Saliency(values, "layer-cam", torch.tensor([0.0, 0, 8, 8]), 1, 0.9, {}, levels)


def curves(deletion=(1.0, 0.5, 0.0), measure="score"):
    return SaliencyCurves(torch.tensor([0.0, 0.25, 1.0]), torch.tensor(deletion), torch.tensor([0.0, 1, 1]), measure)


def shown(axes):
    return np.asarray(axes.images[0].get_array())


def test_maps_are_drawn_where_they_are_high_and_nowhere_else(image, saliency):
    figure = saliency_figure(image, {"map": saliency, "$other": replace(saliency, score=float("nan"))}, CLASSES)
    left, right, _ = figure.axes
    pixels = shown(left).astype(int)
    assert pixels.shape == (12, 16, 3)
    assert (pixels[2, 2] != pixels[6, 6]).any()
    assert np.ptp(pixels[6, 6]) <= 1  # grey
    assert (pixels[10, 14] == pixels[6, 6]).all()  # what speaks against it is not drawn
    assert left.get_title() == "map\n$one$: 0.90\n100% of it in the box, 33% by chance"
    assert right.get_title() == "$other\n$one$\n100% of it in the box, 33% by chance"
    assert len(left.patches) == 1
    with_curves = saliency_figure(image, {"map": saliency}, curves={"map": curves()})
    assert with_curves.axes[0].get_title().endswith("deletion 0.375, insertion 0.875")


def test_a_map_that_grows_and_one_of_nothing(image, saliency):
    empty = replace(saliency, map=torch.zeros(12, 16), done=0.25)
    title = saliency_figure(image, {"": empty}).axes[0].get_title()
    assert title == "\nlabel 1: 0.90 (25% of the masks)\nnone of it in the box, 33% by chance"


def test_large_images_are_shrunk(saliency):
    large = torch.rand(3, 900, 1200)
    figure = saliency_figure(large, {"": replace(saliency, map=torch.zeros(900, 1200))})
    assert shown(figure.axes[0]).shape == (480, 640, 3)


def test_levels_have_one_scale(image, saliency):
    """A value of the coarse cell is spread over four fine ones: it is a quarter as bright, over all of the image."""
    figure = saliency_levels_figure(image, saliency)
    _, fine, coarse, _ = figure.axes
    assert [one.get_title() for one in (fine, coarse)] == [
        "fine\ncells of 8 px: 25%",
        "coarse\ncells of 16 px: 75%",
    ]
    red = [shown(one)[..., 0].astype(int) - shown(one)[..., 2] for one in (fine, coarse)]
    assert red[0][2, 2] == red[0][7, 7] > 20 > abs(red[0][2, 12])  # crisp cells
    assert len(np.unique(red[1])) == 1
    assert shown(coarse)[0, 0].tolist() != shown(fine)[0, 0].tolist()
    with pytest.raises(DataError, match="a map by layer-cam has no levels"):
        saliency_levels_figure(image, replace(saliency, levels=()))


def test_a_level_may_reach_beyond_the_image(image, saliency):
    """Cells of 10 pixels: two columns, of which the second is cut off."""
    padded = replace(saliency, levels=(LevelMap("p", torch.tensor([[0.0, 1], [0, 0]]), 10.0, 1.0),))
    pixels = shown(saliency_levels_figure(image, padded).axes[1])
    assert (pixels[0, 9] == pixels[11, 0]).all()
    assert (pixels[0, 10] != pixels[0, 9]).any()


def test_objects_in_columns_and_detectors_in_rows(image, saliency):
    rows = {"a detector of a long name": [saliency, replace(saliency, label=2)], "$b": [saliency, None]}
    axes = np.array(saliency_of_objects(image, rows, CLASSES).axes).reshape(2, 2)
    assert [one.get_title() for one in axes.flat] == [
        "$one$: 100% in the box",
        "<b>two</b>: 100% in the box",
        "$one$: 100% in the box",
        "",
    ]
    assert axes[0, 0].texts[0].get_text() == "a detector\nof a long\nname"
    over = saliency_of_objects(image, {"run": [saliency]}, titles=["step 5"])
    assert over.axes[0].get_title() == "step 5: 100% in the box"
    with pytest.raises(DataError, match="every row needs a map of the same detections"):
        saliency_of_objects(image, {"a": [saliency], "b": []})
    with pytest.raises(DataError, match="every row needs"):
        saliency_of_objects(image, {})


def test_curves_with_their_areas():
    figure = saliency_curves_figure({"$map": curves(), "box": curves((1.0, 0.0, 0.0))})
    left, right = figure.axes
    assert [line.get_linestyle() for line in left.lines] == ["-", "--"]
    assert left.lines[0].get_xdata().tolist() == [0, 0.5, 1]  # square roots
    assert [text.get_text() for text in left.get_legend().get_texts()] == [r"\$map  0.375", "box  0.125"]
    assert [text.get_text() for text in right.get_legend().get_texts()] == [r"\$map  0.875", "box  0.875"]
    assert left.get_ylabel() == "score of the detection"
    same = saliency_curves_figure({"map": curves(measure="similarity")})
    assert same.axes[0].get_ylabel() == "similarity to the detection"
    with pytest.raises(DataError, match=r"there are \['score', 'similarity'\]"):
        saliency_curves_figure({"a": curves(), "b": curves(measure="similarity")})
    with pytest.raises(DataError, match="there are none"):
        saliency_curves_figure({})


def test_summary():
    columns = {f"{part}{end}": [0.1 + shift, 0.2 + shift] for part in ("deletion", "insertion", "energy")
               for end, shift in (("", 0.0), (" low", -0.05), (" high", 0.05))}  # fmt: skip
    figure = saliency_summary_figure(pd.DataFrame(columns, index=["$map", "box"]))
    assert [one.get_title().split()[0] for one in figure.axes] == ["deletion", "insertion", "energy"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [r"\$map", "box"]
    assert figure.axes[0].collections[1].get_offsets()[:, 0].tolist() == pytest.approx([0.1, 0.2])


def test_what_cannot_be_drawn(image, saliency):
    with pytest.raises(DataError, match="there is no map to draw"):
        saliency_figure(image, {})
    with pytest.raises(DataError, match=r"the map 'x' is \(12, 16\) and the image \(5, 5\) pixels"):
        saliency_figure(image[:, :5, :5], {"x": saliency})
