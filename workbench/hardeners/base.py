"""The seam between pooling and the head, and what every hardener keeps.

A hardener decides on detached features and a frozen head (`Hardener.decide`), and its decision is applied to the live
features as a constant (`as_constant`). So one `backward()` of detector loss + adversary loss gives each player its
own gradient only, whatever the method does inside. What a decision does (mask, rotate, shift) belongs to the method.

Under bfloat16 a method gets float32 all the same, with autocast off, unless it says that it is `mixed`: one of one's
own need not know of it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from workbench.registry import with_preset
from workbench.types import Hardened, HeadLayout, RoIBatch, TrainingStage


@dataclass(frozen=True, eq=False)
class Decision:
    """What a hardener does to a batch, before it is done: nothing here, in subclasses something.

    Example:
        >>> class Halved(Decision):
        ...     def apply(self, features):
        ...         return features / 2
        >>> Halved().apply(torch.ones(1, 1, 1, 2)).tolist()
        [[[[0.5, 0.5]]]]
    """

    mixed: ClassVar[bool] = False  #: whether it can be applied to features in bfloat16, without float32
    adversary_loss: Tensor | None = dataclasses.field(default=None, kw_only=True)  #: scalar

    def apply(self, features: Tensor) -> Tensor:
        """Features [R, C, h, w] after the decision; as often as one likes."""
        return features

    def full_mask(self, num_rois: int) -> Tensor | None:
        """The mask [num_rois, 1 or C, h, w] of all RoIs, 1 = kept; None where no mask says what is done."""
        return None


@dataclass(frozen=True, eq=False)
class MaskDecision(Decision):
    """Features are multiplied by a mask.

    Example:
        >>> decision = MaskDecision(torch.zeros(1, 1, 4, 4), rows=torch.tensor([1]))
        >>> decision.apply(torch.ones(2, 8, 4, 4)).mean(dim=(1, 2, 3)).tolist()
        [1.0, 0.0]
    """

    mixed = True
    mask: Tensor  #: [R or r, 1 or C, h, w], 1 = kept
    rows: Tensor | None = None  #: [r], the RoIs that `mask` is of, the others stay; None: of all

    def apply(self, features: Tensor) -> Tensor:
        """See `Decision.apply`."""
        if self.rows is None:
            return features * self.mask.to(features.dtype)
        return MaskRows.apply(features, self.mask, self.rows)

    def full_mask(self, num_rois: int) -> Tensor:
        """See `Decision.full_mask`."""
        if self.rows is None:
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
    """Makes RoI features harder during training. Methods implement `decide`, and say by attributes what they are.

    What a checkpoint must keep beside parameters and buffers is torch's extra state (`get_extra_state`): a dict of
    tensors and plain values.

    Example:
        >>> class Faint(Hardener):
        ...     def decide(self, batch):
        ...         return MaskDecision(torch.full_like(batch.features, 0.5))
        >>> from workbench.types import RoIBatch, Score
        >>> features, labels, image = torch.ones(2, 8, 4, 4), torch.tensor([3, 0]), torch.tensor([0, 0])
        >>> batch = RoIBatch(features, labels, image, Score(lambda maps: maps.mean((2, 3))), torch.Generator())
        >>> Faint()(batch).features.mean()
        tensor(0.5000)
    """

    kind: ClassVar[str] = ""  #: its name in recipes
    acts_on: str = "maps"  #: "maps" of RoIs, or the "vectors" that a classifier's last layer sees
    needs_pairs: bool = False  #: whether the training data must have pairs of clean and occluded images
    pretrains: bool = False  #: whether it must have learned in a stage of its own first
    mixed: ClassVar[bool] = False  #: whether it works on features in bfloat16 under autocast, without float32
    presets: ClassVar[dict[str, dict[str, Any]]] = {}  #: name → options: "paper", "released"
    active = True  #: False while a stage of the training is to run without it

    @classmethod
    def preset(cls, name: str, **options: Any) -> Self:
        """With the options that a preset names, but for `options`.

        Raises:
            RecipeError: it has no such preset.
        """
        return cls(**with_preset(cls, {"preset": name, **options}, "hardener"))

    @classmethod
    def paper(cls, **options: Any) -> Self:
        """The published setting."""
        return cls.preset("paper", **options)

    @classmethod
    def released(cls, **options: Any) -> Self:
        """The setting of the released code; see the table in the docstring of the method's module."""
        return cls.preset("released", **options)

    @property
    def health(self) -> dict[str, float]:
        """Figures of the last step that show whether it does its work; reading them waits for the device."""
        return {}

    def bind_head(self, layout: HeadLayout) -> None:
        """Play against this head, once the detector is built; adversaries build their network here."""

    def begin_stage(self, stage: TrainingStage) -> None:
        """Take up a stage of the training."""
        self.active = stage.harden

    def begin_step(self, progress: float) -> None:
        """Take up a step, of which there have been `progress` (0..1) of the training before."""

    def begin_epoch(self, differences: Callable[[], Tensor]) -> None:
        """Take up an epoch; called at the start of each epoch, and of each stage, that it is active in.

        Args:
            differences: gives what occlusion adds to the features of the training data's pairs [M, C, h, w], by the
                detector as it is now, in evaluation mode; it takes a pass over all pairs.
        """

    def idle_loss(self) -> Tensor | None:
        """The adversary's loss, a scalar, in a step without RoIs to learn from; None: it has none."""
        return None

    def decide(self, batch: RoIBatch) -> Decision:
        """Choose what to do; `batch.features` are detached, `batch.score` has frozen parameters.

        Features are float32, whatever the training's precision, unless the class says that it is `mixed`.
        """
        raise NotImplementedError

    def forward(self, batch: RoIBatch) -> Hardened:
        """Harden a batch of live features [R, C, h, w]."""
        if not self.active:
            return Hardened(batch.features)
        if len(batch.features) == 0:
            return Hardened(batch.features, self.idle_loss())
        with _precision(self.mixed, batch.features.detach()) as seen:
            decision = self.decide(dataclasses.replace(batch, features=seen))
        with _precision(decision.mixed, batch.features) as live:
            hardened = as_constant(decision, live).to(batch.features.dtype)
        return Hardened(hardened, decision.adversary_loss, lambda: _mask(decision, len(hardened)))


