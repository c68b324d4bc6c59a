"""The seam between pooling and the head, and what every hardener keeps.

A hardener decides on detached features and a frozen head (`decide`), and its decision is applied to the live
features as a constant (`apply`). So one `backward()` of detector loss + adversary loss gives each player its
own gradient only, whatever the method does inside.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from workbench.types import Hardened, HeadLayout, RoIBatch


class Decision(NamedTuple):
    """What a hardener does to a batch, before it is done."""

    mask: Tensor | None  #: [R or r, 1 or C, h, w], 1 = kept; None leaves the features alone
    adversary_loss: Tensor | None = None  #: scalar
    rows: Tensor | None = None  #: [r], the RoIs that `mask` or `angles` are of, the others stay; None: of all
    angles: Tensor | None = None  #: [R or r, blocks] radians by which blocks of channels are rotated
    shift: Tensor | None = None  #: [R, C, h, w], what is added to the features

    def full_mask(self, num_rois: int) -> Tensor | None:
        """The mask [num_rois, 1 or C, h, w] of all RoIs."""
        if self.mask is None or self.rows is None:
            return self.mask
        full = self.mask.new_ones((num_rois, *self.mask.shape[1:]))
        full[self.rows] = self.mask
        return full


class MaskRows(torch.autograd.Function):
    """Features [R, C, h, w] with those at `rows` [r] multiplied by masks [r, 1 or C, h, w].

    Both directions copy all features, but into the memory format that the neighbour would copy them into anyway:
    heads flatten channel by channel, pooling works cell by cell. So the few masked RoIs are all that it costs.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, features: Tensor, mask: Tensor, rows: Tensor) -> Tensor:
        """See the class."""
        ctx.save_for_backward(mask, rows)
        return _rows_times(features.clone(memory_format=torch.contiguous_format), mask, rows)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None, None]:
        """The same of the gradient."""
        mask, rows = ctx.saved_tensors
        return _rows_times(gradient.clone(memory_format=torch.channels_last), mask, rows), None, None


def _rows_times(values: Tensor, mask: Tensor, rows: Tensor) -> Tensor:
    return values.index_copy_(0, rows, values[rows] * mask.to(values.dtype))


class Hardener(nn.Module):
    """Makes RoI features harder during training. Methods implement `decide`; some also `apply`."""

    active = True  #: False while a stage of the training is to run without it
    kind: ClassVar[str] = ""  #: its name in recipes
    acts_on = "maps"  #: "maps" of RoIs, or the "vectors" that a classifier's last layer sees
    needs_pairs: ClassVar[bool] = False  #: whether it learns from pairs of clean and occluded images
    pretrains: ClassVar[bool] = False  #: whether it must have learned alone before it learns jointly

    @property
    def health(self) -> dict[str, float]:
        """Figures of the last step that tell whether it does its work; reading them waits for the device."""
        return {}

    def adopt(self, head: HeadLayout) -> None:
        """Told, when the detector is built, of the head to play against; adversaries build their network here."""

    def enter(self, train: str) -> None:
        """Told at the start of each stage who learns in it: "detector", "hardener" or "both"."""

    def begin_epoch(self, differences: Callable[[], Tensor]) -> None:
        """Told at the start of each epoch, and of each stage, that it is active in.

        differences: gives what occlusion adds to the features of the training data's pairs [M, C, h, w], by the
        detector as it is now, in evaluation mode; it takes a pass over all pairs.
        """

    def memory(self) -> dict[str, Any]:
        """What a checkpoint must keep of it beside its parameters: tensors and plain values."""
        return {}

    def recall(self, memory: dict[str, Any]) -> None:
        """Take back what `memory` gave."""

    def nothing(self) -> Tensor | None:
        """The adversary's loss, a scalar, in a step without RoIs to learn from; None: it has none."""
        return None

    def decide(self, batch: RoIBatch) -> Decision:
        """Choose what to drop; `batch.features` are detached, `batch.score` has frozen parameters."""
        raise NotImplementedError

    def apply(self, features: Tensor, decision: Decision) -> Tensor:  # type: ignore[override]
        """Live features [R, C, h, w] after the decision; also replays a decision made before."""
        if decision.mask is None:
            return features
        if decision.rows is None:
            return features * decision.mask.to(features.dtype)
        return MaskRows.apply(features, decision.mask, decision.rows)

    def forward(self, batch: RoIBatch) -> Hardened:
        """Harden a batch of live features [R, C, h, w]."""
        if not self.active:
            return Hardened(batch.features)
        if len(batch.features) == 0:
            return Hardened(batch.features, self.nothing())
        seen = dataclasses.replace(batch, features=batch.features.detach())
        decision = self.decide(seen)
        hardened = self.apply(batch.features, decision)
        return Hardened(hardened, decision.adversary_loss, lambda: decision.full_mask(len(hardened)))


