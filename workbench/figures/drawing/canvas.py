"""What all pictures of images share: an empty figure, and labelled boxes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.axis import Tick, XAxis, YAxis
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.spines import Spine
from matplotlib.transforms import Affine2D, Transform
from scipy import ndimage
from torch import Tensor

from workbench.figures.drawing.colours import WHITE, colour
from workbench.figures.drawing.tags import Box, place_tags
from workbench.types import Target

TAG = 6.5  # points, size of the names of boxes
HATCH, HATCHED = "////", 0.4  #: of what is found to hide objects: matplotlib's sign, and the opacity below it
OUTLINE = [patheffects.Stroke(linewidth=3.2, foreground="#000000a0"), patheffects.Normal()]


class _WithoutTicks:
    """An axis of `PictureAxes`."""

    def reset_ticks(self) -> None:
        self.majorTicks: list[Tick] = []
        self.minorTicks: list[Tick] = []

    def get_ticks_position(self) -> str:
        return "default"

    def get_tightbbox(self, *_: object, **__: object) -> None:
        return None


class _XAxis(_WithoutTicks, XAxis):
    pass


class _YAxis(_WithoutTicks, YAxis):
    pass


class PictureAxes(Axes):
    """Axes that are off and stay so, for a picture and its title.

    Others make spines and ticks, which are most of the time of a small picture, also where these are not drawn.
    """

    def clear(self) -> None:
        """Take away what is drawn."""
        super().clear()
        self.set_axis_off()

    def _gen_axes_spines(self, *_: object, **__: object) -> dict[str, Spine]:
        return {}

    def _init_axis(self) -> None:
        self.xaxis, self.yaxis = _XAxis(self), _YAxis(self)


def new_figure(rows: int, columns: int, size: tuple[float, float], **options: object) -> tuple[Figure, np.ndarray]:
    """A figure of (width, height) inches and its axes [rows, columns].

    Made by pyplot, so that a notebook knows how to show it, and forgotten by it at once: shown exactly once, and
    no memory is held.

    Args:
        options: of `Figure.subplots`.
    """
    figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False, **options)
    plt.close(figure)
    return figure, axes


def image_axes(
    rows: int, columns: int, sizes: tuple[float, float], side: float, *, titles: float = 1
) -> tuple[Figure, np.ndarray]:
    """A figure with [rows, columns] axes for pictures.

    Args:
        sizes: height and width of the pictures, in any unit.
        side: inches of the longer side of a picture.
        titles: how many lines of text there will be above each other.
    """
    height, width = sizes
    inches = side / max(height, width)
    size = columns * width * inches, rows * height * inches + 0.25 * titles
    figure, axes = new_figure(rows, columns, size, subplot_kw={"axes_class": PictureAxes})
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0, hspace=0)
    return figure, axes


def placed_figure(width: float, height: float, *, dpi: float | None = None) -> Figure:
    """An empty figure of so many inches for `place`; made and forgotten by pyplot as `new_figure`'s are.

    It has empty axes over all of it: notebooks do not show a figure that has none.
    """
    figure = plt.figure(figsize=(width, height), dpi=dpi)
    plt.close(figure)
    figure.add_axes((0, 0, 1, 1), axes_class=PictureAxes)
    return figure


def inches_of(figure: Figure) -> Transform:
    """From inches from the upper left corner to the figure."""
    across, down = figure.get_size_inches()
    return Affine2D().scale(1 / across, -1 / down).translate(0, 1) + figure.transFigure


def place(figure: Figure, x: float, y: float, width: float, height: float, **options: object) -> Axes:
    """Axes at a place in inches from the upper left corner: where places are known, they are not to be measured.

    A layout that matplotlib finds takes more time than all else in a figure of a few pictures.

    Args:
        options: of `Figure.add_axes`.
    """
    across, down = figure.get_size_inches()
    return figure.add_axes((x / across, 1 - (y + height) / down, width / across, height / down), **options)


def as_uint8(image: Tensor) -> Tensor:
    """An image uint8 or float (0..1) [3, H, W] as uint8, on the CPU."""
    plain = image.detach().as_subclass(Tensor).cpu()
    return plain if plain.dtype == torch.uint8 else (plain.clamp(0, 1) * 255).round().to(torch.uint8)


def show_image(axes: Axes, image: Tensor) -> None:
    """Draw an image uint8 or float (0..1) [3, H, W]; small ones with crisp pixels; axes in its pixels."""
    pixels = np.asarray(image.detach().cpu()).transpose(1, 2, 0)
    height, width = pixels.shape[:2]
    crisp = "nearest" if max(height, width) <= 256 else "antialiased"
    axes.imshow(pixels, extent=(0, width, height, 0), interpolation=crisp)
    axes.set(xlim=(0, width), ylim=(height, 0))


def draw_box(axes: Axes, box: Tensor, *, colour: str = WHITE, dashed: bool = False) -> None:
    """The outline of a box [4] (xyxy pixels)."""
    x1, y1, x2, y2 = (float(value) for value in box)
    style = "--" if dashed else "-"
    outline = Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linewidth=1.6, linestyle=style)
    outline.set_path_effects([] if dashed else OUTLINE)
    axes.add_artist(outline)  # unlike a patch it does not widen the limits, which are those of the picture


def mask_layer(masks: Tensor, colours: Sequence[str], *, opacity: float) -> np.ndarray:
    """RGBA in 0..1 [H, W, 4]: the pixels of masks [N, H, W] in colours of their own, the last one on top."""
    layer = np.zeros((*masks.shape[-2:], 4))
    for mask, one in zip(np.asarray(masks.cpu(), dtype=bool), colours, strict=True):
        layer[mask] = to_rgba(one, opacity)
    return layer


def show_layer(axes: Axes, layer: np.ndarray) -> None:
    """Lay colours RGBA in 0..1 [H, W, 4] over the picture."""
    height, width = layer.shape[:2]
    axes.imshow(layer, extent=(0, width, height, 0), interpolation="nearest")


def hatch(axes: Axes, pixels: Tensor) -> None:
    """Darken and hatch pixels bool [H, W] of the picture: what is found to hide objects, unlike their own tints."""
    hidden = np.asarray(pixels.cpu(), dtype=bool)
    if not hidden.any():
        return
    height, width = hidden.shape
    layer = np.zeros((height, width, 4))
    layer[hidden] = to_rgba("black", HATCHED)
    show_layer(axes, layer)
    middles = np.arange(width) + 0.5, np.arange(height) + 0.5
    stripes = axes.contourf(*middles, hidden, levels=[0.5, 1.5], colors="none", hatches=[HATCH])
    stripes.set_edgecolor(WHITE)
    axes.set(xlim=(0, width), ylim=(height, 0))


def hatch_mark(text: str) -> Patch:
    """What stands for `hatch` in a legend."""
    return Patch(facecolor="0.45", edgecolor=WHITE, hatch=HATCH, label=plain(text))


def target_layer(target: Target, *, opacity: float) -> np.ndarray | None:
    """RGBA in 0..1 [H, W, 4]: the visible pixels of objects, and a white line around what hides them.

    None where neither `masks` nor `mask_occluder` are known.
    """
    layer = None
    if "masks" in target:
        layer = mask_layer(target["masks"], [colour(label) for label in target["labels"].tolist()], opacity=opacity)
    if "mask_occluder" in target:
        hidden = np.asarray(target["mask_occluder"].cpu(), dtype=bool)
        layer = np.zeros((*hidden.shape, 4)) if layer is None else layer
        layer[hidden & ~ndimage.binary_erosion(hidden)] = to_rgba(WHITE)
    return layer


def draw_tags(axes: Axes, boxes: Tensor, texts: Sequence[str], colours: Sequence[str]) -> None:
    """Name boxes [N, 4] (xyxy pixels) of the picture on these axes; the names do not cover each other.

    A name that finds no room at its box is joined to it by a line. The first boxes get the best places.
    """
    points = _points_per_pixel(axes)
    sizes = [(width / points, height / points) for width, height in map(_text_size, texts)]
    corners: list[Box] = [tuple(box) for box in boxes.tolist()]
    frame = abs(np.diff(axes.get_xlim())[0]), abs(np.diff(axes.get_ylim())[0])
    places = place_tags(corners, sizes, frame)
    for text, ground, box, place in reversed(list(zip(texts, colours, corners, places, strict=True))):
        _join(axes, box, place, ground)
        axes.text(
            (place[0] + place[2]) / 2,
            (place[1] + place[3]) / 2,
            text,
            fontsize=TAG,
            color=ink_on(ground),
            ha="center",
            va="center_baseline",
            bbox={"facecolor": ground, "edgecolor": "none", "pad": 0.8},
            parse_math=False,  # a class may be called $x$
            clip_on=True,
        )


def _join(axes: Axes, box: Box, place: Box, colour: str) -> None:
    """A line from a tag to its box, where they do not touch."""
    near = [sorted((place[i], (box[i] + box[i + 2]) / 2, place[i + 2]))[1] for i in (0, 1)]
    end = [sorted((box[i], near[i], box[i + 2]))[1] for i in (0, 1)]
    if np.hypot(near[0] - end[0], near[1] - end[1]) > 1:
        axes.add_line(Line2D([near[0], end[0]], [near[1], end[1]], color=colour, linewidth=1))


def _points_per_pixel(axes: Axes) -> float:
    """Points that a pixel of the picture takes, as far as that is known before the figure is laid out."""
    inches = axes.figure.get_size_inches()
    spec = axes.get_subplotspec()
    share = axes.get_position().size if spec is None else 1 / np.array(spec.get_gridspec().get_geometry()[::-1])
    pixels = [abs(np.diff(limits)[0]) for limits in (axes.get_xlim(), axes.get_ylim())]
    return 72 * float(np.min(inches * share / pixels)) * 0.97  # a little is left between pictures


@lru_cache(maxsize=512)
def text_width(text: str, size: float) -> float:
    """Points that a line of text of `size` points is wide."""
    font = get_font(findfont(FontProperties()))
    font.set_size(10 * size, 72)  # ten times, since widths are rounded
    font.set_text(text, 0)
    return font.get_width_height()[0] / 640


def _text_size(text: str) -> tuple[float, float]:
    """Width and height in points of a box's name with what is around it."""
    return 1.08 * text_width(text, TAG) + 2.4, 1.45 * TAG


def plain(text: str) -> str:
    """Text that matplotlib shows as it is.

    A dollar sign would start a formula. What starts with an underscore would be left out of the legend but for the
    invisible space put before it.
    """
    text = text.replace("$", r"\$")
    return f"\u200b{text}" if text.startswith("_") else text


def ink_on(background: str) -> str:
    """Black or white, whichever reads better on a colour."""
    red, green, blue = to_rgb(background)
    return "black" if 0.3 * red + 0.59 * green + 0.11 * blue > 0.55 else "white"
