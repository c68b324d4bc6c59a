"""Maps of saliency on their image, level by level, and how they are judged.

Colours run from 0 (and below: what speaks against the detection) to the highest value of each map, as in
`figures.attention`, so that a map of nothing glows nowhere. Numbers that can be compared between maps stand in words:
the share of the map that lies in the box, and the areas under the curves.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from torch import Tensor
from torchvision.transforms.v2 import functional as vision

from workbench.analysis.saliency import LevelMap, Saliency
from workbench.analysis.saliency_curves import BASELINES, SaliencyCurves
from workbench.errors import DataError
from workbench.figures.drawing.canvas import draw_box, image_axes, new_figure, plain, show_image
from workbench.figures.drawing.colours import INK, ON_WHITE, SKY, cycle
from workbench.figures.drawing.sheet import SCALE, class_name, heat

LONGEST = 640  #: pixels of a map's picture
_STYLES = {"box": ("--", INK), "random": (":", INK)}  #: of baselines


def saliency_figure(
    image: Tensor,
    maps: Mapping[str, Saliency],
    classes: Sequence[str] | None = None,
    *,
    curves: Mapping[str, SaliencyCurves] | None = None,
    side: float = 3.2,
) -> Figure:
    """Each map (name → map) over the grey image, with the box of its detection.

    Args:
        image: [3, H, W].
        maps: of one detection by several methods or detectors, or of several.
        classes: names of labels 1..K.
        curves: by the same names; their areas are said.
        side: inches of the longer side of a picture.

    Raises:
        DataError: no maps, or one of another size than the image.
    """
    _check(image, maps)
    figure, axes = image_axes(1, len(maps), image.shape[-2:], side, titles=2.7 if curves else 2.1)
    figure.set_size_inches(figure.get_figwidth() + 0.9, figure.get_figheight())
    for one, (name, saliency) in zip(axes[0], maps.items(), strict=True):
        _draw(one, image, saliency)
        lines = [_short(name, 30), about(saliency, classes)]
        if curves and name in curves:
            lines.append(f"deletion {curves[name].deletion_area:.3f}, insertion {curves[name].insertion_area:.3f}")
        one.set_title("\n".join(lines), fontsize=8.5, parse_math=False)
    _bar(figure, axes[0], "speaks for the detection")
    return figure


def saliency_of_objects(
    image: Tensor,
    rows: Mapping[str, Sequence[Saliency | None]],
    classes: Sequence[str] | None = None,
    *,
    titles: Sequence[str] | None = None,
    side: float = 1.6,
) -> Figure:
    """The maps of the same detections (columns) by several methods or detectors (rows), or over checkpoints.

    Args:
        image: [3, H, W].
        rows: name → a map of each detection, or of each checkpoint; None leaves a place empty.
        classes: names of labels 1..K.
        titles: of the columns; None: the class of each detection.
        side: inches of the longer side of a picture.

    Raises:
        DataError: no maps, or rows of different lengths.
    """
    lengths = {name: len(row) for name, row in rows.items()}
    if not lengths or not all(lengths.values()) or len(set(lengths.values())) > 1:
        raise DataError(f"every row needs a map of the same detections; there are {lengths}")
    columns = next(iter(lengths.values()))
    figure, axes = image_axes(len(rows), columns, image.shape[-2:], side, titles=1.6 * len(rows))
    figure.set_size_inches(figure.get_figwidth() + 1.0, figure.get_figheight())
    for line, (name, row) in zip(axes, rows.items(), strict=True):
        for column, (one, saliency) in enumerate(zip(line, row, strict=True)):
            if saliency is not None:
                _draw(one, image, saliency)
                what = titles[column] if titles else class_name(saliency.label, classes)
                one.set_title(f"{what}: {_in_box(saliency)} in the box", fontsize=7.5, parse_math=False)
        where = {"ha": "right", "va": "center", "transform": line[0].transAxes}
        line[0].text(-0.06, 0.5, _wrapped(name), fontsize=8.5, weight="bold", parse_math=False, **where)
    return figure


def saliency_levels_figure(image: Tensor, saliency: Saliency, *, side: float = 2.2) -> Figure:
    """The map of one detection, and what each level of the network adds to it, cell by cell.

    All levels have one scale, so that it is seen which of them counts.

    Args:
        image: [3, H, W].
        saliency: of a method that looks into the network.
        side: inches of the longer side of a picture.

    Raises:
        DataError: a map without levels, as D-RISE's.
    """
    if not saliency.levels:
        raise DataError(f"a map by {saliency.method} has no levels; choose a method that looks into the network")
    figure, axes = image_axes(1, 1 + len(saliency.levels), image.shape[-2:], side, titles=1.5)
    figure.set_size_inches(figure.get_figwidth() + 0.9, figure.get_figheight())
    _draw(axes[0, 0], image, saliency)
    axes[0, 0].set_title("all levels together\n", fontsize=8.5)
    finest = min(level.stride for level in saliency.levels)
    density = [level.map * (finest / level.stride) ** 2 for level in saliency.levels]
    top = max(float(one.max()) for one in density)
    for one, level, values in zip(axes[0, 1:], saliency.levels, density, strict=True):
        show_image(one, _over(image, _cells(values, level, image), max(top, 1e-12), crisp=True))
        draw_box(one, saliency.box, colour=SKY)
        text = f"{_short(level.name, 20)}\ncells of {level.stride:.3g} px: {level.share:.0%}"
        one.set_title(text, fontsize=8.5, parse_math=False)
    _bar(figure, axes[0], "speaks for the detection")
    return figure


def saliency_curves_figure(curves: Mapping[str, SaliencyCurves], *, side: float = 2.9) -> Figure:
    """Deletion and insertion by each map (name → curves), with the areas under them.

    The axis of pixels is spread where few are changed: its marks stand at the square roots of the shares.

    Args:
        curves: those of `saliency_curves`; "box" and "random" are drawn as what is to be beaten.
        side: inches of a panel's height.

    Raises:
        DataError: no curves, or curves of different measures.
    """
    measures = {one.measure for one in curves.values()}
    if len(measures) != 1:
        raise DataError(f"curves of one measure are needed; there are {sorted(measures) or 'none'}")
    figure, axes = new_figure(1, 2, (2 * 1.35 * side, side), sharey=True)
    parts = (("deletion", "taken away", "less is better"), ("insertion", "put in", "more is better"))
    for one, (part, done, better) in zip(axes[0], parts, strict=True):
        place = 0
        for name, curve in curves.items():
            line, shade = _STYLES.get(name, ("-", cycle(ON_WHITE, place)))
            place += name not in _STYLES
            label = f"{_short(name, 22)}  {getattr(curve, f'{part}_area'):.3f}"
            one.plot(curve.shares.sqrt(), getattr(curve, part), line, color=shade, linewidth=1.6, label=plain(label))
        ticks = np.array([0.01, 0.05, 0.1, 0.25, 0.5, 1.0])
        one.set_xticks(np.sqrt(ticks), [f"{tick:.0%}" for tick in ticks])
        one.set(xlabel=f"pixels {done}", xlim=(0, 1), ylim=(0, 1.02))
        one.set_title(f"{part} ({better})", fontsize=9)
        one.tick_params(labelsize=8)
        one.legend(fontsize=7.5, loc="best", edgecolor="none", framealpha=0.8, title="area", title_fontsize=7.5)
    axes[0, 0].set_ylabel("score of the detection" if measures == {"score"} else "similarity to the detection")
    return figure


def saliency_summary_figure(summary: pd.DataFrame) -> Figure:
    """Deletion, insertion and energy of each method with its 95 % interval.

    Args:
        summary: of `saliency_summary`.
    """
    parts = {"deletion": "less is better", "insertion": "more is better", "energy": "share on the object"}
    figure, axes = new_figure(1, len(parts), (9.0, 0.9 + 0.28 * len(summary)), sharey=True)
    places = np.arange(len(summary))
    for one, (part, better) in zip(axes[0], parts.items(), strict=True):
        shades = [INK if name in BASELINES else ON_WHITE[0] for name in summary.index]
        one.hlines(places, summary[f"{part} low"], summary[f"{part} high"], color=shades)
        one.scatter(summary[part], places, color=shades, zorder=3)
        one.set_title(f"{part} ({better})", fontsize=9)
        one.tick_params(labelsize=8)
        one.grid(axis="x", alpha=0.3)
    axes[0, 0].set_yticks(places, [plain(str(name)) for name in summary.index])
    axes[0, 0].invert_yaxis()
    return figure


def about(saliency: Saliency, classes: Sequence[str] | None = None) -> str:
    """What a map is of and where it lies, in two lines at most."""
    score = "" if np.isnan(saliency.score) else f": {saliency.score:.2f}"
    name = class_name(saliency.label, classes)
    growing = "" if saliency.done >= 1 else f" ({saliency.done:.0%} of the masks)"
    return f"{name}{score}{growing}\n{_in_box(saliency)} of it in the box, {saliency.chance():.0%} by chance"


def _in_box(saliency: Saliency) -> str:
    energy = saliency.energy()
    return "none" if np.isnan(energy) else f"{energy:.0%}"


def _draw(axes: Axes, image: Tensor, saliency: Saliency) -> None:
    """A map over the image with the box."""
    show_image(axes, _over(image, saliency.map, max(float(saliency.map.max()), 1e-12)))
    draw_box(axes, saliency.box, colour=SKY)


def _over(image: Tensor, values: Tensor, top: float, *, crisp: bool = False) -> Tensor:
    """A map over the image in grey, uint8 [3, H, W], stretched over the axes of the image."""
    pixels = image.as_subclass(Tensor).cpu()
    if pixels.is_floating_point():
        pixels = (pixels.clamp(0, 1) * 255).round().to(torch.uint8)
    height, width = pixels.shape[-2:]
    if max(height, width) > LONGEST:
        scale = LONGEST / max(height, width)
        pixels = vision.resize(pixels, [max(1, round(height * scale)), max(1, round(width * scale))], antialias=True)
    return torch.from_numpy(heat(pixels, values, top=top, crisp=crisp)).permute(2, 0, 1)


def _cells(values: Tensor, level: LevelMap, image: Tensor) -> Tensor:
    """The cells of a level that lie over the image, which may be less than all of them, one value for each pixel."""
    rows, columns = (
        (torch.arange(side) / level.stride).long().clamp(max=cells - 1)
        for side, cells in zip(image.shape[-2:], values.shape, strict=True)
    )
    return values[rows[:, None], columns]


def _bar(figure: Figure, axes: Sequence[Axes], text: str) -> None:
    """The scale of the maps at the right."""
    figure.set_layout_engine("compressed", w_pad=0.03, h_pad=0.03, wspace=0, hspace=0)
    bar = figure.colorbar(ScalarMappable(cmap=SCALE), ax=list(axes), fraction=0.03, pad=0.01, aspect=14)
    bar.set_ticks([0, 1], labels=["0", "high"])
    bar.set_label(text, fontsize=8)
    bar.ax.tick_params(labelsize=7.5)


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(text, 12, max_lines=3, placeholder=" …"))


def _check(image: Tensor, maps: Mapping[str, Saliency]) -> None:
    if not maps:
        raise DataError("there is no map to draw")
    for name, one in maps.items():
        if one.map.shape != image.shape[-2:]:
            what = f"the map {name!r} is {tuple(one.map.shape)} and the image {tuple(image.shape[-2:])} pixels"
            raise DataError(f"{what}; give the image that the maps are of")
