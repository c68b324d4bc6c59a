"""Positions in a data set: spaced evenly, of subsets, and where the images of views come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workbench.data import load_data
from workbench.data.dataset import evenly_spaced
from workbench.errors import DataError


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


def test_where_the_images_of_views_come_from() -> None:
    data = load_data("digit-scenes", split="test", length=9)
    some = data.subset([8, 3, 5]).subset([2, 1])
    assert [some.origin(index) for index in (0, 1, -1)] == [(data, 5), (data, 3), (data, 3)]
    assert data.image_id(4) == data.target(4)["image_id"] == 4


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor])
def test_a_subset_by_whether_each_image_is_wanted(kind: Callable[[list[bool]], Sequence[int]]) -> None:
    data = load_data("digit-scenes", split="test", length=4)
    some = data.subset(kind([True, False, False, True]))
    assert [some.image_id(index) for index in range(len(some))] == [data.image_id(0), data.image_id(3)]
    assert len(data.subset(kind([False] * 4))) == 0
    with pytest.raises(DataError, match=r"digit-scenes test has 4 images, .* said of 2; give one bool for each"):
        data.subset(kind([True, False]))
