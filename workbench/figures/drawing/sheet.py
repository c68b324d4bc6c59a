"""Small maps drawn over the patch that they belong to, in rows and columns of panels on one sheet.

A map of 7 × 7 cells is interpolated linearly and drawn over the object's box, with colours that rise in brightness,
for every kind of eye and for print.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.backend_bases import RendererBase
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.image import BboxImage
from matplotlib.transforms import Affine2D, Bbox, TransformedBbox
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from workbench.figures.drawing.canvas import inches_of, placed_figure, text_width
from workbench.figures.drawing.page import ink

GAP, LABELS = 0.06, 1.3  #: inches between panels, and for the names of rows
LINE, BAR = 0.17, 0.6  #: inches of a line of text, and for the colour bar
SIZE = 8.5  #: points of texts
FAINT, STRONG = 0.2, 0.85  #: opacity of the lowest and the highest value over the patch
DROPPED = 0.08  #: what is left of the brightness where nothing is kept


_SHARES = np.linspace(0, 1, 256)[:, None]
_OPACITY = FAINT + (STRONG - FAINT) * _SHARES  # [256, 1]
_COLOURS = _OPACITY * matplotlib.colormaps["inferno"](_SHARES[:, 0])[:, :3]  # [256, 3]
#: The higher the value, the brighter and the less transparent; here over middle grey.
SCALE = ListedColormap(_COLOURS + (1 - _OPACITY) * 0.5, "sheet")
_INK = (_COLOURS * 255 + 0.5).astype(np.float32)  # with what rounds it
_CLEAR = ((1 - _OPACITY) / 3).astype(np.float32)  # of the sum of three colours


def heat(patch: Tensor, values: Tensor, *, top: float | None = None, crisp: bool = False) -> np.ndarray:
    """A map [h, w] over a patch uint8 [3, H, W]: uint8 RGB [H, W, 3].

    0 and below is the bare patch in grey, `top` (None: the highest value) is brightest; linear between the middles
    of the cells, or with every cell a crisp square.
    """
    positive = values.float().clamp(min=0)
    share = (positive / max(float(positive.max()) if top is None else top, 1e-12)).clamp(max=1)
    how = {"mode": "nearest-exact"} if crisp else {"mode": "bilinear", "align_corners": False}
    large = F.interpolate(share[None, None], size=tuple(patch.shape[-2:]), **how)[0, 0]
    grey = patch.sum(dim=0, dtype=torch.float32).numpy()[
        ..., None
    ]  # so that all colour is the map's; three times 255
    places = (large * 255).round().to(torch.uint8).numpy()
    seen = _INK.take(places, axis=0)
    seen += _CLEAR.take(places, axis=0) * grey
    return seen.astype(np.uint8)


def keep(patch: Tensor, kept: Tensor) -> np.ndarray:
    """A patch uint8 [3, H, W] through a mask [h, w] in 0..1: uint8 RGB [H, W, 3].

    What is dropped is dark; where the mask has but two values, white lines run between them.
    """
    size = tuple(patch.shape[-2:])
    large = F.interpolate(kept[None, None].float(), size=size, mode="nearest-exact")[0, 0].numpy()
    brightness = (DROPPED + (1 - DROPPED) * large)[..., None]
    seen = (patch.permute(1, 2, 0).numpy() * brightness + 0.5).astype(np.uint8)
    if len(kept.unique()) == 2:
        border = np.zeros(large.shape, bool)
        for axis in (0, 1):
            steps = np.diff(large, axis=axis, append=large.take([-1], axis)) != 0
            border |= steps | np.roll(steps, 1, axis)
        seen[border] = 255
    return seen


def as_bytes(colours: np.ndarray) -> np.ndarray:
    """Colours in 0..1 as uint8."""
    return (colours * 255).round().astype(np.uint8)


class Unscaled(BboxImage):
    """A picture uint8 [H, W, 4] over all of a figure: not resampled where it has the figure's pixels already."""

    def __init__(self, figure: Figure, pixels: np.ndarray):
        whole = TransformedBbox(Bbox.unit(), figure.transFigure)  # also where the figure is cut or a part of a page
        super().__init__(whole, interpolation="antialiased", origin="upper")
        self.set_data(pixels)

    def draw(self, renderer: RendererBase) -> None:
        """As every image is drawn, but in a third of the time where it can be."""
        pixels, box = self.get_array(), self.bbox
        if (
            pixels.shape[:2] != (int(box.height + 1e-6), int(box.width + 1e-6))
            or renderer.get_image_magnification() != 1
        ):
            super().draw(renderer)
        elif self.get_visible():
            renderer.draw_image(renderer.new_gc(), round(box.x0), round(box.y0), pixels[::-1])
        self.stale = False


