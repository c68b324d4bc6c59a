"""Plotly figures drawn by matplotlib, of the same data: for files and still pictures, without a browser.

What the figures of this room use is understood: lines, markers and bars in panels, legends, lines across a panel and
notes.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import plotly.graph_objects as go
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from workbench.errors import WorkbenchError

PIXELS = 100  #: of plotly to an inch
POINT = 72 / PIXELS  #: points of a pixel
BESIDE = 2.1  #: inches of a legend beside the panels
INK, PAPER = "#24292f", "#d0d7de"
DASHES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-.", "longdash": (0, (8, 3)),
          "longdashdot": (0, (8, 3, 2, 3))}  # fmt: skip
FORMS = {"circle": "o", "circle-open": "o", "diamond": "D", "x-thin": "x", "star": "*", "square": "s"}
ARROW = "arrow"


def drawn_by_matplotlib(figure: go.Figure, *, width: float = 9.0) -> Figure:
    """The figure on `width` inches, as high as it is in plotly at 100 pixels an inch.

    Raises:
        WorkbenchError: it has another kind of trace than lines, markers and bars.
    """
    if strange := [trace.type for trace in figure.data if trace.type not in ("scatter", "bar")]:
        raise WorkbenchError(f"a {strange[0]} cannot be drawn by matplotlib here; lines, markers and bars can")
    layout = figure.layout
    height = float(layout.height or 450) / PIXELS
    drawn = plt.figure(figsize=(width, height), facecolor="white")
    plt.close(drawn)  # else a notebook shows it twice
    room = _room(figure, width, height)
    pairs = _pairs(layout)
    panels: dict[str, Axes] = {}
    for x, y in pairs.items():
        panels[x] = _panel(drawn, _axis(layout, x), _axis(layout, y), room, panels)
    for trace in figure.data:
        _draw(panels[trace.xaxis or "x"], trace)
    for x, y in pairs.items():
        _set_axes(panels[x], _axis(layout, x), _axis(layout, y))
    for shape in layout.shapes:
        if shape.type == "line" and (shape.xref or "x") in panels and shape.x0 == shape.x1:
            style = {"color": _colour(shape.line.color), "linewidth": (shape.line.width or 1) * POINT}
            panels[shape.xref or "x"].axvline(shape.x0, linestyle=DASHES[shape.line.dash or "solid"], **style)
    for note in layout.annotations:
        _note(drawn, panels, note, room)
    for name in _legends(figure):
        _legend(drawn, figure, name, panels, room)
    return drawn


def _room(figure: go.Figure, width: float, height: float) -> tuple[float, float, float, float]:
    """Left, bottom, width and height of all panels, as shares of the figure."""
    margin = figure.layout.margin
    left, right, top, bottom = ((getattr(margin, side) or 0) / PIXELS for side in "lrtb")
    beside = any((figure.layout[name].x or 0) > 1 for name in _legends(figure))
    right = max(right, BESIDE) if beside else right
    return left / width, bottom / height, (width - left - right) / width, (height - top - bottom) / height


def _pairs(layout: go.Layout) -> dict[str, str]:
    """The horizontal axis of each panel → its vertical one, such as "x2" → "y2"."""
    names = [name.replace("axis", "") for name in layout.to_plotly_json() if name.startswith("xaxis")] or ["x"]
    return {name: _axis(layout, name).anchor or "y" for name in names}


def _axis(layout: go.Layout, name: str) -> Any:
    return layout[f"{name[0]}axis{name[1:]}"]


def _panel(drawn: Figure, across: Any, up: Any, room: tuple[float, ...], others: Mapping[str, Axes]) -> Axes:
    (x0, x1), (y0, y1) = (axis.domain or (0, 1) for axis in (across, up))
    left, bottom, width, height = room
    place = (left + x0 * width, bottom + y0 * height, (x1 - x0) * width, (y1 - y0) * height)
    return drawn.add_axes(place, sharex=others.get(across.matches))


# ---- traces --------------------------------------------------------------------------------------------------


def _draw(axes: Axes, trace: Any) -> None:
    x, y = (np.array([] if values is None else values, dtype=float) for values in (trace.x, trace.y))
    if isinstance(trace, go.Bar):
        step = float(np.diff(x).min()) if len(x) > 1 else 1.0
        axes.bar(x, y, width=0.94 * step, color=_colour(trace.marker.color))
        return
    mode, opacity = trace.mode or "lines", 1.0 if trace.opacity is None else trace.opacity
    if trace.marker.symbol == ARROW:
        _arrows(axes, x, y, trace, opacity)
        return
    if "lines" in mode:
        axes.plot(x, y, alpha=opacity, **_of_line(trace))
    if "markers" in mode and np.isfinite(x).any():
        axes.scatter(x, y, zorder=3, alpha=opacity, **_of_markers(trace))


def _of_line(trace: Any) -> dict[str, Any]:
    line = trace.line
    width = 2 if line.width is None else line.width
    return {"color": _colour(line.color), "linewidth": width * POINT, "linestyle": DASHES[line.dash or "solid"]}


def _of_markers(trace: Any) -> dict[str, Any]:
    """Style for `Axes.scatter`."""
    marker = trace.marker
    form = marker.symbol or "circle"
    colour = _colours(trace.line.color if marker.color is None else marker.color)
    size = (6 if marker.size is None else marker.size) * POINT
    style = {"marker": FORMS[form], "s": (1.3 * size if form == "star" else size) ** 2}
    edge = (0 if marker.line.width is None else marker.line.width) * POINT
    if form == "x-thin":
        return {**style, "c": colour, "linewidths": edge}
    if form == "circle-open":
        return {**style, "facecolors": "none", "edgecolors": colour, "linewidths": max(edge, 0.7)}
    return {**style, "c": colour, "edgecolors": _colours(marker.line.color or "white"), "linewidths": edge}


def _arrows(axes: Axes, x: np.ndarray, y: np.ndarray, trace: Any, opacity: float) -> None:
    """From every first point to every second one, as gaps part them."""
    if len(x) == 0:
        return
    starts, ends = (np.stack([x[k::3], y[k::3]], axis=1) for k in (0, 1))
    style = {"color": _colour(trace.line.color), "alpha": opacity, "units": "inches", "width": 0.008}
    heads = {"headwidth": 8, "headlength": 9, "headaxislength": 8}
    axes.quiver(*starts.T, *(ends - starts).T, angles="xy", scale_units="xy", scale=1, **style, **heads)


# ---- what is around them -------------------------------------------------------------------------------------


def _set_axes(axes: Axes, across: Any, up: Any) -> None:
    if across.visible is False:
        axes.set_axis_off()
        axes.margins(0.03)
        return
    for name, axis, own in (("x", across, axes.xaxis), ("y", up, axes.yaxis)):
        if axis.type == "log":
            own._set_axes_scale("log")
        if axis.range is not None:
            limits = [10.0**value for value in axis.range] if axis.type == "log" else axis.range
            axes.set(**{f"{name}lim": limits})
        elif axis.rangemode == "tozero":
            axes.set(**{f"{name}lim": (0, None)})
        if axis.tickformat == "~%":
            own.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))
        own.set_label_text(plain_text(axis.title.text or ""), fontsize=9, color=INK, parse_math=False)
    axes.tick_params(labelsize=8, colors=INK, color=PAPER)
    axes.grid(color=PAPER, linewidth=0.6)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_color(PAPER)


def _note(drawn: Figure, panels: Mapping[str, Axes], note: Any, room: tuple[float, ...]) -> None:
    """A text at a place of a panel, or of all panels."""
    style: dict[str, Any] = {"fontsize": 8 if note.textangle else 9, "color": INK, "parse_math": False}
    text, turned = plain_text(note.text or ""), -(note.textangle or 0)
    if note.xref in panels:  # the name of a line across a panel
        place = {"xytext": (2, 0), "textcoords": "offset points", "ha": "left", "va": "top", "rotation": turned}
        axes = panels[note.xref]
        axes.annotate(text, (note.x, 0.98), xycoords=axes.get_xaxis_transform(), **place, **style)
    else:
        left, bottom, width, height = room
        drawn.text(left + note.x * width, bottom + note.y * height, text, ha="center", va="bottom", **style)


def _legends(figure: go.Figure) -> list[str]:
    """The legends that name any trace."""
    names = dict.fromkeys(trace.legend or "legend" for trace in figure.data)
    return [name for name in names if _named(figure, name)]


def _named(figure: go.Figure, legend: str) -> list[Any]:
    """The traces that a legend names; the first of those of one name."""
    named: dict[str, Any] = {}
    for trace in figure.data:
        if trace.showlegend is not False and len(figure.data) > 1 and (trace.legend or "legend") == legend:
            named.setdefault(trace.name, trace)
    return list(named.values())


def _legend(drawn: Figure, figure: go.Figure, name: str, panels: Mapping[str, Axes], room: tuple[float, ...]) -> None:
    traces = _named(figure, name)
    axes, layout = next(iter(panels.values())), figure.layout[name]
    handles = []
    for trace in traces:
        if "markers" in (trace.mode or "lines") and trace.marker.symbol != ARROW and "lines" not in trace.mode:
            first = {
                name: value[:1] if isinstance(value, list) else value for name, value in _of_markers(trace).items()
            }
            handles.append(axes.scatter([], [], **first))
        else:
            handles.append(axes.plot([], [], **_of_line(trace))[0])
    left, bottom, width, height = room
    x, y = (0 if layout.x is None else layout.x), (1 if layout.y is None else layout.y)
    lies = layout.orientation == "h"
    corner = f"{'lower' if layout.yanchor == 'bottom' else 'upper'} {layout.xanchor or 'left'}"
    place = {"loc": corner, "bbox_to_anchor": (left + x * width, bottom + y * height), "borderaxespad": 0.3}
    texts = [plain_text(trace.name or "").replace("$", r"\$") for trace in traces]
    shape = {"ncols": len(traces) if lies else 1, "fontsize": 8, "labelcolor": INK}
    drawn.legend(handles, [f"\u200b{text}" for text in texts], frameon=False, **place, **shape)


def plain_text(text: str) -> str:
    """A text of plotly without its marks of HTML."""
    return html.unescape(re.sub(r"<[^>]*>", "", re.sub(r"<br\s*/?>", "\n", text)))


def _colour(colour: str | None) -> Any:
    """A colour of plotly as matplotlib has it."""
    if colour is None:
        return INK
    if found := re.fullmatch(r"rgba?\(([\d.,\s]+)\)", colour):
        red, green, blue, *opacity = (float(value) for value in found[1].split(","))
        return red / 255, green / 255, blue / 255, *opacity
    return to_rgba(colour)


def _colours(colours: Any) -> Any:
    """A list of one colour, or of one for each point."""
    return [_colour(one) for one in ([colours] if colours is None or isinstance(colours, str) else colours)]
