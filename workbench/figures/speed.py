"""Speed against accuracy (T.-Y. Lin's thesis, Fig. 5.4): what is up and to the left is better."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from workbench.errors import DataError
from workbench.figures.drawing.canvas import new_figure, plain
from workbench.figures.drawing.colours import MARKERS, ON_WHITE, cycle

NEEDED = ("group", "milliseconds", "AP", "low", "high")


def speed_against_accuracy(points: pd.DataFrame, *, where: str = "", measure: str = "AP") -> Figure:
    """One point for each row, named by the table's index; those of a group share colour and marker and are joined.

    Args:
        points: columns group (such as a detector at several sizes), milliseconds (per image), AP, and its interval
            low, high (NaN: none).
        where: what was timed, and on what machine, for the title.
        measure: what the upright axis is called.

    Raises:
        DataError: no rows, or a column is missing.
    """
    missing = [name for name in NEEDED if name not in points.columns]
    if missing or not len(points):
        what = ", ".join(NEEDED)
        raise DataError(f"to show speed, give rows with the columns {what}; missing: {missing or 'rows'}")
    figure, panels = new_figure(1, 1, (6.4, 4.2))
    axes = panels[0, 0]
    for index, (group, some) in enumerate(points.groupby("group", sort=False)):
        some = some.sort_values("milliseconds")
        colour, marker = cycle(ON_WHITE, index), cycle(MARKERS, index)
        spans = [span.clip(lower=0).fillna(0) for span in (some["AP"] - some["low"], some["high"] - some["AP"])]
        style = {"color": colour, "marker": marker, "markersize": 7, "linewidth": 1.4}
        axes.errorbar(some["milliseconds"], some["AP"], yerr=spans, label=plain(str(group)), elinewidth=0.9, **style)
        for name, row in some.iterrows():
            place = {"xytext": (7, -13 if index % 2 else 6), "textcoords": "offset points"}
            axes.annotate(plain(str(name)), (row["milliseconds"], row["AP"]), fontsize=8, color=colour, **place)
    axes.set(xlabel="milliseconds per image", ylabel=plain(measure))
    axes.set_xlim(0, 1.12 * points["milliseconds"].max())
    axes.set_ylim(0, None)
    axes.set_title(plain(where), fontsize="medium")
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    return figure
