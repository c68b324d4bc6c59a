"""The mask generator of AOFD and its masking strategy (Chen et al., Adversarial Occlusion-aware Face Detector, 3.3).

Four convolutions look at the pooled features of a positive RoI and give a map of one channel, low where the generator
wants to hide; the lowest cells are masked. It learns on a trained detector (a stage `train: hardener`, a quarter of
the cells masked), and hides a third of the cells while the detector learns (a stage `train: detector`, the generator
fixed). Its loss is

    L_g = γ L_com − η L_c        (eq. 2; γ = 1e-6, η = 1)
    L_com = Σ (1 − mask) ∗ kernel        (eq. 3; the kernel has 1 in the middle and −1/8 around)

with L_c the cross entropy of the head on the masked features. While the detector learns, each positive RoI gets one
of three masks, the generator's, a half, or half of the cells at random (see `occlusion_masks`), or stays whole.

What the paper leaves open, and what we do:

| | paper | here |
|---|---|---|
| gradient through "squeezed to zero or one" | not said | straight-through; see `squeezed` |
| L_com | "areas with longer or irregular edges" cost more | `rectified`: of masked cells only; see below |
| how often each mask | not said | each as often as untouched features, a quarter |
| widths of the generator | four convolutions | 3 x 3, 256 channels, ReLU between |
| the detector while the generator learns | not said | frozen, and L_c of positive RoIs alone |
| L_com and L_c of several RoIs | not said | means over RoIs |

A sum of a linear filter whose weights sum to zero is decided by the border alone: `compact: literal` is eq. 3 as
printed, and costs nothing for masks away from the border, whatever their form. With a rectifier, as edge detectors
have one, the response counts at masked cells, where it is positive: each costs one less an eighth for each masked
neighbour, a 2 x 2 block 2.5, a row of four 3.25, four single cells 4. Cells outside the map count as not masked. It
is written as the response times the mask: the same number for masks of 0 and 1, but its gradient is the same at
masked cells and at others with as many masked neighbours. That of a rectifier is not, and makes all cells alike.

At γ = 1e-6 the gradient of L_com is about a millionth of that of L_c, so that masks with and without it can hardly
differ in our reading; from about 0.01 on they become round (tests, `health`).

Where it does not help: masks over a third of the features and more make the detector worse (Fig. 5c of the paper),
and a detector that is harmed by few cells already loses clean objects to masked ones.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workbench.hardeners.base import Decision, MaskDecision
from workbench.hardeners.layers.adversary import Adversary
from workbench.hardeners.layers.heat_map import HeatNet, mask_entropy
from workbench.hardeners.occlusion_masks import check_shares, draw_kinds, fill_fixed, maskable
from workbench.options import Count, Factor, Share
from workbench.registry import HARDENERS
from workbench.types import HeadLayout, RoIBatch

Compact = Literal["rectified", "literal"]


def compact_loss(masked: Tensor, form: Compact = "rectified") -> Tensor:
    """L_com of eq. 3 of each map, [R], of what is masked [R, 1, h, w], 1 = masked; see the module for the forms.

    Example:
        >>> import torch
        >>> from workbench.hardeners.mask_generator import compact_loss
        >>> block, row = torch.zeros(2, 1, 1, 7, 7)
        >>> block[..., 2:4, 2:4] = 1
        >>> row[..., 3, 1:5] = 1
        >>> float(compact_loss(block)), float(compact_loss(row))
        (2.5, 3.25)
    """
    around = masked.new_full((1, 1, 3, 3), 1 / 8)
    around[..., 1, 1] = 0
    neighbours = F.conv2d(masked, around, padding=1)  # the masked ones of each cell, in eighths
    response = masked - (masked * neighbours if form == "rectified" else neighbours)
    return response.sum(dim=(1, 2, 3))


def hide_lowest(values: Tensor, area: float) -> Tensor:
    """Masks like `values` [R, 1, h, w], 1 = kept: the lowest cells, `area` (0..1) of them to the nearest, are 0."""
    flat = values.flatten(1)
    lowest = flat.topk(round(area * flat.shape[1]), dim=1, largest=False).indices
    return torch.ones_like(flat).scatter_(1, lowest, 0.0).view_as(values)


def squeezed(values: Tensor, area: float) -> Tensor:
    """The same masks with a gradient: that of a sigmoid about the cut between hidden and kept cells of each RoI.

    The cut moves with the values, so that a step which moves all of them changes nothing, as it changes no mask.
    """
    ranked = values.flatten(1).sort(dim=1).values
    count = round(area * ranked.shape[1])
    cut = ranked[:, max(count - 1, 0) : count + 1].mean(dim=1)
    soft = (values - cut.view(-1, 1, 1, 1)).sigmoid()
    return hide_lowest(values.detach(), area) + (soft - soft.detach())


@HARDENERS.register("mask-generator")
class MaskGenerator(Adversary):
    """Learn which cells of an object hurt the detector most when hidden together, and hide them, or other ones.

    `health`: hardened (share of positive RoIs that are masked), masked_loss (cross entropy under the masks, where it
    learns), edges (L_com, rectified, for each masked cell: 1 where none touches another) and mask_entropy (see
    `layers.heat_map`); the last two are of the generator's own masks, where a step has one, or two for the entropy.

    Args:
        generated, half, scattered: shares of the positive RoIs that get each kind of mask; the rest stay whole.
        area: share of the cells that is masked while the detector learns.
        learning_area: the same while the generator learns.
        compact: the form of L_com; None leaves it out.
        gamma, eta: the factors of eq. 2.
        width: channels of the convolutions.
        background_share: share of the background RoIs that are masked as well; see `occlusion_masks`.

    Raises:
        RecipeError: an option outside its range, or shares that are more than all.

    Example:
        >>> detector = wb.load_detector("digit-scenes/faster-rcnn")
        >>> detector.take_hardener(MaskGenerator(area=1 / 2))
        >>> images, targets = zip(*wb.load_data("digit-scenes", length=2))
        >>> sorted(detector.losses(images, targets))  # its own loss trains it in the same step
        ['adversary', 'box', 'classifier', 'objectness', 'rpn_box']
    """

    pretrains = True
    mixed = True
    presets: ClassVar[dict[str, dict[str, Any]]] = {"paper": {}}
    fixed_mask_entropy = 0.0

    def __init__(
        self,
        *,
        generated: Share = 1 / 4,
        half: Share = 1 / 4,
        scattered: Share = 1 / 4,
        area: Share = 1 / 3,
        learning_area: Share = 1 / 4,
        compact: Compact | None = "rectified",
        gamma: Factor = 1e-6,
        eta: Factor = 1.0,
        width: Count = 256,
        background_share: Share = 0.0,
    ):
        super().__init__()
        check_shares(generated=generated, half=half, scattered=scattered)
        self.shares = (generated, half, scattered)
        self.area, self.learning_area = area, learning_area
        self.compact, self.gamma, self.eta = compact, gamma, eta
        self.width = width
        self.background_share = background_share

    def build(self, head: HeadLayout) -> nn.Module:
        """The generator for a head."""
        return HeatNet(head.channels, width=self.width, depth=3)

    def order(self, features: Tensor) -> Tensor:
        """The logits of the generator's map, [R, 1, h, w], lowest where it hides first, of features [R, C, h, w].

        Their sigmoid is the map in 0..1, in which large ones are equal.
        """
        return self.run(features).view(len(features), 1, *features.shape[2:])

    def decide(self, batch: RoIBatch) -> Decision:
        """Masks [r, 1, h, w] of positive RoIs, and the loss of eq. 2 where the generator learns."""
        loss = None if self.learning == "detector" else self._loss(batch)
        if self.learning == "hardener":
            return Decision(adversary_loss=loss)
        rows = maskable(batch, self.background_share)
        if len(rows) == 0:
            return Decision(adversary_loss=loss)
        mask = torch.ones_like(batch.features[rows, :1], dtype=torch.float32)
        generated, *fixed = draw_kinds(len(rows), self.shares, mask, batch.generator)
        with torch.no_grad():
            mask[generated] = hide_lowest(self.order(batch.features[rows[generated]]), self.area)
        fill_fixed(mask, fixed, batch.generator)
        if loss is None:
            self._note_masks(batch, rows[torch.cat([generated, *fixed])], mask[generated])
        return MaskDecision(mask, rows, adversary_loss=loss)

    def _loss(self, batch: RoIBatch) -> Tensor | None:
        """Eq. 2 on the positive RoIs."""
        rows = maskable(batch, 0.0)
        if len(rows) == 0:
            return self.idle_loss()
        features, labels = batch.features[rows], batch.labels[rows]
        mask = squeezed(self.order(features), self.learning_area)
        hurt = F.cross_entropy(batch.score(features * mask.to(features.dtype)).float(), labels)
        self._note_masks(batch, rows, mask.detach(), masked_loss=hurt)
        loss = -self.eta * hurt
        if self.compact is not None:
            loss = loss + self.gamma * compact_loss(1 - mask, self.compact).mean()
        return loss

    def _note_masks(self, batch: RoIBatch, rows: Tensor, mask: Tensor, **figures: Tensor) -> None:
        """Keep what `health` says of the generator's masks [m, 1, h, w], where `rows` [r] are masked in some way."""
        masked = 1 - mask
        if len(mask) > 0:
            figures["edges"] = compact_loss(masked).sum() / masked.sum().clamp(min=1)
        if len(mask) > 1:  # one mask alone would look like one that is the same for all
            figures["mask_entropy"] = mask_entropy(masked.flatten(1))
        self.note(batch, rows, **figures)
