"""The levels of a pyramid: their maps on the image, which level each box goes to, and anchors against objects."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

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
from workbench.figures.drawing.boxes import draw_boxes, draw_lines, outlines
from workbench.figures.drawing.canvas import (
    PictureAxes,
    as_uint8,
    draw_tags,
    place,
    placed_figure,
    show_image,
    text_width,
)
from workbench.figures.drawing.charts import Bar, Chart, Place, draw_key
from workbench.figures.drawing.colours import MINT, ORANGE, PINK, SKY, VIOLET, YELLOW
from workbench.figures.drawing.page import ink
from workbench.figures.drawing.sheet import Sheet, heat

LOWEST = 3  #: log₂ of the smallest √(wh) in a chart
TITLE = 0.45  #: inches for a title of two lines
#: Of levels by log2 of their stride, fine to coarse: the same level has the same colour in every detector.
LEVEL_COLOURS = {2: SKY, 3: MINT, 4: ORANGE, 5: PINK, 6: VIOLET, 7: YELLOW}
KIND_COLOURS = {MATCHED: "#2a9d5c", BEST_ONLY: "#e08e0b", MISSED: "#d62839", LEFT_OUT: "#8a8a8a"}
POSITIVE, BETWEEN, REGION = MINT, ORANGE, YELLOW


def level_colour(level: Level) -> str:
    """The colour of a level."""
    return LEVEL_COLOURS.get(int(math.log2(level.stride)), "#dddddd")


def levels_figure(
    image: Tensor,
    rows: Mapping[str, Sequence[Level]],
    *,
    boxes: Tensor | None = None,
    side: float = 1.9,
    dpi: int = 100,
) -> Figure:
    """The energy of each level over the image [3, H, W], a row for each name, a column for each stride.

    Every map has a colour scale of its own, from its lowest to its highest value.

    Args:
        boxes: [N, 4] to outline in the first picture.
        side: inches of a picture.
        dpi: pixels per inch.
    """
    if not rows:
        raise DataError("there are no levels to show; give a mapping from a name to levels")
    strides = sorted({level.stride for levels in rows.values() for level in levels})
    sheet = Sheet.blank(len(rows), 1 + len(strides), _inches(image, side), dpi, labels=0, bar=0)
    small = sheet.sized(as_uint8(image))
    for row, (name, levels) in enumerate(rows.items()):
        sheet.show(row, 0, small.permute(1, 2, 0).numpy())
        sheet.title(row, 0, name if len(name) <= 22 else f"{name[:21]}…", bold=True)
        if boxes is not None:
            draw_boxes(sheet.figure, boxes, **sheet.inside(row, 0, image.shape[-2:]))
        for level in levels:
            height, width = level.energy.shape
            title = f"{level.name}: {height} × {width}"
            sheet.show(row, 1 + strides.index(level.stride), _over(small, image, level), title)
    return sheet.finished(None)


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
    left = place(figure, 0, (height - sizes[0]) / 2, sizes[1], sizes[0], axes_class=PictureAxes)
    show_image(left, image)
    of_objects, of_proposals = view.box_levels(objects), view.box_levels(proposals)
    shades = [level_colour(view.levels[level]) for level in of_proposals.levels.tolist()]
    draw_lines(left, outlines(proposals), colors=shades, linewidths=0.6, alpha=0.6)
    colours = [level_colour(view.levels[level]) for level in of_objects.levels.tolist()]
    draw_boxes(left, objects, colours=colours)
    if region is not None:
        draw_boxes(left, region[None], colours=REGION, dashed=True)
    names = [f"{row}: {view.levels[level].name}" for row, level in enumerate(of_objects.levels.tolist(), start=1)]
    draw_tags(left, objects, names, colours)
    names = _level_names(view, of_objects, of_proposals, what)
    first = sizes[1] + 0.2 + max(text_width(line, 8) for name in names for line in name.split("\n")) / 72
    right = _sizes_chart(figure, (first, 0.58, width - first - 0.15, height - 1.06), view, names, what)
    _draw_sizes(right, view, of_objects, of_proposals)
    if region is not None:
        one, style = view.box_levels(region[None]), {"marker": "D", "markeredgecolor": "black", "markersize": 8}
        right.draw_line(one.sides.log2(), one.levels, REGION, zorder=5, **style)
    return figure


def anchors_figure(
    image: Tensor,
    view: PyramidView,
    match: AnchorMatch,
    boxes: Tensor,
    *,
    chosen: int | None = None,
    side: float = 2.2,
    dpi: int = 100,
) -> Figure:
    """The matched (solid) and ignored (dashed) anchors of each level, and the best IoU of each object.

    Args:
        boxes: [N, 4] of the objects.
        chosen: only the anchors of this object; None: of all.
        side: inches of a picture.
        dpi: pixels per inch.
    """
    number = len(view.levels)
    columns = min(number, 4)
    sheet = Sheet.blank(
        -(-number // columns), columns, _inches(image, side), dpi, above=2, labels=0, bar=3.2, least=2.7
    )
    small = sheet.sized(as_uint8(image)).permute(1, 2, 0).numpy()
    ours = match.objects >= 0 if chosen is None else match.objects == chosen
    for row, level in enumerate(view.levels):
        place, here = divmod(row, columns), ours & (match.levels == row)
        positive, between = (int((match.states[here] == state).sum()) for state in (1, -1))
        sheet.show(*place, small, f"{level.name}: {positive} matched\n{between} ignored of {level.num_anchors:,}")
        inside = sheet.inside(*place, image.shape[-2:])
        _draw_anchors(sheet.figure, match, here, inside)
        others = torch.tensor([one != chosen for one in range(len(boxes))], dtype=torch.bool)
        draw_boxes(sheet.figure, boxes[others], dashed=True, **inside)
        draw_boxes(sheet.figure, boxes[~others], colours=REGION, **inside)
    figure = sheet.finished(None)
    width, height = figure.get_size_inches()
    _best_iou(figure, (width - 2.7, TITLE, 2.5, height - TITLE - 0.7), match)
    return figure


def _inches(image: Tensor, side: float) -> tuple[float, float]:
    """Height and width of an image [3, H, W] whose longer side is `side`."""
    height, width = image.shape[-2:]
    return side * height / max(height, width), side * width / max(height, width)


def _over(small: Tensor, image: Tensor, level: Level) -> np.ndarray:
    """A level's energy over a small picture of the image, uint8 [h, w, 3]: every cell is a square of the image."""
    at = []
    for side, whole, covered, cells in zip(
        small.shape[-2:], image.shape[-2:], level.covers, level.energy.shape, strict=True
    ):
        pixels = (torch.arange(side) + 0.5) * whole / side  # of the image
        at.append((pixels * cells / covered).long().clamp(max=cells - 1))
    seen = level.energy[at[0]][:, at[1]]
    low, high = float(level.energy.min()), float(level.energy.max())
    return heat(small, (seen - low) / max(high - low, 1e-12), top=1.0, crisp=True)


