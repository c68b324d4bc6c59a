"""A picture of several panels, of which one can be chosen by a click or a key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import anywidget
import matplotlib
import traitlets
from matplotlib.figure import Figure

from widgets.parts.javascript import script, style
from widgets.parts.pictures import Picture, png
from workbench.figures.drawing.page import settings


class PanelPicker(anywidget.AnyWidget, Picture):
    """Click a panel (or Tab to it and press Enter) to set `chosen`; once more, and none is."""

    _esm = script("panel_picker.js")
    _css = style("panel_picker.css")

    panels = traitlets.List(traitlets.Dict(), help="`box` (xyxy, shares of the picture) and `text`").tag(sync=True)
    chosen = traitlets.Int(None, allow_none=True, help="position in `panels`").tag(sync=True)

    def draw(self, figure: Callable[[], Figure], texts: Sequence[str], *, dpi: int) -> None:
        """Show what `figure` makes; its first axes are panels.

        Args:
            figure: makes the figure.
            texts: a few words on each panel, for those who cannot see it.
            dpi: pixels per inch.
        """
        self._texts = texts
        super().draw(figure, dpi=dpi)

    @traitlets.observe("dark")
    def _redraw(self, _: Any = None) -> None:
        with matplotlib.rc_context(settings(dark=self.dark)):
            figure = self._figure()
            if figure is None:  # nothing was drawn yet
                return
            drawn = png(figure, self._dpi)  # first, as it moves the axes to their places
        width, height = figure.bbox.size
        panels = []
        for axes, text in zip(figure.axes, self._texts, strict=False):  # with its title
            x1, y1, x2, y2 = axes.get_tightbbox().extents.tolist()
            panels.append({"box": [x1 / width, 1 - y2 / height, x2 / width, 1 - y1 / height], "text": text})
        with self.hold_sync():
            self.value, self.panels = drawn, panels
