"""Figures of proposals: how many objects they reach (T.-Y. Lin's thesis, Fig. 3.6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import StrMethodFormatter
from plotly.subplots import make_subplots

from workbench.errors import DataError
from workbench.evaluation.counting.matching import THRESHOLDS
from workbench.evaluation.counting.reach import SIZES
from workbench.evaluation.proposal_recall import LIMITS, ProposalRecall
from workbench.figures.drawing.canvas import new_figure, plain
from workbench.figures.drawing.colours import CLEAR, DASHES, GRID, INK, MARKERS, ON_PAGE, ON_WHITE, cycle
from workbench.figures.training import page_layout

WIDTHS = tuple(0.8 * (place + 1) for place in range(len(LIMITS)))  #: points, of the lines of so many proposals
OVERLAP = {"bbox": "boxes", "segm": "masks", "segm-amodal": "amodal masks"}  #: what overlaps, by `iou_type`
POINTS = 200  #: of a curve over the number of proposals, evenly spaced on its logarithmic axis
COLUMNS = len(SIZES)  #: panels in a row of Fig. 3.6
NUMBER, UP = "proposals per image", ("average recall", "recall")  #: titles of axes; of the two rows

Recalls = ProposalRecall | Mapping[str, ProposalRecall]


@dataclass(frozen=True)
class Panel:
    """One panel of Fig. 3.6: curves by name, and the ends (low, high) of intervals where there are some."""

    title: str
    across: str  #: title of the axis that the index of a curve lies on
    curves: dict[str, pd.Series]
    spans: dict[str, pd.DataFrame] = field(default_factory=dict)


def proposal_recall_figure(recalls: Recalls, *, size: str = "all") -> Figure:
    """Recall against IoU (of the best 10, 100, 1000, thin to thick), and average recall against their number.

    The axes say whether boxes or masks overlap; of both in one figure each name does.

    Args:
        recalls: one, or several as a mapping from the name to show.
        size: objects of "all" sizes, or "small", "medium", "large" ones.

    Raises:
        DataError: no recalls, or another size.
    """
    named = _named(recalls)
    if size not in SIZES:
        raise DataError(f"there are no {size!r} objects; choose one of {SIZES}")
    figure, axes = new_figure(1, 2, (8.4, 3.6))
    left, right = axes[0]
    for index, (name, recall) in enumerate(named.items()):
        for limit, width in zip(LIMITS, WIDTHS, strict=True):
            left.plot(recall.against_iou(limit)[size], color=cycle(ON_WHITE, index), linewidth=width)
        _draw(right, _by_number(recall)[size], index, name)
    left.set(xlabel=_iou_of(named), ylabel="recall", xlim=(0.5, 0.95))
    right.set(xlabel=NUMBER, ylabel=UP[0])
    _dress(left)
    _dress(right, log=True)
    shade = ON_WHITE[0] if len(named) == 1 else INK
    best = [
        Line2D([], [], color=shade, linewidth=width, label=f"best {n}")
        for n, width in zip(LIMITS, WIDTHS, strict=True)
    ]
    left.legend(handles=best, frameon=False, loc="best")
    if len(named) > 1:
        right.legend(frameon=False)
    figure.suptitle(plain(_about(named, size)), fontsize="medium")
    return figure


def proposal_recall_panels(recalls: Recalls) -> Figure:
    """Fig. 3.6: average recall against the number of proposals by size of objects, and recall against IoU below.

    The last panel is not the thesis': average recall by how much of an object is hidden, where that is known, with
    95 % intervals. For its boxes beside its masks, give `{"boxes": result, "masks": result.masks}`.

    Args:
        recalls: one, or several as a mapping from the name to show.

    Raises:
        DataError: no recalls.
    """
    named = _named(recalls)
    panels = _panels(named)
    figure, grid = new_figure(2, COLUMNS, (11.6, 5.6), sharey=True)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for axes, panel in zip(grid.flat, panels, strict=False):
        for index, (name, curve) in enumerate(panel.curves.items()):
            _draw(axes, curve, index, name, panel.spans.get(name))
        axes.set_xlabel(panel.across)
        axes.set_title(panel.title, fontsize="medium")
        _dress(axes, log=panel.across == NUMBER)
        if panel.spans:
            axes.tick_params(axis="x", labelsize="small", rotation=30)
    for row, text in zip(grid, UP, strict=True):
        row[0].set_ylabel(text)
    if len(named) > 1:
        handles = grid[1, 0].lines  # which have marks
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(named), 4), frameon=False)
    figure.suptitle(plain(_about(named)), fontsize="medium")
    return figure


def proposal_recall_page(recalls: Recalls, *, height: int = 560) -> go.Figure:
    """The panels of `proposal_recall_panels` by plotly, so that a place of a curve can be pointed at.

    Args:
        recalls: one, or several as a mapping from the name to show.
        height: pixels.

    Raises:
        DataError: no recalls.
    """
    named = _named(recalls)
    panels = _panels(named)
    titles = [panel.title for panel in panels]
    figure = make_subplots(2, COLUMNS, subplot_titles=titles, vertical_spacing=0.24, horizontal_spacing=0.06)
    for place, panel in enumerate(panels):
        where = {"row": 1 + place // COLUMNS, "col": 1 + place % COLUMNS}
        for index, (name, curve) in enumerate(panel.curves.items()):
            figure.add_trace(_trace(curve, index, name, panel, named=not place), **where)
        ticks = {"type": "log", "dtick": 1} if panel.across == NUMBER else {} if panel.spans else {"dtick": 0.1}
        figure.update_xaxes(title_text=panel.across, title_standoff=6, **ticks, **where)
    figure.update_layout(
        **page_layout(height, {"l": 56, "r": 16, "t": 32, "b": 96}),
        legend={"orientation": "h", "x": 0, "y": -0.22, "bgcolor": CLEAR},
        showlegend=len(named) > 1,
    )
    figure.update_annotations(font_size=13)
    figure.update_xaxes(gridcolor=GRID, zerolinecolor=GRID, title_font_size=12)
    figure.update_yaxes(gridcolor=GRID, zerolinecolor=GRID, range=[0, 1.02], title_font_size=12, title_standoff=6)
    for row, text in enumerate(UP, start=1):
        figure.update_yaxes(title_text=text, row=row, col=1)
    return figure


def _named(recalls: Recalls) -> dict[str, ProposalRecall]:
    """The recalls by the names to show, which say what overlaps where that differs."""
    named = {"": recalls} if isinstance(recalls, ProposalRecall) else dict(recalls)
    if not named:
        raise DataError("No recalls to show; give one, or a mapping from names to recalls.")
    if len({recall.iou_type for recall in named.values()}) == 1:
        return named
    return {f"{name} ({OVERLAP[recall.iou_type]})": recall for name, recall in named.items()}


def _panels(named: Mapping[str, ProposalRecall]) -> list[Panel]:
    numbers = {name: _by_number(recall) for name, recall in named.items()}
    panels = []
    for size in SIZES:
        curves = {name: table[size] for name, table in numbers.items()}
        panels.append(Panel(f"{size} objects", NUMBER, curves))
    for limit in LIMITS:
        curves = {name: recall.against_iou(limit)["all"] for name, recall in named.items()}
        panels.append(Panel(f"best {limit} proposals", _iou_of(named), curves))
    tables = {name: recall.by_occlusion for name, recall in named.items()}
    if any(table["objects"].any() for table in tables.values()):
        curves = {name: table["AR@100"] for name, table in tables.items()}
        spans = {name: table[["low", "high"]] for name, table in tables.items()}
        panels.append(Panel("best 100, average recall", "hidden part of the object", curves, spans))
    return panels


def _by_number(recall: ProposalRecall) -> pd.DataFrame:
    """Average recall of some numbers of proposals, evenly spaced on a logarithmic axis."""
    table = recall.against_number()
    return table.loc[np.unique(np.geomspace(1, recall.most, POINTS).round().astype(int))]


def _iou_of(named: Mapping[str, ProposalRecall]) -> str:
    return f"IoU of {' or '.join(sorted({OVERLAP[recall.iou_type] for recall in named.values()}))}"


def _about(named: Mapping[str, ProposalRecall], size: str = "all") -> str:
    first = next(iter(named.values()))
    what = "objects" if size == "all" else f"{size} objects"
    return f"{first.data} {first.split}, {first.num_objects[SIZES.index(size)]} {what}"


def _draw(axes: Axes, curve: pd.Series, index: int, name: str, spans: pd.DataFrame | None = None) -> None:
    """A curve, with marks at its points if these are few, and the intervals there."""
    colour, marker = cycle(ON_WHITE, index), None if len(curve) > len(THRESHOLDS) else cycle(MARKERS, index)
    style = {"marker": marker, "markersize": 4, "linewidth": 1.6, "label": plain(name)}
    axes.plot(curve.index, curve, color=colour, **style)
    if spans is not None:
        axes.vlines(curve.index, spans["low"], spans["high"], color=colour, linewidth=1)


def _trace(curve: pd.Series, index: int, name: str, panel: Panel, *, named: bool) -> go.Scatter:
    spans = panel.spans.get(name)
    errors = None
    if spans is not None:
        up, down = (spans["high"] - curve).clip(lower=0), (curve - spans["low"]).clip(lower=0)
        errors = {"type": "data", "array": up, "arrayminus": down, "thickness": 1}
    return go.Scatter(
        x=curve.index,
        y=curve,
        error_y=errors,
        name=name.replace("<", "&lt;"),
        legendgroup=name,
        showlegend=named,
        mode="lines" if len(curve) > len(THRESHOLDS) else "lines+markers",
        line={"color": cycle(ON_PAGE, index), "dash": cycle(DASHES, index), "width": 2},
        hovertemplate="%{x}: %{y:.3f}",
    )


def _dress(axes: Axes, *, log: bool = False) -> None:
    if log:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
        axes.minorticks_off()
    axes.set_ylim(0, 1.02)
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
