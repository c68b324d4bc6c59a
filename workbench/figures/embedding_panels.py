"""The map of deep feature vectors as a still picture: the same points, coloured in several ways side by side.

Cen et al. 2021, Figs. 2, 3 and S1. For a page without scripts; `figures.embedding` is the one that answers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from workbench.analysis.embedding import POINT_KINDS, Embedding
from workbench.figures.drawing.canvas import new_figure, plain
from workbench.figures.drawing.colours import INK
from workbench.figures.embedding import arrow_ends, colour_key, point_colours

FORMS = {"clean": "o", "occluded": "D", "pseudo-DFV": "o", "DV": "x"}
SIZES = {"clean": 34, "occluded": 16, "pseudo-DFV": 12, "DV": 14}  #: square points


def embedding_panels(
    embedding: Embedding,
    colour_by: Sequence[str] = ("class", "pattern"),
    *,
    arrows: np.ndarray | None = None,
    width: float = 9.0,
) -> Figure:
    """A panel for each way to colour; kinds differ in form.

    Args:
        embedding: what is drawn.
        colour_by: some of `figures.embedding.COLOUR_BY`.
        arrows: rows [n] of occluded DFVs to which an arrow is drawn from the clean one; None: none.
        width: inches.

    Raises:
        DataError: arrows holds other rows.
    """
    ends = arrow_ends(embedding, arrows)
    figure, axes = new_figure(1, len(colour_by), (width, width / len(colour_by) + 0.9))
    for panel, by in zip(axes[0], colour_by, strict=True):
        _draw(panel, embedding, point_colours(embedding, by))
        _draw_arrows(panel, ends)
        panel.set_title(f"coloured by {by}", fontsize=10)
        panel.set_axis_off()  # t-SNE's axes have no unit
        _explain(panel, colour_key(embedding, by), 72 * width / len(colour_by))
    marks = [_mark(FORMS[kind], INK, kind, kind == "pseudo-DFV") for kind in POINT_KINDS if len(embedding.rows(kind))]
    figure.legend(handles=marks, loc="outside upper center", ncols=len(marks), fontsize=9, frameon=False)
    return figure


def _draw(panel: Axes, embedding: Embedding, colours: np.ndarray) -> None:
    for kind in ("pseudo-DFV", "DV", "occluded", "clean"):  # what is few and large comes last
        rows = embedding.rows(kind)
        how: dict = {"c": colours[rows], "linewidths": 0.4, "edgecolors": "white"}
        if kind == "DV":
            how = {"c": colours[rows], "linewidths": 0.9}
        if kind == "pseudo-DFV":
            how = {"facecolors": "none", "edgecolors": colours[rows], "linewidths": 0.7, "alpha": 0.7}
        panel.scatter(*embedding.points[rows].T, s=SIZES[kind], marker=FORMS[kind], **how)


def _draw_arrows(panel: Axes, ends: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
    style = {"arrowstyle": "-|>", "color": INK, "linewidth": 0.6, "shrinkA": 2, "shrinkB": 2, "alpha": 0.7}
    for start, end in ends:
        panel.annotate("", end, start, arrowprops=style)


def _explain(panel: Axes, key: dict[str, str], points: float) -> None:
    """The colours below the panel, in as many columns as find room in so many points of width."""
    marks = [_mark("s", colour, name, False) for name, colour in key.items()]
    columns = min(5, max(1, int(points / (26 + 4.8 * max(map(len, key))))))
    style = {"fontsize": 8, "frameon": False, "handletextpad": 0.1, "columnspacing": 0.9}
    panel.legend(handles=marks, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=columns, **style)


def _mark(form: str, colour: str, name: str, hollow: bool) -> Line2D:
    face = "none" if hollow else colour
    style = {"linestyle": "", "marker": form, "color": colour, "markerfacecolor": face, "markersize": 6}
    return Line2D([], [], **style, label=plain(name))
