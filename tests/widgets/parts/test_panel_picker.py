"""A picture of panels: each axes of a figure is one, with its title."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from widget_pictures import pixels

from widgets.parts.panel_picker import PanelPicker


def test_panels_are_where_the_axes_are():
    figure = Figure(figsize=(4, 2))
    for place, colour in enumerate(("red", "blue")):
        axes = figure.add_axes((0.5 * place + 0.1, 0.2, 0.3, 0.5))
        axes.set_axis_off()
        axes.imshow(np.zeros((2, 2, 3)), aspect="auto")
        axes.add_patch(Rectangle((-0.5, -0.5), 2, 2, color=colour))
    picker = PanelPicker()
    picker.draw(lambda: figure, ["<i>one</i>", "two"], dpi=50)
    assert [one["text"] for one in picker.panels] == ["<i>one</i>", "two"]
    assert [pytest.approx(one["box"], abs=0.02) for one in picker.panels] == [
        [0.1, 0.3, 0.4, 0.8],
        [0.6, 0.3, 0.9, 0.8],
    ]
    picture = pixels(picker)
    assert picture.shape == (100, 200, 3)
    for one, colour in zip(picker.panels, ((255, 0, 0), (0, 0, 255)), strict=True):
        x1, y1, x2, y2 = np.multiply(one["box"], (200, 100, 200, 100)).round().astype(int)
        assert (picture[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2] == colour).all()
