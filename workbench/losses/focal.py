"""Losses on the sigmoid logits of dense anchors: cross entropy, focal loss, FL* and hinge (Lin's thesis, ch. 5).

Every anchor has K binary classifiers. Let x be the logit of one, turned so that more is worse: x = logit where the
class is absent, x = -logit where it is present, so p_gt = 1 - sigmoid(x). Each loss here is weight * f(x), weight
alpha for present classes and 1 - alpha for absent ones (1 and 1 where alpha is None), with

| kind | f(x) | f'(x) | in the thesis |
|---|---|---|---|
| cross-entropy | log(1 + e^x) | s(x) | eqs. 5.1, 5.3 |
| focal | s(x)^g log(1 + e^x) | s(x)^g (g s(-x) log(1 + e^x) + s(x)) | eqs. 5.4, 5.5 |
| focal-star | log(1 + e^(g x - b)) / g | s(g x - b) | appendix of Lin et al. 2017: p_gt* = s(g x_gt + b) |
| hinge | max(0, margin + x) | 1 where x > -margin | sec. 5.5.1, "unstable" |

where s is the sigmoid. Nothing overflows. Half-precision logits are computed with in float32.

Almost all anchors are background, so `focal_loss` does not make a dense target: row blocks that stay in the
processor's cache are treated as if all were background, the gradient is written in the forward pass, and the few
present classes are put right afterwards. It holds one tensor of the logits' size; a plain autograd graph holds ten.
There log(1 + e^x) is -log s(-x), which is quick and wrong by at most 6e-8; `anchor_losses`, of which small values are
looked at, has it to all digits.

Where we depart: `tau` clips p_gt from below as the thesis does (sec. 5.4.2, tau = 1e-5 "occasionally diverges", 0.01
"is always stable"); the default is no clipping, since these formulas do not need it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from workbench.errors import RecipeError
from workbench.options import Factor, Offset, Part, Share, Size
from workbench.registry import LOSSES

CACHED = 2**16  #: logits treated at once on a CPU
RESIDENT = 2**24  #: logits treated at once elsewhere


@dataclass(frozen=True, kw_only=True)
class AnchorLoss:
    """What one logit costs; a subclass gives f and f'.

    Args:
        alpha: weight of present classes; 1 - alpha is that of absent ones; None: both weigh 1.
        tau: below this, the probability of what is right counts as tau: constant loss and no gradient; 0: never.

    Raises:
        RecipeError: a value outside its range.

    Example:
        >>> loss = build_anchor_loss({"kind": "focal", "gamma": 2})
        >>> print(loss)
        focal, γ = 2, α = 0.25
        >>> loss.weights, loss.value(torch.zeros(1))  # of present and of absent classes; where undecided
        ((0.25, 0.75), tensor([0.1733]))
    """

    kind: ClassVar[str]  #: its name in recipes
    alpha: Share | None = None
    tau: Part = 0.0

    def __str__(self) -> str:
        """In a few words, as legends and tables name it."""
        marks = {"gamma": "γ", "alpha": "α", "beta": "β", "tau": "τ"}
        shown = {name: value for name, value in vars(self).items() if value is not None and (name != "tau" or value)}
        order = sorted(shown, key=lambda name: (name == "tau", name == "alpha"))
        return ", ".join([self.kind, *(f"{marks.get(name, name)} = {shown[name]:g}" for name in order)])

    @property
    def weights(self) -> tuple[float, float]:
        """Weight of present and of absent classes."""
        return (1.0, 1.0) if self.alpha is None else (self.alpha, 1.0 - self.alpha)

    @property
    def worst(self) -> float:
        """The x above which p_gt counts as `tau`."""
        return math.log(1 / self.tau - 1) if self.tau else math.inf

    def value(self, x: Tensor) -> Tensor:
        """f(x), clipped."""
        return self._value(x.clamp(max=self.worst) if self.tau else x)

    def value_and_slope(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """f(x) and f'(x), clipped."""
        value, slope = self._both(x.clamp(max=self.worst) if self.tau else x)
        return value, slope.masked_fill_(x > self.worst, 0.0) if self.tau else slope

    def _value(self, x: Tensor) -> Tensor:
        return self._both(x)[0]

    def _both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError


@LOSSES.register("cross-entropy")
@dataclass(frozen=True, kw_only=True)
class CrossEntropy(AnchorLoss):
    """CE, or with `alpha` the balanced CE."""

    def _value(self, x: Tensor) -> Tensor:
        return F.softplus(x)

    def _both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return F.softplus(x), torch.sigmoid(x)


@LOSSES.register("focal")
@dataclass(frozen=True, kw_only=True)
class Focal(AnchorLoss):
    """FL, which discounts what is classified well already by (1 - p_gt)^gamma; gamma 0 is cross entropy."""

    gamma: Factor = 2.0
    alpha: Share | None = 0.25

    def _value(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x).pow_(self.gamma).mul_(F.softplus(x))

    def _both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        right = torch.sigmoid(-x)
        cost = torch.maximum(right.clamp(min=torch.finfo(x.dtype).tiny).log_().neg_(), x)  # x where s(-x) underflows
        wrong = 1 - right
        slope = torch.addcmul(wrong, right, cost, value=self.gamma)
        discount = wrong.pow_(self.gamma)
        return cost.mul_(discount), slope.mul_(discount)


@LOSSES.register("focal-star")
@dataclass(frozen=True, kw_only=True)
class FocalStar(AnchorLoss):
    """FL*, cross entropy of a steeper and shifted sigmoid."""

    gamma: Size = 2.0
    beta: Offset = 1.0

    def _both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        moved = x.mul(self.gamma).sub_(self.beta)
        return F.softplus(moved).div_(self.gamma), moved.sigmoid_()


