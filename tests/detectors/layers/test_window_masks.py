"""Masks within windows as proposals: against torch's interpolation, and by hand."""

import math

import pytest
import torch
from torch.nn import functional as F

from workbench.detectors.layers.window_masks import enlarge, window_proposals

SIZE = (30, 40)


def interpolated(logits, window):
    """`logits` [h, w] by torch in a window with whole corners."""
    left, top, right, bottom = window
    grown = F.interpolate(logits[None, None], (bottom - top, right - left), mode="bilinear", align_corners=False)[
        0, 0
    ]
    whole = torch.full(SIZE, -torch.inf)
    y1, x1, y2, x2 = max(top, 0), max(left, 0), min(bottom, SIZE[0]), min(right, SIZE[1])
    whole[y1:y2, x1:x2] = grown[y1 - top : y2 - top, x1 - left : x2 - left]
    return whole


@pytest.mark.parametrize("window", [(3, 5, 23, 29), (-7, -4, 13, 20), (20, 10, 60, 50), (10, 10, 14, 12)])
def test_enlarged_as_torch_does_it(window):
    logits = torch.randn(1, 7, 9, generator=torch.Generator().manual_seed(0))
    ours = enlarge(logits, torch.tensor([window]).float(), SIZE)[0]
    torch.testing.assert_close(ours, interpolated(logits[0], window), atol=1e-5, rtol=0)


def test_a_full_window_becomes_its_own_pixels():
    windows = torch.tensor([[4.0, 6, 12, 16], [30, 20, 50, 40]])
    found = window_proposals(torch.full((2, 5, 5), 9.0), windows, torch.tensor([0.3, 0.8]), SIZE)
    assert found.scores.tolist() == pytest.approx([0.8, 0.3])
    assert found.boxes.tolist() == [[30, 20, 40, 30], [4, 6, 12, 16]]
    masks = found.decode_masks()
    assert masks.sum(dim=(1, 2)).tolist() == [100, 80]
    assert masks[1, 6:16, 4:12].all()


def test_threshold_is_of_the_probability():
    logits = torch.tensor([[[math.log(0.3 / 0.7)]]])  # a probability of 0.3
    window, score = torch.tensor([[0.0, 0, 8, 8]]), torch.tensor([0.5])
    assert len(window_proposals(logits, window, score, SIZE, threshold=0.2)) == 1
    assert len(window_proposals(logits, window, score, SIZE, threshold=0.4)) == 0


def test_boxes_hold_masks_tightly():
    logits = torch.full((1, 4, 4), -9.0)
    logits[0, 1, 2] = 9.0
    found = window_proposals(logits, torch.tensor([[0.0, 0, 16, 16]]), torch.tensor([1.0]), SIZE, threshold=0.5)
    mask, (left, top, right, bottom) = found.decode_masks()[0], found.boxes[0].int().tolist()
    rows, columns = torch.where(mask)
    assert (left, right) == (columns.min(), columns.max() + 1)
    assert (top, bottom) == (rows.min(), rows.max() + 1)


def test_nothing_gives_nothing():
    found = window_proposals(torch.zeros(0, 4, 4), torch.zeros(0, 4), torch.zeros(0), SIZE)
    assert len(found) == 0
    assert found.masks == []
