"""DFVs, DVs and pseudo-DFVs on a plane (Cen et al. 2021, Figs. 2, 3 and S1).

Plotly, so that a point can be pointed at. A kind has its own form of points, and whichever of class, pattern
or kind is asked for by their colour. The first traces are one for each of `ROLES`, in that order, so that a widget
can change them in place; empty ones stay. Where we depart: the paper encircles regions by hand; we do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go

from workbench.analysis.embedding import POINT_KINDS, Embedding
from workbench.errors import DataError
from workbench.figures.drawing.colours import CLEAR, FAINT, INK, palette
from workbench.figures.training import page_layout

COLOUR_BY = ("class", "pattern", "kind")
ARROWS, PSEUDO, CHOSEN, POINTED = "DVs as arrows", "pseudo-DFVs of the image", "chosen image", "pointed at"
OWN_DVS = "DVs of the image"  #: in place of `PSEUDO` on a map of DVs
ROLES = (*POINT_KINDS, ARROWS, PSEUDO, CHOSEN, POINTED)
FORMS = {"clean": "circle", "occluded": "diamond", "pseudo-DFV": "circle-open", "DV": "x-thin"}
SIZES = {"clean": 10, "occluded": 7, "pseudo-DFV": 5, "DV": 6}  #: pixels
STILL = FAINT  #: colour of clean DFVs where patterns are coloured: they have none
HIGHLIGHT, EDGE = "#ffd60a", "#24292f"  #: yellow with a dark edge, which no class has


def embedding_figure(
    embedding: Embedding,
    *,
    colour_by: str = "class",
    arrows: np.ndarray | None = None,
    pseudo: np.ndarray | None = None,
    chosen: int | None = None,
    pointed: np.ndarray | None = None,
    yellow: str = PSEUDO,
    key: bool = True,
    height: int = 520,
) -> go.Figure:
    """The map; its points carry their rows of `embedding` as `customdata`.

    Args:
        embedding: what is drawn.
        colour_by: one of `COLOUR_BY`.
        arrows: rows [n] of occluded DFVs to which an arrow is drawn from the clean one; None: none.
        pseudo: points [Q, 2] to draw above all others, in yellow.
        chosen: row of the clean image that they belong to.
        yellow: what those points are called.
        pointed: points [Q, 2] that get a ring.
        key: whether the colours are explained beside the map.
        height: pixels.
    """
    figure = go.Figure()
    highlights = {"arrows": arrows, "pseudo": pseudo, "chosen": chosen, "pointed": pointed}
    for name, trace in map_traces(embedding, colour_by, **highlights).items():
        figure.add_trace(trace.update(name=yellow if name == PSEUDO else name))
    for kind in np.unique(embedding.kinds):
        figure.add_trace(_form_key(POINT_KINDS[kind]))
    if key:
        for name, colour in colour_key(embedding, colour_by).items():
            marker = {"color": colour, "size": 10, "symbol": "square"}
            figure.add_trace(go.Scatter(x=[None], y=[None], mode="markers", name=escape(name), marker=marker))
    figure.update_layout(
        **page_layout(height, {"l": 8, "r": 16, "t": 8, "b": 8}),
        legend={"x": 1.01, "y": 1, "bgcolor": CLEAR, "itemsizing": "constant"},
        hovermode="closest",
        xaxis={"visible": False},  # t-SNE's axes have no unit
        yaxis={"visible": False},
    )
    return figure


def map_traces(
    embedding: Embedding,
    colour_by: str = "class",
    *,
    arrows: np.ndarray | None = None,
    pseudo: np.ndarray | None = None,
    chosen: int | None = None,
    pointed: np.ndarray | None = None,
) -> dict[str, go.Scatter]:
    """A trace for each of `ROLES`; arguments as for `embedding_figure`."""
    colours = point_colours(embedding, colour_by)
    traces = {kind: _points(embedding, kind, colours) for kind in POINT_KINDS}
    traces[ARROWS] = _arrows(embedding, arrows)
    points = np.zeros((0, 2)) if pseudo is None else pseudo
    ring = {"color": HIGHLIGHT, "size": 6, "symbol": "circle", "line": {"color": EDGE, "width": 0.8}}
    traces[PSEUDO] = _marks(points, ring, hover="none")  # no words, but it can be pointed at
    own = np.zeros(0, int) if chosen is None else np.flatnonzero((embedding.kinds == 0) & (embedding.base == chosen))
    star = {"color": HIGHLIGHT, "size": 17, "symbol": "star", "line": {"color": EDGE, "width": 1}}
    traces[CHOSEN] = _marks(embedding.points[own], star)
    circle = {"color": INK, "size": 20, "symbol": "circle-open", "line": {"color": INK, "width": 2}}
    traces[POINTED] = _marks(np.zeros((0, 2)) if pointed is None else pointed, circle, named=False)
    return traces


def colour_key(embedding: Embedding, colour_by: str) -> dict[str, str]:
    """Names and colours of the classes, patterns or kinds that are on the map, by ascending number.

    A name that was there before gets a count, as "cup (2)".

    Raises:
        DataError: another colour_by.
    """
    if colour_by == "kind":
        there = np.unique(embedding.kinds)
        return {
            POINT_KINDS[kind]: colour for kind, colour in zip(there, palette(len(POINT_KINDS))[there], strict=True)
        }
    if colour_by not in COLOUR_BY:
        raise DataError(f"colour_by {colour_by!r} does not exist; there are {', '.join(COLOUR_BY)}")
    numbers = embedding.labels if colour_by == "class" else embedding.patterns
    names = embedding.classes if colour_by == "class" else embedding.pattern_names
    there = np.unique(numbers[numbers > 0])
    named = [_name(names, number, colour_by) for number in there]
    colours = palette(len(there)).tolist()
    if colour_by == "pattern":
        named, colours = ["clean", *named], [STILL, *colours]
    return dict(zip(_distinct(named), colours, strict=True))


def point_colours(embedding: Embedding, colour_by: str) -> np.ndarray:
    """The colour of each vector [N]."""
    colours = np.array(list(colour_key(embedding, colour_by).values()))
    numbers = {"class": embedding.labels, "pattern": embedding.patterns, "kind": embedding.kinds}[colour_by]
    there = np.unique(np.append(numbers, 0) if colour_by == "pattern" else numbers)
    return colours[np.searchsorted(there, numbers)]


def describe(embedding: Embedding, row: int) -> str:
    """A vector in words, such as "occluded 3, cup 20 % centre"."""
    kind, pattern = POINT_KINDS[embedding.kinds[row]], embedding.patterns[row]
    text = f"{kind} {embedding.classes[embedding.labels[row] - 1]}"
    return text + (f", {_name(embedding.pattern_names, pattern, 'pattern')}" if pattern else "")


def _name(names: Sequence[str], number: int, what: str) -> str:
    """The name of a number from 1 on, or such as "pattern 3" where there is none: what hides faces in AR is real."""
    return names[number - 1] if number <= len(names) else f"{what} {number}"


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, those that were there before with a count."""
    found: list[str] = []
    for name in names:
        one, count = name, 1
        while one in found:
            count += 1
            one = f"{name} ({count})"
        found.append(one)
    return found


