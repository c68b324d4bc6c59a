"""Masks of a few RoIs applied alone: the same as multiplying everything, forwards and backwards."""

from __future__ import annotations

import pytest
import torch
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead

from workbench.detectors.layers.roi_head import RoIHead
from workbench.detectors.layers.roi_pool import RoIAlign
from workbench.hardeners.base import MaskDecision


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("channels", [1, 4])
def test_masked_rows_equal_the_full_product(layout, channels):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(6, 4, 3, 3, generator=generator).contiguous(memory_format=layout).requires_grad_()
    decision = MaskDecision(torch.rand(2, channels, 3, 3, generator=generator), rows=torch.tensor([1, 4]))
    full = decision.full_mask(6)
    assert torch.equal(full[[0, 2, 3, 5]], torch.ones(4, channels, 3, 3))
    got, want = decision.apply(features), features * full
    assert torch.equal(got, want)
    upstream = torch.randn(6, 4, 3, 3, generator=generator)
    for a, b in zip(*(torch.autograd.grad(y, features, upstream) for y in (got, want)), strict=True):
        assert torch.equal(a, b)


def test_features_that_came_in_are_left_alone():
    features = torch.ones(3, 2, 2, 2)
    out = MaskDecision(torch.zeros(1, 1, 2, 2), torch.tensor([0])).apply(features)
    assert features.min() == 1
    assert out[0].max() == 0


def test_pooled_gradient_in_bfloat16_ranks_as_in_float32():
    """Good enough to choose cells and channels: correlation of almost 1 with the exact gradient."""
    torch.manual_seed(0)
    score = RoIHead(RoIAlign((4,)), TwoMLPHead(8 * 49, 64), FastRCNNPredictor(64, 5)).score()
    features, labels = torch.randn(40, 8, 7, 7), torch.randint(0, 5, (40,))
    exact = score.pooled_gradient(features, labels)
    with torch.autocast("cpu", torch.bfloat16):
        rough = score.pooled_gradient(features, labels).float()
    assert torch.corrcoef(torch.stack([exact.flatten(), rough.flatten()]))[0, 1] > 0.995
