"""DFV augmentation: what occlusion does to a deep feature vector is added to the vectors of other images.

"Deep feature augmentation for occluded image classification" (Cen, Zhao, Li & Wang, Pattern Recognition 2021).

A deep feature vector (DFV) v is what a classifier's last linear layer sees. A pair of a clean and an occluded
image gives a difference vector (DV), eq. 1: d = v_occluded - v_clean. With probability alpha an image is trained
on the pseudo-DFV v + beta d (eq. 2), with d drawn from the pairs of *any* class; else on v itself, which is a DV
of zero (sec. 3.3).

- The DVs come from a copy of the network that is made at the start of each epoch. As the copy does not change, the
  DVs are computed then and kept (the bank); so a step costs one look-up and one addition.
- Back-propagation runs through v only: the bank is a constant.
- The pairs are never augmented; random changes of images belong to the recipe's training images.

*Here:* the copy runs in evaluation mode (the paper does not say), so that a DV does not depend on which pairs are
in its batch, nor on dropout where the last layer sees it (VGG, AlexNet): v is then hidden in part and d is not, both
with the same mean. Draws are with replacement and independent of the image's own class.

| | paper | released (an independent adaptation, kalebkassaw/deep-feature-augmentation) |
|---|---|---|
| alpha | per image | drawn once per batch |
| DVs | made anew each epoch | made once, which `released` does not imitate |
| pairs | some classes, 5 images each | one clean image under up to 35 occluders (`pair_classes`, `pair_images`: 1) |

When it does not help: on a network that is not trained yet, whose DVs say nothing (the paper fine-tunes); where
the test occluders are unlike those of the pairs (cross-pattern: in the paper two fifths of the gain); where occlusion
hides the very part that separates classes, as no vector can bring that back; and where the vectors hold little but
the class, as a small network's mean over a digit does: DVs then lie together by class and not by pattern. And it goes
wrong where nothing holds the length of the vectors, as with frozen BatchNorm and a high learning rate: they and their
DVs make each other longer. Watch `dv_length`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from workbench.errors import RunError
from workbench.hardeners.base import Decision, Hardener
from workbench.options import Factor, Share
from workbench.registry import HARDENERS
from workbench.types import RoIBatch

Per = Literal["image", "batch"]


@dataclass(frozen=True, eq=False)
class ShiftDecision(Decision):
    """Something is added to the features."""

    mixed = True
    shift: Tensor  #: [R, C, h, w]

    def apply(self, features: Tensor) -> Tensor:
        """Pseudo-DFVs [R, C, h, w]; see `Decision.apply`."""
        return features + self.shift.to(features)


@HARDENERS.register("dfv")
class DFVAugmentation(Hardener):
    """Add difference vectors of pairs to deep feature vectors.

    Args:
        alpha: chance that an image is trained on a pseudo-DFV.
        beta: factor of the difference vector.
        per: "image" draws the chance for each image, "batch" once for all.

    Example:
        >>> from workbench.types import RoIBatch, Score
        >>> vectors, labels, image = torch.zeros(2, 3, 1, 1), torch.tensor([1, 2]), torch.tensor([0, 1])
        >>> batch = RoIBatch(vectors, labels, image, Score(lambda maps: maps.mean((2, 3))), torch.Generator())
        >>> hardener = DFVAugmentation(alpha=1.0, beta=0.5)
        >>> hardener.begin_epoch(lambda: torch.tensor([4.0, 0, 2]).view(1, 3, 1, 1))  # what occlusion adds
        >>> hardener(batch).features[:, :, 0, 0].tolist()
        [[2.0, 0.0, 1.0], [2.0, 0.0, 1.0]]
    """

    acts_on = "vectors"
    needs_pairs = True
    mixed = True
    presets: ClassVar[dict[str, dict[str, Any]]] = {"paper": {}, "released": {"per": "batch"}}

    def __init__(self, *, alpha: Share = 0.9, beta: Factor = 1.0, per: Per = "image"):
        super().__init__()
        self.alpha, self.beta, self.per = alpha, beta, per
        self.bank: Tensor | None = None  # [M, C, h, w]; no buffer: it is as long as there are pairs
        self._shifts: Tensor | None = None  # [M + 1, C, h, w], beta times the bank, and zeros

    @property
    def health(self) -> dict[str, float]:
        """Number of difference vectors, and their mean length."""
        if not self.active or self.bank is None:
            return {}
        return {"pairs": float(len(self.bank)), "dv_length": float(self.bank.flatten(1).norm(dim=1).mean())}

    def begin_epoch(self, differences: Callable[[], Tensor]) -> None:
        """Make the bank anew."""
        bank = differences().detach().float()
        if len(bank) == 0:
            raise RunError("hardener dfv: the training data have no pairs; give data.options.occlusion")
        self._take(bank)

    def get_extra_state(self) -> dict[str, Tensor | None]:
        """The bank, so that a run resumed within an epoch goes on with the vectors of its start."""
        return {"bank": self.bank}

    def set_extra_state(self, state: dict[str, Tensor | None]) -> None:
        """Take the bank back."""
        self._take(state["bank"])

    def _take(self, bank: Tensor | None) -> None:
        self.bank = bank
        self._shifts = None if bank is None else torch.cat([self.beta * bank, torch.zeros_like(bank[:1])])

    def decide(self, batch: RoIBatch) -> ShiftDecision:
        """Shifts [R, C, h, w], zero for the images that stay as they are."""
        if self._shifts is None:
            raise RunError("hardener dfv has no difference vectors yet; call begin_epoch before the first step")
        source, last = batch.generator, len(self._shifts) - 1
        count = len(batch.features)
        drawn = torch.randint(last, (count,), generator=source, device=source.device)
        chance = torch.rand(count if self.per == "image" else 1, generator=source, device=source.device)
        drawn = torch.where(chance < self.alpha, drawn, last)
        return ShiftDecision(self._shifts[drawn.to(self._shifts.device)])
