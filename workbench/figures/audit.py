"""Figures of an audit (`workbench.evaluation.AuditReport`): what is found when objects are hidden, and why not.

Colours of text, axes and grids are matplotlib's settings, so that a figure can be drawn for a dark page as well.
"""

from __future__ import annotations

from collections.abc import Callable

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from workbench.errors import DataError, did_you_mean
from workbench.evaluation import AuditReport
from workbench.evaluation.auditing.counted import FATES
from workbench.figures.audit_pictures import first_lost
from workbench.figures.drawing.canvas import new_figure, plain
from workbench.figures.drawing.colours import INK, MARKERS, OKABE_ITO, ON_PAGE, cycle

MOST_CLASSES = 24  #: those with the most objects are shown
_FATE_COLOURS = dict(
    zip(FATES, (OKABE_ITO[2], OKABE_ITO[5], OKABE_ITO[4], OKABE_ITO[3], OKABE_ITO[1], INK), strict=True)
)
HIDDEN = "hidden share of each object"


def audit_figure(report: AuditReport, name: str) -> Figure:
    """One of the figures that `figure_names` lists.

    Raises:
        DataError: there is no such figure of this audit.
    """
    names = figure_names(report)
    if name not in names:
        raise DataError(f"this audit has no figure {name!r}{did_you_mean(name, names)}")
    return _FIGURES[name][1](report)


def figure_names(report: AuditReport) -> tuple[str, ...]:
    """What can be drawn of an audit, in the order of a reader's questions."""
    return tuple(name for name, (has, _) in _FIGURES.items() if has(report))


def recall_by_hidden(report: AuditReport) -> Figure:
    """Recall against the hidden fraction, all kinds of occluders together, with 95 % intervals."""
    figure, axes = _new()
    for i, (name, table) in enumerate(_split(report.recall(), "detector")):
        _curve(axes, table, "recall", i, name)
    _shares(axes, HIDDEN, "recall")
    _legend(axes, len(report.detectors))
    return figure


def precision_by_hidden(report: AuditReport) -> Figure:
    """AP against the hidden fraction, the mean over kinds of occluders, with 95 % intervals."""
    figure, axes = _new()
    for i, (name, table) in enumerate(_split(report.average_precision(), "detector")):
        _curve(axes, table, "AP", i, name)
    _shares(axes, HIDDEN, "AP", top=None)
    _legend(axes, len(report.detectors))
    return figure


def recall_by_kind(report: AuditReport) -> Figure:
    """Recall against the hidden fraction for each kind of occluder; a panel for each detector."""
    return _by(report, report.recall("kind"), "kind")


def recall_by_place(report: AuditReport) -> Figure:
    """Recall against the hidden fraction for each place of the first kind of occluder, also the worst one found."""
    return _by(report, report.recall("place"), "place")


def recall_by_size(report: AuditReport) -> Figure:
    """Recall against the hidden fraction for small, medium and large objects, as COCO has them."""
    return _by(report, report.recall("size"), "size")


def needed_halves(report: AuditReport) -> Figure:
    """How much more is lost with the top hidden than with the bottom, and with the left than with the right."""
    table = report.halves()
    figure, panels = _panels(report, 3.0, sharey=True)
    for axes, (name, own) in zip(panels, _split(table, "detector"), strict=False):
        for i, (half, rows) in enumerate(_split(own, "half")):
            other = rows["other"].iloc[0]
            shifted = rows.assign(hidden=rows["hidden"] + 0.006 * (2 * i - 1))
            _curve(axes, shifted, "difference", i, f"{half} rather than {other}", band=False)
        axes.axhline(0, color=INK, linewidth=1)
        axes.set(xlabel="hidden from one side", ylabel="recall that is lost more")
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
        _title(axes, name, report)
        _ground(axes)
    _one_legend(figure, panels[0])
    return figure


