"""Charts put values, ticks and keys where they belong."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import CircleCollection
from matplotlib.figure import Figure

from tests.support.figures import bars, collections, lines, marks, words
from workbench.figures.drawing.charts import SQUARE, Bar, Chart, draw_key


def blank(**options) -> Chart:
    """4 by 3 inches, of which the chart has 2 by 1, one from the left and half an inch from the upper edge."""
    said = {"xlim": (0, 10), "ylim": (0, 1), "xticks": {0: "none", 10: "$all"}, "yticks": {0.5: "half"}}
    return Chart.blank(Figure(figsize=(4, 3), dpi=100), (1, 0.5, 2, 1), **{**said, **options})


def pixels(chart: Chart, x: float, y: float) -> list[float]:
    """Where a value is on the figure, from the lower left corner."""
    return chart.values.transform((x, y)).round(3).tolist()


def test_values_are_where_the_limits_say():
    chart = blank()
    assert pixels(chart, 0, 0) == [100, 150]
    assert pixels(chart, 10, 1) == [300, 250]
    upside_down = blank(ylim=(1, 0))
    assert pixels(upside_down, 0, 0) == [100, 250]
    assert pixels(upside_down, 5, 1) == [200, 150]


def test_ticks_stand_below_and_at_the_left():
    chart = blank(xlabel="how many", title="above")
    places = {text.get_text(): text.get_position() for text in chart.figure.texts}
    assert [places[name][0] for name in ("none", "$all", "how many", "above")] == [1, 3, 2, 2]
    assert places["none"][1] == places["$all"][1] > 1.5
    assert places["how many"][1] > places["none"][1] + 8.5 / 72
    assert places["half"][0] < 1
    assert places["half"][1] == pytest.approx(1.0)
    assert places["above"][1] < 0.5
    assert not any(text.get_parse_math() for text in chart.figure.texts)


def test_a_grid_crosses_at_the_ticks():
    assert len(lines(blank().figure)) == 3, "the line below and two ticks"
    crossing = lines(blank(grid=True).figure)
    assert len(crossing) == 3 + 2 + 2
    assert [line.tolist() for line in crossing[:2]] == [[[1, 0.5], [1, 1.5]], [[3, 0.5], [3, 1.5]]]


def test_bars_dots_and_lines():
    chart = blank()
    chart.draw_bars([Bar(0, 4, 0.5, "#ff0000"), Bar(4, 4, 0.5, "#00ff00"), Bar(4, 10, 0.5, "#0000ff")], 0.2)
    assert bars(chart.figure) == [("#ff0000", 0, 4, 0.5), ("#0000ff", 4, 10, 0.5)], "nothing is left out but nothing"
    chart.draw_dots([1, 2], [0.1, 0.2], ["#ff0000", "#00ff00"], size=6)
    (dots,) = collections(chart.figure, CircleCollection)
    assert dots.get_offsets().tolist() == [[1, 0.1], [2, 0.2]]
    assert dots.get_sizes().tolist() == pytest.approx([np.pi * 9])
    chart.draw_line([0, 10], [0, 1], "black", linestyle="--")
    assert marks(chart.figure)[0].get_linestyle() == "--"
    chart.label(5, 0.5, "$5")
    assert words(chart.figure)[-1] == "$5"


def test_a_key_has_rows_and_a_middle():
    figure = Figure(figsize=(4, 3))
    draw_key(figure, 2, 0.1, [("one", "#ff0000"), ("another", "#00ff00"), ("last", "#0000ff")], columns=2, size=8)
    squares = bars(figure)
    assert [colour for colour, *_ in squares] == ["#ff0000", "#00ff00", "#0000ff"]
    assert squares[0][3] == pytest.approx(squares[1][3])
    assert squares[2][3] > squares[0][3]
    assert squares[2][1] == pytest.approx(squares[0][1])
    assert squares[0][2] - squares[0][1] == pytest.approx(SQUARE)
    assert words(figure) == ["one", "another", "last"]
    figure.draw_without_rendering()
    right = max(text.get_window_extent().x1 for text in figure.texts) / figure.dpi
    assert right - 2 == pytest.approx(2 - squares[0][1], abs=0.05), "as far to the right as to the left"
