"""Figures of evaluations: by occlusion, by class, precision against recall, and paired differences.

Every function takes one `Result`, or several as a mapping from the name to show to the result, and returns a
matplotlib figure that nothing else holds on to. In a notebook it is shown when it is the last value of a
cell.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workbench.errors import DataError
from workbench.evaluation import Result
from workbench.figures.drawing.canvas import new_figure, plain
from workbench.figures.drawing.colours import MARKERS, ON_WHITE, cycle

LEAST = ("AP_unoccluded", "< 5 %")  #: one figure under the two names that tables have for it
Results = Result | Mapping[str, Result]


def ap_by_occlusion(results: Results) -> Figure:
    """AP at each level of occlusion with its 95 % interval; objects of other levels are ignored."""
    named = _named(results)
    figure, axes = _new(6.4, 4.0)
    tables = {name: result.by_occlusion for name, result in named.items()}
    levels = list(next(iter(tables.values())).index)
    for i, (name, table) in enumerate(tables.items()):
        places = np.arange(len(levels)) + _shift(i, len(tables), 0.12)
        _errorbar(axes, places, table, i, name)
    counts = {tuple(table["n"]) for table in tables.values()}
    labels = levels
    if len(counts) == 1:
        labels = [f"{level}\nn = {n}" for level, n in zip(levels, counts.pop(), strict=True)]
    axes.set(xlabel="hidden fraction of the object", ylabel="AP", xlim=(-0.5, len(levels) - 0.5))
    axes.set_xticks(range(len(levels)), labels)
    _from_zero(axes)
    notes = {table.attrs["note"] for table in tables.values() if "note" in table.attrs}
    if notes:
        axes.set_title("\n".join(sorted(notes)), fontsize="small", color="0.3", wrap=True)
    _legend(axes, named)
    return figure


def ap_by_class(results: Results) -> Figure:
    """AP of each class as bars with 95 % intervals.

    Raises:
        DataError: the results know other classes.
    """
    named = _named(results)
    classes = next(iter(named.values())).classes
    if any(result.classes != classes for result in named.values()):
        raise DataError(f"The results {', '.join(named)} are about different classes; show them one by one.")
    height = 0.8 / len(named)
    figure, axes = _new(6.4, max(2.4, 1.0 + 0.11 * len(classes) * (1 + len(named))))
    for i, (name, result) in enumerate(named.items()):
        table = result.by_class
        places = np.arange(len(classes)) + _shift(i, len(named), height)
        axes.barh(places, table["AP"], height, color=cycle(ON_WHITE, i), label=plain(name), alpha=0.85)
        spans = _spans(table)
        axes.errorbar(table["AP"], places, xerr=spans, fmt="none", ecolor="0.2", elinewidth=1)
    names = [plain(label) for label in classes]
    counts = next(iter(named.values())).by_class["n"]
    axes.set_yticks(range(len(classes)), [f"{name}  (n = {n})" for name, n in zip(names, counts, strict=True)])
    axes.set(xlabel="AP", xlim=(0, 1), ylim=(len(classes) - 0.4, -0.6))  # the first class on top
    axes.grid(axis="x", color="0.9")
    _legend(axes, named)
    return figure


def precision_recall(results: Results, *, threshold: float = 0.5, label: int | None = None) -> Figure:
    """Precision against recall at one IoU threshold, for one class (label 1..K) or the mean over classes."""
    named = _named(results)
    figure, axes = _new(5.0, 4.4)
    for i, (name, result) in enumerate(named.items()):
        curve = result.precision_recall(threshold, label)
        area = curve["precision"].mean()
        axes.plot(
            curve["recall"], curve["precision"], color=cycle(ON_WHITE, i), label=plain(f"{name} (area {area:.3f})")
        )
    what = "mean over classes" if label is None else plain(next(iter(named.values())).classes[label - 1])
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02), title=f"{what}, IoU ≥ {threshold:g}")
    axes.grid(color="0.9")
    axes.legend(frameon=False, loc="lower left")
    return figure


def differences(table: pd.DataFrame, *, a: str = "a", b: str = "b") -> Figure:
    """Paired differences, as `workbench.evaluation.difference` gives them, with their 95 % intervals.

    Filled marks are differences whose interval excludes 0. `a` and `b` are the names to show.
    """
    if LEAST[1] in table.index:
        table = table.drop(index=LEAST[0], errors="ignore")
    figure, axes = _new(6.0, 1.4 + 0.3 * len(table))
    places = np.arange(len(table))
    clear = ((table["low"] > 0) | (table["high"] < 0)).to_numpy()
    axes.axvline(0, color="0.5", linewidth=1)
    axes.hlines(places, table["low"], table["high"], color=ON_WHITE[0])
    fill = np.where(clear, ON_WHITE[0], "white")
    axes.scatter(table["difference"], places, color=fill, edgecolor=ON_WHITE[0], zorder=3)
    axes.set_yticks(places, [plain(str(name)) for name in table.index])
    axes.invert_yaxis()
    axes.set_xlabel(plain(f"{b} minus {a}"))
    axes.grid(axis="x", color="0.9")
    return figure


def _named(results: Results) -> dict[str, Result]:
    named = {"": results} if isinstance(results, Result) else dict(results)
    if not named:
        raise DataError("No results to show; give a Result, or a mapping from names to results.")
    return named


def _new(width: float, height: float) -> tuple[Figure, Axes]:
    figure, panels = new_figure(1, 1, (width, height))
    axes = panels[0, 0]
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    return figure, axes


def _errorbar(axes: Axes, places: np.ndarray, table: pd.DataFrame, i: int, name: str) -> None:
    axes.errorbar(
        places,
        table["AP"],
        yerr=_spans(table),
        color=cycle(ON_WHITE, i),
        marker=cycle(MARKERS, i),
        linewidth=1.2,
        elinewidth=1,
        capsize=3,
        label=plain(name),
    )


def _spans(table: pd.DataFrame) -> np.ndarray:
    """Lengths [2, n] of the error bars below and above; a reflected interval may lie to one side."""
    return np.stack([table["AP"] - table["low"], table["high"] - table["AP"]]).clip(min=0)


def _shift(i: int, number: int, step: float) -> float:
    """Beside each other, centred: no two marks hide each other."""
    return (i - (number - 1) / 2) * step


def _from_zero(axes: Axes) -> None:
    top = axes.get_ylim()[1] if np.isfinite(axes.dataLim.y1) else 1.0
    axes.set_ylim(0, max(0.05, min(1.02, top)))
    axes.grid(axis="y", color="0.9")


def _legend(axes: Axes, named: Mapping[str, Result]) -> None:
    if len(named) > 1 or "" not in named:
        axes.legend(frameon=False)
