"""A plot's whole state is in its traitlets, which is what a page gets that is loaded anew."""

from __future__ import annotations

import json

import numpy as np
import plotly.graph_objects as go

from widgets.parts.plots import Plot


def lines(*values: float) -> go.Figure:
    return go.Figure([go.Scatter(x=[0, 1], y=[value, value], name=f"line {value}") for value in values])


def shown(plot: Plot) -> list[list[float]]:
    """The y of each line, as the browser puts drawing and moves together."""
    state = plot.get_state()
    drawn = json.loads(state["_drawn"])["data"]
    for number, points in state["_moved"].items():
        drawn[int(number)] |= points
    return [line["y"] for line in drawn]


def test_what_is_drawn_and_moved_is_in_the_state():
    plot = Plot(lines(1, 2))
    assert shown(plot) == [[1, 1], [2, 2]]
    plot.move({"line 2": np.array([[5, 6], [7, 8]])})
    assert shown(plot) == [[1, 1], [6, 8]]
    assert list(plot.figure.data[1].x) == [5, 7]
    plot.move({"line 1": np.array([[0, 9]])})
    assert shown(plot) == [[9], [6, 8]]
    plot.draw(lines(1, 2, 3))
    assert shown(plot) == [[1, 1], [2, 2], [3, 3]]


def test_the_module_is_small_and_the_library_comes_beside_it():
    """anywidget drops all messages for a widget whose module has not been read after two seconds."""
    plot = Plot()
    assert len(str(plot._esm)) < 50_000
    assert "plotly.js" in plot._library[:200]


def test_the_line_and_the_point_that_are_pointed_at_are_passed_on():
    seen = []
    plot = Plot(lines(1, 2), lambda event, line, point: seen.append((event, line.name, point)))
    plot._pointed = {"event": "hover", "line": 1, "point": 7, "turn": 1}
    plot._pointed = {"event": "click", "line": 1, "point": 7, "turn": 2}
    plot._pointed = {"event": "hover", "line": 2, "point": 0, "turn": 3}  # of a figure that was shown before
    assert seen == [("hover", "line 2", 7), ("click", "line 2", 7)]


def test_chosen_points_are_in_the_state_and_a_lasso_is_passed_on():
    seen = []
    plot = Plot(lines(1, 2), lassoed=seen.append)
    plot.select({"line 2": [1]})
    assert plot.get_state()["_selected"] == {"1": [1]}
    plot.select({"line 1": [], "line 2": []})
    assert plot.get_state()["_selected"] == {}
    plot._lassoed = {"points": {"0": [0, 1], "5": [2]}, "turn": 1}  # the last is of a figure that was shown before
    plot._lassoed = {"points": {}, "turn": 2}
    assert seen == [{"line 1": [0, 1]}, {}]
    plot.select({"line 1": [0]})
    plot.draw(lines(3))
    assert plot.get_state()["_selected"] == {}
