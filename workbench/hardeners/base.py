"""The seam between pooling and the head, and what every hardener keeps.

A hardener decides on detached features and a frozen head (`decide`), and its decision is applied to the live
features as a constant (`apply`). So one `backward()` of detector loss + adversary loss gives each player its
own gradient only, whatever the method does inside.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import torch
from torch import Tensor, nn

from workbench.types import Hardened, RoIBatch


class Decision(NamedTuple):
    """What a hardener does to a batch, before it is done."""

    mask: Tensor | None  #: [R, 1 or C, h, w], 1 = kept; None leaves the features alone
    adversary_loss: Tensor | None = None  #: scalar


class Hardener(nn.Module):
    """Makes RoI features harder during training. Methods implement `decide`; some also `apply`."""

    def decide(self, batch: RoIBatch) -> Decision:
        """Choose what to drop; `batch.features` are detached, `batch.score` has frozen parameters."""
        raise NotImplementedError

    def apply(self, features: Tensor, decision: Decision) -> Tensor:  # type: ignore[override]
        """Live features [R, C, h, w] after the decision; also replays a decision made before."""
        return features if decision.mask is None else features * decision.mask.to(features.dtype)

    def forward(self, batch: RoIBatch) -> Hardened:
        """Harden a batch of live features [R, C, h, w]."""
        if len(batch.features) == 0:
            return Hardened(batch.features, None, None)
        seen = dataclasses.replace(batch, features=batch.features.detach())
        decision = self.decide(seen)
        return Hardened(self.apply(batch.features, decision), decision.mask, decision.adversary_loss)


class Chain(Hardener):
    """Several hardeners in order, each on what the one before has left; adversary losses add up (fusion)."""

    def __init__(self, *hardeners: Hardener):
        super().__init__()
        self.hardeners = nn.ModuleList(hardeners)

    def forward(self, batch: RoIBatch) -> Hardened:
        """Harden a batch of live features [R, C, h, w]; the mask is the product of all masks."""
        mask: Tensor | None = None
        losses = []
        for hardener in self.hardeners:
            hardened = hardener(batch)
            batch = dataclasses.replace(batch, features=hardened.features)
            if hardened.mask is not None:
                mask = hardened.mask if mask is None else mask * hardened.mask
            if hardened.adversary_loss is not None:
                losses.append(hardened.adversary_loss)
        return Hardened(batch.features, mask, torch.stack(losses).sum() if losses else None)


def draw_rows(rows: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """A random `share` (0..1) of `rows` [n], rounded to the nearest count, ascending."""
    count = round(share * len(rows))
    order = torch.randperm(len(rows), generator=generator, device=generator.device)[:count]
    return rows[order.to(rows.device)].sort().values


def uniform(shape: tuple[int, ...], like: Tensor, generator: torch.Generator) -> Tensor:
    """Float32 in 0..1 from `generator`, on the device of `like`."""
    return torch.rand(shape, generator=generator, device=generator.device).to(like.device)


def keep_all_but(dropped: Tensor, rows: Tensor, num_rois: int) -> Tensor:
    """A mask of ones [num_rois, ...] with `dropped` [r, ...] written at `rows`."""
    mask = dropped.new_ones((num_rois, *dropped.shape[1:]))
    mask[rows] = dropped
    return mask
