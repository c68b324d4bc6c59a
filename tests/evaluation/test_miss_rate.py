"""Subsets of people by height and visibility."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench.evaluation.miss_rate import Subset


@pytest.mark.parametrize("share", [0.2, 0.65, 0.9])
def test_both_ends_belong_to_a_range_though_targets_have_float32(share):
    """13 of 20 pixels are 0.65, also as 1 - occlusion in float32, and belong to what is on either side of it."""
    seen = round(share * 20)
    hidden = torch.tensor([1 - seen / 20, 1 - (seen - 1) / 20, 1 - (seen + 1) / 20], dtype=torch.float32).numpy()
    tall = np.full(3, 100.0)
    assert Subset(visible=(share, 1.0)).members(tall, hidden).tolist() == [True, False, True]
    assert Subset(visible=(0.0, share)).members(tall, hidden).tolist() == [True, True, False]


def test_heights_and_unknown_occlusion():
    heights, hidden = np.array([49.9, 50, 75, 75.1, 60]), np.array([0, 0, 0, 0, np.nan])
    assert Subset((50, 75), (0.65, 1.0)).members(heights, hidden).tolist() == [False, True, True, False, False]
    assert Subset((50, 75)).members(heights, hidden).tolist() == [False, True, True, False, True]


def test_in_words():
    assert str(Subset()) == "all"
    assert str(Subset((50, np.inf), (0.65, 1.0))) == "height ≥ 50, visibility ≥ 0.65"
    assert str(Subset((50, 75), (0.2, 0.65))) == "height 50–75, visibility 0.2–0.65"
