"""The levels of a pyramid: their maps on the image, which level each box goes to, and anchors against objects."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor
from torchvision.transforms.v2 import functional as vision

from workbench.analysis.pyramid import (
    BEST_ONLY,
    LEFT_OUT,
    MATCHED,
    MISSED,
    AnchorMatch,
    BoxLevels,
    Level,
    PyramidView,
)
from workbench.errors import DataError
from workbench.figures.drawing.canvas import (
    draw_box,
    draw_tags,
    place,
    place_pictures,
    placed_figure,
    show_image,
    text_width,
)
from workbench.figures.drawing.colours import MINT, ORANGE, PINK, SKY, VIOLET, WHITE, YELLOW
from workbench.figures.drawing.page import ink
from workbench.figures.drawing.sheet import heat

LONGEST = 320  #: pixels of a map's picture
GAP, LINE, TITLE = 0.06, 0.24, 0.4  #: inches between pictures, and for a title of one and of two lines
#: Of levels by log2 of their stride, fine to coarse: the same level has the same colour in every detector.
LEVEL_COLOURS = {2: SKY, 3: MINT, 4: ORANGE, 5: PINK, 6: VIOLET, 7: YELLOW}
KIND_COLOURS = {MATCHED: "#2a9d5c", BEST_ONLY: "#e08e0b", MISSED: "#d62839", LEFT_OUT: "#8a8a8a"}
POSITIVE, BETWEEN, REGION = MINT, ORANGE, YELLOW


def level_colour(level: Level) -> str:
    """The colour of a level."""
    return LEVEL_COLOURS.get(int(math.log2(level.stride)), "#dddddd")


def levels_figure(
    image: Tensor, rows: Mapping[str, Sequence[Level]], *, boxes: Tensor | None = None, side: float = 1.9
) -> Figure:
    """The energy of each level over the image [3, H, W], a row for each name, a column for each stride.

    Every map has a colour scale of its own, from its lowest to its highest value.

    Args:
        boxes: [N, 4] to outline in the first picture.
        side: inches of a picture.
    """
    if not rows:
        raise DataError("there are no levels to show; give a mapping from a name to levels")
    strides = sorted({level.stride for levels in rows.values() for level in levels})
    sizes, columns = _inches(image, side), 1 + len(strides)
    figure = placed_figure(columns * (sizes[1] + GAP), len(rows) * (sizes[0] + LINE + GAP))
    axes = place_pictures(figure, len(rows), columns, sizes, above=LINE, gap=GAP)
    small = _small(image)
    for line, (name, levels) in zip(axes, rows.items(), strict=True):
        show_image(line[0], image)
        for box in [] if boxes is None else boxes:
            draw_box(line[0], box)
        line[0].set_title(name if len(name) <= 22 else f"{name[:21]}…", fontsize=9, weight="bold", parse_math=False)
        for level in levels:
            one = line[1 + strides.index(level.stride)]
            show_image(one, _over(small, image, level))
            height, width = level.energy.shape
            one.set_title(f"{level.name}: {height} × {width}", fontsize=9)
    return figure


def assignment_figure(
    image: Tensor,
    view: PyramidView,
    objects: Tensor,
    proposals: Tensor,
    *,
    region: Tensor | None = None,
    what: str = "proposals",
    side: float = 3.6,
) -> Figure:
    """Objects [N, 4] and proposals [P, 4] in the colours of their levels, and their sizes against the levels.

    Args:
        region: one more box [4], in yellow.
        what: the name of the proposals.
        side: inches of the image.
    """
    sizes = _inches(image, side)
    width, height = sizes[1] + 4.6, max(sizes[0], 0.9 + 0.6 * len(view.levels))
    figure = placed_figure(width, height)
    left = place(figure, 0, (height - sizes[0]) / 2, sizes[1], sizes[0])
    left.set_axis_off()
    show_image(left, image)
    of_objects, of_proposals = view.box_levels(objects), view.box_levels(proposals)
    shades = [level_colour(view.levels[level]) for level in of_proposals.levels.tolist()]
    left.add_collection(LineCollection(_outlines(proposals), colors=shades, linewidths=0.6, alpha=0.6))
    colours = [level_colour(view.levels[level]) for level in of_objects.levels.tolist()]
    for box, colour in zip(objects, colours, strict=True):
        draw_box(left, box, colour=colour)
    if region is not None:
        draw_box(left, region, colour=REGION, dashed=True)
    names = [f"{row}: {view.levels[level].name}" for row, level in enumerate(of_objects.levels.tolist(), start=1)]
    draw_tags(left, objects, names, colours)
    names = _level_names(view, of_objects, of_proposals, what)
    first = sizes[1] + 0.2 + max(text_width(line, 8) for name in names for line in name.split("\n")) / 72
    right = place(figure, first, 0.58, width - first - 0.15, height - 1.06)
    right.set_yticks(range(len(names)), names, fontsize=8)
    _sizes(right, view, of_objects, of_proposals, what)
    if region is not None:
        one = view.box_levels(region[None])
        right.plot(one.sides, one.levels, "D", color=REGION, markeredgecolor="black", markersize=8, zorder=5)
    return figure


def anchors_figure(
    image: Tensor,
    view: PyramidView,
    match: AnchorMatch,
    boxes: Tensor,
    *,
    chosen: int | None = None,
    side: float = 2.2,
) -> Figure:
    """The matched (solid) and ignored (dashed) anchors of each level, and the best IoU of each object.

    Args:
        boxes: [N, 4] of the objects.
        chosen: only the anchors of this object; None: of all.
        side: inches of a picture.
    """
    sizes, number = _inches(image, side), len(view.levels)
    columns = min(number, 4)
    lines = -(-number // columns)
    wide, height = columns * (sizes[1] + GAP), max(lines * (sizes[0] + TITLE + GAP), 2.7)
    figure = placed_figure(wide + 3.2, height)
    axes = place_pictures(figure, lines, columns, sizes, above=TITLE, gap=GAP)
    ours = match.objects >= 0 if chosen is None else match.objects == chosen
    for row, level in enumerate(view.levels):
        one, here = axes.flat[row], ours & (match.levels == row)
        show_image(one, image)
        _draw_anchors(one, match, here)
        for number, box in enumerate(boxes):
            draw_box(one, box, colour=WHITE if number != chosen else REGION, dashed=number != chosen)
        positive, between = (int((match.states[here] == state).sum()) for state in (1, -1))
        title = f"{level.name}: {positive} matched\n{between} ignored of {level.num_anchors:,}"
        one.set_title(title, fontsize=8.5)
    _best_iou(place(figure, wide + 0.5, TITLE + 0.05, 2.5, height - TITLE - 0.75), match)
    return figure


def _inches(image: Tensor, side: float) -> tuple[float, float]:
    """Height and width of an image [3, H, W] whose longer side is `side`."""
    height, width = image.shape[-2:]
    return side * height / max(height, width), side * width / max(height, width)


def _small(image: Tensor) -> Tensor:
    """An image uint8 [3, H, W] of at most `LONGEST` pixels, small ones enlarged so that cells have sharp edges."""
    plain = image.detach().as_subclass(Tensor).cpu()
    plain = plain if plain.dtype == torch.uint8 else (plain.clamp(0, 1) * 255).to(torch.uint8)
    factor = LONGEST / max(plain.shape[-2:])
    size = [max(1, round(side * factor)) for side in plain.shape[-2:]]
    return vision.resize(plain, size, antialias=factor < 1)


def _over(small: Tensor, image: Tensor, level: Level) -> Tensor:
    """A level's energy over the image, uint8 [3, h, w]: every cell is a square of the image."""
    at = []
    for side, whole, covered, cells in zip(
        small.shape[-2:], image.shape[-2:], level.covers, level.energy.shape, strict=True
    ):
        pixels = (torch.arange(side) + 0.5) * whole / side  # of the image
        at.append((pixels * cells / covered).long().clamp(max=cells - 1))
    seen = level.energy[at[0]][:, at[1]]
    low, high = float(level.energy.min()), float(level.energy.max())
    share = (seen - low) / max(high - low, 1e-12)
    return torch.from_numpy(heat(small, share, top=1.0, crisp=True)).permute(2, 0, 1)


