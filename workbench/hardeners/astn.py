"""Adversarial Spatial Transformer Network, ASTN (A-Fast-RCNN, Wang et al. 2017, sec. 4.2.2).

A localisation network looks at the pooled features of a foreground RoI and gives one angle for each of four blocks of
channels; each block is rotated by its own angle through an affine grid and a bilinear sampler (Spatial Transformer
Networks, Jaderberg et al. 2015, eqs. 1 and 5). Channels stand for kinds of features, so rotating blocks apart deforms
the object. The network learns to make the frozen head take the object for background: cross entropy towards label 0,
back-propagated through head, sampler and grid into the localisation network and no further.

| | paper | here (the authors never released ASTN) |
|---|---|---|
| localisation network | three fc layers, the first two begun from fc6 and fc7 | the same |
| angles | within 10 degrees either way, four blocks | 10 degrees x tanh(output), four blocks of neighbours |
| adversary's loss | foreground classified as background | cross entropy with label 0, mean over its RoIs |
| begin | not said | near 0 degrees (the last layer is normal with standard deviation 0.01) |
| outside of the map | not said | zeros, as the sampler of Jaderberg et al. (eq. 5) |
| background RoIs | said of no label ("the features ... are first transformed") | `background_share` of them, 0 |
| pre-training | none (jointly with the detector) | in a stage `train: hardener`, unless `pretrain` is false |

Why tanh: its gradient never stops at the limit as that of clipping does, and the limit holds whatever the weights.
Why near 0 degrees: the detector then meets small deformations first, and tanh is not saturated. Why not at 0: there
every sample lies exactly on a cell, where bilinear interpolation has a kink and its derivative knows one side only.

Why `background_share`: where objects alone are turned, "turned" means "object" to a head that can see it, and no
object need be recognised by what it shows. The network learns from objects, as in the paper; background RoIs are
turned by what it says of them. The default of 0 is what the published and the shipped results were trained with.

The four rotations are one `grid_sample` on [4 R, C / 4]; they are bit-equal to four.

Where it does not help: an adversary that can only rotate soon sits at its limit. One angle for all channels always
does (the paper's reason for four blocks); `health` gives the share of angles there. On 7 x 7 cells 10 degrees move
the outermost cells by half a cell, so objects that fill few cells hardly change: on digit scenes the full angle costs
the score of an object 0.015. With a rate as low as ASDN's it hardly turns at all, and on photographs the detector
soon was surer of turned features than of others, so that the worst angle was 0 again; `RunMonitor` shows both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from workbench.errors import RecipeError
from workbench.hardeners.base import Decision, candidates, draw_background
from workbench.hardeners.layers.adversary import Adversary, FullyConnected
from workbench.options import Depth, Factor, Number, Share
from workbench.registry import HARDENERS
from workbench.types import HeadLayout, RoIBatch

Padding = Literal["zeros", "border", "reflection"]
Degrees = Annotated[float, Field(gt=0, le=180)]
AT_LIMIT = 0.95  #: an angle beyond this share of the limit counts as being at it
BINS = 9  #: of the histogram of angles in `health`


def rotate(features: Tensor, angles: Tensor, *, padding: str = "zeros") -> Tensor:
    """Rotate each block of neighbouring channels about the middle of the map, bilinearly.

    Args:
        features: [R, C, h, w]; C is a multiple of the number of blocks.
        angles: [R, blocks] radians; positive turns the picture counter-clockwise as it is seen.
        padding: what lies outside, see `Padding`.

    Returns:
        [R, C, h, w], differentiable with respect to both.
    """
    rois, channels, height, width = features.shape
    blocks = angles.shape[1]
    apart = features.reshape(rois * blocks, channels // blocks, height, width)
    cosine, sine, zero = angles.cos().flatten(), angles.sin().flatten(), angles.new_zeros(angles.numel())
    # Where to look for each cell; coordinates run over -1..1 in both directions, so cells need not be square.
    rows = [cosine, -sine * (height / width), zero, sine * (width / height), cosine, zero]
    theta = torch.stack(rows, dim=1).view(-1, 2, 3).to(features.dtype)
    grid = F.affine_grid(theta, list(apart.shape), align_corners=False)
    return F.grid_sample(apart, grid, padding_mode=padding, align_corners=False).view_as(features)


@dataclass(frozen=True, eq=False)
class RotationDecision(Decision):
    """Blocks of channels are rotated."""

    mixed = True
    angles: Tensor  #: [R or r, blocks] radians
    rows: Tensor | None = None  #: [r], the RoIs that `angles` are of, the others stay; None: of all
    padding: Padding = "zeros"  #: what lies outside of the map

    def apply(self, features: Tensor) -> Tensor:
        """See `Decision.apply`."""
        if self.rows is None:
            return rotate(features, self.angles, padding=self.padding)
        rotated = rotate(features[self.rows], self.angles, padding=self.padding)
        return features.index_copy(0, self.rows, rotated.to(features.dtype))


@HARDENERS.register("astn")
class ASTN(Adversary):
    """Learn by which angles to rotate blocks of channels so that objects pass for background.

    `health`: hardened (share of foreground RoIs), angles_at_limit (share of angles), and angle_1 to angle_9, the
    shares of angles in nine equal parts of -limit..limit.

    Args:
        limit: degrees either way.
        blocks: how many blocks of neighbouring channels have an angle of their own.
        padding: what lies outside of the map, see `Padding`.
        weight: of the adversary's loss.
        pretrain: False sits out stages `train: hardener`; for a `Chain` in which only ASDN is pre-trained.
        clean_images: leave the RoIs of so many images of the batch alone.
        background_share: share of the background RoIs that are turned as well; see the module.

    Raises:
        RecipeError: an option outside its range; `bind_head`: channels that cannot be divided into the blocks.

    Example:
        >>> detector = wb.load_detector("digit-scenes/faster-rcnn")
        >>> detector.take_hardener(ASTN(limit=30))
        >>> images, targets = zip(*wb.load_data("digit-scenes", length=2))
        >>> sorted(detector.losses(images, targets))  # its own loss trains it in the same step
        ['adversary', 'box', 'classifier', 'objectness', 'rpn_box']
    """

    mixed = True

    def __init__(
        self,
        *,
        limit: Degrees = 10.0,
        blocks: Depth = 4,
        padding: Padding = "zeros",
        weight: Factor = 1.0,
        pretrain: bool = True,
        clean_images: Number = 1,
        background_share: Share = 0.0,
    ):
        super().__init__()
        self.background_share = background_share
        self.limit = limit
        self.blocks = blocks
        self.padding = padding
        self.weight = weight
        self.pretrain = pretrain
        self.clean_images = clean_images

    def build(self, head: HeadLayout) -> nn.Module:
        """The localisation network for a head."""
        if head.channels % self.blocks:
            raise RecipeError(
                f"hardener.blocks is {self.blocks}, but the features have {head.channels} channels; choose a divisor"
            )
        return FullyConnected(head, self.blocks)

    def idle_loss(self) -> Tensor | None:
        """See `Adversary.idle_loss`; None where it sits the stage out."""
        return super().idle_loss() if self.pretrain else None

    def angles(self, features: Tensor) -> Tensor:
        """Angles [R, blocks] in radians for features [R, C, h, w]."""
        return math.radians(self.limit) * self.run(features).tanh()

    def turn(self, features: Tensor, angles: Tensor) -> Tensor:
        """Features [R, C, h, w] with each block rotated by its angle [R, blocks]."""
        return rotate(features, angles, padding=self.padding)

    def decide(self, batch: RoIBatch) -> Decision:
        """Angles [r, blocks] and the adversary's loss; in its own stage the loss only."""
        alone = self.learning == "hardener"
        rows = candidates(batch, clean_images=0 if alone else self.clean_images)
        if len(rows) == 0 or (alone and not self.pretrain):
            self._figures = {}
            return Decision(adversary_loss=self.idle_loss())
        angles = self.angles(batch.features[rows])
        self.note(batch, rows[:0] if alone else rows, **self._histogram(angles.detach()))
        loss = None if self.learning == "detector" else self._loss(batch, rows, angles)
        if alone:
            return Decision(adversary_loss=loss)
        others = draw_background(batch, self.background_share, clean_images=self.clean_images)
        turned = angles.detach()
        if len(others):
            with torch.no_grad():
                rows, turned = torch.cat([rows, others]), torch.cat([turned, self.angles(batch.features[others])])
        return RotationDecision(turned, rows, self.padding, adversary_loss=loss)

    def _histogram(self, angles: Tensor) -> dict[str, Tensor]:
        turned = angles / math.radians(self.limit)
        place = ((turned + 1) / 2 * BINS).long().clamp(0, BINS - 1).flatten()
        shares = torch.bincount(place, minlength=BINS) / max(1, len(place))
        bins = {f"angle_{number}": share for number, share in enumerate(shares, start=1)}
        return {"angles_at_limit": (turned.abs() > AT_LIMIT).float().mean(), **bins}

    def _loss(self, batch: RoIBatch, rows: Tensor, angles: Tensor) -> Tensor:
        """Cross entropy of the rotated RoIs towards background."""
        logits = batch.score(self.turn(batch.features[rows], angles)).float()
        return self.weight * F.cross_entropy(logits, torch.zeros_like(batch.labels[rows]))
