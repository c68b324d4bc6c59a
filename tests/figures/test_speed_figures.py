"""Speed against accuracy: what is drawn is what the table says."""

from __future__ import annotations

import pandas as pd
import pytest

from workbench.errors import DataError
from workbench.figures.speed import ENVELOPE, best_so_far, speed_against_accuracy


@pytest.fixture
def table():
    rows = [
        ("_one", 96, 8.0, 0.30, 0.28, 0.33),
        ("_one", 192, 14.0, 0.36, 0.34, 0.39),
        ("$two$", 128, 10.0, 0.40, 0.37, 0.42),
        ("$two$", 96, 7.0, 0.20, 0.18, 0.22),
    ]
    return pd.DataFrame(rows, columns=["detector", "size", "ms", "AP", "low", "high"])


def marks(axes):
    """Places of the marks, by the name in the legend."""
    handles, names = axes.get_legend_handles_labels()
    named = zip(names, handles, strict=True)
    return {name: handle[0].get_xydata().tolist() for name, handle in named if name != ENVELOPE}


def test_each_detector_has_its_line_and_each_size_its_mark(table):
    axes = speed_against_accuracy(table).axes[0]
    one, two = marks(axes).values()
    assert one == [[8, 0.30], [14, 0.36]]
    assert two == [[7, 0.20], [10, 0.40]]  # by time, not by row
    assert sorted(text.get_text() for text in axes.texts) == ["128", "192", "96", "96"]
    bars = axes.collections[0].get_segments()
    assert [[round(float(y), 6) for _, y in bar] for bar in bars] == [[0.28, 0.33], [0.34, 0.39]]


def test_names_are_shown_as_they_are(table):
    names = list(marks(speed_against_accuracy(table).axes[0]))
    assert names == ["\u200b_one", r"\$two\$"]


def test_the_envelope_leaves_out_what_is_beaten(table):
    assert best_so_far(table)["AP"].tolist() == [0.20, 0.30, 0.40]  # 14 ms for 0.36 is beaten by 10 ms for 0.40
    twins = pd.DataFrame({"detector": ["a", "b"], "ms": [5.0, 5.0], "AP": [0.1, 0.2]})
    assert best_so_far(twins)["detector"].tolist() == ["b"]


def test_intervals_and_sizes_are_not_needed(table):
    axes = speed_against_accuracy(table[["detector", "ms", "AP"]], envelope=False).axes[0]
    assert len(marks(axes)) == 2
    assert not axes.texts
    assert not axes.collections


@pytest.mark.parametrize("column", ["detector", "ms", "AP"])
def test_a_column_that_is_missing_is_told(table, column):
    with pytest.raises(DataError, match=f"no column '{column}'"):
        speed_against_accuracy(table.drop(columns=column))


def test_an_empty_table_is_told(table):
    with pytest.raises(DataError, match="no rows"):
        speed_against_accuracy(table[:0])