def _outlines(boxes: Tensor) -> np.ndarray:
    """The corners [N, 5, 2] of boxes [N, 4], closed: as one collection they are drawn in a fraction of the time."""
    corners = [0, 1, 2, 1, 2, 3, 0, 3, 0, 1]
    return np.asarray(boxes.cpu())[:, corners].reshape(-1, 5, 2)


def _level_names(view: PyramidView, objects: BoxLevels, proposals: BoxLevels, what: str) -> list[str]:
    """Each level with how many boxes go there."""
    names = []
    for row, level in enumerate(view.levels):
        boxes, found = (int((some.levels == row).sum()) for some in (objects, proposals))
        names.append(f"{level.name}\nobjects: {boxes}\n{what}: {found}")
    return names


def _sizes(axes: Axes, view: PyramidView, objects: BoxLevels, proposals: BoxLevels, what: str) -> None:
    """Levels against √(wh): the rule as a line or as the sides of the anchors, objects and proposals as dots."""
    number = len(view.levels)
    low, high = 8.0, float(2 ** math.ceil(math.log2(max(view.input_size))))
    pool = view.pool
    if pool is not None and len(pool.strides) > 1:
        steps = pool.canonical_size * 2.0 ** (math.log2(pool.strides[0]) + np.arange(1, len(pool.strides)) - 4)
        edges = [low, *steps.clip(low, high), high]
        axes.stairs(range(len(pool.strides)), edges, baseline=None, color=ink(0.55), linewidth=1.4, zorder=1)
        title = f"k = ⌊4 + log₂(√(wh) / {pool.canonical_size:g})⌋"
    else:
        title = "all RoIs from the one map" if pool is not None else "the level of the anchor that overlaps most"
    sides = (view.anchors[:, 2:] - view.anchors[:, :2]).prod(dim=1).sqrt()
    for row, level in enumerate(view.levels):
        kinds = torch.unique((sides[view.anchor_levels == row] * 8).round()) / 8
        axes.plot(kinds, [row - 0.3] * len(kinds), "|", color=ink(), markersize=9, zorder=2)
        shown = [(proposals, -0.13, 14, 0.5, "none"), (objects, 0.13, 46, 1.0, ink())]
        for some, shift, area, alpha, edge in shown:
            here = some.sides[some.levels == row]
            style = {"s": area, "alpha": alpha, "edgecolors": edge, "color": level_colour(level), "zorder": 3}
            axes.scatter(here, [row + shift] * len(here), **style)
    axes.set(ylim=(-0.6, number - 0.4), xlabel="√(wh), pixels of the network's input")
    axes.set_xscale("log", base=2)
    ticks = [int(2**power) for power in range(3, int(math.log2(high)) + 1)]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlim(low / 1.1, high * 1.1)
    axes.set_title(f"{title}\nbars: sides of the anchors\noutlined dots: objects; others: {what}", fontsize=8.5)
    axes.grid(axis="x", color=ink(0.12))
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_anchors(axes: Axes, match: AnchorMatch, here: Tensor) -> None:
    for state, colour, style, width in ((-1, BETWEEN, (0, (3, 3)), 0.6), (1, POSITIVE, "-", 1.3)):
        boxes = match.boxes[here & (match.states == state)]
        alpha = min(1.0, (40 / (len(boxes) + 1)) ** 0.7)  # many must not hide the image
        look = {"colors": colour, "linestyles": [style], "linewidths": width, "alpha": alpha}
        axes.add_collection(LineCollection(_outlines(boxes), **look), autolim=False)


def _best_iou(axes: Axes, match: AnchorMatch) -> None:
    """A bar for each object, in the colour of its kind, with the thresholds."""
    number = len(match.kinds)
    places = np.arange(1, number + 1)
    colours = [KIND_COLOURS[kind] for kind in match.kinds]
    axes.barh(places, match.best_iou.nan_to_num().numpy(), color=colours, height=0.7)
    limits = sorted({match.negative_iou, match.positive_iou})
    for limit, style in zip(limits, (":", "--") if len(limits) > 1 else ("--",), strict=True):
        axes.axvline(limit, color=ink(), linewidth=1, linestyle=style)
    for kind in dict.fromkeys(match.kinds):
        axes.barh(0, 0, color=KIND_COLOURS[kind], label=f"{kind} ({match.kinds.count(kind)})")
    axes.set(xlim=(0, 1), ylim=(number + 0.6, 0.4), ylabel="object")
    axes.set_yticks(places if number <= 12 else [])
    rule = f"positive from {match.positive_iou:g}, negative below {match.negative_iou:g}"
    axes.set_title(f"best IoU with any anchor\n{rule}", fontsize=8.5)
    axes.spines[["top", "right"]].set_visible(False)
    if number:
        axes.legend(fontsize=7.5, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2)
