"""Figures of the focal loss: its curves (T.-Y. Lin's thesis, Fig. 5.1), its spread over windows (Fig. 5.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workbench.analysis.anchor_losses import LossDistribution, LossWindows, hardest_share, loss_distribution
from workbench.errors import DataError
from workbench.figures.drawing.canvas import new_figure, plain
from workbench.figures.drawing.colours import ON_WHITE, cycle
from workbench.losses import AnchorLoss
from workbench.losses.focal import Focal

GAMMAS = (0.0, 0.5, 1.0, 2.0, 5.0)  #: of Fig. 5.1
FIG53 = (0.0, 0.5, 1.0, 2.0)  #: gammas of Fig. 5.3
EASY = 0.6  #: p_gt above which Lin's thesis calls examples well classified
TOP = 5.0  #: loss at the upper edge of the curves


def loss_curves(losses: Mapping[str, AnchorLoss] | Sequence[float] = GAMMAS, *, present: bool = True) -> Figure:
    """Loss of one example against the probability of what is right, p_gt (Fig. 5.1).

    Args:
        losses: by the name to show, or the gammas of focal losses without alpha.
        present: whether the class is there, so that alpha counts; else 1 - alpha.
    """
    named = _by_gamma(losses, alpha=None)
    figure, panels = new_figure(1, 1, (5.6, 4.0))
    axes = panels[0, 0]
    probability = torch.linspace(0.002, 0.998, 499, dtype=torch.double)
    cost = torch.log((1 - probability) / probability)  # more is worse
    axes.axvspan(EASY, 1, color="0.95", zorder=0)
    axes.text((1 + EASY) / 2, 0.97 * TOP, "well-classified\nexamples", ha="center", va="top", color="0.4", fontsize=9)
    for index, (name, loss) in enumerate(named.items()):
        weight = loss.weights[0 if present else 1]
        axes.plot(
            probability, weight * loss.value(cost), color=cycle(ON_WHITE, index), label=plain(name), linewidth=1.6
        )
    weighed = any(loss.alpha is not None for loss in named.values())
    which = f"loss of a class that is {'present' if present else 'absent'}" if weighed else "loss"
    axes.set(xlabel="probability of what is right, p_gt", ylabel=which, xlim=(0, 1), ylim=(0, TOP))
    _dress(axes)
    axes.legend(frameon=False, loc="upper right", bbox_to_anchor=(EASY, 1.0), fontsize=9)
    return figure


def loss_cdfs(
    windows: LossWindows, losses: Mapping[str, AnchorLoss] | Sequence[float] = FIG53, *, alpha: float | None = 0.25
) -> Figure:
    """Cumulative normalised loss against windows, easiest first, positives and negatives apart (Fig. 5.3).

    The legend has the share of the loss that the hardest 1 % carry.

    Args:
        losses: by the name to show, or the gammas of focal losses with `alpha` (which does not matter for negatives,
            and hardly for positives).
    """
    named = _by_gamma(losses, alpha=alpha)
    figure, panels = new_figure(1, 2, (9.2, 3.9))
    for axes, kind in zip(panels[0], ("positives", "negatives"), strict=True):
        some = getattr(windows, kind)
        for index, (name, loss) in enumerate(named.items()):
            each = some.losses(loss)
            label = f"{name}: hardest 1 % carry {hardest_share(each, 0.01):.0%}"
            _curve(axes, loss_distribution(each), index, label)
        what = "objects" if kind == "positives" else "background"
        sample = "" if some.seen == len(some) else f" of {some.seen:,}"
        axes.set_title(f"windows of {what} ({len(some):,}{sample})", fontsize="medium")
        axes.set(xlabel=f"fraction of {what}, easiest first", ylabel="cumulative normalised loss")
        axes.set(xlim=(0, 1), ylim=(0, 1.005))
        _dress(axes)
        axes.legend(frameon=False, loc="upper left", fontsize=8.5)
    figure.suptitle(plain(f"{windows.data}, {windows.num_images} images"), fontsize="medium")
    return figure


def _by_gamma(losses: Mapping[str, AnchorLoss] | Sequence[float], *, alpha: float | None) -> dict[str, AnchorLoss]:
    """The losses by name; from gammas, the names say these only, since alpha is the same for all."""
    if isinstance(losses, Mapping):
        named = dict(losses)
    else:
        named = {f"γ = {gamma:g}{' (CE)' if gamma == 0 else ''}": Focal(gamma=gamma, alpha=alpha) for gamma in losses}
    if not named:
        raise DataError("No losses to show; give gammas, or a mapping from names to losses.")
    return named


def _curve(axes: Axes, distribution: LossDistribution, index: int, label: str) -> None:
    axes.plot(
        distribution.windows, distribution.loss, color=cycle(ON_WHITE, index), label=plain(label), linewidth=1.6
    )
    if index == 0:
        axes.plot([0, 1], [0, 1], color="0.8", linewidth=0.8, zorder=0)


def _dress(axes: Axes) -> None:
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xticks(np.linspace(0, 1, 6))
