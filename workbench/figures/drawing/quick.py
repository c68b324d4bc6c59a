"""Figures as pixels, in less time: a line of text is drawn once, and afterwards laid where it is wanted.

Matplotlib draws text letter by letter, which is most of the time of a picture with titles. A line that is kept stands
on whole pixels, so that it may be half of one from where matplotlib puts it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from matplotlib.backend_bases import GraphicsContextBase
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg, get_hinting_flag
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font

KEPT = 4096  #: lines of text


def pixels_of(figure: Figure) -> np.ndarray:
    """A figure, uint8 [H, W, 4], in its own size and resolution."""
    canvas = _Canvas(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


class _Line(NamedTuple):
    """A line of text."""

    size: tuple[float, float, float]  #: width, height and descent in pixels
    cover: np.ndarray  #: uint8 [h, w], how much of each pixel it covers, the lowest line first
    left: float  #: pixels from where it begins


@lru_cache(maxsize=16)
def _letters(path: str) -> frozenset[str]:
    """What the font of a file has."""
    return frozenset(map(chr, get_font(path).get_charmap()))


@lru_cache(maxsize=KEPT)
def _line(text: str, path: str, size: float, dpi: float, hinting: Any) -> _Line | None:
    """In points of a size, with the font of a file; None where that lacks a letter and others must be searched."""
    if not _letters(path).issuperset(text):
        return None
    face = get_font(path)
    face.clear()
    face.set_size(size, dpi)
    face.set_text(text, 0, flags=hinting)
    face.draw_glyphs_to_bitmap(antialiased=True)
    (width, height), descent = face.get_width_height(), face.get_descent()
    cover, left = np.array(face.get_image())[::-1], face.get_bitmap_offset()[0]
    return _Line((width / 64, height / 64, descent / 64), cover, left / 64)


class _Renderer(RendererAgg):
    def _kept(self, text: str, font: FontProperties, ismath: bool | str) -> _Line | None:
        if ismath:
            return None
        return _line(text, findfont(font), font.get_size_in_points(), self.dpi, get_hinting_flag())

    def get_text_width_height_descent(
        self, s: str, prop: FontProperties, ismath: bool | str
    ) -> tuple[float, float, float]:
        line = self._kept(s, prop, ismath)
        return super().get_text_width_height_descent(s, prop, ismath) if line is None else line.size

    def draw_text(
        self,
        gc: GraphicsContextBase,
        x: float,
        y: float,
        s: str,
        prop: FontProperties,
        angle: float,
        ismath: bool | str = False,
        mtext: Any = None,
    ) -> None:
        line = self._kept(s, prop, ismath) if angle in (0, 90) and gc.get_antialiased() else None
        if line is None:
            super().draw_text(gc, x, y, s, prop, angle, ismath, mtext)
            return
        *colour, opacity = gc.get_rgb()
        ink = np.empty((*line.cover.shape, 4), np.uint8)
        ink[..., :3] = np.round(255 * np.array(colour))
        ink[..., 3] = np.round(line.cover * opacity)
        y, above = self.height - y, line.size[1] - line.size[2]
        if angle:
            self.draw_image(gc, round(x - above) - 1, round(y + line.left), np.rot90(ink, -1))
        else:
            self.draw_image(gc, round(x + line.left), round(y - line.size[2]) - 1, ink)


class _Canvas(FigureCanvasAgg):
    def get_renderer(self) -> RendererAgg:
        return _Renderer(*self.figure.bbox.size, self.figure.dpi)
