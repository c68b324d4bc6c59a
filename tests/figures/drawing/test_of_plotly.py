"""Plotly's figures by matplotlib: the same lines, markers, bars, axes and names."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from workbench.errors import WorkbenchError
from workbench.figures.adversary_health import ANGLES, angle_histogram
from workbench.figures.drawing.of_plotly import drawn_by_matplotlib, plain_text
from workbench.figures.training import learning_curves

STEPS = [0, 10, 20]


def metrics(**columns):
    return pd.DataFrame({"kind": "train", "step": STEPS, **columns})


def test_the_lines_are_those_of_the_run_with_their_names():
    train = metrics(**{"loss": [3.0, 2.0, 1.0], "loss/<box>": [2.0, 1.0, 0.5]})
    val = pd.DataFrame({"kind": "val", "step": [10, 20], "AP": [0.1, 0.3]})
    figure = drawn_by_matplotlib(learning_curves(pd.concat([train, val])), width=8)
    assert figure.get_size_inches().tolist() == [8, 3.2]
    losses, precisions = figure.axes
    assert [line.get_ydata().tolist() for line in losses.lines if len(line.get_xdata())] == [[3, 2, 1], [2, 1, 0.5]]
    assert precisions.lines[0].get_xydata().tolist() == [[10, 0.1], [20, 0.3]]
    assert precisions.get_ylim() == (0, 1)
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "on validation data"]
    names = [text.get_text().strip("\u200b") for legend in figure.legends for text in legend.get_texts()]
    assert names == ["total", "<box>", "AP"]


def test_nothing_known_is_an_empty_panel():
    figure = drawn_by_matplotlib(learning_curves(metrics(loss=1.0)[:0]))
    assert [len(axes.lines) for axes in figure.axes] == [0, 0]


def test_bars_markers_arrows_and_logarithms():
    shares = np.arange(9) / 36
    bars = drawn_by_matplotlib(angle_histogram(metrics(**dict(zip(ANGLES, shares, strict=True))))).axes[0]
    assert [bar.get_height() for bar in bars.patches] == pytest.approx(shares.tolist())
    points = go.Figure(go.Scatter(x=[1, 100], y=[1, 2], mode="markers", marker={"color": ["red", "blue"]}))
    points.add_scatter(x=[1, 2, None], y=[1, 3, None], marker={"symbol": "arrow"})
    points.update_xaxes(type="log", range=[0, 2])
    axes = drawn_by_matplotlib(points).axes[0]
    drawn, arrows, *_ = axes.collections
    assert drawn.get_facecolors()[:, :3].tolist() == [[1, 0, 0], [0, 0, 1]]
    assert (arrows.U.tolist(), arrows.V.tolist()) == ([1], [2])
    assert (axes.get_xscale(), axes.get_xlim()) == ("log", (1, 100))


def test_another_kind_of_trace_is_refused():
    with pytest.raises(WorkbenchError, match="a pie cannot be drawn by matplotlib here; lines, markers and bars can"):
        drawn_by_matplotlib(go.Figure(go.Pie(values=[1])))


def test_marks_of_html_are_left_out():
    assert plain_text("<b>a</b><br>&lt;b&gt;") == "a\n<b>"
