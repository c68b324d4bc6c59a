"""Claims of papers and what trainings say of them: differences with their intervals, a row a step."""

from __future__ import annotations

import textwrap
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from workbench.figures.drawing.canvas import new_figure
from workbench.figures.drawing.colours import INK, OKABE_ITO
from workbench.training.comparison import Interval
from workbench.training.paper_claims import verdict

COLOURS = {"holds": OKABE_ITO[2], "cannot be told": "0.5", "does not hold": OKABE_ITO[1]}
WIDTH = 58  #: letters of a line of text


def claims_figure(table: pd.DataFrame) -> Figure:
    """Differences of all steps of claims with their 95 % intervals, and at the right what follows for the claim.

    What decides is filled, what is beside hollow; each interval has the colour of what it says alone.

    Args:
        table: as `training.paper_claims.judge` gives it.
    """
    figure, panels = new_figure(1, 1, (9.6, 1.1 + 0.38 * len(table)))
    axes = panels[0, 0]
    for place, row in enumerate(table.itertuples()):
        _interval(axes, place - 0.13, Interval(row.n, row.difference, row.low, row.high), filled=True)
        beside = Interval(row.n, row.beside_difference, row.beside_low, row.beside_high)
        _interval(axes, place + 0.2, beside, filled=False)
    last = table.groupby("number", sort=False).size().cumsum() - 1
    for number, place in last.items():
        claim = table[table["number"] == number].iloc[0]
        middle = place - (table["number"] == number).sum() / 2 + 0.5
        side = axes.get_yaxis_transform()
        axes.text(
            1.01, middle, claim["verdict"], transform=side, va="center", fontsize=8, color=COLOURS[claim["verdict"]]
        )
        axes.axhline(place + 0.5, color="0.88", linewidth=0.6, zorder=0)
    axes.axvline(0, color=INK, linewidth=0.8, zorder=1)
    axes.set_yticks(range(len(table)), [_label(row, table) for row in table.itertuples()], fontsize=8)
    axes.set(ylim=(len(table) - 0.5, -0.5), xlabel="difference and 95 % interval; right of 0 is the paper's sign")
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    shown = {"what decides": INK, "what is beside": "white"}
    handles = [
        Line2D([], [], color=INK, marker="o", markerfacecolor=fill, label=name) for name, fill in shown.items()
    ]
    figure.legend(handles=handles, loc="outside upper right", ncols=2, frameon=False, fontsize=8)
    return figure


def _interval(axes: Axes, place: float, interval: Interval, *, filled: bool) -> None:
    colour = COLOURS[verdict([interval])]
    axes.plot([interval.low, interval.high], [place, place], linewidth=1.6, color=colour, zorder=2)
    face = colour if filled else "white"
    axes.plot([interval.mean], [place], "o", markersize=4.5, color=colour, markerfacecolor=face, zorder=3)


def _label(row: Any, table: pd.DataFrame) -> str:
    """The claim at its first step, and what is compared where there are several."""
    steps = table.index[table["number"] == row.number]
    claim = textwrap.fill(f"{row.number}  {row.claim}", WIDTH) if row.Index == steps[0] else ""
    step = f"{_short(row.better)} against {_short(row.worse)}" if len(steps) > 1 else ""
    return "\n".join(filter(None, [claim, step]))


def _short(recipe: str) -> str:
    return recipe.rsplit("/", 1)[-1]
