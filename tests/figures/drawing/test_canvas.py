"""Axes of pictures draw what other axes that are off draw, and make nothing that is not seen."""

from __future__ import annotations

import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from IPython.core.pylabtools import print_figure
from PIL import Image

from workbench.figures.drawing.canvas import PictureAxes, draw_box, placed_figure, show_image

IMAGE = (torch.arange(3 * 20 * 30) % 256).to(torch.uint8).view(3, 20, 30)


def drawn(**options) -> np.ndarray:
    figure = plt.figure(figsize=(3, 2), facecolor="white")
    plt.close(figure)
    axes = figure.add_axes((0.1, 0.1, 0.8, 0.7), **options)
    axes.set_axis_off()
    show_image(axes, IMAGE)
    draw_box(axes, torch.tensor([5.0, 5, 25, 15]), colour="#ff0000")
    axes.set_title("a title", fontsize=9)
    out = io.BytesIO()
    figure.savefig(out, dpi=100)
    return np.asarray(Image.open(out))


def test_pictures_are_those_of_usual_axes():
    assert np.array_equal(drawn(axes_class=PictureAxes), drawn())


def test_there_are_no_spines_and_ticks_also_after_it_is_cleared():
    axes = plt.figure().add_axes((0, 0, 1, 1), axes_class=PictureAxes)
    plt.close(axes.figure)
    for _ in range(2):
        assert not axes.axison
        assert not axes.spines
        assert [*axes.xaxis.majorTicks, *axes.yaxis.majorTicks] == []
        show_image(axes, IMAGE)
        assert axes.get_xlim() == pytest.approx((-0.5, 29.5), abs=0.5)
        axes.clear()


def test_notebooks_show_what_is_placed():
    """IPython leaves out a figure without axes."""
    figure = placed_figure(2, 1, dpi=100)
    figure.text(0.5, 0.5, "seen")
    assert Image.open(io.BytesIO(print_figure(figure, bbox_inches=None))).size == (200, 100)