def recall_by_class(report: AuditReport) -> Figure:
    """Recall of each class on clean images and with half of each object hidden; the greatest loss first."""
    table = report.recall("class")
    middle = _middle(table)
    ends = table[table["hidden"].isin([0.0, middle])]
    wide = ends.pivot(index=["detector", "class"], columns="hidden", values=["recall", "n"])
    counts = wide["n"][0.0].groupby("class", sort=False).first().nlargest(MOST_CLASSES)
    loss = (wide["recall"][0.0] - wide["recall"][middle]).groupby("class").mean()[counts.index]
    names = loss.sort_values(ascending=False, kind="stable").index
    figure, axes = _new(height=1.2 + 0.24 * len(names))
    step = 0.7 / len(report.detectors)
    for i, detector in enumerate(report.detectors):
        places = np.arange(len(names)) + (i - (len(report.detectors) - 1) / 2) * step
        clean, hidden = (wide["recall"][share].loc[detector].reindex(names) for share in (0.0, middle))
        tint = cycle(ON_PAGE, i)
        axes.hlines(places, hidden, clean, color=tint, linewidth=2, alpha=0.5)
        axes.scatter(clean, places, s=22, color=tint, label=plain(detector), zorder=3)
        axes.scatter(hidden, places, s=22, facecolor="none", edgecolor=tint, zorder=3)
    axes.set_yticks(range(len(names)), [plain(f"{name}  (n = {counts[name]:.0f})") for name in names])
    axes.set(xlabel=f"recall: filled on clean images, hollow with {100 * middle:g} % hidden", xlim=(-0.03, 1.03))
    axes.invert_yaxis()
    _ground(axes, "x")
    if len(report.detectors) > 1:
        figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return figure


def fates_by_hidden(report: AuditReport) -> Figure:
    """What objects are lost to as more of them is hidden."""
    figure, panels = _panels(report, 3.0, sharey=True)
    for axes, (name, table) in zip(panels, _split(report.fates(), "detector"), strict=False):
        places, start = np.arange(len(table)), np.zeros(len(table))
        for fate in FATES:
            shares = table[fate].to_numpy()
            axes.bar(places, shares, 0.86, bottom=start, color=_FATE_COLOURS[fate], label=fate)
            start += shares
        axes.set_xticks(places, [f"{100 * share:.0f}" for share in table["hidden"]])
        axes.set(
            xlabel="% of each object hidden", ylabel="share of objects", ylim=(0, 1), xlim=(-0.6, len(table) - 0.4)
        )
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
        _title(axes, name, report)
        axes.spines[["top", "right"]].set_visible(False)
    _one_legend(figure, panels[0], columns=3)
    return figure


def calibration(report: AuditReport) -> Figure:
    """How often detections of a score are right, on clean images and with half of each object hidden."""
    table, errors = report.reliability(), report.calibration().set_index(["detector", "hidden"])
    figure, panels = _panels(report, 3.2)
    middle = _middle(table)
    for axes, (name, own) in zip(panels, _split(table, "detector"), strict=False):
        axes.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle=":")
        for i, share in enumerate(dict.fromkeys((0.0, middle))):
            rows = own[(own["hidden"] == share) & (own["n"] > 0)]
            error = errors.loc[(name, share), "ECE"]
            label = f"{'clean' if share == 0 else f'{100 * share:g} % hidden'}, ECE {error:.2f}"
            axes.plot(rows["score"], rows["right"], color=cycle(ON_PAGE, i), marker=cycle(MARKERS, i), label=label)
        axes.set(xlabel="score", ylabel="share of right detections", xlim=(0, 1), ylim=(0, 1))
        axes.legend(frameon=False, fontsize="small", loc="upper left")
        _title(axes, name, report)
        _ground(axes)
    return figure


def recall_by_severity(report: AuditReport) -> Figure:
    """Recall against the severity of each corruption, with 95 % intervals."""
    figure, panels = _panels(report, 3.0, sharey=True)
    for axes, (name, table) in zip(panels, _split(report.corruptions(), "detector"), strict=False):
        for i, (kind, rows) in enumerate(_split(table, "kind")):
            _curve(axes, rows.rename(columns={"severity": "hidden"}), "recall", i, kind, band=False)
        axes.set(xlabel="severity (0: clean)", ylabel="recall", ylim=(0, 1.02))
        axes.xaxis.get_major_locator().set_params(integer=True)
        _title(axes, name, report)
        _ground(axes)
    _one_legend(figure, panels[0], columns=3)
    return figure


def paired_differences(report: AuditReport) -> Figure:
    """Each other detector minus the first, paired, with 95 % intervals; filled where they exclude 0."""
    first, *others = report.detectors
    tables = {name: report.differences(first, name) for name in others}
    rows = next(iter(tables.values())).index
    figure, axes = _new(height=1.2 + (0.12 + 0.08 * len(others)) * len(rows))
    axes.axvline(0, color=INK, linewidth=1)
    for i, (name, table) in enumerate(tables.items()):
        places, tint = np.arange(len(rows)) + (i - (len(others) - 1) / 2) * 0.7 / len(others), cycle(ON_PAGE, i + 1)
        clear = ((table["low"] > 0) | (table["high"] < 0)).to_numpy()
        axes.hlines(places, table["low"], table["high"], color=tint, label=plain(name))
        for chosen, fill in ((clear, tint), (~clear, "none")):
            axes.scatter(table["difference"][chosen], places[chosen], s=20, color=fill, edgecolor=tint, zorder=3)
    axes.set_yticks(range(len(rows)), [plain(str(name)) for name in rows], fontsize="small")
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel(plain(f"{others[0] if len(others) == 1 else 'each'} minus {first}"))
    _ground(axes, "x")
    if len(others) > 1:
        figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return figure


