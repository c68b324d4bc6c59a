"""Attention on the patch it belongs to: channels and inversions, four strategies, detectors and checkpoints.

These are Figs. 1, 2, 5 and 6 of Huang et al. 2019 ("Improving Object Detection with Inverted Attention"). A map of
7 × 7 cells is interpolated linearly and laid over the object's box at 224 × 224. Where we depart: their colours run
over the range of each map, so that even a map without any attention glows somewhere; ours run from 0 (and below:
what speaks against the class) to the map's highest value. Their rainbow is replaced by colours that rise in
brightness, for every kind of eye and for print.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from workbench.analysis.attention import Inversion, RoIAttention
from workbench.errors import DataError

GAP, LABELS, LINE, BAR = (
    0.06,
    1.3,
    0.17,
    0.6,
)  #: inches: between panels, row names, a line of text, colour bar
FAINT, STRONG = 0.2, 0.85  #: opacity of the lowest and the highest attention over the patch
DROPPED = 0.08  #: what is left of the brightness where nothing is kept


_SHARES = np.linspace(0, 1, 256)[:, None]
_OPACITY = (FAINT + (STRONG - FAINT) * _SHARES).astype(np.float32)  # [256, 1]
_INK = (_OPACITY * matplotlib.colormaps["inferno"](_SHARES[:, 0])[:, :3]).astype(np.float32)  # [256, 3]
#: The more attention, the brighter and the less transparent; here over middle grey.
COLOURS = ListedColormap(_INK + (1 - _OPACITY) * 0.5, "attention")


def heat(patch: Tensor, values: Tensor) -> np.ndarray:
    """Attention [h, w] over a patch uint8 [3, H, W]: uint8 RGB [H, W, 3].

    0 and below is the bare patch in grey, the highest value is brightest; linear between the middles of the cells.
    """
    positive = values.float().clamp(min=0)
    share = positive / positive.max().clamp(min=1e-12)
    size = tuple(patch.shape[-2:])
    large = F.interpolate(share[None, None], size=size, mode="bilinear", align_corners=False)[0, 0]
    grey = patch.float().mean(dim=0).numpy()[..., None] / 255  # so that all colour is attention
    places = (large * 255).round().to(torch.uint8).numpy()
    return _bytes(_INK[places] + (1 - _OPACITY[places]) * grey)


def keep(patch: Tensor, kept: Tensor) -> np.ndarray:
    """A patch uint8 [3, H, W] through a mask [h, w] in 0..1: uint8 RGB [H, W, 3].

    What is dropped is dark; where the mask has but two values, white lines run between them.
    """
    size = tuple(patch.shape[-2:])
    large = F.interpolate(kept[None, None].float(), size=size, mode="nearest-exact")[0, 0].numpy()[..., None]
    seen = patch.permute(1, 2, 0).numpy() / 255 * (DROPPED + (1 - DROPPED) * large)
    if len(kept.unique()) == 2:
        border = np.zeros_like(large)
        for axis in (0, 1):
            steps = np.abs(np.diff(large, axis=axis, append=large.take([-1], axis))) > 0
            border = np.maximum(border, steps | np.roll(steps, 1, axis))
        seen = np.maximum(seen, border)
    return _bytes(seen)


def _bytes(colours: np.ndarray) -> np.ndarray:
    return (colours * 255).round().astype(np.uint8)


def attention_on_patch(
    rows: Mapping[str, RoIAttention | Inversion],
    classes: Sequence[str] | None = None,
    *,
    side: float = 1.5,
    dpi: int = 150,
) -> Figure:
    """Overall attention and that of the most sensitive channels, one row each (Fig. 1).

    rows: name → attention (of one or of several detectors), or an inversion, whose row shows the patch through what
    it keeps (overall: of the average channel). classes: names of labels 1..K. side: inches of a panel.
    dpi: pixels per inch.
    """
    if not rows:
        raise DataError("there is no attention to draw")
    columns = 1 + max(len(_seen(row).channels) for row in rows.values())
    sheet = _Sheet.blank(len(rows), columns, side, dpi)
    above: list[str] = []
    for place, (name, row) in enumerate(rows.items()):
        seen, inverted = _seen(row), isinstance(row, Inversion)
        draw, patch = keep if inverted else heat, sheet.sized(seen.patch)
        titles = [f"channel {channel}" for channel in seen.channels.tolist()]
        for column, one in enumerate(row.kept_channels if inverted else row.channel_maps):
            sheet.show(place, column, draw(patch, one), "" if titles == above else titles[column])
        overall = row.kept if inverted else row.map
        sheet.show(place, columns - 1, draw(patch, overall), "" if above else "all channels")
        sheet.name(place, name, _facts(row, classes))
        above = titles  # the same channels need no names again
    return sheet.finished()


def four_strategies(
    inverted: Mapping[str, Inversion],
    classes: Sequence[str] | None = None,
    *,
    side: float = 1.5,
    dpi: int = 150,
) -> Figure:
    """What each inversion strategy keeps of one region, and the score before → after (Fig. 6).

    inverted: strategy → inversion, as `workbench.analysis.attention.inversions` gives them.
    """
    if not inverted:
        raise DataError("there is no inversion to draw")
    seen = next(iter(inverted.values())).before
    sheet = _Sheet.blank(1, 1 + len(inverted), side, dpi, above=2, labels=GAP)
    patch = sheet.sized(seen.patch)
    sheet.show(0, 0, heat(patch, seen.map), f"attention\n{_title(seen, classes)}: {seen.score:.2f}")
    for column, (name, inversion) in enumerate(inverted.items(), start=1):
        title = f"{name}\n{seen.score:.2f} → {inversion.after.score:.2f}"
        sheet.show(0, column, keep(patch, inversion.kept), title)
    return sheet.finished()


def attention_over_training(
    runs: Mapping[str, Mapping[int, RoIAttention]],
    *,
    marked: int | None = None,
    side: float = 1.2,
    dpi: int = 150,
) -> Figure:
    """How the attention on one object changes as training goes on, one row per run (Fig. 5).

    runs: name → step → attention; a step that a run does not have stays empty. marked: a step to print in bold.
    """
    steps = sorted({step for row in runs.values() for step in row})
    rows = {name: [row.get(step) for step in steps] for name, row in runs.items()}
    bold = steps.index(marked) if marked in steps else None
    return _grid(rows, [f"step {step:,}" for step in steps], side, dpi, bold)


def attention_of_objects(
    detectors: Mapping[str, Sequence[RoIAttention]],
    classes: Sequence[str] | None = None,
    *,
    side: float = 1.2,
    dpi: int = 150,
) -> Figure:
    """Overall attention of several detectors (rows) on the same objects (columns) (Fig. 2)."""
    lengths = {name: len(row) for name, row in detectors.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"all detectors need the same objects; there are {lengths}")
    first = next(iter(detectors.values()), [])
    return _grid(detectors, [_title(seen, classes) for seen in first], side, dpi)


def _grid(
    rows: Mapping[str, Sequence[RoIAttention | None]],
    titles: Sequence[str],
    side: float,
    dpi: int,
    bold: int | None = None,
) -> Figure:
    """Overall maps with score and spread under each; None leaves a place empty."""
    if not rows or not titles:
        raise DataError("there is no attention to draw")
    sheet = _Sheet.blank(len(rows), len(titles), side, dpi, below=1)
    for column, title in enumerate(titles):
        sheet.title(0, column, title, bold=column == bold)
    for place, (name, row) in enumerate(rows.items()):
        sheet.name(place, name, "score · spread")
        for column, seen in enumerate(row):
            if seen is not None:
                sheet.show(place, column, heat(sheet.sized(seen.patch), seen.map))
                sheet.caption(place, column, f"{seen.score:.2f} · {seen.spread:.2f}")
    return sheet.finished()


@dataclass(frozen=True)
class _Sheet:
    """Panels in rows and columns, on one picture on one pair of axes in inches: quicker than axes for each."""

    axes: Axes
    pixels: np.ndarray  #: uint8 [H, W, 3], the whole figure
    side: float  #: inches of a panel
    dpi: int  #: pixels per inch: panels are made for them, so that none is resampled while it is drawn
    step: float  #: inches from row to row
    left: float  #: inches before the first column
    top: float  #: inches over the first row

    @classmethod
    def blank(
        cls,
        rows: int,
        columns: int,
        side: float,
        dpi: int,
        *,
        above: int = 1,
        below: int = 0,
        labels: float = LABELS,
    ) -> _Sheet:
        """above, below: lines of text over and under each panel. labels: inches for the rows' names."""
        step = side + GAP + LINE * (above + below)
        width, height = labels + columns * (side + GAP) + BAR, rows * step + GAP
        figure, axes = plt.subplots(figsize=(width, height), dpi=dpi, facecolor="white")
        plt.close(figure)  # else a notebook shows it twice
        axes.set_position((0, 0, 1, 1))
        axes.set_axis_off()
        shape = (int(height * dpi), int(width * dpi), 3)  # as matplotlib rounds
        return cls(axes, np.full(shape, 255, np.uint8), side, dpi, step, labels, LINE * above + GAP)

    def place(self, row: int, column: int) -> tuple[float, float]:
        """Left and upper edge of a panel in inches."""
        return self.left + column * (self.side + GAP), self.top + row * self.step

    def paste(self, x: float, y: float, picture: np.ndarray) -> None:
        """Put uint8 RGB [h, w, 3] at a place in inches."""
        left, top = (round(value * self.dpi) for value in (x, y))
        self.pixels[top : top + picture.shape[0], left : left + picture.shape[1]] = picture

    def sized(self, patch: Tensor) -> Tensor:
        """A patch uint8 [3, H, W] with the pixels of a panel."""
        side = round(self.side * self.dpi)
        picture = Image.fromarray(patch.permute(1, 2, 0).contiguous().numpy())
        small = picture.resize((side, side), Image.Resampling.BOX)
        return torch.from_numpy(np.array(small)).permute(2, 0, 1)

    def show(self, row: int, column: int, picture: np.ndarray, title: str = "") -> None:
        """A picture with a title over it."""
        self.paste(*self.place(row, column), picture)
        self.title(row, column, title)

    def title(self, row: int, column: int, text: str, *, bold: bool = False) -> None:
        """Text over a panel."""
        x, y = self.place(row, column)
        weight = "bold" if bold else "normal"
        self._text(x + self.side / 2, y - 0.04, text, va="bottom", weight=weight)

    def caption(self, row: int, column: int, text: str) -> None:
        """Text under a panel."""
        x, y = self.place(row, column)
        self._text(x + self.side / 2, y + self.side + 0.03, text, va="top")

    def name(self, row: int, name: str, facts: str) -> None:
        """The name of a row, and in smaller print what is known of it."""
        wrapped = "\n".join(textwrap.wrap(name, 15, max_lines=3, placeholder=" …"))
        y = self.place(row, 0)[1] + self.side / 2
        style = {"ha": "right", "linespacing": 1.3}
        self._text(self.left - 0.08, y - 0.02, wrapped, fontsize=9, weight="bold", va="bottom", **style)
        self._text(self.left - 0.08, y + 0.02, facts, fontsize=8, va="top", color="#444444", **style)

    def _text(self, x: float, y: float, text: str, **style: Any) -> None:
        if text:
            style = {"fontsize": 8.5, "ha": "center", "color": "black", **style}
            self.axes.text(x, y, text, parse_math=False, **style)

    def finished(self) -> Figure:
        """The figure, with the scale of attention at its right, as high as a panel."""
        figure = self.axes.figure
        width, height = figure.get_size_inches()
        x, y = width - BAR + 0.04, self.top
        scale = _bytes(COLOURS(np.linspace(1, 0, round(self.side * self.dpi)))[:, None, :3])
        self.paste(x, y, scale.repeat(round(0.1 * self.dpi), axis=1))
        style = {"fontsize": 7.5, "ha": "left"}
        self._text(x + 0.13, y, "high", va="top", **style)
        self._text(x + 0.13, y + self.side / 2, "attention", va="center", rotation=90, **style)
        self._text(x + 0.13, y + self.side, "0", va="bottom", **style)
        self.axes.imshow(
            self.pixels, extent=(0, width, height, 0), aspect="auto", interpolation="antialiased"
        )
        return figure


def _seen(row: RoIAttention | Inversion) -> RoIAttention:
    return row.before if isinstance(row, Inversion) else row


def _title(seen: RoIAttention, classes: Sequence[str] | None) -> str:
    if classes is None:
        return f"label {seen.label}"
    name = "background" if seen.label == 0 else classes[seen.label - 1]
    return name if len(name) <= 14 else f"{name[:13]}…"


def _facts(row: RoIAttention | Inversion, classes: Sequence[str] | None) -> str:
    if isinstance(row, Inversion):
        return f"{100 * float(row.kept.mean()):.0f} % of elements"
    return f"{_title(row, classes)}: {row.score:.2f}\nspread {row.spread:.2f}"
