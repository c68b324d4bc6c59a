"""Closing a widget closes all that it is made of."""

from __future__ import annotations

import ipywidgets
from ipywidgets.widgets.widget import _instances

from widgets.parts.panel import Panel, parts_of


def test_parts_of_a_widget_are_all_that_it_holds_the_innermost_first():
    text = ipywidgets.HTML("a")
    box = ipywidgets.HBox([text])
    assert list(parts_of(box)) == [*parts_of(text), text, box.layout]
    assert list(parts_of(text)) == [text.layout, text.style]


def test_closing_makes_nothing_new():
    """Such as a default, which cannot be made any more when Python ends and closes what is left."""
    box = ipywidgets.HBox([])
    before = dict(box._trait_values)
    list(parts_of(box))
    assert box._trait_values == before


def test_a_closed_panel_leaves_nothing_open():
    before = set(_instances)
    panel = Panel([ipywidgets.VBox([ipywidgets.IntSlider(description="deep")])])
    assert (
        len(set(_instances) - before) == 9
    )  # panel, frame and box with their layouts; the slider with its layout and style
    panel.close()
    assert set(_instances) == before
