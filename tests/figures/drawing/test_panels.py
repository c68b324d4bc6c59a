"""Pictures beside each other: places by hand, and what is drawn read from the artists."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.patches import Patch

from workbench.figures.drawing.canvas import new_figure, show_image
from workbench.figures.drawing.panels import (
    LEGEND,
    around,
    draw_mask,
    legend_below,
    look_at,
    outline_mask,
    panels,
    title,
)


@pytest.mark.parametrize(
    ("box", "view"),
    [
        ([40, 30, 60, 40], (35, 20, 65, 50)),  # 20 wide: a square of 30 about its centre
        ([0, 0, 20, 20], (0, 0, 30, 30)),
        ([90, 70, 100, 80], (85, 65, 100, 80)),
        ([50, 40, 51, 41], (44.5, 34.5, 56.5, 46.5)),  # at least 12 pixels
        ([0, 0, 100, 80], (-25, -35, 125, 115)),  # larger than the image: about its centre
    ],
)
def test_a_square_around_a_box(box, view):
    assert around(torch.tensor(box).float(), (80, 100)) == view


def test_as_many_axes_as_pictures():
    figure, axes = panels(5, 3, (2, 1), 2.0)
    assert figure.axes == axes
    assert len(axes) == 5
    width, height = figure.get_size_inches()
    assert width == pytest.approx(3 * 1.0)
    assert 2 * 2.3 < height < 2 * 2.6
    assert len(panels(1, 3, (1, 1), 2.0)[1]) == 1


def test_a_title_is_text_and_not_too_long():
    _, (axes,) = panels(1, 1, (1, 1), 2.0)
    title(axes, "$x$" + 40 * "y", "facts")
    first, second = axes.get_title().split("\n")
    assert (first[:4], first[-1], len(first), second) == ("$x$y", "…", 26, "facts")
    assert not axes.title.get_parse_math()


def test_a_mask_is_tinted_and_its_line_is_closed_at_the_edge():
    _, axes = new_figure(1, 1, (2, 2))
    axes = axes[0, 0]
    show_image(axes, torch.zeros(3, 10, 12))
    mask = torch.zeros(10, 12, dtype=torch.bool)
    mask[:4, 2:8] = True
    draw_mask(axes, mask, "#ff0000", dashed=True)
    assert (np.asarray(axes.images[-1].get_array())[..., 3] > 0).sum() == 24
    (line,) = axes.collections
    (path,) = line.get_paths()
    assert path.vertices.min(axis=0) == pytest.approx([2, 0])
    assert path.vertices.max(axis=0) == pytest.approx([8, 4])
    assert path.vertices[0] == pytest.approx(path.vertices[-1])
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, 12), (10, 0))
    outline_mask(axes, torch.zeros(10, 12, dtype=torch.bool), "#ff0000")
    assert len(axes.collections) == 1, "a mask without a pixel has no line"
    look_at(axes, (2, 0, 8, 4))
    assert (axes.get_xlim(), axes.get_ylim()) == ((2, 8), (4, 0))


def test_the_room_of_a_legend_is_there_in_any_case():
    with_marks, without = (panels(1, 1, (1, 1), 2.0)[0] for _ in range(2))
    before = without.get_size_inches()[1]
    legend_below(with_marks, [Patch(label="missed")])
    legend_below(without, [])
    assert with_marks.get_size_inches()[1] == without.get_size_inches()[1] == pytest.approx(before + LEGEND)
    assert (len(with_marks.legends), len(without.legends)) == (1, 0)