def _points(embedding: Embedding, kind: str, colours: np.ndarray) -> go.Scatter:
    rows = embedding.rows(kind)
    thin = {"width": 1.4, "color": colours[rows]} if kind == "DV" else {"width": 0.6, "color": "white"}
    if kind == "pseudo-DFV":
        thin = {"width": 1}
    return go.Scatter(
        x=embedding.points[rows, 0],
        y=embedding.points[rows, 1],
        mode="markers",
        marker={"color": colours[rows], "size": SIZES[kind], "symbol": FORMS[kind], "line": thin},
        customdata=rows,
        text=[escape(describe(embedding, row)) for row in rows],
        hovertemplate="%{text}<extra></extra>",
        legendgroup=kind,
        showlegend=False,  # its first point's colour would stand for all
    )


def _form_key(kind: str) -> go.Scatter:
    """The kind in the legend, in no class's colour; a click there hides the kind."""
    marker = {"color": INK, "size": 9, "symbol": FORMS[kind], "line": {"color": INK, "width": 1.4}}
    return go.Scatter(x=[None], y=[None], mode="markers", name=kind, marker=marker, legendgroup=kind)


def arrow_ends(embedding: Embedding, rows: np.ndarray | None) -> list[tuple[np.ndarray, np.ndarray]]:
    """From where to where, [2] each, the arrows of these rows [n] of occluded DFVs go; None: no rows.

    Raises:
        DataError: rows of other kinds.
    """
    rows = np.zeros(0, int) if rows is None else np.asarray(rows)
    if (embedding.kinds[rows] != POINT_KINDS.index("occluded")).any():
        raise DataError("arrows holds rows that are no occluded DFVs; take some of embedding.rows('occluded')")
    start = {int(embedding.base[row]): embedding.points[row] for row in embedding.rows("clean")}
    return [(start[int(embedding.base[row])], embedding.points[row]) for row in rows]


def _arrows(embedding: Embedding, rows: np.ndarray | None) -> go.Scatter:
    """Lines from clean to occluded DFVs with heads, parted by gaps."""
    steps = [(*ends, (None, None)) for ends in arrow_ends(embedding, rows)]
    x, y = ([point[axis] for step in steps for point in step] for axis in (0, 1))
    head = {"symbol": "arrow", "size": [0, 9, 0] * len(steps), "angleref": "previous", "color": INK}
    return go.Scatter(x=x, y=y, mode="lines+markers", line={"color": INK, "width": 0.8}, marker=head,
                      opacity=0.6, hoverinfo="skip", showlegend=len(steps) > 0)  # fmt: skip


def _marks(
    points: np.ndarray, marker: Mapping[str, object], *, hover: str = "skip", named: bool = True
) -> go.Scatter:
    return go.Scatter(x=points[:, 0], y=points[:, 1], mode="markers", marker=dict(marker), hoverinfo=hover,
                      showlegend=named and len(points) > 0)  # fmt: skip
