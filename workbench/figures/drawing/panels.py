"""Pictures beside each other: their grid, titles of two lines, masks with outlines, parts of images, a legend."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from torch import Tensor

from workbench.figures.drawing.canvas import image_axes, mask_layer, show_layer
from workbench.figures.drawing.page import ink

TINT = 0.5  #: opacity of masks
LEGEND = 0.3  #: inches below pictures
LONGEST = 26  #: characters of a title

View = tuple[float, float, float, float]  #: x1, y1, x2, y2 in pixels of an image


def panels(number: int, columns: int, sizes: tuple[float, float], side: float) -> tuple[Figure, list[Axes]]:
    """A figure with `number` axes for pictures with titles of two lines, at most `columns` in a row.

    Args:
        sizes: height and width of the pictures, in any unit.
        side: inches of the longer side of a picture.
    """
    columns = min(columns, number)
    rows = -(-number // columns)
    figure, axes = image_axes(rows, columns, sizes, side, titles=1.9 * rows)
    for one in axes.flat:
        one.set_anchor("S")  # what is left of the height is the titles'
    for one in axes.flat[number:]:
        one.remove()
    return figure, list(axes.flat)[:number]


def title(axes: Axes, name: str, facts: str, *, colour: str | None = None) -> None:
    """Two lines of text over a picture, in ink unless a colour is given; a long name is cut."""
    short = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
    axes.set_title(f"{short}\n{facts}", fontsize=8.5, color=colour or ink(), linespacing=1.25, parse_math=False)


def draw_mask(axes: Axes, mask: Tensor, colour: str, *, dashed: bool = False) -> None:
    """Tint the pixels of a mask bool [H, W] of the picture, with a line around them."""
    show_layer(axes, mask_layer(mask[None], [colour], opacity=TINT))
    outline_mask(axes, mask, colour, dashed=dashed)


def outline_mask(axes: Axes, mask: Tensor, colour: str, *, dashed: bool = False) -> None:
    """A line around the pixels of a mask bool [H, W] of the picture."""
    if not mask.any():
        return
    limits = axes.get_xlim(), axes.get_ylim()
    height, width = mask.shape
    whole = np.pad(np.asarray(mask.cpu(), dtype=float), 1)  # so that lines close at the edges of the image
    middles = np.arange(-1, width + 1) + 0.5, np.arange(-1, height + 1) + 0.5
    style = "--" if dashed else "-"
    axes.contour(*middles, whole, levels=[0.5], colors=[colour], linewidths=1.2, linestyles=[style])
    axes.set(xlim=limits[0], ylim=limits[1])


def frame(axes: Axes, view: Sequence[float], **style: object) -> None:
    """A rectangle; it is not filled unless the style says so."""
    x1, y1, x2, y2 = view
    axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, **{"fill": False, **style}))


def look_at(axes: Axes, view: Sequence[float]) -> None:
    """Show this part of the picture alone."""
    axes.set(xlim=(view[0], view[2]), ylim=(view[3], view[1]))


def around(box: Tensor, size: Sequence[int]) -> View:
    """A square about a box [4] with half its longer side more, moved into an image of `size` (height, width)."""
    x1, y1, x2, y2 = box.tolist()
    side = 1.5 * max(x2 - x1, y2 - y1, 8.0)
    left, top = (
        (whole - side) / 2 if side > whole else min(max(middle - side / 2, 0.0), whole - side)
        for middle, whole in (((x1 + x2) / 2, size[1]), ((y1 + y2) / 2, size[0]))
    )
    return left, top, left + side, top + side


def legend_below(figure: Figure, marks: Sequence[Patch]) -> None:
    """A legend below the pictures; its room is there without marks, too, so that figures of a kind have one size."""
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + LEGEND)
    if marks:
        figure.legend(handles=list(marks), loc="outside lower center", ncols=2, frameon=False, fontsize=8)
