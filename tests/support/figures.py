"""What stands on a figure itself, read from its artists."""

from __future__ import annotations

import numpy as np
from matplotlib.collections import Collection, LineCollection, PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from workbench.figures.drawing.sheet import Unscaled


def words(figure: Figure, **style: object) -> list[str]:
    """Its texts, or those of a style, such as `ha="right"`."""
    return [text.get_text() for text in figure.texts if _has(text, style)]


def _has(text: Text, style: dict[str, object]) -> bool:
    return all(getattr(text, f"get_{name}")() == value for name, value in style.items())


def sheet_pixels(figure: Figure) -> np.ndarray:
    """The pixels [H, W, 4] of a sheet."""
    (image,) = [one for one in figure.artists if isinstance(one, Unscaled)]
    return np.asarray(image.get_array())


def collections(figure: Figure, kind: type[Collection]) -> list[Collection]:
    """Those of one kind, in the order they are drawn on each other."""
    return [one for one in figure.artists if type(one) is kind]


def lines(figure: Figure, style: str | None = None) -> list[np.ndarray]:
    """The corners [points, 2] of all lines, in their own values; of a style, those that are solid or "dashed"."""
    found = []
    for some in collections(figure, LineCollection):
        for line, (_, pattern) in zip(some.get_segments(), _patterns(some), strict=True):
            if style is None or (style == "dashed") == (pattern is not None):
                found.append(line)
    return found


def _patterns(some: LineCollection) -> list[tuple]:
    given = some.get_linestyles()
    return [given[place % len(given)] for place in range(len(some.get_segments()))]


def bars(figure: Figure) -> list[tuple[str, float, float, float]]:
    """Colour, left and right end, and middle of all bars, in their values."""
    found = []
    for some in collections(figure, PolyCollection):
        for path, colour in zip(some.get_paths(), some.get_facecolors(), strict=True):
            (low, bottom), (high, top) = path.vertices.min(axis=0), path.vertices.max(axis=0)
            found.append((to_hex(colour), float(low), float(high), float(bottom + top) / 2))
    return found


def marks(figure: Figure) -> list[Line2D]:
    """Lines through values, and marks at them."""
    return [one for one in figure.artists if isinstance(one, Line2D)]
