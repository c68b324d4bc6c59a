"""Matching and sampling against torchvision's, also for many images at once."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler, Matcher
from torchvision.ops import box_iou

from workbench.detectors.layers.matching import balanced_sample, match_anchors, match_boxes, overlaps


def boxes(count: int, seed: int) -> torch.Tensor:
    """Boxes [count, 4] on whole pixels, so that equal overlaps happen."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.randint(0, 40, (count, 2), generator=generator).float()
    return torch.cat([corner, corner + torch.randint(1, 30, (count, 2), generator=generator)], dim=1)


def test_overlaps_are_torchvisions_to_the_bit():
    assert torch.equal(overlaps(boxes(40, 0), boxes(300, 1)), box_iou(boxes(40, 0), boxes(300, 1)))


@settings(max_examples=40, deadline=None)
@given(counts=st.lists(st.integers(0, 6), min_size=1, max_size=4), seed=st.integers(0, 10**6))
def test_all_images_at_once_as_one_by_one(counts, seed):
    anchors = boxes(80, seed)
    truths = [boxes(count, seed + 1 + i) for i, count in enumerate(counts)]
    matcher = Matcher(0.6, 0.3, allow_low_quality_matches=True)
    index, state = match_anchors(anchors, truths, matcher)
    for row, truth in enumerate(truths):
        want_index, want_state = match_boxes(anchors, truth, matcher)
        assert torch.equal(index[row], want_index)
        assert torch.equal(state[row], want_state)


def test_object_that_no_anchor_touches_makes_all_anchors_positive():
    """torchvision's rule for an object whose best overlap is 0; worked by hand, IoUs 1, 1/3, 0 and 0, 0, 0."""
    anchors = torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10], [50, 50, 60, 60]])
    truth = torch.tensor([[0.0, 0, 10, 10], [80, 80, 90, 90]])
    matcher = Matcher(0.7, 0.3, allow_low_quality_matches=True)
    index, state = match_anchors(anchors, [truth, truth[:1], truth[:0]], matcher)
    assert state.tolist() == [[1, 1, 1], [1, -1, 0], [0, 0, 0]]
    assert index.sum() == 0


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), positives=st.integers(0, 30), samples=st.integers(1, 40))
def test_draws_are_torchvisions(seed, positives, samples):
    state = torch.cat([torch.ones(positives), torch.zeros(25), -torch.ones(5)]).long()
    torch.manual_seed(seed)
    first, second = BalancedPositiveNegativeSampler(samples, 0.25)([state])
    drawn = balanced_sample(state, samples, 0.25, torch.Generator().manual_seed(seed))
    assert drawn.tolist() == torch.where(first[0] | second[0])[0].tolist()
