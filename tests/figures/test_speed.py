"""Speed against accuracy: points, intervals and names are those of the table."""

from __future__ import annotations

import pandas as pd
import pytest

from workbench.errors import DataError
from workbench.figures.speed import speed_against_accuracy

POINTS = pd.DataFrame(
    {
        "group": ["one", "one", "$two$"],
        "milliseconds": [30.0, 10.0, 20.0],
        "AP": [0.4, 0.3, 0.2],
        "low": [0.35, 0.25, float("nan")],
        "high": [0.5, 0.32, float("nan")],
    },
    index=["128 px", "96 px", "128 px "],
)


def test_points_of_a_group_are_joined_by_speed():
    axes = speed_against_accuracy(POINTS, where="a machine").axes[0]
    one, two = axes.containers
    assert one.lines[0].get_xydata().tolist() == [[10, 0.3], [30, 0.4]]
    assert two.lines[0].get_xydata().tolist() == [[20, 0.2]]
    spans = [segment[:, 1].tolist() for segment in one.lines[2][0].get_segments()]
    assert spans == [pytest.approx([0.25, 0.32]), pytest.approx([0.35, 0.5])]
    assert [text.get_text() for text in axes.texts] == ["96 px", "128 px", "128 px "]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["one", r"\$two\$"]
    assert axes.get_title() == "a machine"


def test_the_size_does_not_depend_on_what_was_measured():
    sizes = [tuple(speed_against_accuracy(POINTS.assign(milliseconds=m)).get_size_inches()) for m in (1.0, 5000.0)]
    assert sizes[0] == sizes[1]


def test_what_is_missing_is_told():
    with pytest.raises(DataError, match=r"missing: \['AP'\]"):
        speed_against_accuracy(POINTS.drop(columns="AP"))
    with pytest.raises(DataError, match="missing: rows"):
        speed_against_accuracy(POINTS.head(0))
