"""Mean shapes, and how well masks fit where boxes are right (T.-Y. Lin's thesis, Figs. 2.7 to 2.9)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from workbench.data.dataset import evenly_spaced
from workbench.detectors.shape_masks import ShapeMasks
from workbench.errors import DataError, did_you_mean
from workbench.evaluation.counting.tables import gather_found, gather_objects
from workbench.evaluation.mask_overlap import MaskOverlap, correct_pairs
from workbench.figures.drawing.canvas import image_axes, new_figure, plain, show_image
from workbench.figures.drawing.colours import MINT, OKABE_ITO, ORANGE
from workbench.figures.drawing.panels import around, draw_mask, legend_below, look_at, outline_mask, panels, title
from workbench.types import Detections, Target

MOST = 20  #: classes of a figure, those of which most masks were seen
TRUE, PREDICTED = MINT, ORANGE


def shape_mask_figure(shapes: ShapeMasks, classes: Sequence[str] | None = None) -> Figure:
    """Fig. 2.7: the mean masks of each class, a column for each aspect, as wide as its objects are on average.

    Args:
        shapes: that were learned.
        classes: whose; None: those with the most masks.

    Raises:
        DataError: a class that the shapes do not have.
    """
    for name in classes or ():
        if name not in shapes.classes:
            raise DataError(f"there is no shape of {name!r}{did_you_mean(name, shapes.classes)}")
    counts = shapes.counts.sum(1)
    order = counts.argsort(descending=True, stable=True).tolist()[:MOST]
    chosen = [place for place in order if counts[place]]
    if classes is not None:
        chosen = [shapes.classes.index(name) for name in classes]
    aspects, columns = shapes.means.shape[1], 1 if len(chosen) <= 5 else 2
    rows = -(-len(chosen) // columns)
    figure, axes = image_axes(rows, columns * aspects, (1.0, 1.0), 0.95, titles=0.72 * rows)
    for one in axes.flat[len(chosen) * aspects :]:
        one.remove()
    for number, place in enumerate(chosen):
        row, left = number % rows, number // rows * aspects
        for aspect in range(aspects):
            one = axes[row, left + aspect]
            mean = shapes.means[place, aspect].numpy()
            picture = one.imshow(mean, cmap="Greys_r", vmin=0, vmax=1, interpolation="bilinear")
            picture.set_extent((0, 1, 1, 0))
            middles = (np.arange(len(mean)) + 0.5) / len(mean)
            if mean.min() < shapes.thresholds[place] <= mean.max():
                one.contour(
                    middles, middles, mean, levels=[float(shapes.thresholds[place])], colors=ORANGE, linewidths=1
                )
            one.set_xlim(0, 1)
            one.set_ylim(1, 0)
            one.set_aspect(float((1 / shapes.ratios[place, aspect]).clamp(0.2, 5)))
            name = shapes.classes[place] if aspect == 0 else ""
            one.set_title(f"{name} {int(shapes.counts[place, aspect])}".strip(), fontsize=7, parse_math=False)
    figure.suptitle(
        f"mean {shapes.learned} masks, numbers of objects; orange: where they are cut", fontsize=8, color="0.3"
    )
    return figure


def mask_overlap_figure(overlap: MaskOverlap, *, others: dict[str, MaskOverlap] | None = None) -> Figure:
    """Fig. 2.9, right: the mean IoU of masks on correct boxes by class, with 95 % intervals.

    Crosses show what all pixels of the box would reach. The classes with the most correct boxes are shown; the mean
    is over all.

    Args:
        overlap: of one detector.
        others: of others, by the name to show, on the same classes.

    Raises:
        DataError: others with other classes.
    """
    named = {"masks": overlap, **(others or {})}
    table = overlap.by_class
    often = table[table["n"] > 0].nlargest(MOST, "n", keep="first")
    shown = often.sort_values("overlap", ascending=False, kind="stable").index
    if any(one.classes != overlap.classes for one in named.values()):
        raise DataError("these overlaps are of other classes")
    figure, axes = new_figure(1, 1, (max(4.6, 1.6 + 0.42 * len(shown)), 3.7))
    one = axes[0, 0]
    places, width = np.arange(len(shown) + 1), 0.8 / len(named)
    for number, (name, each) in enumerate(named.items()):
        own, tint = each.by_class.loc[shown], OKABE_ITO[number % len(OKABE_ITO)]
        shift = (number - (len(named) - 1) / 2) * width
        heights = [*own["overlap"].fillna(0), 0.0 if np.isnan(each.mean) else each.mean]
        one.bar(places + shift, heights, width, color=tint, label=plain(f"{name}, mean {each.mean:.2f}"))
        one.vlines(places[:-1] + shift, own["low"], own["high"], color="0.2", linewidth=1)
    filled = [*table.loc[shown, "filled"], overlap.filled]
    style = {"color": "black", "markersize": 6, "markeredgewidth": 1.4}
    one.plot(places, filled, "x", label=f"all of the box, mean {overlap.filled:.2f}", **style)
    one.axvline(len(shown) - 0.5, color="0.8", linewidth=1)
    names = [plain(f"{name} ({int(n)})") for name, n in zip(shown, table.loc[shown, "n"], strict=True)]
    one.set_xticks(places, [*names, "mean"], rotation=60, ha="right", rotation_mode="anchor", fontsize=8)
    one.set_ylim(0, 1.02)
    one.set_ylabel("IoU of masks, correct boxes", fontsize=8)
    one.grid(axis="y", color="0.92")
    one.set_axisbelow(True)
    one.tick_params(axis="y", labelsize=8)
    one.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper right", ncols=2, frameon=False, fontsize=8)
    one.set_title(plain(overlap.what), fontsize=8, color="0.3", loc="left", wrap=True)
    return figure


def pasted_figure(
    image: Tensor,
    target: Target,
    detections: Detections,
    classes: Sequence[str],
    *,
    masks: str = "masks",
    most: int = 12,
    columns: int = 4,
    side: float = 1.9,
) -> Figure:
    """Figs. 2.8 and 2.9, left: predicted and true masks of the objects whose box is right, the worst first.

    Args:
        image: [3, H, W].
        target: with masks.
        detections: with masks.
        classes: names of the labels 1..K.
        masks: where the target has its masks.
        most: objects that are shown, evenly spaced from the worst to the best.
        columns: pictures in a row.
        side: inches of a picture.

    Raises:
        DataError: there are no masks, or no box is right.
    """
    if masks not in target or detections.masks is None:
        raise DataError("target and detections must have masks to be compared")
    size = (int(image.shape[-2]), int(image.shape[-1]))
    objects = gather_objects([target], [size], masks=masks)
    pairs = correct_pairs(objects, gather_found([detections], masks=True), len(classes))
    if not len(pairs.found):
        raise DataError("no box is right, so there is no mask to compare")
    order = np.argsort(pairs.masks, kind="stable")[evenly_spaced(len(pairs.found), most)]
    figure, axes = panels(len(order), columns, (1.0, 1.0), side)
    for one, place in zip(axes, order.tolist(), strict=True):
        row, own = int(pairs.objects[place]), int(pairs.found[place])
        show_image(one, image)
        draw_mask(one, detections.masks[own].cpu(), PREDICTED)
        outline_mask(one, target[masks][row].as_subclass(Tensor), TRUE)
        look_at(one, around(target["boxes"][row], size))
        name = classes[int(target["labels"][row]) - 1]
        title(one, name, f"masks {pairs.masks[place]:.2f}, boxes {pairs.boxes[place]:.2f}")
    marks = [Patch(facecolor=PREDICTED, label="predicted"), Patch(facecolor="none", edgecolor=TRUE, label="true")]
    legend_below(figure, marks)
    return figure
