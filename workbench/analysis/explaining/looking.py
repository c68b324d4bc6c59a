"""How detectors are asked about many variants of one image."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from workbench.detectors.base import Detector, Detects, ScoresBoxes, asked
from workbench.proposals import searched
from workbench.types import Detections

Find = Callable[[Sequence[Tensor]], list[Detections]]


def finder(detector: Detector, image: Tensor) -> Find:
    """What detects in variants of an image; a detector that needs proposals gets those of the image itself."""
    finding = asked(detector, Detects)
    if not detector.needs_proposals:
        return lambda images: finding.detect(images)
    proposals = searched(image)
    return lambda images: finding.detect(images, [proposals] * len(images))


def scorer(detector: Detector, box: Tensor, label: int) -> Callable[[Sequence[Tensor]], Tensor]:
    """What gives the probability [B] of a class at a box [4] in each of B images."""
    scoring = asked(detector, ScoresBoxes)

    def scores(images: Sequence[Tensor]) -> Tensor:
        found = scoring.score_boxes(images, [box[None]] * len(images))
        return torch.stack([one[0, label] for one in found]).float().cpu()

    return scores
