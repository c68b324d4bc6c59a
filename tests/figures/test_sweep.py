"""A metric against what was swept: the points, the means, the axis."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from workbench.errors import RunError
from workbench.figures.sweep import metric_against
from workbench.training import Comparison, Sweep


def swept(values: list, other: list | None = None) -> Sweep:
    """Two seeds of each value, AP 0.1 and 0.3 more than its place; and of each other value."""
    rows, names = [], {}
    for place, value in enumerate(values):
        for extra in other or [None]:
            name = f"{value} {extra}"
            names[name] = {"key": value} if extra is None else {"key": value, "other": extra}
            for seed, more in ((0, 0.1), (1, 0.3)):
                about = {"recipe": name, "seed": seed, "status": "done", "folder": f"runs/{place}", "error": ""}
                rows.append({**about, "AP": place + more})
    return Sweep(Comparison(pd.DataFrame(rows)), names)


def test_points_are_runs_and_the_line_is_their_mean():
    points, line = metric_against(swept([3, 1, 2]), "AP").data
    assert list(points.x) == [3, 3, 1, 1, 2, 2]
    assert list(points.y) == pytest.approx([0.1, 0.3, 1.1, 1.3, 2.1, 2.3])
    assert points.text[0] == "seed 0, 0"
    assert list(line.x) == [1, 2, 3], "in order"
    assert list(line.y) == pytest.approx([1.2, 2.2, 0.2])
    assert list(line.error_y.array) == pytest.approx([12.7062 * 0.1] * 3, abs=1e-3)


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([1, 2, 3], "linear"),
        ([1e-4, 1e-3, 1e-1], "log"),
        ([0.0, 100.0], "linear"),
        (["sgd", "adamw"], "category"),
        ([True, False], "category"),
        ([None, 0.5], "category"),
    ],
)
def test_the_axis_fits_the_values(values, scale):
    assert metric_against(swept(values), "AP").layout.xaxis.type == scale


def test_what_is_no_number_has_its_place_too():
    points, line = metric_against(swept([None, 0.5]), "AP").data
    assert list(points.x) == ["None", "None", "0.5", "0.5"]
    assert list(line.x) == ["None", "0.5"]


def test_a_second_key_gives_the_lines():
    figure = metric_against(swept([1, 2], ["a", "b"]), "AP", "key")
    assert [trace.name for trace in figure.data] == ["a", "a", "b", "b"]
    assert [trace.showlegend for trace in figure.data] == [False, None, False, None]
    assert len({trace.line.color for trace in figure.data[1::2]}) == 2
    assert figure.layout.legend.title.text == "other"
    many = metric_against(swept([1, 2], list(range(7))), "AP", "key")
    assert len(many.data) == 2, "more values than can be told apart"
    with pytest.raises(RunError, match="'kee' was not swept; did you mean 'key'"):
        metric_against(swept([1]), "AP", "kee")


def test_runs_that_failed_are_crosses_below_the_others():
    sweep = swept([1, 2, 3])
    runs = sweep.comparison.frame()
    runs.loc[runs["recipe"] == "3 None", ["AP", "status", "error"]] = [math.nan, "failed", "boom"]
    figure = metric_against(Sweep(Comparison(runs), sweep.settings), "AP")
    lost = figure.data[-1]
    assert list(lost.x) == [3, 3]
    assert list(lost.y) == pytest.approx([0.1 - 0.1 * 1.2] * 2), "AP is from 0.1 to 1.3"
    assert lost.text[1] == "seed 1, 2: boom"
    assert figure.layout.showlegend
    assert figure.layout.xaxis.type == "linear"
