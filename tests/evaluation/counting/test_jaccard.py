"""The Jaccard index of crowds: by hand, and by trying every matching."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.evaluation.counting.jaccard import SCORES, Jaccard, image_indices
from workbench.evaluation.counting.miss_rate import overlaps

ONE, TWO, FAR = [0.0, 0, 10, 10], [20.0, 0, 30, 10], [50.0, 50, 60, 60]


def test_by_hand():
    """Two people. A right detection of 0.95, a wrong one of 0.55 and one in a region; the second person is missed.

    Above 0.55, 1 of 2: the right one over both people. Below, the wrong one makes it 1 of 3, and from 0.2 down the
    one in the region changes nothing.
    """
    found = np.array([ONE, FAR, [40.0, 0, 44, 4]])
    objects, ignored = np.array([ONE, TWO, [40.0, 0, 48, 8]]), np.array([False, False, True])
    values, counted = image_indices(found, np.array([0.95, 0.55, 0.2]), objects, ignored, 0.5)
    assert values == pytest.approx([1 / 3] * 6 + [1 / 2] * 4, rel=1e-6)
    assert counted.all()


def test_people_in_regions_need_not_be_found():
    values, counted = image_indices(np.zeros((0, 4)), np.zeros(0), np.array([ONE, ONE]), np.array([False, True]), 0.5)
    assert not counted.any()  # nobody and nothing is left
    assert not values.any()


def test_the_best_score_of_the_mean_over_images_that_count():
    values = np.array([[0.5, 1.0], [0.5, 0.0], [0.0, 0.0]])
    jaccard = Jaccard(values, np.array([[True, True], [True, True], [False, False]]))
    weights = np.array([[1.0, 1, 1], [2, 0, 1], [0, 0, 3]])
    assert jaccard.best(weights)[:2].tolist() == [0.5, 1.0]
    assert np.isnan(jaccard.best(weights)[2])


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_as_by_every_matching(seed: int):
    random = np.random.default_rng(seed)

    def boxes(number: int) -> np.ndarray:
        low = random.uniform(0, 3, (number, 2))  # no two overlaps are equal
        return np.concatenate([low, low + random.uniform(4, 8, (number, 2))], axis=1)

    found, objects = boxes(random.integers(0, 5)), boxes(random.integers(0, 5))
    scores, ignored = random.integers(0, 10, len(found)) / 10 + 0.05, random.random(len(objects)) < 0.3
    values, _ = image_indices(found, scores, objects, ignored, 0.5)
    for value, score in zip(values, SCORES, strict=True):
        kept, people = found[scores > score], objects[~ignored]
        iou = overlaps(kept, people, 1e-6)[0]
        iou = np.where(iou > 0.5, iou, 0)
        size = max(iou.shape)
        square = np.zeros((size, size))
        square[: len(kept), : len(people)] = iou
        best = max(permutations(range(size)), key=lambda one: sum(square[row, one[row]] for row in range(size)))
        pairs = [(row, column) for row, column in enumerate(best) if square[row, column] > 0]
        inside = [(overlaps(part, objects[ignored], 1e-6)[1] > 0.5).any(axis=1) for part in (kept, people)]
        wrong = [row for row in range(len(kept)) if row not in {pair[0] for pair in pairs} and not inside[0][row]]
        missed = [row for row in range(len(people)) if row not in {pair[1] for pair in pairs} and not inside[1][row]]
        assert value == pytest.approx(len(pairs) / max(1e-6, len(pairs) + len(wrong) + len(missed)), rel=1e-5)
