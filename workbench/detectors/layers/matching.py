"""Matching boxes to ground truth and drawing balanced samples, as torchvision's R-CNN does it.

The draws come from a generator that is passed in; with torch's own generator and the same seed they are
torchvision's draws, number for number.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.models.detection._utils import Matcher


def permutation(n: int, generator: torch.Generator | None, device: torch.device) -> Tensor:
    """A random permutation of n, drawn where the generator lives and moved to `device`."""
    if generator is None:
        return torch.randperm(n, device=device)
    return torch.randperm(n, generator=generator, device=generator.device).to(device)


def overlaps(first: Tensor, second: Tensor) -> Tensor:
    """IoU [N, M] of boxes [N, 4] and [M, 4]: torchvision's `box_iou` number for number.

    Coordinate by coordinate, so that the inner loops run over boxes and not over pairs of corners: several times
    quicker on a CPU.
    """
    left, top, right, bottom = (column[:, None] for column in first.unbind(1))
    x1, y1, x2, y2 = second.t().contiguous()
    width = (torch.minimum(right, x2) - torch.maximum(left, x1)).clamp_(min=0)
    height = (torch.minimum(bottom, y2) - torch.maximum(top, y1)).clamp_(min=0)
    inside = width.mul_(height)
    union = (right - left) * (bottom - top) + (x2 - x1) * (y2 - y1) - inside
    return inside / union


def match_boxes(
    boxes: Tensor, truth: Tensor, matcher: Matcher, background_from: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Which object each box belongs to.

    Args:
        boxes: [A, 4] xyxy pixels.
        truth: [N, 4] xyxy pixels.
        matcher: torchvision's Matcher with its two thresholds.
        background_from: what overlaps every object by less than this IoU is no background either.

    Returns:
        index [A] into `truth` (0 where nothing matches), and state [A] int64: 1 matched, 0 background,
        -1 between the thresholds or below `background_from`.
    """
    if len(truth) == 0:
        zeros = torch.zeros(len(boxes), dtype=torch.long, device=boxes.device)
        return zeros, zeros - int(background_from > 0)
    overlap = overlaps(truth, boxes)
    matched = matcher(overlap)
    state = (matched >= 0).long()
    state[matched == Matcher.BETWEEN_THRESHOLDS] = -1
    if background_from > 0:
        state[overlap.amax(dim=0) < background_from] = -1
    return matched.clamp(min=0), state


def not_background(boxes: Tensor, ignored: Tensor, matcher: Matcher) -> Tensor:
    """[A] bool: boxes [A, 4] that would not be background if ignored objects [M, 4] were to be learned."""
    return match_boxes(boxes, ignored, matcher)[1] != 0


def share_within(boxes: Tensor, regions: Tensor) -> Tensor:
    """[A], the share of the area of boxes [A, 4] that lies in the one of regions [M, 4] that holds most of it.

    For boxes without area it is 0. COCO's overlap with a crowd is this share.
    """
    if len(regions) == 0:
        return boxes.new_zeros(len(boxes))
    low = torch.maximum(boxes[:, None, :2], regions[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], regions[None, :, 2:])
    inside = (high - low).clamp(min=0).prod(dim=2).amax(dim=1)
    area = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1)
    return torch.where(area > 0, inside / area.clamp(min=torch.finfo(area.dtype).tiny), torch.zeros_like(area))


def match_anchors(anchors: Tensor, truths: list[Tensor], matcher: Matcher) -> tuple[Tensor, Tensor]:
    """`match_boxes` for several images with the same anchors at once, which is several times quicker.

    Anchors that fit an object better than all others are matched whatever their overlap, as in torchvision.

    Args:
        anchors: [A, 4] xyxy pixels.
        truths: [N, 4] xyxy pixels of each of B images.

    Returns:
        index [B, A] and state [B, A], as those of `match_boxes`.
    """
    most = max(1, *(len(truth) for truth in truths))
    padded = anchors.new_zeros((len(truths), most, 4))
    absent = torch.ones((len(truths), most, 1), dtype=torch.bool, device=anchors.device)
    for row, truth in enumerate(truths):
        padded[row, : len(truth)] = truth
        absent[row, : len(truth)] = False
    overlap = overlaps(padded.flatten(0, 1), anchors).view(len(truths), most, -1)
    best, index = overlap.max(dim=1)
    of_object = overlap.amax(dim=2, keepdim=True).masked_fill(absent, torch.inf)
    matched = (best >= matcher.high_threshold) | (overlap == of_object).any(dim=1)
    state = matched.long() - (~matched & (best >= matcher.low_threshold)).long()
    return index * matched, state


def balanced_sample(
    state: Tensor, num_samples: int, positive_fraction: float, generator: torch.Generator | None
) -> Tensor:
    """Draw up to `num_samples` boxes of one image, at most `positive_fraction` of them positive.

    Args:
        state: [A] int64, > 0 positive, 0 negative, < 0 never drawn.

    Returns:
        [S] int64 indices, ascending.
    """
    positive = torch.where(state >= 1)[0]
    negative = torch.where(state == 0)[0]
    num_positive = min(len(positive), int(num_samples * positive_fraction))
    num_negative = min(len(negative), num_samples - num_positive)
    first = positive[permutation(len(positive), generator, state.device)[:num_positive]]
    second = negative[permutation(len(negative), generator, state.device)[:num_negative]]
    return torch.cat([first, second]).sort().values
