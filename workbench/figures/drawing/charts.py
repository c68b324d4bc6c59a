"""Charts whose ticks are known beforehand: for figures that follow a slider, and beside pictures.

They are drawn on the figure itself. Matplotlib's axes, with what they find out about ticks and legends, take ten
times as long as all that these draw.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from matplotlib.collections import CircleCollection, LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Affine2D, Transform

from workbench.figures.drawing.canvas import inches_of, text_width
from workbench.figures.drawing.page import ink

TICK, PAD = 0.05, 0.04  #: inches of a tick, and between it and its text
SQUARE, NAME, APART = 0.14, 0.06, 0.16  #: inches in a key: a colour, to its name, from there to the next
Place = tuple[float, float, float, float]  #: left and upper edge, width and height in inches of a figure
Colour = str | tuple[float, ...]


class Bar(NamedTuple):
    """A bar from one value to another."""

    low: float
    high: float
    at: float  #: its middle on the other axis
    colour: str


@dataclass(frozen=True)
class Chart:
    """A place of a figure with values across and down."""

    figure: Figure
    place: Place
    values: Transform  #: from values to the figure

    @classmethod
    def blank(
        cls,
        figure: Figure,
        place: Place,
        *,
        xlim: tuple[float, float],
        ylim: tuple[float, float],
        xticks: Mapping[float, str],
        yticks: Mapping[float, str],
        xlabel: str = "",
        title: str = "",
        size: float = 8.5,
        grid: bool = False,
    ) -> Chart:
        """One with a line and ticks below.

        Args:
            xlim: the values at the left and at the right.
            ylim: the values below and above.
            xticks, yticks: values with the texts that stand below them, and left of them.
            xlabel: below the ticks.
            title: above it.
            size: points of texts but for the title.
            grid: whether a line crosses at each tick of x, and one with ticks stands at the left.
        """
        x, y, width, height = place
        across, down = width / (xlim[1] - xlim[0]), height / (ylim[0] - ylim[1])
        to_inches = Affine2D().translate(-xlim[0], -ylim[1]).scale(across, down).translate(x, y)
        chart = cls(figure, place, to_inches + inches_of(figure))
        below = y + height
        columns = {x + (value - xlim[0]) * across: text for value, text in xticks.items()}
        rows = {y + (value - ylim[1]) * down: text for value, text in yticks.items()}
        lines = [((x, below), (x + width, below)), *(((at, below), (at, below + TICK)) for at in columns)]
        if grid:
            chart._lines([((at, y), (at, below)) for at in columns], ink(0.12), zorder=0.5)
            lines += [((x, y), (x, below)), *(((x - TICK, at), (x, at)) for at in rows)]
        chart._lines(lines, ink())
        for at, text in columns.items():
            chart.write(at, below + TICK + PAD, text, va="top", fontsize=size)
        for at, text in rows.items():
            chart.write(x - TICK - PAD, at, text, ha="right", fontsize=size)
        chart.write(x + width / 2, below + TICK + 2 * PAD + 1.2 * size / 72, xlabel, va="top", fontsize=size)
        chart.write(x + width / 2, y - 0.08, title, va="bottom", fontsize=8.5)
        return chart

    def write(self, x: float, y: float, text: str, **style: Any) -> None:
        """Text at a place in inches from the upper left corner of the figure."""
        if text:
            self._text(x, y, text, inches_of(self.figure), style)

    def label(self, x: float, y: float, text: str, **style: Any) -> None:
        """Text at values."""
        self._text(x, y, text, self.values, style)

    def draw_bars(self, bars: Iterable[Bar], thickness: float) -> None:
        """Horizontal bars of a thickness in values."""
        shown, half = [bar for bar in bars if bar.high > bar.low], thickness / 2
        corners = [
            [(bar.low, bar.at - half), (bar.high, bar.at - half), (bar.high, bar.at + half), (bar.low, bar.at + half)]
            for bar in shown
        ]
        colours = [bar.colour for bar in shown]
        self.figure.add_artist(PolyCollection(corners, facecolors=colours, linewidths=0, transform=self.values))

    def draw_line(self, x: Sequence[float], y: Sequence[float], colour: Colour, **style: Any) -> None:
        """A line through values, or marks at them."""
        self.figure.add_artist(Line2D(x, y, color=colour, transform=self.values, **style))

    def draw_dots(
        self, x: Sequence[float], y: Sequence[float], colours: Sequence[Colour], *, size: float, **style: Any
    ) -> None:
        """Dots of so many points across."""
        places = np.stack([np.asarray(x), np.asarray(y)], axis=1)
        area = np.pi * size**2 / 4
        where = {"offsets": places, "offset_transform": self.values}
        self.figure.add_artist(CircleCollection([area], facecolors=list(colours), **where, **style))

    def _text(self, x: float, y: float, text: str, where: Transform, style: Mapping[str, Any]) -> None:
        style = {"ha": "center", "va": "center", "parse_math": False, **style}
        self.figure.text(x, y, text, transform=where, **style)

    def _lines(self, lines: list[tuple], colour: Colour, **style: Any) -> None:
        where = {"transform": inches_of(self.figure), **style}
        self.figure.add_artist(LineCollection(lines, colors=[colour], linewidths=0.8, **where))


def draw_key(
    figure: Figure, x: float, y: float, marks: Sequence[tuple[str, str]], *, columns: int, size: float
) -> None:
    """What colours mean, in rows; the middle of the upper edge of all is at a place in inches from the upper left.

    Args:
        marks: names and their colours.
        columns: how many stand beside each other, at most.
        size: points of texts.
    """
    names, inches = [name for name, _ in marks], inches_of(figure)
    columns = min(columns, len(names))
    wide = [max(text_width(name, size) for name in names[column::columns]) / 72 for column in range(columns)]
    starts = np.cumsum([0, *(SQUARE + NAME + one + APART for one in wide)])
    left, half, squares = x - (starts[-1] - APART) / 2, SQUARE / 3, []
    for number, name in enumerate(names):
        row, column = divmod(number, columns)
        at, middle = left + starts[column], y + (row + 0.5) * 1.55 * size / 72
        far = at + SQUARE
        squares.append([(at, middle - half), (far, middle - half), (far, middle + half), (at, middle + half)])
        style = {"va": "center", "fontsize": size, "parse_math": False}
        figure.text(far + NAME, middle, name, transform=inches, **style)
    colours = [colour for _, colour in marks]
    figure.add_artist(PolyCollection(squares, facecolors=colours, linewidths=0, transform=inches))
