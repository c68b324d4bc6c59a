"""Plotly figures in widgets: as wide as the cell, and changed without being drawn anew."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import plotly.graph_objects as go

FIT = (1, 4)  #: seconds after which figures are fitted to the page; a busy page needs the second


def plot(figure: go.Figure) -> go.FigureWidget:
    """The figure as a widget that is as wide as its cell."""
    widget = go.FigureWidget(figure)
    widget._config = {"responsive": True, "displaylogo": False}
    return widget


def fit(figure: go.FigureWidget) -> None:
    """The page measures a figure's place before there is one; a margin that changes makes it look again."""
    figure.layout.margin.r = 33 - figure.layout.margin.r  # 16 and 17 in turn


def fit_soon(action: Callable[[], None]) -> None:
    """Call `action`, which fits figures, a little later, twice."""
    for seconds in FIT:
        timer = threading.Timer(seconds, action)
        timer.daemon = True
        timer.start()


def point_handler(name: str, action: Callable[[str, int], None]) -> Callable[..., None]:
    """For plotly's `on_hover` and `on_click`: calls `action` with the name and the number of the point."""

    def follow(_trace: Any, points: Any, _state: Any) -> None:
        if points.point_inds:
            action(name, points.point_inds[0])

    return follow
