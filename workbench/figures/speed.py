"""Speed against accuracy (thesis Fig. 5.4)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workbench.errors import DataError
from workbench.figures.canvas import new_figure
from workbench.figures.evaluation import COLOURS, MARKERS, _plain

NEEDED = ("detector", "ms", "AP")
ENVELOPE = "best AP in this time"
BESIDE = (
    (6, 5),
    (-6, -12),
    (6, -12),
    (-6, 5),
)  #: points from a mark to its size, so that detectors alike can be read


def speed_against_accuracy(table: pd.DataFrame, *, envelope: bool = True) -> Figure:
    """AP against milliseconds per image: one line per detector, one mark per size (short side, pixels).

    Args:
        table: as from `workbench.evaluation.speed.speed_and_accuracy`. Needed are detector, ms and AP; size, the
            interval of AP (low, high) and the quartiles of the time (ms_low, ms_high) are shown where there are any.
        envelope: a grey step shows the best AP to be had in a given time.

    Raises:
        DataError: no rows, or a column that is needed is missing.
    """
    missing = [name for name in NEEDED if name not in table]
    if missing or table.empty:
        what = f"no column {missing[0]!r}" if missing else "no rows"
        raise DataError(
            f"The table of speed and accuracy has {what}; expected one from speed_and_accuracy(...)."
        )
    figure, panels = new_figure(1, 1, (6.8, 4.4))
    axes = panels[0, 0]
    if envelope:
        _envelope(axes, table)
    for place, (name, rows) in enumerate(table.groupby("detector", sort=False)):
        _detector(axes, str(name), rows.sort_values("ms"), place)
    axes.set(xlabel="time per image, ms", ylabel="AP")
    axes.margins(x=0.08, y=0.08)
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, fontsize=9, loc="outside upper center", ncols=3)
    return figure


def best_so_far(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that no other beats in both: none is as fast and more accurate. Fastest first."""
    ordered = table.sort_values(["ms", "AP"], ascending=[True, False])
    return ordered[ordered["AP"] > ordered["AP"].cummax().shift(fill_value=-np.inf)]


def _envelope(axes: Axes, table: pd.DataFrame) -> None:
    best = best_so_far(table)
    ms = [*best["ms"], max(table["ms"])]
    axes.step(
        ms,
        [*best["AP"], best["AP"].iloc[-1]],
        where="post",
        color="0.87",
        linewidth=5,
        zorder=0,
        label=ENVELOPE,
    )


def _detector(axes: Axes, name: str, rows: pd.DataFrame, place: int) -> None:
    spans = {"yerr": _spans(rows, "AP", "low", "high"), "xerr": _spans(rows, "ms", "ms_low", "ms_high")}
    style = {"color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place % len(MARKERS)]}
    axes.errorbar(rows["ms"], rows["AP"], **spans, **style, linewidth=1.4, elinewidth=0.8, label=_plain(name))
    beside = BESIDE[place % len(BESIDE)]
    if "size" not in rows:
        return
    for ms, ap, size in zip(rows["ms"], rows["AP"], rows["size"], strict=True):
        if not pd.isna(size):
            text = {"textcoords": "offset points", "fontsize": 8, "color": style["color"]}
            axes.annotate(
                f"{size:g}", (ms, ap), xytext=beside, ha="left" if beside[0] > 0 else "right", **text
            )


def _spans(rows: pd.DataFrame, value: str, low: str, high: str) -> np.ndarray | None:
    """Lengths [2, n] of error bars below and above; None where nothing is known of them."""
    if low not in rows or high not in rows:
        return None
    return np.stack([rows[value] - rows[low], rows[high] - rows[value]]).clip(min=0)
