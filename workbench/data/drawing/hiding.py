"""Hide an exact part of one object: what an occluder covers, and how it looks.

An object is its pixels [H, W]: its mask where that is known, else the pixels whose centres lie in its box. Hidden are
`fraction` of them, rounded to the nearest whole pixel (half a pixel up), by occluders of three forms:

- an even one or a texture (`SOLID`) is a rectangle with the sides' ratio of the object that grows from a point, or
  comes from one side of it over its whole width; it reaches beyond the object by `MARGIN`, so that its edges do not
  draw the box;
- a cut-out (`Occluder`) lies with its thickest part on a point, as large as it must be;
- a diffuse one (`DIFFUSE`: a fence, leaves) is spread over all of the object, and its bars or leaves grow.

All are one rule: each pixel has an order in which it is covered, and the first are taken. So with the same state of
the generator a larger fraction hides all that a smaller one hides (of cut-outs nearly all, as they are scaled). A
pixel is covered or left as it is; nothing is blended. All functions are pure, and draw from the generator passed in.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from workbench.data.drawing.cut_outs import Occluder
from workbench.data.drawing.diffuse import DIFFUSE
from workbench.data.drawing.fitting import fit
from workbench.data.drawing.occluders import FILLS, fill
from workbench.data.drawing.pixels import TEXTURES
from workbench.errors import DataError, did_you_mean

#: Where an occluder lies: x and y as shares of the object's box, from which it grows; random ones are drawn.
POINTS = {"centre": (0.5, 0.5), "top": (0.5, 0.0), "bottom": (0.5, 1.0), "left": (0.0, 0.5), "right": (1.0, 0.5)}
PLACES = ("random", *POINTS)
SOLID = (*FILLS, "texture")  #: "texture": one of the photographed ones
KINDS = (*SOLID, *DIFFUSE)  #: beside these, any `Occluder`
MARGIN = 0.1  #: by how much of the object's width and height a solid or diffuse occluder reaches beyond it

Place = str | tuple[float, float]


@dataclass(frozen=True, eq=False)
class Laid:
    """An occluder as it lies on an image."""

    top: int  #: first row of its window
    left: int  #: first column
    pixels: np.ndarray = field(repr=False)  #: uint8 [h, w, 3], its colours
    cover: np.ndarray = field(repr=False)  #: bool [h, w], which pixels of the window it covers
    hidden: int  #: pixels of the object under it

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the image."""
        height, width = self.cover.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Around what it covers, xyxy pixels; all 0 if that is nothing."""
        rows, columns = np.flatnonzero(self.cover.any(1)), np.flatnonzero(self.cover.any(0))
        if not len(rows):
            return 0, 0, 0, 0
        x, y = self.left + columns, self.top + rows
        return int(x[0]), int(y[0]), int(x[-1]) + 1, int(y[-1]) + 1


def object_pixels(
    size: tuple[int, int], box: Sequence[float] | Tensor, mask: Tensor | np.ndarray | None = None
) -> np.ndarray:
    """The pixels of an object, bool [H, W], in an image of `size` (height, width).

    Args:
        box: xyxy pixels.
        mask: bool [H, W], where it is known; one without a pixel counts as unknown.
    """
    if mask is not None and (known := np.asarray(mask, dtype=bool)).any():
        return known
    x1, y1, x2, y2 = (float(value) for value in box)
    pixels = np.zeros(size, bool)
    rows, columns = (slice(max(0, math.ceil(low - 0.5)), max(0, math.ceil(high - 0.5))) for low, high in
                     ((y1, y2), (x1, x2)))  # fmt: skip
    pixels[rows, columns] = True
    return pixels


def hidden_count(number: int, fraction: float) -> int:
    """How many of an object's pixels are hidden for a fraction of them (0..1), rounded half up.

    Raises:
        DataError: the fraction is no share of a whole.
    """
    if not 0 <= fraction <= 1:
        raise DataError(f"fraction {fraction!r} of an object's pixels; expected one from 0 to 1")
    return math.floor(fraction * number + 0.5 + 1e-9)  # 1e-9: 0.35 * 10 is 3.4999999999999996


def hide(
    pixels: np.ndarray,
    fraction: float,
    kind: str | Occluder = "grey",
    place: Place = "random",
    *,
    rng: np.random.Generator,
    keep: np.ndarray | None = None,
    margin: float = MARGIN,
) -> Laid:
    """An occluder that hides exactly a fraction of an object.

    Args:
        pixels: of the object, bool [H, W]; see `object_pixels`.
        fraction: of these pixels, 0 to 1; see `hidden_count`.
        kind: one of `KINDS`, or a cut-out.
        place: one of `PLACES`, or x and y as shares of the object's box (0 = left or top, 1 = right or bottom). A
            diffuse occluder lies all over the object, whatever the place.
        keep: bool [H, W], pixels that it must leave free, such as those of other objects: it lies behind them.
        margin: how far a solid or diffuse one reaches beyond the object, as a share of its width and height.

    Raises:
        DataError: an unknown kind or place, an object without pixels, or with too few that may be covered.
    """
    return hide_each(pixels, [fraction], kind, place, rng=rng, keep=keep, margin=margin)[0]


def hide_each(
    pixels: np.ndarray,
    fractions: Sequence[float],
    kind: str | Occluder = "grey",
    place: Place = "random",
    *,
    rng: np.random.Generator,
    keep: np.ndarray | None = None,
    margin: float = MARGIN,
) -> list[Laid]:
    """One occluder that hides each of several fractions of an object; the arguments are those of `hide`.

    For each it is what `hide` gives with the same state of the generator, at the cost of little more than one.
    """
    whole = int(pixels.sum())
    if not whole:
        raise DataError("an object without a pixel in the image cannot be hidden; leave it out")
    free = pixels if keep is None else pixels & ~keep
    counts, room = [hidden_count(whole, fraction) for fraction in fractions], int(free.sum())
    if max(counts, default=0) > room:
        raise DataError(f"{max(counts)} of an object's {whole} pixels are to be hidden, and {room} may be covered")
    point, box = _point(place, rng), _tight(pixels)
    if isinstance(kind, Occluder):
        drawn = [fit(free, box, kind, point, max(1, count)) for count in counts]
    else:
        drawn = [_drawn(kind, place, point, box, pixels.shape, margin, rng)] * len(counts)
    laid = []
    for count, (top, left, order, colours) in zip(counts, drawn, strict=True):
        window = slice(top, top + order.shape[0]), slice(left, left + order.shape[1])
        cover = _first(order, pixels[window], free[window], count)
        if keep is not None:
            cover &= ~keep[window]
        laid.append(Laid(top, left, colours, cover, count))
    return laid


def lay(image: Tensor, laid: Laid | Iterable[Laid]) -> Tensor:
    """The image uint8 [3, H, W] under one occluder or several, later ones on top; the one given stays as it is."""
    hidden = image.as_subclass(Tensor).clone()
    for one in [laid] if isinstance(laid, Laid) else laid:
        part = hidden[(slice(None), *one.window)]
        colours = torch.from_numpy(np.ascontiguousarray(one.pixels.transpose(2, 0, 1)))
        part.copy_(torch.where(torch.from_numpy(one.cover), colours, part))
    return hidden


def _point(place: Place, rng: np.random.Generator) -> tuple[float, float]:
    """Where in the object's box an occluder begins; a random one is drawn."""
    if not isinstance(place, str):
        x, y = (float(value) for value in place)
        if not (0 <= x <= 1 and 0 <= y <= 1):
            raise DataError(f"place ({x:g}, {y:g}): expected x and y as shares of the object's box, each from 0 to 1")
        return x, y
    if place not in PLACES:
        raise DataError(f"place {place!r} does not exist{did_you_mean(place, PLACES)}; or give (x, y)")
    drawn = rng.random(2)
    return POINTS.get(place, (float(drawn[0]), float(drawn[1])))


