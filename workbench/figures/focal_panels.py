"""The focal loss to play with: its curve (Lin's thesis, Fig. 5.1) beside a detector's windows (Fig. 5.3).

Plotly, so that a place of a curve can be pointed at. Where we depart: cross entropy is drawn beside for comparison,
and the axis of windows can be logarithmic, since nearly all of the loss may lie on the hardest thousandth of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots

from workbench.analysis.anchor_losses import Ranking
from workbench.figures.drawing.colours import CLEAR, GRID, ON_PAGE
from workbench.figures.focal import TOP
from workbench.figures.training import page_layout
from workbench.losses import AnchorLoss
from workbench.losses.focal import Focal

WINDOW_KINDS = ("objects", "background")  #: of windows; each has a panel and a colour
COLOUR = dict(zip(WINDOW_KINDS, ON_PAGE, strict=False))
POINTS = 300  #: of a curve
CURVES, PLAIN, PLACE = "loss", "cross entropy", "place"  #: roles of lines


@dataclass(frozen=True)
class Line:
    """What is drawn in one panel under one role; the number and order of lines never change."""

    panel: int  #: 1..3
    role: str
    kind: str
    x: np.ndarray
    y: np.ndarray
    text: list[str] | None = None


def focal_panels(
    loss: Focal,
    rankings: Mapping[str, Ranking],
    plain: Mapping[str, Ranking],
    *,
    kind: str = "background",
    place: float = 1.0,
    magnified: bool = False,
    height: int = 360,
) -> go.Figure:
    """Three panels: the loss of one class of one window, and its distributions over windows of either kind.

    Args:
        loss: its gamma and alpha are shown.
        rankings: kind (one of `WINDOW_KINDS`) → windows ranked by this loss.
        plain: the same ranked by cross entropy with this alpha.
        kind, place: where the mark is, 0 (easiest) to 1 (hardest window).
        magnified: the axis of windows is logarithmic, counted from the hardest.
        height: pixels.
    """
    sizes = {
        name: f"{len(ranking):,} windows<br>of {name}" for name, ranking in rankings.items()
    }  # short: in a narrow page
    titles = ("one class<br>of one window", *(sizes[name] for name in WINDOW_KINDS))
    figure = make_subplots(1, 3, horizontal_spacing=0.085, subplot_titles=titles)
    for line in focal_lines(loss, rankings, plain, kind=kind, place=place, magnified=magnified):
        figure.add_trace(_scatter(line), row=1, col=line.panel)
    figure.update_layout(
        **page_layout(height, {"l": 56, "r": 16, "t": 48, "b": 100}),
        legend={"orientation": "h", "x": 0, "y": -0.32, "bgcolor": CLEAR},
        hovermode="x",
    )
    figure.update_annotations(font_size=13)
    figure.update_xaxes(gridcolor=GRID, zerolinecolor=GRID, title_standoff=6)
    figure.update_yaxes(gridcolor=GRID, zerolinecolor=GRID, range=[0, 1.02], title_standoff=6)
    figure.update_xaxes(title_text="probability of<br>what is right, p_gt", range=[0, 1], row=1, col=1)
    figure.update_yaxes(title_text="loss", range=[0, TOP], row=1, col=1)
    figure.update_yaxes(title_text="share of the loss", row=1, col=2)
    for column, name in enumerate(WINDOW_KINDS, start=2):
        figure.update_xaxes(windows_axis(len(rankings[name]), magnified=magnified), row=1, col=column)
    return figure


def focal_lines(
    loss: Focal,
    rankings: Mapping[str, Ranking],
    plain: Mapping[str, Ranking],
    *,
    kind: str = "background",
    place: float = 1.0,
    magnified: bool = False,
) -> list[Line]:
    """The lines of `focal_panels`, in its order and with its arguments."""
    right = torch.linspace(0.002, 0.998, 250, dtype=torch.double)
    cross_entropy = Focal(gamma=0.0, alpha=loss.alpha)
    lines = []
    for which, name in enumerate(WINDOW_KINDS):  # in the order of the weights
        lines.append(Line(1, PLAIN, name, right.numpy(), _cost(cross_entropy, right, which)))
        lines.append(Line(1, CURVES, name, right.numpy(), _cost(loss, right, which)))
    for panel, name in enumerate(WINDOW_KINDS, start=2):
        lines.append(_distribution(panel, PLAIN, name, plain[name], magnified=magnified))
        lines.append(_distribution(panel, CURVES, name, rankings[name], magnified=magnified))
        lines.append(_mark(panel, name, rankings[name], place if name == kind else None, magnified=magnified))
    return lines


def windows_axis(number: int, *, magnified: bool) -> dict[str, object]:
    """Settings of the axis of `number` windows."""
    if not magnified:
        return {"type": "linear", "range": [0, 1], "title": {"text": "fraction of windows,<br>easiest first"},
                "uirevision": "linear", "tickformat": None, "dtick": None}  # fmt: skip
    return {"type": "log", "range": [0, -np.log10(number)], "title": {"text": "hardest fraction<br>of windows"},
            "uirevision": "log", "tickformat": "~%", "dtick": 1}  # fmt: skip


def _cost(loss: AnchorLoss, right: torch.Tensor, which: int) -> np.ndarray:
    return (loss.weights[which] * loss.value(torch.log((1 - right) / right))).numpy()


def _distribution(panel: int, role: str, name: str, ranking: Ranking, *, magnified: bool) -> Line:
    found = ranking.distribution(POINTS)
    pairs = zip(1 - found.windows, 1 - found.loss, strict=True)
    text = [f"the hardest {share:.3%} carry {loss:.1%}" for share, loss in pairs]
    return Line(panel, role, name, _across(found.windows, len(ranking), magnified=magnified), found.loss, text)


def _mark(panel: int, name: str, ranking: Ranking, place: float | None, *, magnified: bool) -> Line:
    """Where the windows come from that are shown; nowhere if `place` is None."""
    if place is None:
        return Line(panel, PLACE, name, np.array([]), np.array([]))
    rank = round(place * (len(ranking) - 1))
    x = _across(np.array([(rank + 1) / len(ranking)]), len(ranking), magnified=magnified)
    return Line(panel, PLACE, name, x, np.array([ranking.total[rank] / ranking.total[-1]]))


def _across(windows: np.ndarray, number: int, *, magnified: bool) -> np.ndarray:
    """Fractions of windows, easiest first, as positions on the axis; the hardest window is at 1 / number."""
    return np.maximum(1 - windows, 1 / number) if magnified else windows


def _scatter(line: Line) -> go.Scatter:
    """A line as plotly draws it; hovering shows the loss only."""
    colour, mark, plain = COLOUR[line.kind], line.role == PLACE, line.role == PLAIN
    named = line.panel == 1
    return go.Scatter(
        x=line.x,
        y=line.y,
        text=line.text,
        name=f"{'cross entropy' if plain else 'focal loss'}, {line.kind}",
        showlegend=named,
        mode="markers" if mark else "lines",
        line={"color": colour, "width": 1.3 if plain else 2.5, "dash": "dot" if plain else "solid"},
        marker={"size": 11, "color": colour, "line": {"color": "white", "width": 2}},
        hoverinfo="skip" if mark or plain else None,
        hovertemplate=None if mark or plain else ("%{y:.3f}<extra></extra>" if named else "%{text}<extra></extra>"),
    )