def _by(report: AuditReport, table: pd.DataFrame, column: str) -> Figure:
    """Recall against the hidden fraction, a line for each value of a column, a panel for each detector."""
    figure, panels = _panels(report, 3.0, sharey=True)
    for axes, (name, own) in zip(panels, _split(table, "detector"), strict=False):
        for i, (group, rows) in enumerate(_split(own, column)):
            _curve(axes, rows, "recall", i, group, band=False)
        _shares(axes, HIDDEN, "recall")
        _title(axes, name, report)
    _one_legend(figure, panels[0], columns=3)
    return figure


def _curve(axes: Axes, table: pd.DataFrame, value: str, i: int, name: str, *, band: bool = True) -> None:
    """A line over `hidden` with its interval, as a band or as bars."""
    tint, marker, label = cycle(ON_PAGE, i), cycle(MARKERS, i), plain(name)
    x, y = table["hidden"].to_numpy(), table[value].to_numpy()
    if band:
        axes.fill_between(x, table["low"], table["high"], color=tint, alpha=0.18, linewidth=0)
    else:
        axes.vlines(x, table["low"], table["high"], color=tint, linewidth=1, alpha=0.45)
    style = "" if len(table) < 2 else "-"
    axes.plot(x, y, color=tint, marker=marker, markersize=4.5, linewidth=1.4, linestyle=style, label=label)


def _shares(axes: Axes, x: str, y: str, top: float | None = 1.02) -> None:
    axes.set(xlabel=x, ylabel=y)
    axes.set_ylim(0, top)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    _ground(axes)


def _split(table: pd.DataFrame, column: str) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each value of a column, in the order of the values."""
    return [(str(name), rows) for name, rows in table.groupby(column, sort=False, observed=True)]


def _middle(table: pd.DataFrame) -> float:
    """The hidden fraction next to one half."""
    return min((share for share in table["hidden"].unique() if share), key=lambda one: abs(one - 0.5), default=0.0)


def _new(width: float = 6.0, height: float = 3.6) -> tuple[Figure, Axes]:
    figure, panels = new_figure(1, 1, (width, height))
    return figure, panels[0, 0]


def _panels(report: AuditReport, height: float, **options: object) -> tuple[Figure, list[Axes]]:
    """A panel for each detector, two in a row, and room for a legend."""
    number = len(report.detectors)
    columns = min(2, number)
    rows = -(-number // columns)
    width = 6.0 if columns == 1 else 7.2
    figure, panels = new_figure(rows, columns, (width, rows * height + 0.6), **options)
    for spare in panels.flat[number:]:
        spare.remove()
    return figure, list(panels.flat)[:number]


def _title(axes: Axes, name: str, report: AuditReport) -> None:
    if len(report.detectors) > 1:
        axes.set_title(plain(name), fontsize="medium")


def _ground(axes: Axes, axis: str = "y") -> None:
    axes.grid(axis=axis, color=matplotlib.rcParams["grid.color"], alpha=0.35)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _legend(axes: Axes, number: int) -> None:
    if number > 1:
        axes.legend(frameon=False)


def _one_legend(figure: Figure, axes: Axes, columns: int = 2) -> None:
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=columns, frameon=False)


def _hides(report: AuditReport) -> bool:
    return bool(report.counted.fractions)


def _sides(report: AuditReport) -> bool:
    return _hides(report) and len(report.halves()) > 0


_FIGURES: dict[str, tuple[Callable[[AuditReport], bool], Callable[[AuditReport], Figure]]] = {
    "recall": (_hides, recall_by_hidden),
    "average precision": (_hides, precision_by_hidden),
    "fates": (_hides, fates_by_hidden),
    "kinds": (lambda report: len(report.counted.kinds) > 1, recall_by_kind),
    "places": (lambda report: len(report.counted.places) > 1, recall_by_place),
    "halves": (_sides, needed_halves),
    "sizes": (_hides, recall_by_size),
    "classes": (_hides, recall_by_class),
    "first lost": (lambda report: bool(report.pictures), first_lost),
    "calibration": (lambda report: True, calibration),
    "corruptions": (lambda report: bool(report.counted.corruptions), recall_by_severity),
    "differences": (lambda report: len(report.detectors) > 1, paired_differences),
}
