"""By what the summed loss of dense anchors is divided: three published readings of "the anchors assigned to objects".

All of them give one factor per image. An image without objects counts as if it had one positive anchor, so that its
background is learned from.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from workbench.options import Part, Size
from workbench.registry import NORMALISERS


@NORMALISERS.register("image")
class PerImage(nn.Module):
    """Each image by its own positive anchors, then the mean over images: Lin's thesis (sec. 5.4.2), torchvision.

    Every image has the same say, however many objects it shows.
    """

    def forward(self, counts: Tensor) -> Tensor:
        """Factors [B] of images with so many positive anchors [B]."""
        return 1 / (counts.clamp(min=1).float() * max(1, len(counts)))


@NORMALISERS.register("batch")
class PerBatch(nn.Module):
    """All images by the positive anchors of the whole batch: the released code of Lin's thesis (Detectron).

    Every positive anchor has the same say. The batch is that of one process.
    """

    def forward(self, counts: Tensor) -> Tensor:
        """Factors [B] of images with so many positive anchors [B]."""
        return (1 / counts.sum().clamp(min=1).float()).expand(len(counts))


@NORMALISERS.register("moving-average")
class MovingAverage(nn.Module):
    """As `PerBatch`, but by a running mean of the batches so far: detectron2.

    Batches with few objects then weigh less than those with many. The mean is part of the detector's state, and moves
    only where gradients are recorded, so that the losses of an evaluation change nothing.

    Args:
        decay: share of the old mean that is kept at every step.
        start: the mean before the first step, positive anchors per batch.

    Raises:
        RecipeError: a value outside its range.
    """

    def __init__(self, *, decay: Part = 0.9, start: Size = 100.0):
        super().__init__()
        self.decay = decay
        self.register_buffer("mean", torch.tensor(float(start)))

    def forward(self, counts: Tensor) -> Tensor:
        """Factors [B] of images with so many positive anchors [B]."""
        if torch.is_grad_enabled():
            self.mean.lerp_(counts.sum().clamp(min=1).to(self.mean), 1 - self.decay)
        return (1 / self.mean.clamp(min=1)).expand(len(counts))


def build_normaliser(config: str | dict) -> nn.Module:
    """The normaliser that a recipe describes: its kind, or {"kind": ..., and its options}.

    Raises:
        RecipeError: a kind or option that does not exist.

    Example:
        >>> counts = torch.tensor([4, 1])  # positive anchors of two images
        >>> build_normaliser("image")(counts), build_normaliser("batch")(counts)
        (tensor([0.1250, 0.5000]), tensor([0.2000, 0.2000]))
    """
    return NORMALISERS.build(config)
