"""Curves over false positives, against a plain loop over all thresholds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.evaluation.counting import roc
from workbench.evaluation.counting.roc import Steps


def test_a_curve_has_a_row_for_each_score():
    columns = [np.array(values) for values in ([0.5, 0.9, 0.5], [0, 1, 1], [1, 0, 1], [0, 1, 0])]
    curve = Steps.by_score(columns, np.array([1, 3])).curve()
    assert curve.to_numpy().tolist() == [[0.9, 0, 1], [0.5, 0.5, 1]]


def test_some_images_alone():
    columns = [np.array(values) for values in ([0.5, 0.9], [0, 1], [1, 0], [0, 1])]
    part = Steps.by_score(columns, np.array([1, 3])).of(np.array([True, False]))
    assert part.recall_at(0).tolist() == [1]
    assert part.counts.tolist() == [1, 0]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), limit=st.integers(0, 6))
def test_weights_are_repeated_images_and_blocks_change_nothing(seed, limit):
    random = np.random.default_rng(seed)
    number, images = random.integers(1, 30), 4
    found, wrong = random.integers(0, 2, number), random.integers(-1, 3, number)
    columns = (random.integers(0, 6, number) / 4, random.integers(0, images, number), found, wrong)
    steps = Steps.by_score(columns, random.integers(0, 9, images))
    weights = random.integers(0, 3, (5, images)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(roc, "_CHUNK", 5 * random.integers(1, 9))
        recalls = steps.recall_at(limit, weights)
    for row in range(5):
        assert recalls[row] == pytest.approx(by_a_plain_loop(columns, steps.counts, limit, weights[row]), nan_ok=True)


def by_a_plain_loop(columns, counts, limit, weight):
    best, (scores, images, found, wrong) = 0, columns
    for threshold in np.unique(scores):
        passed = scores >= threshold
        if (wrong * weight[images])[passed].sum() <= limit:
            best = max(best, (found * weight[images])[passed].sum())
    return best / (counts @ weight) if counts @ weight else np.nan
