"""RoI max pooling by a table of maxima against torchvision's kernel: every bit is the same."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.detectors.layers import roi_max_pool as pooling
from workbench.detectors.layers.roi_max_pool import RoIMaxPool, kernel_roi_max_pool, roi_max_pool, table_roi_max_pool
from workbench.detectors.layers.roi_pool import assign_levels, to_rois


def rectified(*shape: int) -> torch.Tensor:
    """Features with many equal zeros, as a ReLU leaves them."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).relu()


def random_rois(count: int, images: int, size: float, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * size * 1.2 - 0.1 * size
    side = torch.exp(torch.rand(count, 2, generator=generator) * 5)
    index = torch.randint(0, images, (count, 1), generator=generator).float()
    return torch.cat([index, corner, corner + side], dim=1)


def test_maxima_by_hand():
    """A RoI of 3 × 3 cells in 2 × 2 windows, which overlap in the middle: rows 0-1 and 1-2."""
    feature = torch.arange(16.0).view(1, 1, 4, 4)
    roi = torch.tensor([[0.0, 0, 0, 32, 32]])  # the cells 0 to 2 of stride 16, the last included
    for pool in (table_roi_max_pool, kernel_roi_max_pool):
        assert pool(feature, roi, 16, 2).flatten().tolist() == [5, 6, 9, 10]


@pytest.mark.parametrize("size", [1, 6, 7])
@pytest.mark.parametrize("shape", [(2, 5, 20, 31), (3, 16, 7, 5)])
def test_bit_equal_to_torchvision(size, shape):
    feature = rectified(*shape) - 0.5
    rois = random_rois(300, shape[0], 16.0 * max(shape[2:]))
    got, want = table_roi_max_pool(feature, rois, 16, size), kernel_roi_max_pool(feature, rois, 16, size)
    assert torch.equal(got, want)
    assert got.shape == (300, shape[1], size, size)


@settings(max_examples=60, deadline=None)
@given(
    x=st.floats(-100, 300, width=32),
    y=st.floats(-100, 300, width=32),
    w=st.floats(0, 400, width=32),
    h=st.floats(0, 400, width=32),
    stride=st.sampled_from([4, 8, 16, 32]),
)
def test_any_box_is_bit_equal(x, y, w, h, stride):
    """Also boxes that are empty, on halves of cells, or outside the map, whose windows give 0."""
    feature = rectified(1, 3, 9, 12) - 0.5
    roi = torch.tensor([[0.0, x, y, x + w, y + h]])
    assert torch.equal(table_roi_max_pool(feature, roi, stride, 7), kernel_roi_max_pool(feature, roi, stride, 7))


def test_the_gradient_is_torchvisions(monkeypatch):
    """What learns goes through the kernel, which knows where the maxima were; the rest through the table."""
    rois = random_rois(200, 2, 300.0)
    monkeypatch.setattr(pooling, "table_roi_max_pool", lambda *_: pytest.fail("the table has no gradient"))
    ours, theirs = (rectified(2, 4, 20, 20).requires_grad_() for _ in range(2))
    upstream = torch.randn(200, 4, 7, 7, generator=torch.Generator().manual_seed(2))
    (roi_max_pool(ours, rois, 16, 7) * upstream).sum().backward()
    (kernel_roi_max_pool(theirs, rois, 16, 7) * upstream).sum().backward()
    assert torch.equal(ours.grad, theirs.grad)
    assert ours.grad.abs().sum() > 0
    monkeypatch.undo()
    monkeypatch.setattr(pooling, "kernel_roi_max_pool", lambda *_: pytest.fail("the table is quicker here"))
    with torch.no_grad():
        pooled = roi_max_pool(ours, rois, 16, 7)
    assert torch.equal(pooled, table_roi_max_pool(ours.detach(), rois, 16, 7))


def test_half_precision_keeps_the_boxes_places():
    """bfloat16 knows only every fourth pixel at 1000: RoIs must not be rounded to it."""
    feature = rectified(1, 2, 64, 64).bfloat16()
    rois = random_rois(50, 1, 1000.0)
    want = kernel_roi_max_pool(feature.float(), rois, 16, 7)
    assert torch.equal(kernel_roi_max_pool(feature, rois, 16, 7).float(), want)
    assert torch.equal(table_roi_max_pool(feature, rois, 16, 7).float(), want)


def test_levels_of_a_pyramid():
    strides = (4, 8, 16)
    features = [rectified(2, 3, 128 // s, 128 // s) for s in strides]
    boxes = [random_rois(40, 1, 120.0, seed)[:, 1:].clamp(0, 128) for seed in (3, 4)]
    pooled = RoIMaxPool(strides, canonical_size=64.0)(features, boxes)
    rois = to_rois(boxes)
    levels = assign_levels(rois[:, 1:], strides, canonical_size=64.0)
    assert levels.unique().tolist() == [0, 1, 2]
    for row, level in enumerate(levels.tolist()):
        want = kernel_roi_max_pool(features[level], rois[row : row + 1], strides[level], 7)
        assert torch.equal(pooled[row], want[0])


@pytest.mark.parametrize("strides", [(16,), (8, 16)])
def test_no_boxes_at_all(strides):
    features = [rectified(2, 3, 8, 8).requires_grad_() for _ in strides]
    pooled = RoIMaxPool(strides)(features, [torch.zeros(0, 4)] * 2)
    assert pooled.shape == (0, 3, 7, 7)
    pooled.sum().backward()
    assert all(torch.equal(feature.grad, torch.zeros_like(feature)) for feature in features)
    with torch.no_grad():
        assert len(RoIMaxPool(strides)(features, [torch.zeros(0, 4)] * 2)) == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_equals_cpu():
    feature, rois = rectified(2, 8, 20, 30), random_rois(300, 2, 400.0)
    assert torch.equal(roi_max_pool(feature.cuda(), rois.cuda(), 16, 7).cpu(), roi_max_pool(feature, rois, 16, 7))