@dataclass(frozen=True)
class Sheet:
    """Panels in rows and columns, on one picture on the figure itself: quicker than axes for each."""

    figure: Figure
    pixels: np.ndarray  #: uint8 [H, W, 4], the whole figure, clear where nothing is
    size: tuple[float, float]  #: inches of height and width of a panel
    dpi: int  #: pixels per inch: panels are made for them, so that none is resampled while it is drawn
    step: float  #: inches from row to row
    left: float  #: inches before the first column
    top: float  #: inches over the first row

    @classmethod
    def blank(
        cls,
        rows: int,
        columns: int,
        side: float | tuple[float, float],
        dpi: int,
        *,
        above: int = 1,
        below: int = 0,
        labels: float = LABELS,
        bar: float = BAR,
        least: float = 0.0,
    ) -> Sheet:
        """An empty figure for so many panels.

        Args:
            side: inches of a panel, or of its height and width.
            dpi: pixels per inch.
            above, below: lines of text over and under each panel.
            labels: inches for the names of rows.
            bar: inches for the scale.
            least: inches of the figure's height.
        """
        size = side if isinstance(side, tuple) else (side, side)
        step = size[0] + GAP + LINE * (above + below)
        width, height = labels + columns * (size[1] + GAP) + bar, max(rows * step + GAP, least)
        shape = round(height * dpi), round(width * dpi)
        figure = placed_figure(shape[1] / dpi, shape[0] / dpi, dpi=dpi)
        return cls(figure, np.zeros((*shape, 4), np.uint8), size, dpi, step, labels, LINE * above + GAP)

    def place(self, row: int, column: int) -> tuple[float, float]:
        """Left and upper edge of a panel in inches."""
        return self.left + column * (self.size[1] + GAP), self.top + row * self.step

    def inside(self, row: int, column: int, size: Sequence[int]) -> dict[str, Any]:
        """Options of an artist whose places are pixels of a panel's picture of (height, width); cut at its edges."""
        x, y = self.place(row, column)
        height, width = self.size
        to_inches = Affine2D().scale(width / size[1], height / size[0]).translate(x, y)
        inches = inches_of(self.figure)
        edges = TransformedBbox(Bbox.from_bounds(x, y, width, height), inches)
        return {"transform": to_inches + inches, "clip_box": edges}

    def paste(self, x: float, y: float, picture: np.ndarray) -> None:
        """Put uint8 RGB [h, w, 3] at a place in inches."""
        left, top = (round(value * self.dpi) for value in (x, y))
        place = slice(top, top + picture.shape[0]), slice(left, left + picture.shape[1])
        self.pixels[(*place, slice(3))] = picture
        self.pixels[(*place, 3)] = 255

    def sized(self, patch: Tensor) -> Tensor:
        """A patch uint8 [3, H, W] with the pixels of a panel."""
        height, width = (round(side * self.dpi) for side in self.size)
        picture = Image.fromarray(patch.permute(1, 2, 0).contiguous().numpy())
        small = picture.resize((width, height), Image.Resampling.BOX)
        return torch.from_numpy(np.array(small)).permute(2, 0, 1)

    def show(self, row: int, column: int, picture: np.ndarray, title: str = "") -> None:
        """A picture with a title over it."""
        self.paste(*self.place(row, column), picture)
        self.title(row, column, title)

    def title(self, row: int, column: int, text: str, *, bold: bool = False) -> None:
        """Text over a panel."""
        x, y = self.place(row, column)
        weight, size = "bold" if bold else "normal", self._fitting(text)
        self._text(x + self.size[1] / 2, y - 0.04, text, va="bottom", weight=weight, fontsize=size)

    def caption(self, row: int, column: int, text: str) -> None:
        """Text under a panel."""
        x, y = self.place(row, column)
        self._text(x + self.size[1] / 2, y + self.size[0] + 0.03, text, va="top", fontsize=self._fitting(text))

    def _fitting(self, text: str) -> float:
        """Points of a text that is no wider than a panel and its gap, so that it does not touch its neighbour's."""
        widest = max(text_width(line, SIZE) for line in text.split("\n"))
        return min(SIZE, SIZE * 72 * (self.size[1] + GAP) / max(1.0, widest))

    def name(self, row: int, name: str, facts: str) -> None:
        """The name of a row, and in smaller print what is known of it."""
        wrapped = "\n".join(textwrap.wrap(name, 15, max_lines=3, placeholder=" …"))
        y = self.place(row, 0)[1] + self.size[0] / 2
        style = {"ha": "right", "linespacing": 1.3}
        self._text(self.left - 0.08, y - 0.02, wrapped, fontsize=9, weight="bold", va="bottom", **style)
        self._text(self.left - 0.08, y + 0.02, facts, fontsize=8, va="top", color=ink(0.8), **style)

    def _text(self, x: float, y: float, text: str, **style: Any) -> None:
        if text:
            style = {"fontsize": SIZE, "ha": "center", **style}
            self.figure.text(x, y, text, transform=inches_of(self.figure), parse_math=False, **style)

    def finished(self, what: str | None = "attention", low: str = "0", high: str = "high", *, row: int = 0) -> Figure:
        """The figure; at the right of a row the scale of `what` (None: no scale), from `low` to `high`."""
        if what is not None:
            self._scale(self.figure.get_figwidth() - BAR + 0.04, self.place(row, 0)[1], what, low, high)
        self.figure.add_artist(Unscaled(self.figure, self.pixels))
        return self.figure

    def _scale(self, x: float, y: float, what: str, low: str, high: str) -> None:
        scale = as_bytes(SCALE(np.linspace(1, 0, round(self.size[0] * self.dpi)))[:, None, :3])
        self.paste(x, y, scale.repeat(round(0.1 * self.dpi), axis=1))
        style = {"fontsize": 7.5, "ha": "left"}
        self._text(x + 0.13, y, high, va="top", **style)
        self._text(x + 0.13, y + self.size[0] / 2, what, va="center", rotation=90, **style)
        self._text(x + 0.13, y + self.size[0], low, va="bottom", **style)


def class_name(label: int, classes: Sequence[str] | None) -> str:
    """What a label is called in a panel's title."""
    if classes is None:
        return f"label {label}"
    name = "background" if label == 0 else classes[label - 1]
    return name if len(name) <= 14 else f"{name[:13]}…"
