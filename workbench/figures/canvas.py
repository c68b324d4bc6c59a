"""What all pictures of images share: an empty figure, colours of classes, and labelled boxes."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

#: Colours of labels 1, 2, ...; bright enough for photographs, the same as in the widgets.
COLOURS = (
    "#4cc9f0",
    "#f72585",
    "#80ed99",
    "#ff9f1c",
    "#b388ff",
    "#f6f740",
    "#ff6b6b",
    "#2ec4b6",
    "#e0aaff",
    "#cddc39",
)
OUTLINE = [patheffects.Stroke(linewidth=3.2, foreground="#000000a0"), patheffects.Normal()]


def colour(label: int) -> str:
    """The colour of a label in 1..K; they repeat after ten."""
    return COLOURS[(label - 1) % len(COLOURS)]


def new_figure(rows: int, columns: int, size: tuple[float, float], **options: object) -> tuple[Figure, np.ndarray]:
    """A figure of (width, height) inches and its axes [rows, columns]; options: of `Figure.subplots`.

    Made by pyplot, so that a notebook knows how to show it, and forgotten by it at once: shown exactly once, and
    no memory is held.
    """
    figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False, **options)
    plt.close(figure)
    return figure, axes


def image_axes(
    rows: int, columns: int, sizes: tuple[float, float], side: float, *, titles: int = 1
) -> tuple[Figure, np.ndarray]:
    """A figure with [rows, columns] axes for pictures of (height, width) `sizes`, `side` inches the longer
    one.

    titles: how many lines of text there will be above each other.
    """
    height, width = sizes
    inches = side / max(height, width)
    size = columns * width * inches, rows * height * inches + 0.25 * titles
    figure, axes = new_figure(rows, columns, size)
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0, hspace=0)
    for one in axes.flat:
        one.set_axis_off()
    return figure, axes


def show_image(axes: Axes, image: Tensor) -> None:
    """Draw an image uint8 or float (0..1) [3, H, W]; small ones with crisp pixels; axes in its pixels."""
    pixels = np.asarray(image.detach().cpu()).transpose(1, 2, 0)
    height, width = pixels.shape[:2]
    crisp = "nearest" if max(height, width) <= 256 else "antialiased"
    axes.imshow(pixels, extent=(0, width, height, 0), interpolation=crisp)
    axes.set(xlim=(0, width), ylim=(height, 0))


def draw_box(
    axes: Axes, box: Tensor, text: str = "", *, colour: str = "#ffffff", dashed: bool = False
) -> None:
    """A box [4] (xyxy pixels) with a tag above it, or inside where there is no room above."""
    x1, y1, x2, y2 = (float(value) for value in box)
    style = "--" if dashed else "-"
    outline = Rectangle(
        (x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linewidth=1.6, linestyle=style
    )
    outline.set_path_effects([] if dashed else OUTLINE)
    axes.add_patch(outline)
    if text:
        _tag(axes, (x1, y1, x2), text, colour)


def _tag(axes: Axes, place: tuple[float, float, float], text: str, colour: str) -> None:
    """Text on a box's upper edge: leaning inwards where the image ends."""
    x1, y1, x2 = place
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    leans_left = x1 > left + 0.6 * (right - left)
    axes.text(
        min(x2, right) if leans_left else max(x1, left),
        max(y1, top),
        text,
        fontsize=7.5,
        color=_on(colour),
        ha="right" if leans_left else "left",
        va="top" if y1 < top + 0.06 * (bottom - top) else "bottom",
        bbox={"facecolor": colour, "edgecolor": "none", "pad": 1},
        parse_math=False,  # a class may be called $x$
        clip_on=True,
    )


def _on(background: str) -> str:
    """Black or white, whichever reads better on a colour."""
    red, green, blue = to_rgb(background)
    return "black" if 0.3 * red + 0.59 * green + 0.11 * blue > 0.55 else "white"