def _level_names(view: PyramidView, objects: BoxLevels, proposals: BoxLevels, what: str) -> list[str]:
    """Each level with how many boxes go there."""
    names = []
    for row, level in enumerate(view.levels):
        boxes, found = (int((some.levels == row).sum()) for some in (objects, proposals))
        names.append(f"{level.name}\nobjects: {boxes}\n{what}: {found}")
    return names


def _sizes_chart(figure: Figure, place: Place, view: PyramidView, names: list[str], what: str) -> Chart:
    """Levels, with their names, against log₂ of √(wh), and what it shows."""
    top = math.ceil(math.log2(max(view.input_size)))
    if view.pool is None:
        rule = "the level of the anchor that overlaps most"
    elif len(view.pool.strides) == 1:
        rule = "all RoIs from the one map"
    else:
        rule = f"k = ⌊4 + log₂(√(wh) / {view.pool.canonical_size:g})⌋"
    return Chart.blank(
        figure,
        place,
        xlim=(LOWEST - 0.14, top + 0.14),
        ylim=(-0.6, len(names) - 0.4),
        xticks={power: str(2**power) for power in range(LOWEST, top + 1)},
        yticks=dict(enumerate(names)),
        xlabel="√(wh), pixels of the network's input",
        title=f"{rule}\nbars: sides of the anchors\noutlined dots: objects; others: {what}",
        size=8,
        grid=True,
    )


