"""The masks of AOFD that need no network: half of a RoI, or half of its cells (Chen et al., AOFD, sec. 3.3).

Of each positive RoI one side is hidden (left, right, top or bottom, as when an object stands before a face), or half
of its cells drawn at random, or nothing: the masked features are learned together with untouched ones.

The paper does not say how often each is taken; here as often as the others. A map of 7 x 7 has no half: 3 of 7 rows
or columns are hidden and 24 of 49 cells, never more than half.

`background_share` is ours: where objects alone are masked, holes mean "object" to a head that can see them. The
default of 0 is the published method ("a mask for each positive sample").

Where it does not help: the paper finds about 1 % AP less than with the generator (sec. 4.3), since these masks do
not look for what distinguishes an object.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

from workbench.errors import RecipeError
from workbench.hardeners.base import Decision, Hardener, MaskDecision, candidates, draw_background, uniform
from workbench.hardeners.random_dropout import random_cells
from workbench.options import Share
from workbench.registry import HARDENERS
from workbench.types import RoIBatch

SIDES = ("left", "right", "top", "bottom")


def side_masks(height: int, width: int, device: torch.device | str = "cpu") -> Tensor:
    """Masks [4, 1, h, w], 1 = kept, each with the half on one of `SIDES` hidden.

    Example:
        >>> from workbench.hardeners.occlusion_masks import side_masks
        >>> side_masks(3, 3)[0, 0].tolist()  # a third, as a map of 3 x 3 has no half
        [[0.0, 1.0, 1.0], [0.0, 1.0, 1.0], [0.0, 1.0, 1.0]]
    """
    y, x = torch.arange(height, device=device)[:, None], torch.arange(width, device=device)[None, :]
    hidden = torch.stack([part.expand(height, width) for part in (
        x < width // 2, x >= width - width // 2, y < height // 2, y >= height - height // 2,
    )])  # fmt: skip
    return (~hidden).float()[:, None]


def half_masks(num_rois: int, height: int, width: int, like: Tensor, generator: torch.Generator) -> Tensor:
    """Masks [R, 1, h, w], 1 = kept, each with the half on a side drawn at random hidden."""
    side = (len(SIDES) * uniform((num_rois,), like, generator)).long().clamp(max=len(SIDES) - 1)
    return side_masks(height, width, like.device)[side]


def draw_kinds(num_rois: int, shares: Sequence[float], like: Tensor, generator: torch.Generator) -> list[Tensor]:
    """Which RoIs get which kind of mask: positions [n] for each of `shares` (0..1), ascending; the rest get none."""
    chance = uniform((num_rois,), like, generator)
    kind = torch.stack([chance >= edge for edge in accumulate(shares)]).sum(dim=0)
    counts = torch.stack([(kind == place).sum() for place in range(len(shares))]).tolist()  # one wait for the device
    return list(kind.argsort(stable=True)[: sum(counts)].split(counts))


def check_shares(**shares: float) -> None:
    """Raise a RecipeError where shares of the RoIs are more than all."""
    if sum(shares.values()) > 1 + 1e-9:
        said = ", ".join(f"{name} {share:g}" for name, share in shares.items())
        raise RecipeError(f"hardener: {said} are {sum(shares.values()):g} of the RoIs; expected at most 1 together")


@HARDENERS.register("occlusion-masks")
class OcclusionMasks(Hardener):
    """Hide half of a positive RoI, or half of its cells at random.

    Args:
        half: share of the RoIs with a hidden side.
        scattered: share of the RoIs with half of their cells hidden at random.
        background_share: share of the background RoIs that are treated as positive ones; see the module.

    Raises:
        RecipeError: shares that are more than all.

    Example:
        >>> from workbench.types import RoIBatch, Score
        >>> features, labels, image = torch.ones(2, 8, 4, 4), torch.tensor([3, 0]), torch.tensor([0, 0])
        >>> batch = RoIBatch(features, labels, image, Score(lambda maps: maps.mean((2, 3))), torch.Generator())
        >>> OcclusionMasks(half=1.0, scattered=0.0)(batch).mask.mean(dim=(1, 2, 3))  # the second RoI is background
        tensor([0.5000, 1.0000])
    """

    mixed = True

    def __init__(self, *, half: Share = 1 / 3, scattered: Share = 1 / 3, background_share: Share = 0.0):
        super().__init__()
        check_shares(half=half, scattered=scattered)
        self.half, self.scattered, self.background_share = half, scattered, background_share

    def decide(self, batch: RoIBatch) -> Decision:
        """Masks [r, 1, h, w]; see the class."""
        rows = maskable(batch, self.background_share)
        if len(rows) == 0:
            return Decision()
        _, _, height, width = batch.features.shape
        mask = batch.features.new_ones((len(rows), 1, height, width), dtype=torch.float32)
        fill_fixed(mask, draw_kinds(len(rows), (self.half, self.scattered), mask, batch.generator), batch.generator)
        return MaskDecision(mask, rows)


def maskable(batch: RoIBatch, background_share: float) -> Tensor:
    """The positive RoIs [r], and a random share (0..1) of the background ones."""
    rows = candidates(batch)
    others = draw_background(batch, background_share)
    return torch.cat([rows, others]) if len(others) else rows


def fill_fixed(mask: Tensor, kinds: Sequence[Tensor], generator: torch.Generator) -> None:
    """Put halves and scattered cells into masks [r, 1, h, w], in place.

    Args:
        kinds: positions of those that lose a half, and of those that lose cells.
    """
    height, width = mask.shape[2:]
    halves, cells = kinds
    mask[halves] = half_masks(len(halves), height, width, mask, generator)
    mask[cells] = random_cells(len(cells), height, width, 0.5, mask, generator)
