"""Controls of ipywidgets as all explorers have them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets

from widgets.parts.sources import LAST

WIDE = {
    "style": {"description_width": "92px"},
    "layout": {"width": "auto"},
}  #: of a control in a column, which it fills but for its margins
FREE = {"description_width": "initial"}  #: style of a control in a row: the description is as wide as its text
TABLE = {"overflow": "auto"}  #: layout of a table as HTML: what is too wide for the page is scrolled by itself
WIDE_CELLS = {"justify": "left", "col_space": 78}  #: of a table as HTML
ROW = {"flex_flow": "row wrap", "align_items": "center"}  #: layout of controls beside each other


def controls_for(sources: list[str], images: int, question: str) -> dict[str, ipywidgets.Widget]:
    """A control for each traitlet of every explorer, by its name; those that leave no choice are hidden.

    Args:
        sources: names of the detectors to choose from.
        images: how many images there are to choose from.
        question: what the class is wanted for.
    """
    controls = {
        "detector": ipywidgets.Dropdown(options=sources, description="Detector", **WIDE),
        "step": ipywidgets.SelectionSlider(options=[("last", LAST)], description="Checkpoint", **WIDE),
        "index": ipywidgets.IntSlider(min=0, max=images - 1, description="Image", **WIDE),
        "chosen": ipywidgets.Dropdown(options=[], description="Object", **WIDE),
        "label": ipywidgets.Dropdown(options=[("background", 0)], description=question, **WIDE),
    }
    if len(sources) == 1:
        controls["detector"].layout.display = "none"
    if images == 1:
        controls["index"].layout.display = "none"
    return controls


def button(
    text: str, icon: str, action: Callable[[Any], None], *, width: str, tooltip: str = ""
) -> ipywidgets.Button:
    """A button.

    Args:
        text: what it says.
        icon: the name of a Font Awesome icon.
        action: called with the button when it is pressed.
        width: as in CSS.
        tooltip: shown when the pointer rests on it.
    """
    made = ipywidgets.Button(description=text, icon=icon, tooltip=tooltip, layout={"width": width})
    made.on_click(action)
    return made
