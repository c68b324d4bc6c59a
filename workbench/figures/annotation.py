"""How good workers are (T.-Y. Lin's thesis, Fig. 2.4), and what errors cost a detector that learns from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workbench.annotation import WorkerQuality
from workbench.errors import DataError, did_you_mean
from workbench.figures.drawing.canvas import new_figure, plain
from workbench.figures.drawing.colours import INK, OKABE_ITO, cycle
from workbench.training.comparison import t_interval

BLUE, RED, ORANGE = OKABE_ITO[0], OKABE_ITO[1], OKABE_ITO[4]
MOST = 24  #: workers whose names are shown


def quality_figure(quality: WorkerQuality, name: str) -> Figure:
    """One of the figures that `figure_names` lists.

    Raises:
        DataError: there is no such figure of these workers.
    """
    names = figure_names(quality)
    if name not in names:
        raise DataError(f"these workers have no figure {name!r}{did_you_mean(name, names)}")
    return _FIGURES[name](quality)


def figure_names(quality: WorkerQuality) -> tuple[str, ...]:
    """What can be drawn of workers."""
    has_union, several = len(quality.union) > 0, len(quality.workers) > 1
    there = {"union": has_union, "workers": several, "agreement": several}
    return tuple(name for name, is_there in there.items() if is_there)


def union_figure(quality: WorkerQuality) -> Figure:
    """Fig. 2.4 a: precision and recall of the union of 1, 2 … workers, of single ones, and of experts."""
    figure, panels = new_figure(1, 2, (9.6, 3.9))
    left, right = panels[0]
    union, single = quality.union, quality.workers[~quality.workers["expert"]]
    left.scatter(single["recall"], single["precision"], s=14, color="0.65", label="single workers", zorder=2)
    experts = quality.workers[quality.workers["expert"]]
    if len(experts):
        left.scatter(experts["recall"], experts["precision"], s=40, color=RED, label="experts", zorder=4)
    left.plot(union["recall"], union["precision"], color=BLUE, marker="o", label="union of so many", zorder=3)
    for number, row in union.iterrows():
        shift = (6, 6) if number % 2 else (-4, -12)
        left.annotate(
            str(number), row[["recall", "precision"]], shift, textcoords="offset points", fontsize=8, color=BLUE
        )
    left.set(xlabel="recall", ylabel="precision")
    _frame(left, [*single["recall"], *experts["recall"], *union["recall"]], "x")
    _frame(left, [*single["precision"], *experts["precision"], *union["precision"]], "y")
    left.legend(frameon=False, fontsize=8, loc="lower left")
    for what, colour, marker in (("recall", BLUE, "o"), ("precision", ORANGE, "s")):
        right.fill_between(
            union.index, union[f"{what}_low"], union[f"{what}_high"], color=colour, alpha=0.2, linewidth=0
        )
        right.plot(union.index, union[what], color=colour, marker=marker, markersize=5, label=what)
    right.plot(union.index, union["recall_if_independent"], color=INK, linestyle=":", label="recall, if independent")
    right.set(xlabel="workers in the union", ylim=(min(0.5, right.get_ylim()[0]), 1.02))
    right.xaxis.get_major_locator().set_params(integer=True)
    right.legend(frameon=False, fontsize=8, loc="lower right")
    return _finished(figure, quality, left, right)


def workers_figure(quality: WorkerQuality, *, precision: float | None = None) -> Figure:
    """Fig. 2.4 b: how many workers (area) with how many jobs (colour) have which precision and recall.

    Both are against the union of all others.

    Args:
        precision: where a line is drawn, below which work is rejected.
    """
    table = quality.grid(0.1)
    figure, panels = new_figure(1, 1, (6.2, 4.6))
    axes = panels[0, 0]
    area = 36 * table["workers"] * min(1.0, 20 / table["workers"].max())
    style = {"cmap": "viridis_r", "edgecolor": "0.3", "linewidth": 0.6, "zorder": 3}
    middles = table[["recall", "precision"]] + 0.05
    points = axes.scatter(middles["recall"], middles["precision"], s=area, c=table["jobs"], **style)
    for number, place, size in zip(table["workers"], middles.to_numpy(), area, strict=True):
        below = {"textcoords": "offset points", "ha": "center", "va": "top", "fontsize": 7, "color": "0.3"}
        axes.annotate(str(number), place, (0, -3 - np.sqrt(size) / 2), **below)
    bar = figure.colorbar(points, ax=axes, pad=0.02)
    bar.set_label("jobs per worker, mean", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)
    if precision is not None:
        axes.axhline(precision, color="black", linewidth=1.4)
        axes.annotate("rejected below", (0.01, precision), (0, -3), textcoords="offset points", fontsize=8, va="top")
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="recall", ylabel="precision")
    axes.set_xticks(np.linspace(0, 1, 11))
    axes.set_yticks(np.linspace(0, 1, 11))
    axes.set_title("workers in each tenth, against the union of all others", fontsize=9)
    return _finished(figure, quality, axes)


def agreement_figure(quality: WorkerQuality) -> Figure:
    """Which share of what either of two workers claims both do; the workers with the most jobs."""
    chosen = quality.workers["jobs"].nlargest(MOST, keep="first").index
    table = quality.agreement.loc[chosen, chosen].to_numpy().copy()
    np.fill_diagonal(table, np.nan)
    side = 2.2 + 0.24 * len(chosen)
    figure, panels = new_figure(1, 1, (side + 1.2, side))
    axes = panels[0, 0]
    picture = axes.imshow(table, cmap="YlGnBu", vmin=0, vmax=1, interpolation="nearest")
    names = [plain(name) for name in chosen]
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(picture, ax=axes, pad=0.02)
    bar.set_label("agreement", fontsize=8)
    bar.outline.set_visible(False)
    figure.suptitle(plain(quality.what), fontsize=8, color="0.3", wrap=True)
    return figure


def error_rates_figure(runs: pd.DataFrame, metrics: Sequence[str] = ("AP",)) -> Figure:
    """A metric of detectors against the share of their labels that was wrong, by kind of error.

    Dots are runs; lines go through their means, with 95 % intervals over seeds.

    Args:
        runs: a row for each run, with the columns kind, rate (0..1) and the metrics; rate 0 belongs to all kinds.
        metrics: a panel for each.

    Raises:
        DataError: a column is missing.
    """
    missing = [name for name in ("kind", "rate", *metrics) if name not in runs]
    if missing:
        raise DataError(f"these runs have no column {missing[0]!r}; expected kind, rate and {', '.join(metrics)}")
    figure, panels = new_figure(1, len(metrics), (1.2 + 3.9 * len(metrics), 3.5))
    spoilt = runs[runs["rate"] > 0]
    kinds = list(dict.fromkeys(spoilt["kind"]))
    for axes, metric in zip(panels[0], metrics, strict=True):
        for place, kind in enumerate(kinds):
            own = runs[(runs["rate"] == 0) | (runs["kind"] == kind)]
            shift = 0.006 * (place - (len(kinds) - 1) / 2)  # beside each other, where kinds are alike
            spans = pd.DataFrame({rate: t_interval(some) for rate, some in own.groupby("rate")[metric]}).T
            _, mean, low, high = spans.to_numpy(dtype=float).T
            off = np.nan_to_num([mean - low, high - mean])
            style = {"color": cycle(OKABE_ITO, place), "marker": "os^Dv"[place % 5], "capsize": 3}
            axes.errorbar(spans.index + shift, mean, yerr=off, label=plain(str(kind)), **style)
            axes.scatter(own["rate"] + shift, own[metric], s=9, color="0.35", zorder=3)
        axes.set(xlabel="share of the objects with this error", ylabel=metric)
        axes.set_xticks(sorted(runs["rate"].unique()))
        axes.set_ylim(0, 1.08 * runs[metric].max())
        _dressed(axes)
    panels[0, -1].legend(frameon=False, fontsize=8, loc="lower left")
    return figure


def _frame(axes: Axes, values: list[float], side: str) -> None:
    """Limits around values in 0..1 that leave some room."""
    known = [value for value in values if value == value]
    low = max(0.0, min(known, default=0.0) - 0.06)
    axes.set(**{f"{side}lim": (low, min(1.03, max(known, default=1.0) + 0.05))})


def _finished(figure: Figure, quality: WorkerQuality, *axes: Axes) -> Figure:
    for one in axes:
        _dressed(one)
    figure.suptitle(plain(quality.what), fontsize=8, color="0.3", wrap=True)
    return figure


def _dressed(axes: Axes) -> None:
    axes.grid(color="0.92")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


_FIGURES: dict[str, Callable[[WorkerQuality], Figure]] = {
    "union": union_figure,
    "workers": workers_figure,
    "agreement": agreement_figure,
}
