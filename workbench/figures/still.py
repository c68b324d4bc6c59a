"""Figures, texts and tables as one figure: a still picture of what a page shows.

The parts keep their size and are drawn as they are, so that lines and letters stay sharp in SVG and PDF.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.artist import Artist
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.layout_engine import PlaceHolderLayoutEngine
from matplotlib.transforms import Bbox

from workbench.figures.drawing.canvas import text_width

WIDEST = 12.2  #: inches; what does not fit beside each other stands below each other
NARROWEST = 6.0  #: inches of the whole
MARGIN, GAP, BETWEEN = 0.15, 0.12, 0.25  #: inches around all, and between parts below and beside each other
SIZE, TITLE, SMALL, SPACING = 9.0, 12.0, 8.5, 1.35  #: points of texts, and lines apart
COLUMN = 4.5  #: inches that a text by itself asks for, at most
SQUARE = 0.14  #: inches for a square before a name
CELL = 0.18  #: inches between the columns of a table
TEXT, QUIET = "#24292f", "#57606a"


@dataclass(frozen=True)
class Table:
    """Rows of texts; the first one heads the columns."""

    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Key:
    """What colours mean: a title, and name → colour."""

    title: str
    colours: Mapping[str, str]


#: A text, a key, a table, a figure, parts below each other (a list) or beside each other (a tuple).
Piece: TypeAlias = str | Key | Table | Figure | list["Piece"] | tuple["Piece", ...]


@dataclass(frozen=True)
class _Block:
    """A piece that has its size, in inches; `draw` puts it on a page, given the left and upper edge."""

    width: float
    height: float
    draw: Callable[[Figure, float, float], None]


class _Placed(Artist):
    """A figure as a part of a page; its left lower corner in shares of the page."""

    def __init__(self, inner: Figure, corner: tuple[float, float]):
        super().__init__()
        self.inner, self.size, self.corner = inner, inner.get_size_inches(), corner

    def get_window_extent(self, renderer: RendererBase | None = None) -> Bbox:
        page = self.get_figure(root=True)
        corner = page.transFigure.transform(self.corner)
        return Bbox.from_bounds(*corner, *(self.size * page.dpi))

    def draw(self, renderer: RendererBase) -> None:
        dpi, page = self.inner.dpi, self.get_figure(root=True)
        try:
            self.inner.set_dpi(page.dpi)
            self.inner.bbox_inches.set_points(self.get_window_extent().get_points() / page.dpi)
            self.inner.draw(renderer)
        finally:
            self.inner.bbox_inches.set_points(np.array([(0, 0), self.size]))
            self.inner.set_dpi(dpi)
        self.stale = False


def still_figure(title: str, facts: str, pieces: Sequence[Piece]) -> Figure:
    """One figure on white paper of what a page shows.

    Args:
        title: what it is.
        facts: what it is set to, below the title.
        pieces: what it shows, from top to bottom.
    """
    wide = WIDEST - 2 * MARGIN
    width = min(wide, max(NARROWEST - 2 * MARGIN, _natural(list(pieces), wide)))
    head = [_text(title, width, size=TITLE, weight="bold", colour=TEXT), _text(facts, width, SMALL, colour=QUIET)]
    whole = _below([*(one for one in head if one.height), *(_block(piece, width) for piece in pieces)])
    size = max(NARROWEST, whole.width + 2 * MARGIN), whole.height + 2 * MARGIN
    figure = plt.figure(figsize=size, facecolor="white")
    plt.close(figure)  # else a notebook shows it twice
    whole.draw(figure, MARGIN, MARGIN)
    return figure


def _natural(piece: Piece, most: float) -> float:
    """Inches that a piece would take if there were room, but no more than `most`."""
    if isinstance(piece, Figure):
        return min(most, float(piece.get_size_inches()[0]))
    if isinstance(piece, list):
        return max((_natural(one, most) for one in piece), default=0.0)
    if isinstance(piece, tuple):
        return min(most, sum(_natural(one, most) for one in piece) + BETWEEN * (len(piece) - 1))
    if isinstance(piece, Table):
        return min(most, sum(_columns(piece)))
    if isinstance(piece, Key):
        return min(most, sum(wide for _, _, wide in _chips(piece)))
    return min(most, COLUMN, max((_inches(line, SIZE) for line in piece.split("\n")), default=0.0) + 0.02)


def _block(piece: Piece, width: float) -> _Block:
    """A piece at a width."""
    if isinstance(piece, Figure):
        return _figure(piece, width)
    if isinstance(piece, list):
        return _below([_block(one, width) for one in piece])
    if isinstance(piece, tuple):
        return _beside(piece, width)
    if isinstance(piece, Key):
        return _key(piece, width)
    return _table(piece, width) if isinstance(piece, Table) else _text(piece, width)


def _figure(figure: Figure, width: float) -> _Block:
    engine = figure.get_layout_engine()
    if not isinstance(engine, PlaceHolderLayoutEngine | None):
        engine.execute(figure)  # what is placed elsewhere cannot be laid out
        figure.set_layout_engine("none")
    wide, high = (float(one) for one in figure.get_size_inches())

    def draw(page: Figure, x: float, y: float) -> None:
        width, height = page.get_size_inches()
        page.add_artist(_Placed(figure, (x / width, 1 - (y + high) / height)))

    return _Block(wide, high, draw)


def _text(text: str, width: float, size: float = SIZE, *, colour: str = TEXT, weight: str = "normal") -> _Block:
    lines = [each for line in text.split("\n") for each in _wrapped(line, width, size)] if text else []
    step = SPACING * size / 72

    def draw(page: Figure, x: float, y: float) -> None:
        for place, line in enumerate(lines):
            _write(page, x, y + place * step, line, fontsize=size, color=colour, weight=weight)

    return _Block(max((_inches(line, size) for line in lines), default=0.0), len(lines) * step, draw)


def _key(key: Key, width: float) -> _Block:
    """Names with a square of their colour, in as many lines as they need."""
    places, x, y, step = [], 0.0, 0.0, SPACING * SIZE / 72
    for text, colour, wide in _chips(key):
        if x and x + wide > width:
            x, y = 0.0, y + step
        places.append((x, y, text, colour))
        x += wide

    def draw(page: Figure, left: float, top: float) -> None:
        for x, y, text, colour in places:
            if colour:
                _write(page, left + x, top + y, "■", fontsize=SIZE, color=colour)
            _write(page, left + x + (SQUARE if colour else 0), top + y, text, fontsize=SIZE, color=TEXT)

    return _Block(width, y + step, draw)


def _chips(key: Key) -> list[tuple[str, str, float]]:
    """Text, colour ("" for the title) and inches of each name."""
    names = [(name, colour, SQUARE) for name, colour in key.colours.items()]
    return [
        (text, colour, square + _inches(text, SIZE) + 0.15) for text, colour, square in [(key.title, "", 0), *names]
    ]


def _table(table: Table, width: float) -> _Block:
    """Smaller where it is too wide."""
    columns = _columns(table)
    shrunk = min(1.0, width / max(1e-9, sum(columns)))
    size, step = SMALL * shrunk, SPACING * SMALL * shrunk / 72

    def draw(page: Figure, x: float, y: float) -> None:
        for place, row in enumerate(table.rows):
            left = x
            for text, column in zip(row, columns, strict=False):
                weight = "normal" if place else "bold"
                _write(page, left, y + place * step, text, fontsize=size, color=TEXT, weight=weight)
                left += column * shrunk

    return _Block(sum(columns) * shrunk, len(table.rows) * step, draw)


def _columns(table: Table) -> list[float]:
    """Inches of each column."""
    number = max((len(row) for row in table.rows), default=0)
    texts = [[row[place] for row in table.rows if place < len(row)] for place in range(number)]
    return [max(1.12 * _inches(text, SMALL) for text in column) + CELL for column in texts]  # heads are bold


def _below(blocks: Sequence[_Block]) -> _Block:
    seen = [one for one in blocks if one.height > 0]
    height = sum(one.height for one in seen) + GAP * max(0, len(seen) - 1)

    def draw(page: Figure, x: float, y: float) -> None:
        for one in seen:
            one.draw(page, x, y)
            y += one.height + GAP

    return _Block(max((one.width for one in seen), default=0.0), height, draw)


def _beside(pieces: Sequence[Piece], width: float) -> _Block:
    """As many as fit into a line, then the next line."""
    lines: list[list[_Block]] = [[]]
    left = width
    for piece in pieces:
        wanted = _natural(piece, width)
        if wanted > left + 1e-6 and lines[-1]:
            lines.append([])
            left = width
        lines[-1].append(_block(piece, wanted))
        left -= wanted + BETWEEN
    return _below([_line(line) for line in lines])


def _line(blocks: Sequence[_Block]) -> _Block:
    seen = [one for one in blocks if one.height > 0]

    def draw(page: Figure, x: float, y: float) -> None:
        for one in seen:
            one.draw(page, x, y)
            x += one.width + BETWEEN

    width = sum(one.width for one in seen) + BETWEEN * max(0, len(seen) - 1)
    return _Block(width, max((one.height for one in seen), default=0.0), draw)


def _write(page: Figure, x: float, y: float, text: str, **style: object) -> None:
    """A line of text whose left and upper edge is at a place in inches from the upper left corner."""
    width, height = page.get_size_inches()
    page.text(x / width, 1 - y / height, text, va="top", ha="left", parse_math=False, **style)


@lru_cache(maxsize=4096)
def _inches(text: str, size: float) -> float:
    return text_width(text, size) / 72


def _wrapped(line: str, width: float, size: float) -> list[str]:
    """A line in as many as it needs; a word that is too long stays whole."""
    lines: list[str] = []
    for word in line.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and _inches(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
