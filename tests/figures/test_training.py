"""Learning curves and differences: the numbers that are drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import RunError
from workbench.figures.training import differences_figure, learning_curves, thin_out
from workbench.training import Comparison

METRICS = pd.DataFrame(
    [
        {"step": 10, "time": 1.0, "kind": "train", "loss": 3.0, "loss/box": 1.0, "loss/<b>": 2.0, "lr": 0.1},
        {"step": 20, "time": 2.0, "kind": "train", "loss": 1.5, "loss/box": 0.5, "loss/<b>": 1.0, "lr": 0.1},
        {"step": 20, "time": 3.0, "kind": "val", "loss": 1.7, "AP": 0.25, "AP50": 0.5, "AP_occluded": np.nan},
    ]
)


def drawn(figure) -> dict[str, tuple[list, list]]:
    return {line.name: (list(line.x), list(line.y)) for line in figure.data}


def test_one_run_shows_every_part_and_leaves_out_what_is_unknown():
    assert drawn(learning_curves(METRICS)) == {
        "total": ([10, 20], [3.0, 1.5]),
        "box": ([10, 20], [1.0, 0.5]),
        "&lt;b>": ([10, 20], [2.0, 1.0]),
        "total, validation": ([20], [1.7]),
        "AP": ([20], [0.25]),
        "AP50": ([20], [0.5]),
    }


def test_losses_are_left_and_precision_right():
    panels = {line.name: line.xaxis for line in learning_curves(METRICS).data}
    assert panels["total"] == panels["total, validation"] == "x"
    assert panels["AP"] == panels["AP50"] == "x2"


def test_lines_differ_in_more_than_colour():
    lines = [line for line in learning_curves(METRICS).data if line.xaxis == "x"]
    looks = {(line.line.dash, line.mode) for line in lines}
    assert len(looks) == len(lines)


def test_several_runs_share_the_panels():
    figure = learning_curves({"one": METRICS, "two": METRICS.assign(loss=9.0)})
    assert [(line.name, line.xaxis) for line in figure.data] == [
        ("one", "x"), ("one", "x2"), ("two", "x"), ("two", "x2"),
    ]  # fmt: skip
    assert list(figure.data[2].y) == [9.0, 9.0]
    assert figure.data[0].line.color == figure.data[1].line.color != figure.data[2].line.color


def test_names_stand_where_curves_leave_room():
    """Of one run in the panels, which so have all the width: losses fall, precisions rise. Of several beside them."""
    one = learning_curves(METRICS).layout
    assert (one.legend.x, one.legend.y, one.legend.xanchor) == (one.xaxis.domain[1], 1, "right")
    assert (one.legend2.x, one.legend2.y, one.legend2.xanchor) == (one.xaxis2.domain[1], 0, "right")
    assert one.xaxis2.domain[0] - one.xaxis.domain[1] == pytest.approx(0.1)
    several = learning_curves({"one": METRICS, "two": METRICS})
    assert several.layout.xaxis2.domain[1] < several.layout.legend.x
    assert [line.showlegend for line in several.data] == [True, False, True, False]  # one name for both panels


def test_without_a_precision_the_losses_have_all_the_width():
    figure = learning_curves(METRICS[METRICS["kind"] == "train"])
    assert figure.layout.xaxis.domain == (0, 1)
    assert figure.layout.legend.x == 1
    assert figure.layout.xaxis2.visible is False


def test_a_single_point_is_seen():
    one = METRICS[METRICS["kind"] == "train"][:1]
    assert {line.mode for line in learning_curves(one).data} == {"lines+markers"}


def test_no_metrics_are_an_empty_figure():
    empty = pd.DataFrame({"step": [], "time": [], "kind": []})
    assert len(learning_curves(empty).data) == 0


def test_long_lines_are_drawn_by_means():
    steps, values = thin_out(np.arange(1.0, 7.0), np.array([1.0, 3.0, 5.0, 5.0, 0.0, 8.0]), 3)
    assert steps.tolist() == [1.5, 3.5, 5.5]
    assert values.tolist() == [2.0, 5.0, 4.0]


@given(st.integers(1, 400), st.integers(1, 50))
def test_thinning_keeps_order_and_mean(length, points):
    values = np.random.default_rng(length).normal(size=length)
    steps, thin = thin_out(np.arange(length, dtype=float), values, points)
    assert len(steps) == len(thin) == min(length, points)
    assert (np.diff(steps) > 0).all()
    assert values.min() - 1e-12 <= thin.min()
    assert thin.max() <= values.max() + 1e-12
    if length % points == 0:
        assert thin.mean() == pytest.approx(values.mean())


def comparison(**aps: list[float]) -> Comparison:
    rows = [
        {"recipe": name, "seed": seed, "error": "", "AP": ap, "AP50": ap}
        for name, values in aps.items()
        for seed, ap in enumerate(values)
    ]
    return Comparison(pd.DataFrame(rows))


def test_differences_are_drawn_with_their_intervals():
    figure = differences_figure(comparison(base=[0.1, 0.2, 0.3], a=[0.2, 0.31, 0.39], b=[0.1, 0.3, 0.2]).table())
    panels = figure.axes
    assert [axes.get_title() for axes in panels] == ["AP", "AP50"]
    assert [label.get_text() for label in panels[0].get_yticklabels()] == ["a", "b"]
    interval, point, other, _, _ = panels[0].lines
    assert point.get_xdata()[0] == pytest.approx(0.1)  # 0.10, 0.11, 0.09
    assert interval.get_xdata() == pytest.approx([0.1 - 0.0248414, 0.1 + 0.0248414], abs=1e-6)
    assert interval.get_color() != other.get_color()  # a is distinct from the first, b is not


def test_one_seed_has_a_point_and_no_interval():
    lines = differences_figure(comparison(base=[0.1], a=[0.3]).table()).axes[0].lines
    assert len(lines) == 2  # the point and the zero line
    assert lines[0].get_xdata()[0] == pytest.approx(0.2)


def test_one_recipe_has_no_difference():
    with pytest.raises(RunError, match="two recipes"):
        differences_figure(comparison(base=[0.1, 0.2]).table())
