"""Who judges what, and segments that are spoilt on purpose."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.annotation.verification import passes, planted, spoil, to_judge


def test_three_of_four_known_bad_ones():
    assert [passes(4, found) for found in range(5)] == [False, False, False, True, True]
    assert [passes(1, 0), passes(1, 1), passes(2, 1), passes(2, 2)] == [False, True, False, True]
    assert planted(60) == 4


def test_nobody_judges_their_own_or_twice():
    segments = {1: "ann", 2: "bob", 3: "", 4: "bob", 5: "bob"}
    votes = {2: {"eve": True}, 3: {"ann": True}, 5: {"eve": True, "joe": True, "zoe": True}}
    assert to_judge(segments, votes, "ann", 64) == [2, 4]
    assert to_judge(segments, votes, "ann", 1) == [2]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    "where", [(slice(5, 25), slice(8, 30)), (slice(0, 40), slice(0, 60)), (slice(3, 4), slice(7, 9))]
)
def test_a_spoilt_segment_is_bad(seed, where):
    mask = np.zeros((40, 60), bool)
    mask[where] = True
    bad = spoil(mask, np.random.default_rng(seed))
    assert bad.any()
    assert (bad & mask).sum() < 0.6 * (bad | mask).sum()
