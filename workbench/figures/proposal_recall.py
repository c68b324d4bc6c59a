"""Figures of proposals: how many objects they reach."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from workbench.errors import DataError
from workbench.evaluation.counting.matching import THRESHOLDS
from workbench.evaluation.proposal_recall import LIMITS, SIZES, ProposalRecall
from workbench.figures.drawing.canvas import new_figure, plain
from workbench.figures.drawing.colours import INK, MARKERS, ON_WHITE, cycle

WIDTHS = tuple(0.8 * (place + 1) for place in range(len(LIMITS)))  #: points, of the lines of so many proposals
OVERLAP = {"bbox": "boxes", "segm": "masks", "segm-amodal": "amodal masks"}  #: what overlaps, by `iou_type`

Recalls = ProposalRecall | Mapping[str, ProposalRecall]


def proposal_recall_figure(recalls: Recalls, *, size: str = "all") -> Figure:
    """Recall against IoU (of the best 10, 100, 1000, thin to thick), and average recall against their number.

    The axes say whether boxes or masks overlap; of both in one figure each name does.

    Args:
        recalls: one, or several as a mapping from the name to show.
        size: objects of "all" sizes, or "small", "medium", "large" ones.
    """
    named = {"": recalls} if isinstance(recalls, ProposalRecall) else dict(recalls)
    if not named:
        raise DataError("No recalls to show; give one, or a mapping from names to recalls.")
    if size not in SIZES:
        raise DataError(f"there are no {size!r} objects; choose one of {SIZES}")
    kinds = {OVERLAP[recall.iou_type] for recall in named.values()}
    figure, axes = new_figure(1, 2, (8.4, 3.6))
    left, right = axes[0]
    for index, (name, recall) in enumerate(named.items()):
        name = f"{name} ({OVERLAP[recall.iou_type]})" if len(kinds) > 1 else name
        colour, values = cycle(ON_WHITE, index), recall.recall[SIZES.index(size)]  # [T, L]
        for place, width in enumerate(WIDTHS):
            left.plot(THRESHOLDS, values[:, place], color=colour, linewidth=width)
        marker = cycle(MARKERS, index)
        right.plot(LIMITS, values.mean(axis=0), color=colour, marker=marker, label=plain(name))
    left.set(xlabel=f"IoU of {' or '.join(sorted(kinds))}", ylabel="recall", xlim=(0.5, 0.95))
    right.set(xlabel="proposals per image", ylabel="average recall", xscale="log")
    right.set_xticks(LIMITS, [str(limit) for limit in LIMITS])
    right.minorticks_off()
    for panel in (left, right):
        _dress(panel)
    shade = ON_WHITE[0] if len(named) == 1 else INK
    best = [
        Line2D([], [], color=shade, linewidth=width, label=f"best {n}")
        for n, width in zip(LIMITS, WIDTHS, strict=True)
    ]
    left.legend(handles=best, frameon=False, loc="best")
    if len(named) > 1:
        right.legend(frameon=False)
    first = next(iter(named.values()))
    what = "objects" if size == "all" else f"{size} objects"
    figure.suptitle(plain(f"{first.data}, {first.num_objects[SIZES.index(size)]} {what}"), fontsize="medium")
    return figure


def _dress(axes: Axes) -> None:
    axes.set_ylim(0, 1.02)
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