def _draw_sizes(chart: Chart, view: PyramidView, objects: BoxLevels, proposals: BoxLevels) -> None:
    """The rule as steps, or else the sides of the anchors alone; objects and proposals as dots."""
    pool, top = view.pool, math.ceil(math.log2(max(view.input_size)))
    if pool is not None and len(pool.strides) > 1:
        steps = math.log2(pool.canonical_size) + math.log2(pool.strides[0]) + np.arange(1, len(pool.strides)) - 4
        edges = np.array([LOWEST, *steps.clip(LOWEST, top), top]).repeat(2)[1:-1]
        chart.draw_line(edges, np.arange(len(pool.strides)).repeat(2), ink(0.55), linewidth=1.4, zorder=1)
    sides = (view.anchors[:, 2:] - view.anchors[:, :2]).prod(dim=1).sqrt()
    kinds = torch.unique(torch.stack([view.anchor_levels.float(), (sides * 8).round() / 8]), dim=1)
    chart.draw_line(kinds[1].log2(), kinds[0] - 0.3, ink(), linestyle="", marker="|", markersize=9)
    for some, shift, size, style in (
        (proposals, -0.13, 3.7, {"alpha": 0.5, "edgecolors": "none"}),
        (objects, 0.13, 6.8, {"edgecolors": ink()}),
    ):
        colours = [level_colour(view.levels[level]) for level in some.levels.tolist()]
        chart.draw_dots(some.sides.log2(), some.levels + shift, colours, size=size, zorder=3, **style)


def _draw_anchors(figure: Figure, match: AnchorMatch, here: Tensor, inside: Mapping[str, Any]) -> None:
    for state, colour, style, width in ((-1, BETWEEN, (0, (3, 3)), 0.6), (1, POSITIVE, "-", 1.3)):
        boxes = match.boxes[here & (match.states == state)]
        alpha = min(1.0, (40 / (len(boxes) + 1)) ** 0.7)  # many must not hide the image
        look = {"colors": colour, "linestyles": [style], "linewidths": width, "alpha": alpha}
        draw_lines(figure, outlines(boxes), **look, **inside)


def _best_iou(figure: Figure, place: Place, match: AnchorMatch) -> None:
    """A bar for each object, in the colour of its kind, with the thresholds."""
    number, (x, y, width, height) = len(match.kinds), place
    rule = f"positive from {match.positive_iou:g}, negative below {match.negative_iou:g}"
    chart = Chart.blank(
        figure,
        place,
        xlim=(0, 1),
        ylim=(number + 0.6, 0.4),
        xticks={share / 5: f"{share / 5:.1f}" for share in range(6)},
        yticks={row: str(row) for row in range(1, number + 1)} if number <= 12 else {},
        title=f"best IoU with any anchor\n{rule}",
    )
    chart.write(x - 0.36, y + height / 2, "object", rotation=90, fontsize=8.5)
    rows = enumerate(zip(match.best_iou.nan_to_num().tolist(), match.kinds, strict=True), start=1)
    chart.draw_bars([Bar(0.0, best, row, KIND_COLOURS[kind]) for row, (best, kind) in rows], 0.7)
    limits = sorted({match.negative_iou, match.positive_iou})
    for limit, style in zip(limits, (":", "--") if len(limits) > 1 else ("--",), strict=True):
        chart.draw_line([limit, limit], [number + 0.6, 0.4], ink(), linewidth=1, linestyle=style)
    kinds = [(f"{kind} ({match.kinds.count(kind)})", KIND_COLOURS[kind]) for kind in dict.fromkeys(match.kinds)]
    if kinds:
        draw_key(figure, x + width / 2, y + height + 0.3, kinds, columns=2, size=7.5)
