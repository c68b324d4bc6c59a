"""What a data set holds: how often each class occurs, and how much of its objects is hidden."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from workbench.figures.drawing.canvas import new_figure
from workbench.figures.drawing.colours import BRIGHT, cycle


def statistics_figure(
    counts: Mapping[str, int], occlusion: Sequence[float] | np.ndarray, *, width: float = 8.0
) -> Figure:
    """Objects per class, and a histogram of their hidden fractions.

    Args:
        counts: class → objects, in the order of the labels.
        occlusion: hidden fractions 0..1, NaN where unknown.
        width: inches.
    """
    figure, axes = new_figure(1, 2, (width, 2.4))
    left, right = axes[0]
    places = np.arange(len(counts))
    left.bar(places, list(counts.values()), color=[cycle(BRIGHT, place) for place in places])
    left.set_title("objects per class", fontsize=10)
    turned = sum(len(name) for name in counts) > 40
    left.set_xticks(places, list(counts), rotation=90 if turned else 0, fontsize=8, parse_math=False)
    known = np.asarray(occlusion, dtype=float)
    known = known[~np.isnan(known)]
    right.set_title("hidden fraction of the objects", fontsize=10)
    if len(known):
        right.hist(known, bins=np.linspace(0, 1, 21), color="#1976d2")
        right.set_xlim(0, 1)
        right.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    else:
        right.text(0.5, 0.5, "unknown in this data set", ha="center", transform=right.transAxes)
        right.set_axis_off()
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    return figure