class Chain(Hardener):
    """Several hardeners in order, each on what the one before has left; adversary losses add up (fusion)."""

    def __init__(self, *hardeners: Hardener):
        super().__init__()
        self.hardeners = nn.ModuleList(hardeners)

    @property
    def acts_on(self) -> str:
        """What its parts act on, joined by "and" where they differ."""
        return " and ".join(sorted({hardener.acts_on for hardener in self.hardeners}))

    @property
    def health(self) -> dict[str, float]:
        """The figures of all; those of the same name are of the last."""
        return {name: value for hardener in self.hardeners for name, value in hardener.health.items()}

    def adopt(self, head: HeadLayout) -> None:
        """Passed on."""
        for hardener in self.hardeners:
            hardener.adopt(head)

    def enter(self, train: str) -> None:
        """Passed on."""
        for hardener in self.hardeners:
            hardener.enter(train)

    def begin_epoch(self, differences: Callable[[], Tensor]) -> None:
        """Passed on."""
        for hardener in self.hardeners:
            hardener.begin_epoch(differences)

    def memory(self) -> dict[str, Any]:
        """Those of all, by place."""
        return {str(place): hardener.memory() for place, hardener in enumerate(self.hardeners)}

    def recall(self, memory: dict[str, Any]) -> None:
        """Passed on."""
        for place, hardener in enumerate(self.hardeners):
            hardener.recall(memory.get(str(place), {}))

    def forward(self, batch: RoIBatch) -> Hardened:
        """Harden a batch of live features [R, C, h, w]; the mask is the product of all masks."""
        if not self.active:
            return Hardened(batch.features)
        parts: list[Hardened] = []
        for hardener in self.hardeners:
            parts.append(hardener(batch))
            batch = dataclasses.replace(batch, features=parts[-1].features)
        losses = [part.adversary_loss for part in parts if part.adversary_loss is not None]
        return Hardened(batch.features, torch.stack(losses).sum() if losses else None, lambda: _product(parts))


def _product(parts: list[Hardened]) -> Tensor | None:
    masks = [part.mask for part in parts if part.mask is not None]
    return functools.reduce(torch.mul, masks) if masks else None


def candidates(batch: RoIBatch, *, foreground_only: bool = True, clean_images: int = 0) -> Tensor:
    """The RoIs [r] that may be hardened, ascending.

    Args:
        foreground_only: leave background RoIs alone.
        clean_images: leave the RoIs of so many images alone, but never those of all images of the batch. They are
            the first ones, so that all parts of a `Chain` spare the same; batches are shuffled anyway.
    """
    chosen = torch.ones_like(batch.labels, dtype=torch.bool)
    if foreground_only:
        chosen = batch.labels > 0
    if clean_images and len(chosen):
        chosen &= batch.image_index >= batch.image_index.max().clamp(max=clean_images)
    return torch.where(chosen)[0]


def draw_rows(rows: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """A random `share` (0..1) of `rows` [n], rounded to the nearest count, ascending."""
    count = round(share * len(rows))
    order = torch.randperm(len(rows), generator=generator, device=generator.device)[:count]
    return rows[order.to(rows.device)].sort().values


def uniform(shape: tuple[int, ...], like: Tensor, generator: torch.Generator) -> Tensor:
    """Float32 in 0..1 from `generator`, on the device of `like`."""
    return torch.rand(shape, generator=generator, device=generator.device).to(like.device)