@LOSSES.register("hinge")
@dataclass(frozen=True, kw_only=True)
class Hinge(AnchorLoss):
    """Nothing once the logit is on the right side by `margin`, linear before."""

    margin: Offset = 1.0

    def _both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        moved = x + self.margin
        return moved.clamp(min=0), (moved > 0).to(x.dtype)


def build_anchor_loss(config: dict | None) -> AnchorLoss:
    """The loss that a recipe describes ({"kind": ..., and its options}); None: focal with its defaults.

    Raises:
        RecipeError: a kind or option that does not exist.

    Example:
        >>> print(build_anchor_loss({"kind": "cross-entropy"}), build_anchor_loss(None), sep="; ")
        cross-entropy; focal, γ = 2, α = 0.25
    """
    return LOSSES.build(config or {}, default="focal")


def prior_bias(prior: float) -> float:
    """Bias of the last layer, -log((1 - prior) / prior), so that every class begins at probability `prior` (§5.4.1).

    Raises:
        RecipeError: a prior outside 0..1.

    Example:
        >>> torch.tensor(prior_bias(0.01)).sigmoid()
        tensor(0.0100)
    """
    if not 0 < prior < 1:
        raise RecipeError(f"detector.prior is {prior}; expected a probability, 0 < prior < 1")
    return -math.log((1 - prior) / prior)


def focal_loss(
    logits: Tensor, labels: Tensor, loss: AnchorLoss | None = None, *, weights: Tensor | None = None
) -> Tensor:
    """Weighted sum of the losses of all anchors, a float32 scalar.

    Its gradient is computed at once, so a second derivative does not exist.

    Args:
        logits: [..., K] of any floating type; a copy is made only if it is not contiguous.
        labels: [...] int64, 0 for background, 1..K, -1 for ignored anchors.
        loss: None: `Focal()`.
        weights: [...] of the anchors; no gradient reaches them. None: 1.

    Example:
        >>> logits, labels = torch.tensor([[0.0, -9.0], [-9.0, -9.0]]), torch.tensor([1, 0])
        >>> focal_loss(logits, labels)  # an undecided object, 0.25 * 0.5**2 * log(2), and easy background
        tensor(0.0433)
    """
    rows = logits.reshape(-1, logits.shape[-1])
    factors = torch.ones_like(labels, dtype=torch.float32) if weights is None else weights.detach().expand_as(labels)
    return _WeightedSum.apply(rows, labels.reshape(-1), factors.reshape(-1), loss or Focal())


@torch.no_grad()
def anchor_losses(logits: Tensor, labels: Tensor, loss: AnchorLoss | None = None) -> Tensor:
    """Loss of each anchor, [A], of logits [A, K] and labels [A], 0 where it is ignored; without gradient.

    Example:
        >>> anchor_losses(torch.zeros(3, 1), torch.tensor([1, 0, -1]))  # an object, background, an ignored anchor
        tensor([0.0433, 0.1300, 0.0000])
    """
    return _rows(logits, labels, loss or Focal(), None, None)


class _WeightedSum(torch.autograd.Function):
    """sum_a weights[a] * loss[a], with the gradient written in the forward pass."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, weights: Tensor, loss: AnchorLoss) -> Tensor:
        ctx.gradient = torch.empty_like(logits) if ctx.needs_input_grad[0] else None
        each = _rows(logits, labels, loss, weights, ctx.gradient)
        kind = torch.promote_types(logits.dtype, torch.float32)
        if logits.device.type == "cpu":  # not every device has float64
            return torch.dot(each.double(), weights.double()).to(kind)
        return (each * weights).sum().to(kind)

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor, None, None, None]:
        same = float(above) == 1.0  # as in training, where losses are summed: no copy
        return ctx.gradient if same else ctx.gradient * above.to(ctx.gradient.dtype), None, None, None


def _rows(
    logits: Tensor, labels: Tensor, loss: AnchorLoss, weights: Tensor | None, gradient: Tensor | None
) -> Tensor:
    """Loss of each row [A]; the weighted gradient goes to `gradient` [A, K]."""
    num, classes = logits.shape
    exact = torch.promote_types(logits.dtype, torch.float32)
    present, absent = loss.weights
    counted = (labels >= 0).to(exact)
    factors = counted if weights is None else counted * weights
    rows = torch.where(labels > 0)[0]
    own = (rows, labels[rows] - 1)  # the present classes
    each = torch.empty(num, dtype=exact, device=logits.device)
    step = max(1, (CACHED if logits.device.type == "cpu" else RESIDENT) // max(1, classes))
    limits = torch.searchsorted(rows, torch.arange(0, num + step, step, device=labels.device)).tolist()
    for block, start in enumerate(range(0, num, step)):
        span, few = slice(start, min(start + step, num)), slice(*limits[block : block + 2])
        x = logits[span].to(exact)
        if gradient is None:
            value = loss.value(x)
        else:
            value, slope = loss.value_and_slope(x)
            torch.mul(slope, absent * factors[span, None], out=gradient[span])
        value[rows[few] - start, own[1][few]] = 0
        torch.sum(value, 1, out=each[span])
    turned = -logits[own].to(exact)
    if gradient is not None:
        gradient[own] = (loss.value_and_slope(turned)[1] * factors[rows] * -present).to(gradient.dtype)
    each.mul_(absent).index_add_(0, rows, loss.value(turned), alpha=present)
    return each.mul_(counted)