@contextlib.contextmanager
def _precision(mixed: bool, features: Tensor) -> Iterator[Tensor]:
    """Features as they are where that is `mixed`; else float32, with autocast off."""
    if mixed:
        yield features
    else:
        with torch.autocast(features.device.type, enabled=False):
            yield features.float()


def as_constant(decision: Decision, features: Tensor) -> Tensor:
    """`decision.apply(features)`, whose gradient goes to the features only, wherever the decision came from."""
    if type(decision) is Decision:
        return features
    if not (torch.is_grad_enabled() and features.requires_grad):
        with torch.no_grad():
            return decision.apply(features)
    return _AsConstant.apply(features, decision)


class _AsConstant(torch.autograd.Function):
    """See `as_constant`: the decision is applied with a graph of its own, which ends in the features."""

    @staticmethod
    def forward(ctx: FunctionCtx, features: Tensor, decision: Decision) -> Tensor:
        with torch.enable_grad():
            ctx.leaf = features.detach().requires_grad_()
            ctx.out = decision.apply(ctx.leaf)
        return ctx.out.detach()

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:
        if not ctx.out.requires_grad:  # something else was put in the place of the features
            return torch.zeros_like(gradient), None
        out, leaf = ctx.out, ctx.leaf
        return torch.autograd.grad(out, leaf, gradient, retain_graph=True, materialize_grads=True)[0], None


def _mask(decision: Decision, num_rois: int) -> Tensor | None:
    mask = decision.full_mask(num_rois)
    return None if mask is None else mask.detach()


class Chain(Hardener):
    """Several hardeners in order, each on what the one before has left; adversary losses add up (fusion).

    Example:
        >>> chain = Chain(ASDN(), RandomDropout())
        >>> chain.acts_on, chain.pretrains, chain.needs_pairs  # ASDN must have learned in a stage of its own first
        ('maps', True, False)
    """

    def __init__(self, *hardeners: Hardener):
        super().__init__()
        self.hardeners = nn.ModuleList(hardeners)

    @property
    def acts_on(self) -> str:  # type: ignore[override]
        """What its parts act on, joined by "and" where they differ."""
        return " and ".join(sorted({one for hardener in self.hardeners for one in hardener.acts_on.split(" and ")}))

    @property
    def needs_pairs(self) -> bool:  # type: ignore[override]
        """Whether one of its parts does."""
        return any(hardener.needs_pairs for hardener in self.hardeners)

    @property
    def pretrains(self) -> bool:  # type: ignore[override]
        """Whether one of its parts does."""
        return any(hardener.pretrains for hardener in self.hardeners)

    @property
    def health(self) -> dict[str, float]:
        """The figures of all; those of the same name are of the last."""
        return {name: value for hardener in self.hardeners for name, value in hardener.health.items()}

    def bind_head(self, layout: HeadLayout) -> None:
        """Passed on."""
        for hardener in self.hardeners:
            hardener.bind_head(layout)

    def begin_stage(self, stage: TrainingStage) -> None:
        """Passed on."""
        super().begin_stage(stage)
        for hardener in self.hardeners:
            hardener.begin_stage(stage)

    def begin_step(self, progress: float) -> None:
        """Passed on."""
        for hardener in self.hardeners:
            hardener.begin_step(progress)

    def begin_epoch(self, differences: Callable[[], Tensor]) -> None:
        """Passed on."""
        for hardener in self.hardeners:
            hardener.begin_epoch(differences)

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


def draw_background(batch: RoIBatch, share: float, *, clean_images: int = 0) -> Tensor:
    """A random `share` (0..1) of the background RoIs that may be hardened; see `candidates`."""
    rows = candidates(batch, foreground_only=False, clean_images=clean_images)
    rows = rows[batch.labels[rows] == 0]
    return draw_rows(rows, share, batch.generator) if share else rows[:0]  # without a share nothing is drawn


def draw_rows(rows: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """A random `share` (0..1) of `rows` [n], rounded to the nearest count, ascending."""
    count = round(share * len(rows))
    order = torch.randperm(len(rows), generator=generator, device=generator.device)[:count]
    return rows[order.to(rows.device)].sort().values


def uniform(shape: tuple[int, ...], like: Tensor, generator: torch.Generator) -> Tensor:
    """Float32 in 0..1 from `generator`, on the device of `like`."""
    return torch.rand(shape, generator=generator, device=generator.device).to(like.device)
