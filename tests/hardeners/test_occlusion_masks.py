"""Halves and scattered cells: what is hidden, of which RoIs, and how often."""

from __future__ import annotations

import pytest
import torch

from workbench.errors import RecipeError
from workbench.hardeners import OcclusionMasks, build_hardener
from workbench.hardeners.occlusion_masks import half_masks, side_masks
from workbench.types import RoIBatch, Score


def batch(labels: torch.Tensor, size: int = 7) -> RoIBatch:
    count = len(labels)
    score = Score(lambda features: torch.zeros(len(features), 2))
    features, index = torch.rand(count, 2, size, size), torch.zeros(count, dtype=torch.long)
    return RoIBatch(features, labels, index, score, torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("height", "width"), [(7, 7), (6, 4)])
def test_a_half_is_one_of_the_four_sides_and_each_as_often(height, width):
    masks = half_masks(400, height, width, torch.zeros(1), torch.Generator().manual_seed(0))
    sides = torch.ones(4, height, width)
    sides[0, :, : width // 2] = sides[1, :, -(width // 2) :] = 0
    sides[2, : height // 2] = sides[3, -(height // 2) :] = 0
    assert torch.equal(side_masks(height, width)[:, 0], sides)
    which = (masks == sides).all(dim=-1).all(dim=-1)
    assert (which.sum(1) == 1).all()
    assert which.sum(0).tolist() == pytest.approx([100] * 4, abs=30)


def test_shares_of_the_rois_and_what_each_kind_hides():
    labels = (torch.arange(3000) % 3 > 0).long()
    mask = OcclusionMasks(half=0.5, scattered=0.2)(batch(labels)).mask
    hidden = (mask == 0).flatten(1).sum(1)
    assert (hidden[labels == 0] == 0).all(), "background stays whole"
    shares = [float((hidden[labels == 1] == count).float().mean()) for count in (0, 21, 24)]
    assert shares == pytest.approx([0.3, 0.5, 0.2], abs=0.04)
    cells = (mask == 0).float()[hidden == 24].mean(0)[0]
    torch.testing.assert_close(cells, torch.full((7, 7), 24 / 49), atol=0.1, rtol=0)


def test_a_share_of_the_background_is_masked_where_it_is_asked_for():
    labels = torch.tensor([0] * 40 + [1] * 10)
    mask = OcclusionMasks(half=1, scattered=0, background_share=0.25)(batch(labels)).mask
    hidden = (mask == 0).flatten(1).any(1)
    assert (int(hidden[:40].sum()), int(hidden[40:].sum())) == (10, 10)


def test_no_positive_roi_is_no_mask():
    features = batch(torch.zeros(4, dtype=torch.long))
    hardened = OcclusionMasks()(features)
    assert hardened.mask is None
    assert torch.equal(hardened.features, features.features)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"kind": "occlusion-masks", "half": 0.7, "scattered": 0.6}, "half 0.7, scattered 0.6 are 1.3 of the RoIs"),
        ({"kind": "mask-generator", "generated": 1, "half": 0.5}, "generated 1, half 0.5, scattered 0.25 are 1.75"),
        ({"kind": "occlusion-masks", "half": -0.1}, r"hardener.half is -0.1; expected at least 0"),
    ],
)
def test_shares_that_are_more_than_all_are_refused(config, said):
    with pytest.raises(RecipeError, match=said):
        build_hardener(config)
