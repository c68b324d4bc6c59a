"""Plotly figures in widgets.

A `Plot` keeps all that it shows in traitlets, so that a page that is loaded anew shows it as it is. plotly's own
`FigureWidget` sends each change as a message, which a page that comes later, or is still being built, never gets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anywidget
import numpy as np
import plotly.graph_objects as go
import traitlets
from matplotlib.figure import Figure
from plotly.offline import get_plotlyjs

from widgets.parts.javascript import script, style
from widgets.parts.seen import Drawable
from workbench.figures.drawing.of_plotly import drawn_by_matplotlib

#: Called with "hover" or "click", the line that was pointed at, and the number of its point.
PointedAt = Callable[[str, Any, int], None]
#: Called with the names of lines and the numbers of their points in a lasso or box.
Lassoed = Callable[[dict[str, list[int]]], None]


class Plot(Drawable, anywidget.AnyWidget):
    """A figure as wide as its cell; zoom and hidden lines stay as the reader left them when it is drawn anew.

    Args:
        figure: what is shown first, if anything; `figure` is what is shown now.
        pointed_at: called when a point is pointed at or clicked.
        lassoed: called when points are chosen with plotly's lasso or box, or none are any more.
        width: inches of its still picture.
    """

    _esm = script("plot.js")
    _css = style("plot.css")

    #: plotly.js, 5 MB: not a part of the module, which anywidget gives up for good if it has not begun after 2 s.
    _library = traitlets.Unicode(get_plotlyjs()).tag(sync=True)
    _drawn = traitlets.Unicode(help="the figure as JSON").tag(sync=True)
    _moved = traitlets.Dict(help="number of a line → where its points are since it was drawn").tag(sync=True)
    _selected = traitlets.Dict(help="number of a line → its chosen points; the others are pale").tag(sync=True)
    _lassoed = traitlets.Dict(help="`points`, by number of a line, and `turn` of the last lasso").tag(sync=True)
    _pointed = traitlets.Dict(help="`event`, `line` and `point` of the last event, and its `turn`").tag(sync=True)

    def __init__(
        self,
        figure: go.Figure | None = None,
        pointed_at: PointedAt | None = None,
        lassoed: Lassoed | None = None,
        *,
        width: float = 9.0,
    ):
        super().__init__(layout={"width": "100%"})
        self._width = width
        self.draw(go.Figure() if figure is None else figure)
        if pointed_at is not None:
            self.observe(lambda change: self._point(pointed_at, **change["new"]), "_pointed")
        if lassoed is not None:
            self.observe(lambda change: lassoed(self._points(change["new"]["points"])), "_lassoed")

    def draw(self, figure: go.Figure) -> None:
        """Show this figure instead."""
        self.figure = figure
        with self.hold_sync():
            self._moved, self._selected = {}, {}
            self._drawn = figure.to_json()

    def move(self, points: Mapping[str, np.ndarray]) -> None:
        """Put the points of some lines (name → [P, 2]) elsewhere: quicker than to draw all of a large figure."""
        moved = dict(self._moved)
        for number, line in enumerate(self.figure.data):
            if line.name in points:
                line.x, line.y = points[line.name].T
                moved[str(number)] = {axis: line[axis].tolist() for axis in "xy"}
        self._moved = moved

    def still(self) -> Figure:
        """The same by matplotlib."""
        return drawn_by_matplotlib(self.figure, width=self._width)

    def select(self, points: Mapping[str, Sequence[int]]) -> None:
        """Show that points of lines, by their names, are chosen; without any point none are."""
        chosen = {str(number): points.get(line.name) for number, line in enumerate(self.figure.data)}
        known = {number: [*map(int, some)] for number, some in chosen.items() if some is not None}
        self._selected = known if any(known.values()) else {}

    def _points(self, lassoed: Mapping[str, list[int]]) -> dict[str, list[int]]:
        lines = self.figure.data
        return {lines[int(line)].name: some for line, some in lassoed.items() if int(line) < len(lines)}

    def _point(self, action: PointedAt, *, event: str, line: int, point: int, turn: int) -> None:
        if line < len(self.figure.data):  # another figure may have come meanwhile
            action(event, self.figure.data[line], point)
