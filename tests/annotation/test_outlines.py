"""Masks as polygons and back."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.annotation.outlines import covered, hidden_share, mask_for, overlap, polygons_of
from workbench.errors import DataError


def test_a_disc_keeps_its_shape_with_few_points():
    y, x = np.mgrid[:100, :120]
    disc = (y - 50) ** 2 + (x - 60) ** 2 < 30**2
    rings = polygons_of(disc)
    drawn = mask_for(rings, disc.shape)
    assert len(rings) == 1
    assert len(rings[0]) // 2 < 30
    assert (drawn & disc).sum() > 0.97 * (drawn | disc).sum()


def test_parts_by_size_holes_filled_specks_left_out():
    mask = np.zeros((60, 80), bool)
    mask[5:15, 5:15] = mask[20:50, 20:60] = True
    mask[30:40, 30:40] = False
    mask[0, 0] = True
    rings = polygons_of(mask)
    assert len(rings) == 2
    assert mask_for(rings, mask.shape)[35, 35]
    assert min(rings[0][::2]) == pytest.approx(20, abs=0.6)
    assert len(polygons_of(mask[:1, :1])) == 1  # the only one there is


def test_to_the_rim():
    mask = np.ones((10, 20), bool)
    ring = polygons_of(mask)[0]
    assert max(ring[::2]) >= 19.5
    assert max(ring[1::2]) == 10


def test_overlap_and_what_is_hidden():
    left, both = [[0, 0, 10, 0, 10, 10, 0, 10]], [[0, 0, 20, 0, 20, 10, 0, 10]]
    assert overlap(left, both, (10, 20)) == pytest.approx(0.5)
    assert overlap([], both, (10, 20)) == 0
    assert hidden_share(left, both, (10, 20)) == pytest.approx(0.5)
    assert covered([[9.5, 9.5], [10.5, 9.5]], [left, "odd", []], (10, 20)) == [True, False]
    assert covered([[20, 10]], [left, both], (10, 20)) == [True]  # on the rim
    assert covered([[1, 1]], [], (10, 20)) == [False]
    with pytest.raises(DataError):
        mask_for("odd", (10, 20))
