"""Positions that are spaced evenly over a data set."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from workbench.data.dataset import evenly_spaced


@given(length=st.integers(0, 2000), number=st.integers(0, 300))
def test_evenly_spaced_positions_reach_from_end_to_end(length: int, number: int) -> None:
    places = evenly_spaced(length, number)
    assert len(places) == min(length, number)
    assert places == sorted(set(places))
    assert places[:1] == [0][: len(places)]
    if len(places) > 1:
        assert places[-1] == length - 1
        steps = [after - before for before, after in pairwise(places)]
        assert max(steps) - min(steps) <= 1


def test_by_hand() -> None:
    assert evenly_spaced(11, 3) == [0, 5, 10]
    assert evenly_spaced(11, 1) == [0]
    assert evenly_spaced(4, 9) == [0, 1, 2, 3]
