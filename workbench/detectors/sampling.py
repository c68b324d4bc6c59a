"""Matching boxes to ground truth and drawing balanced samples, as torchvision's R-CNN does it.

The draws come from a generator that is passed in; with torch's own generator and the same seed they are
torchvision's draws, number for number.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.models.detection._utils import Matcher
from torchvision.ops import box_iou


def permutation(n: int, generator: torch.Generator | None, device: torch.device) -> Tensor:
    """A random permutation of n, drawn where the generator lives and moved to `device`."""
    if generator is None:
        return torch.randperm(n, device=device)
    return torch.randperm(n, generator=generator, device=generator.device).to(device)


def match_boxes(boxes: Tensor, truth: Tensor, matcher: Matcher) -> tuple[Tensor, Tensor]:
    """Which object each box belongs to.

    Args:
        boxes: [A, 4] xyxy pixels.
        truth: [N, 4] xyxy pixels.
        matcher: torchvision's Matcher with its two thresholds.

    Returns:
        index [A] into `truth` (0 where nothing matches), and state [A] int64: 1 matched, 0 background,
        -1 between the thresholds.
    """
    if len(truth) == 0:
        zeros = torch.zeros(len(boxes), dtype=torch.long, device=boxes.device)
        return zeros, zeros.clone()
    matched = matcher(box_iou(truth, boxes))
    state = (matched >= 0).long()
    state[matched == Matcher.BETWEEN_THRESHOLDS] = -1
    return matched.clamp(min=0), state


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