def _tight(pixels: np.ndarray) -> tuple[int, int, int, int]:
    """The box around pixels, xyxy."""
    rows, columns = np.flatnonzero(pixels.any(1)), np.flatnonzero(pixels.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _first(order: np.ndarray, pixels: np.ndarray, free: np.ndarray, count: int) -> np.ndarray:
    """What is covered [h, w]: the first `count` of the free pixels, and all that surrounds the object up to them."""
    if count == 0:
        return np.zeros_like(pixels)
    own = order[free]
    last = np.partition(own, count - 1)[count - 1]
    before, same = own < last, np.flatnonzero(own == last)
    before[same[: count - int(before.sum())]] = True
    cover = (order <= last) & ~pixels
    cover[free] = before
    return cover


def _drawn(
    kind: str,
    place: Place,
    point: tuple[float, float],
    box: tuple[int, int, int, int],
    size: tuple[int, ...],
    margin: float,
    rng: np.random.Generator,
) -> tuple[int, int, np.ndarray, np.ndarray]:
    """A solid or diffuse occluder in a window around an object's box: top, left, order [h, w], colours [h, w, 3]."""
    x1, y1, x2, y2 = box
    width, height = x2 - x1, y2 - y1
    across, down = math.ceil(margin * width), math.ceil(margin * height)
    left, top = max(0, x1 - across), max(0, y1 - down)
    rows, columns = min(size[0], y2 + down) - top, min(size[1], x2 + across) - left
    x = (np.arange(left, left + columns, dtype=np.float32) + 0.5 - x1) / width  # 0..1 over the box
    y = (np.arange(top, top + rows, dtype=np.float32) + 0.5 - y1) / height
    if kind in SOLID:
        name = TEXTURES[rng.integers(len(TEXTURES))] if kind == "texture" else kind
        return top, left, _solid_order(x, y, place, point), fill(name, rows, columns, rng, split=None)
    if kind in DIFFUSE:
        return top, left, *DIFFUSE[kind](x * width, y * height, math.sqrt(width * height), rng)
    raise DataError(
        f"occluder {kind!r} does not exist{did_you_mean(kind, KINDS)}; or load a PNG with `load_occluders`"
    )


def _solid_order(x: np.ndarray, y: np.ndarray, place: Place, point: tuple[float, float]) -> np.ndarray:
    """When an occluder that grows reaches each pixel: from a side over the whole width, or from a point."""
    fields = {"left": (x[None], 0), "right": (-x[None], 0), "top": (0, y[:, None]), "bottom": (0, -y[:, None])}
    if isinstance(place, str) and place in fields:
        across, down = fields[place]
        return np.zeros((len(y), len(x)), np.float32) + across + down
    return np.maximum(np.abs(x - point[0])[None], np.abs(y - point[1])[:, None])
