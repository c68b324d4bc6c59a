"""DropBlock (Ghiasi, Lin & Le, NeurIPS 2018): contiguous blocks of a feature map are dropped, ever more of them.

On each channel of a map, centres of blocks are drawn from a Bernoulli distribution wherever the block lies wholly
inside, blocks of b x b cells around them are zeroed, and what is left is scaled up so that the sum stays (Algorithm
1). The probability of a centre is set so that about 1 - keep of the cells are dropped (eq. 1):

    γ = (1 - keep) / b² · size² / (size - b + 1)²

Training at a fixed keep probability does not work well; it falls linearly from 1 to its value over the training
("scheduled DropBlock", sec. 3.1).

| | paper | here |
|---|---|---|
| where | in a backbone, after convolutions and on skip connections | on the pooled maps of RoIs, before the head |
| block | 7 cells | 3 of the 7 cells of a pooled map |
| keep at the end | 0.9 | 0.9 |
| masks | of each channel its own, which is better than one for all | the same; `per_channel` |
| schedule | linear, over the training | `ramp`, share of the training |

The masks are those of `torchvision.ops.drop_block2d`, number for number. On the backbone's own maps it has no place
here: a hardener sits between RoI pooling and the head; the layers of a backbone have no such seam.

Where it does not help: a block of 3 is a fifth of a pooled map of 7 x 7 cells, so that there is no choice of sizes;
and like `random_dropout` it knows nothing of the object: it is a control for what does.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from workbench.errors import RecipeError
from workbench.hardeners.base import Decision, Hardener, MaskDecision, candidates, draw_rows
from workbench.options import Count, Overlap, Share
from workbench.registry import HARDENERS
from workbench.types import RoIBatch


def block_mask(
    shape: tuple[int, int, int, int], keep: float, block: int, generator: torch.Generator | None = None
) -> Tensor:
    """Masks [N, C, H, W], 1 = kept, of maps of a shape, on the device of the generator.

    Args:
        shape: of the maps.
        keep: about this share of the cells is kept.
        block: side of a block in cells, odd; a smaller map is one block.
        generator: the only source of chance.
    """
    number, channels, height, width = shape
    side = min(block, height - 1 + height % 2, width - 1 + width % 2)
    inside = height - side + 1, width - side + 1
    gamma = (1 - keep) * height * width / (side**2 * inside[0] * inside[1])
    device = None if generator is None else generator.device
    centres = torch.empty((number, channels, *inside), device=device).bernoulli_(min(gamma, 1.0), generator=generator)
    spread = F.max_pool2d(F.pad(centres, [side // 2] * 4), side, stride=1, padding=side // 2)
    return 1 - spread


@dataclass(frozen=True, eq=False)
class ScaledMask(Decision):
    """Features are multiplied by a mask, and what is left is scaled up: no mask alone says it."""

    mixed = True
    masked: MaskDecision  #: what is dropped
    scale: Tensor  #: scalar

    def apply(self, features: Tensor) -> Tensor:
        """See `Decision.apply`."""
        return MaskDecision(self.masked.mask * self.scale, self.masked.rows).apply(features)


@HARDENERS.register("drop-block")
class DropBlock(Hardener):
    """Drop random blocks of the maps of RoIs.

    Args:
        keep: share of the cells that is kept at the end of the schedule.
        block: side in cells of the blocks, odd.
        ramp: share of the training over which the kept share falls from 1 to `keep`; 0: `keep` from the start.
        per_channel: each channel has blocks of its own; False: the same in all.
        normalise: scale up what is left, so that the sum of the features stays about the same; no `mask` is given
            then, as it is not all that is done.
        share: of the RoIs that are masked.
        foreground_only: leave background RoIs alone.

    Raises:
        RecipeError: an even block.

    Example:
        >>> from workbench.types import RoIBatch, Score
        >>> features, labels, image = torch.ones(50, 8, 7, 7), torch.ones(50).long(), torch.zeros(50).long()
        >>> batch = RoIBatch(features, labels, image, Score(lambda maps: maps.mean((2, 3))), torch.Generator())
        >>> hardener = DropBlock(keep=0.8, normalise=False)
        >>> for progress in (0.0, 0.5, 1.0):
        ...     hardener.begin_step(progress)
        ...     print(round(float(hardener(batch).mask.mean()), 1))
        1.0
        0.9
        0.8
    """

    mixed = True

    def __init__(
        self,
        *,
        keep: Overlap = 0.9,
        block: Count = 3,
        ramp: Share = 1.0,
        per_channel: bool = True,
        normalise: bool = True,
        share: Share = 1.0,
        foreground_only: bool = False,
    ):
        super().__init__()
        if block % 2 == 0:
            raise RecipeError(f"hardener.block is {block}; expected an odd number of cells, so that it has a middle")
        self.keep, self.block, self.ramp = keep, block, ramp
        self.per_channel, self.normalise = per_channel, normalise
        self.share, self.foreground_only = share, foreground_only
        self.progress = 1.0  #: share of the training that is done; outside of training all of it

    def begin_step(self, progress: float) -> None:
        """See `Hardener.begin_step`."""
        self.progress = progress

    @property
    def kept(self) -> float:
        """The share of the cells that is kept now."""
        reached = min(1.0, self.progress / self.ramp) if self.ramp else 1.0
        return 1 - (1 - self.keep) * reached

    @property
    def health(self) -> dict[str, float]:
        """`keep`, as the schedule has it."""
        return {"keep": self.kept}

    def decide(self, batch: RoIBatch) -> Decision:
        """Masks [r, C, h, w] (or [r, 1, h, w] for all channels alike)."""
        if self.kept == 1:
            return MaskDecision(torch.ones_like(batch.features[:, :1]))
        rows = draw_rows(candidates(batch, foreground_only=self.foreground_only), self.share, batch.generator)
        _, channels, height, width = batch.features.shape
        shape = len(rows), channels if self.per_channel else 1, height, width
        mask = block_mask(shape, self.kept, self.block, batch.generator).to(batch.features.device)
        decision = MaskDecision(mask, rows)
        return ScaledMask(decision, mask.numel() / (1e-6 + mask.sum())) if self.normalise else decision
