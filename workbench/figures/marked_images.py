"""Images with what is marked in them, many on one figure: boxes, outlines, crosses and their names.

All lie on one pair of axes in inches, which is quicker than axes for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from PIL import Image
from torch import Tensor

from workbench.errors import DataError
from workbench.figures.drawing.canvas import OUTLINE, TAG, ink_on, text_width
from workbench.figures.drawing.tags import Box, place_tags

GAP, LINE = 0.1, 0.17  #: inches between images, and for a line of text
SIZE = 8.5  #: points of titles
SHARP = 200  #: pixels per inch, more are left out
CRISP = 256  #: pixels; smaller images show their pixels
TINT = 0.3  #: opacity of what fills an outline
ARM = 0.06  #: inches, of crosses


@dataclass(frozen=True)
class Mark:
    """An outline, or a cross where there is but one point."""

    points: Sequence[tuple[float, float]]  #: x, y in pixels of the image
    colour: str
    text: str = ""
    dashed: bool = False
    filled: bool = False

    @classmethod
    def box(cls, box: Sequence[float], colour: str, text: str = "", *, dashed: bool = False) -> Mark:
        """The outline of a box [4], xyxy pixels."""
        x1, y1, x2, y2 = box
        return cls(((x1, y1), (x2, y1), (x2, y2), (x1, y2)), colour, text, dashed)


@dataclass(frozen=True)
class MarkedImage:
    """An image uint8 [3, H, W], or what is said in its place, and what is marked in it; later marks lie on top."""

    image: Tensor | str
    marks: Sequence[Mark] = ()
    title: str = ""
    layers: Sequence[np.ndarray] = field(default=())  #: RGBA in 0..1 or as uint8 [H, W, 4], over the image


def marked_images(images: Sequence[MarkedImage], *, columns: int = 4, side: float = 2.0) -> Figure:
    """Images in rows, with their titles below.

    Args:
        columns: images in a row.
        side: inches of the longer side of each.

    Raises:
        DataError: there is no image.
    """
    if not images:
        raise DataError("there is no image to draw; give at least one")
    columns = min(columns, len(images))
    rows = [images[first : first + columns] for first in range(0, len(images), columns)]
    heights = [max(_inches(one, side)[1] for one in row) for row in rows]
    text = LINE if any(one.title for one in images) else 0.0
    width = columns * (side + GAP) - GAP
    height = sum(heights) + len(rows) * (text + GAP) - GAP
    figure, axes = plt.subplots(figsize=(width, height), facecolor="white")
    plt.close(figure)  # else a notebook shows it twice
    axes.set_position((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=(0, width), ylim=(height, 0))
    y = 0.0
    for row, most in zip(rows, heights, strict=True):
        for place, one in enumerate(row):
            wide, high = _inches(one, side)
            x, top = place * (side + GAP), y + most - high
            _draw(axes, one, x, top, wide, high)
            _write(axes, one.title, x, y + most + 0.03, side)
        y += most + text + GAP
    axes.set(xlim=(0, width), ylim=(height, 0))
    return figure


def _inches(one: MarkedImage, side: float) -> tuple[float, float]:
    """Width and height of an image."""
    if isinstance(one.image, str):
        return side, side / 2
    height, width = one.image.shape[-2:]
    return side * width / max(height, width), side * height / max(height, width)


def _write(axes: Axes, text: str, x: float, y: float, side: float) -> None:
    """A line of text, cut where it would be wider than its image."""
    short = text
    while text_width(short, SIZE) > 72 * side and len(short) > 2:
        short = f"{short.removesuffix('…')[:-1]}…"
    axes.text(x, y, short, fontsize=SIZE, va="top", ha="left", color="#24292f", parse_math=False)


def _draw(axes: Axes, one: MarkedImage, x: float, y: float, wide: float, high: float) -> None:
    if isinstance(one.image, str):
        axes.add_patch(Polygon([(x, y), (x + wide, y), (x + wide, y + high), (x, y + high)], color="#eaeef2"))
        style = {"fontsize": SIZE - 1, "va": "top", "color": "#a40e26", "wrap": True, "parse_math": False}
        axes.text(x + 0.06, y + 0.06, one.image, **style, clip_on=True)
        return
    height, width = one.image.shape[-2:]
    pixels = one.image.permute(1, 2, 0).contiguous().numpy()
    fitting = round(wide * SHARP), round(high * SHARP)
    if width > fitting[0]:
        pixels = np.asarray(Image.fromarray(pixels).resize(fitting, Image.Resampling.BOX))
    crisp = "nearest" if max(height, width) <= CRISP else "antialiased"
    for layer in (pixels, *one.layers):
        axes.imshow(layer, extent=(x, x + wide, y + high, y), interpolation=crisp, aspect="auto")
    scale = np.array([wide / width, high / height])
    outlined = []
    for mark in one.marks:
        points = np.asarray(mark.points, dtype=float) * scale + (x, y)
        if len(points) == 1:
            axes.plot(*points.T, "x", color=mark.colour, markersize=144 * ARM, mew=2, path_effects=OUTLINE)
        else:
            line = {"edgecolor": mark.colour, "linewidth": 1.4, "linestyle": "--" if mark.dashed else "-"}
            fill = to_rgba(mark.colour, TINT if mark.filled else 0.0)
            shape = Polygon(points, facecolor=fill, **line)
            shape.set_path_effects(OUTLINE if not mark.dashed else [])
            axes.add_patch(shape)
        outlined.append((mark, (*points.min(axis=0), *points.max(axis=0))))
    _name(axes, [(mark, box) for mark, box in outlined if mark.text], x, y, wide, high)


def _name(axes: Axes, named: Sequence[tuple[Mark, Box]], x: float, y: float, wide: float, high: float) -> None:
    """The names of marks, which do not cover each other."""
    sizes = [((1.08 * text_width(mark.text, TAG) + 2.4) / 72, 1.45 * TAG / 72) for mark, _ in named]
    boxes: list[Box] = [(x1 - x, y1 - y, x2 - x, y2 - y) for _, (x1, y1, x2, y2) in named]
    places = place_tags(boxes, sizes, (wide, high))
    for (mark, _), (x1, y1, x2, y2) in zip(named, places, strict=True):
        ground = {"facecolor": mark.colour, "edgecolor": "none", "pad": 0.8}
        style = {"fontsize": TAG, "ha": "center", "va": "center_baseline", "color": ink_on(mark.colour)}
        axes.text(x + (x1 + x2) / 2, y + (y1 + y2) / 2, mark.text, bbox=ground, parse_math=False, **style)
