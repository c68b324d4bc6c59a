"""Images with their objects: what is there, what was found, and several detectors side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from workbench.detectors.branches.occlusion import FOUND, KEY
from workbench.errors import DataError
from workbench.figures.drawing.canvas import (
    draw_box,
    draw_tags,
    hatch,
    hatch_mark,
    image_axes,
    mask_layer,
    show_image,
    show_layer,
    target_layer,
)
from workbench.figures.drawing.colours import WHITE, colour
from workbench.types import Detections, Target

TINT = 0.55  #: opacity of masks
LEGEND = 0.28  #: inches of a legend below pictures


def draw_detections(axes: Axes, detections: Detections, classes: Sequence[str], *, min_score: float = 0.5) -> None:
    """Boxes with class names and scores, the best one on top.

    Where there are masks, their pixels are tinted; what an occlusion branch finds to hide objects is hatched.

    Args:
        classes: names of labels 1..K.
        min_score: detections below it are left out.
    """
    shown = detections.above(min_score)
    labels, scores = shown.labels.tolist(), shown.scores.tolist()
    if shown.masks is not None:
        colours = [colour(label) for label in reversed(labels)]
        show_layer(axes, mask_layer(shown.masks.flip(0), colours, opacity=TINT))
    if FOUND in shown.extras:
        hatch(axes, shown.extras[FOUND].any(dim=0))
    for index in reversed(range(len(shown))):
        draw_box(axes, shown.boxes[index], colour=colour(labels[index]))
    texts = [f"{classes[label - 1]} {score:.2f}" for label, score in zip(labels, scores, strict=True)]
    draw_tags(axes, shown.boxes, texts, [colour(label) for label in labels])


def draw_target(
    axes: Axes, target: Target, classes: Sequence[str], *, masks: bool = False, occlusion: bool = True
) -> None:
    """Boxes with class names and what else is known of the objects; those that training ignores are dashed.

    Args:
        classes: names of labels 1..K.
        masks: tint the visible pixels and outline what hides objects, where that is known.
        occlusion: add the hidden fraction where it is known.
    """
    if masks and (layer := target_layer(target, opacity=TINT)) is not None:
        show_layer(axes, layer)
    hidden, texts = target.get("occlusion"), []
    for index, label in enumerate(target["labels"].tolist()):
        text = classes[label - 1]
        if occlusion and hidden is not None and float(hidden[index]) > 0:
            text += f", {float(hidden[index]):.0%} hidden"
        ignored = "ignored" in target and bool(target["ignored"][index])
        draw_box(axes, target["boxes"][index], colour=colour(label), dashed=ignored)
        texts.append(f"{text}, ignored" if ignored else text)
    draw_tags(axes, target["boxes"], texts, [colour(label) for label in target["labels"].tolist()])


def detections_figure(
    image: Tensor,
    detections: Detections,
    classes: Sequence[str],
    *,
    target: Target | None = None,
    min_score: float = 0.5,
    side: float = 4.5,
) -> Figure:
    """One image [3, H, W] with what was found in it.

    Args:
        classes: names of labels 1..K.
        target: its boxes are dashed.
        min_score: detections below it are left out.
        side: inches.
    """
    figure, axes = image_axes(1, 1, image.shape[-2:], side, titles=0)
    _panel(axes[0, 0], image, detections, classes, target, min_score)
    _explain(figure, [detections], min_score)
    return figure


def scene_grid(
    scenes: Sequence[tuple[Tensor, Target]],
    classes: Sequence[str],
    *,
    columns: int = 4,
    masks: bool = False,
    titles: Sequence[str] | None = None,
    side: float = 2.6,
) -> Figure:
    """Images of a data set with their objects.

    Args:
        classes: names of labels 1..K.
        columns: images in a row.
        masks: tint the visible pixels of objects and outline what hides them.
        titles: one per scene.
        side: inches each.

    Raises:
        DataError: there is no scene.
    """
    if not len(scenes):
        raise DataError("there is no scene to draw")
    columns = min(columns, len(scenes))
    rows = -(-len(scenes) // columns)
    lines = 0 if titles is None else rows
    figure, axes = image_axes(rows, columns, _largest(image for image, _ in scenes), side, titles=lines)
    for place, (image, target) in enumerate(scenes):
        one = axes.flat[place]
        show_image(one, image)
        draw_target(one, target, classes, masks=masks)
        if titles is not None:
            one.set_title(titles[place], fontsize=9, parse_math=False)
    return figure


def side_by_side(
    images: Sequence[Tensor],
    found: Mapping[str, Sequence[Detections]],
    classes: Sequence[str],
    *,
    targets: Sequence[Target] | None = None,
    min_score: float = 0.5,
    side: float = 2.8,
) -> Figure:
    """One row per image, one column per detector. Masks are tinted and what hides objects is hatched, where found.

    Args:
        found: name of a detector → its detections of each image.
        classes: names of labels 1..K.
        targets: a first column shows what is there, and the true boxes are dashed in the others.
        min_score: detections below it are left out.
        side: inches of a picture.

    Raises:
        DataError: a detector has detections of another number of images.
    """
    for name, some in found.items():
        if len(some) != len(images):
            raise DataError(f"{name} has detections of {len(some)} images; there are {len(images)}")
    first = 0 if targets is None else 1
    figure, axes = image_axes(len(images), first + len(found), _largest(images), side)
    for row, image in enumerate(images):
        target = None if targets is None else targets[row]
        if target is not None:
            show_image(axes[row, 0], image)
            masks = any(some[row].masks is not None or FOUND in some[row].extras for some in found.values())
            draw_target(axes[row, 0], target, classes, masks=masks)
        for column, some in enumerate(found.values(), start=first):
            _panel(axes[row, column], image, some[row], classes, target, min_score)
    for column, name in enumerate([*["what is there"] * first, *found]):
        axes[0, column].set_title(name, fontsize=10, parse_math=False)
    outlined = any(KEY in target for target in targets or ())
    _explain(figure, [one for some in found.values() for one in some], min_score, outlined=outlined)
    return figure


def _explain(figure: Figure, found: Iterable[Detections], min_score: float, *, outlined: bool = False) -> None:
    """Say what the hatching is, where there is any, and the outlines beside it."""
    shown = (one.above(min_score).extras.get(FOUND) for one in found)
    if not any(bool(pixels.any()) for pixels in shown if pixels is not None):
        return
    marks: list[Patch] = [hatch_mark("hatched: found to hide an object")]
    if outlined:
        marks.append(Patch(facecolor="0.45", edgecolor=WHITE, label="outlined in white: what hides objects"))
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + LEGEND)
    figure.legend(handles=marks, loc="outside lower center", ncols=2, frameon=False, fontsize=8)


def _panel(
    axes: Axes,
    image: Tensor,
    detections: Detections,
    classes: Sequence[str],
    target: Target | None,
    min_score: float,
) -> None:
    show_image(axes, image)
    for box in [] if target is None else target["boxes"]:
        draw_box(axes, box, dashed=True)
    draw_detections(axes, detections, classes, min_score=min_score)


def _largest(images: Iterable[Tensor]) -> tuple[int, int]:
    """Height and width that hold every image."""
    sizes = [tuple(image.shape[-2:]) for image in images]
    return max(height for height, _ in sizes), max(width for _, width in sizes)
