"""RoIAlign by table look-up against torchvision's kernel."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops import roi_align as torchvision_roi_align

from workbench.detectors.layers.roi_pool import (
    RoIAlign,
    WeightedRows,
    assign_levels,
    bag_roi_align,
    roi_align,
    to_rois,
)

STRIDES = (4, 8, 16, 32)


def pyramid(size: int = 128, images: int = 2, channels: int = 5) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(images, channels, size // s, size // s, generator=generator).requires_grad_() for s in STRIDES
    ]


def random_boxes(count: int, size: float, generator: torch.Generator) -> torch.Tensor:
    corner = torch.rand(count, 2, generator=generator) * size * 0.8
    side = torch.exp(torch.rand(count, 2, generator=generator) * 4.5) * 1.5
    return torch.cat([corner, (corner + side).clamp(max=size)], dim=1)


def test_forward_and_backward_equal_torchvision():
    generator = torch.Generator().manual_seed(1)
    boxes = [random_boxes(60, 128, generator), random_boxes(40, 128, generator)]
    ours, theirs = pyramid(), pyramid()
    got = RoIAlign(STRIDES)(ours, boxes)
    peer = MultiScaleRoIAlign([str(i) for i in range(4)], 7, 2)
    want = peer({str(i): level for i, level in enumerate(theirs)}, boxes, [(128, 128)] * 2)
    torch.testing.assert_close(got, want, atol=1e-4, rtol=0)
    weight = torch.randn(got.shape, generator=generator)
    (got * weight).sum().backward()
    (want * weight).sum().backward()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-4, rtol=0)


@settings(max_examples=60, deadline=None)
@given(
    x=st.floats(-40, 90),
    y=st.floats(-40, 90),
    w=st.floats(0, 120),
    h=st.floats(0, 120),
    samples=st.integers(1, 3),
    size=st.integers(1, 7),
)
def test_any_box_equals_torchvision(x, y, w, h, samples, size):
    """Also boxes that are tiny, empty or far outside the map."""
    level = pyramid(64, 1)[0].detach()
    roi = torch.tensor([[0.0, x, y, x + w, y + h]])
    got = bag_roi_align([level], roi, torch.zeros(1, dtype=torch.long), (4,), size, samples)
    want = torchvision_roi_align(level, roi, size, 0.25, samples)
    torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-4)


def test_gradient_of_weighted_rows_by_hand():
    """Row 1 of the table is used twice by the first bag and once by the second; row 3 never."""
    table = torch.arange(8.0).reshape(4, 2).requires_grad_()
    index = torch.tensor([[1, 1, 0], [2, 0, 1]], dtype=torch.int32)
    weight = torch.tensor([[0.5, 0.25, 0.0], [1.0, 2.0, 4.0]])
    rows = WeightedRows.apply(table, index, weight)
    assert rows.tolist() == [[1.5, 2.25], [12.0, 19.0]]
    rows.backward(torch.tensor([[1.0, 10.0], [100.0, 1000.0]]))
    assert table.grad.tolist() == [[200.0, 2000.0], [400.75, 4007.5], [100.0, 1000.0], [0.0, 0.0]]


def test_no_boxes_at_all():
    features = pyramid()
    pooled = RoIAlign(STRIDES)(features, [torch.zeros(0, 4), torch.zeros(0, 4)])
    assert pooled.shape == (0, 5, 7, 7)
    pooled.sum().backward()
    assert all(torch.equal(level.grad, torch.zeros_like(level)) for level in features)


def test_levels_follow_equation_1():
    sides = torch.tensor([20.0, 111, 112, 223, 224, 447, 448, 2000])
    boxes = torch.stack([torch.zeros(8), torch.zeros(8), sides, sides], dim=1)
    assert assign_levels(boxes, STRIDES).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_adaptive_sampling_falls_back_to_torchvision():
    level = pyramid(64, 1)[0].detach()
    rois = to_rois([torch.tensor([[3.0, 5, 50, 60]])])
    got = roi_align([level], rois, torch.zeros(1, dtype=torch.long), (4,), 7, samples=0)
    torch.testing.assert_close(got, torchvision_roi_align(level, rois, 7, 0.25, 0))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_equals_cpu():
    boxes = [random_boxes(50, 128, torch.Generator().manual_seed(2))] * 2
    features = [level.detach() for level in pyramid()]
    cpu = RoIAlign(STRIDES)(features, boxes)
    cuda = RoIAlign(STRIDES)([f.cuda() for f in features], [b.cuda() for b in boxes])
    torch.testing.assert_close(cuda.cpu(), cpu, atol=1e-4, rtol=0)
