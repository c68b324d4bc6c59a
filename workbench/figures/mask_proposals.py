"""Proposals of an image: the best by score, and which objects they reach (T.-Y. Lin's thesis, Figs. 3.2 and 3.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from workbench.analysis.mask_proposals import REACHED, BestProposals
from workbench.errors import DataError
from workbench.figures.drawing.canvas import draw_box, draw_tags, image_axes, show_image
from workbench.figures.drawing.colours import CHOSEN, MINT, ORANGE, SKY, VIOLET, WHITE, YELLOW, cycle
from workbench.figures.drawing.panels import around, draw_mask, frame, legend_below, look_at, panels, title
from workbench.types import Proposals, Target

MISSED = "#ff3b30"  #: of objects that no proposal reaches
REACHING = (SKY, MINT, ORANGE, VIOLET, YELLOW)  #: of objects that one reaches; none of them is like red


def best_proposals_figure(
    image: Tensor,
    proposals: Proposals,
    number: int = 12,
    *,
    chosen: int | None = None,
    columns: int = 5,
    side: float = 1.4,
) -> Figure:
    """The `number` best proposals of an image [3, H, W] by score, each with its mask or its box.

    Args:
        chosen: the rank of one that is yellow.
        columns: pictures in a row.
        side: inches of a picture.

    Raises:
        DataError: there are no proposals.
    """
    shown = proposals.top(number).to("cpu")
    if not len(shown):
        raise DataError("there are no proposals to draw")
    columns = min(columns, len(shown))
    rows = -(-len(shown) // columns)
    figure, axes = image_axes(rows, columns, image.shape[-2:], side, titles=rows)
    for place, (one, score) in enumerate(zip(axes.flat, shown.scores.tolist(), strict=False)):
        marked = place + 1 == chosen
        show_image(one, image)
        _draw(one, shown[place : place + 1], CHOSEN if marked else SKY)
        one.set_title(f"rank {place + 1}: {score:.3f}", fontsize=8.5, weight="bold" if marked else "normal")
    return figure


def objects_figure(
    image: Tensor,
    target: Target,
    best: Mapping[str, BestProposals],
    *,
    masks: str | None = "masks",
    columns: int = 3,
    side: float = 2.3,
) -> Figure:
    """The best proposal of each object with its IoU, a picture for each proposer; missed objects in red (Fig. 3.4).

    Each object has the same colour in all pictures. Of a missed object its own mask or box is shown, dashed.

    Args:
        best: of the objects of `target`, by the name to show.
        masks: where the target has the masks of missed objects.
        columns: pictures in a row.
        side: inches of a picture.

    Raises:
        DataError: `best` is empty.
    """
    _check_any(best)
    figure, axes = panels(len(best), columns, image.shape[-2:], side)
    for one, (name, found) in zip(axes, best.items(), strict=True):
        show_image(one, image)
        _draw_objects(one, target, found, masks)
        title(one, name, _reached(found))
    marks = []
    if any(bool(found.missed.any()) for found in best.values()):
        text = f"missed: best IoU below {REACHED:g}"
        marks.append(Patch(facecolor="none", edgecolor=MISSED, linestyle="--", label=text))
    if any(not bool(found.counted.all()) for found in best.values()):
        marks.append(Patch(facecolor="none", edgecolor="0.5", linestyle=":", label="crowd or difficult"))
    legend_below(figure, marks)
    return figure


def object_figure(
    image: Tensor,
    target: Target,
    row: int,
    best: Mapping[str, BestProposals],
    *,
    name: str = "the object",
    masks: str | None = "masks",
    columns: int = 4,
    side: float = 1.75,
) -> Figure:
    """One object of an image, and the proposal of highest IoU with it from each proposer (Fig. 3.2).

    Args:
        row: of the object in `target`.
        best: of the objects of `target`, by the name to show.
        name: the object's.
        masks: where the target has its mask.
        columns: pictures in a row.
        side: inches of a picture.

    Raises:
        DataError: `best` is empty.
    """
    _check_any(best)
    box = target["boxes"][row].as_subclass(Tensor).cpu()
    view = around(box, image.shape[-2:])
    figure, (first, *others) = panels(1 + len(best), columns, (1, 1), side)
    show_image(first, image)
    _draw_truth(first, target, row, masks, colour=WHITE)
    title(first, name, "as it is")
    for one, (proposer, found) in zip(others, best.items(), strict=True):
        show_image(one, image)
        draw_box(one, box, dashed=True)
        missed, rank = bool(found.missed[row]), int(found.index[row]) + 1
        _draw(one, found.of(row), MISSED if missed else SKY)
        facts = f"rank {rank}, IoU {float(found.iou[row]):.2f} ({found.overlapping(row)})"
        title(one, proposer, facts if rank else "none overlaps it", colour=MISSED if missed else None)
    for one in (first, *others):
        look_at(one, view)
    return figure


def _check_any(best: Mapping[str, BestProposals]) -> None:
    if not best:
        raise DataError("there are no proposals to show; give a mapping from the name of a proposer to BestProposals")


def _reached(found: BestProposals) -> str:
    """How many objects are reached, for a title."""
    facts = found.summary
    if not facts["objects"]:
        return "no objects"
    return f"{facts['found']} of {facts['objects']}, mean IoU {facts['mean IoU']:.2f}, {found.overlapping()}"


def _draw(axes: Axes, proposal: Proposals, colour: str) -> None:
    """A proposal by its mask, or where it has none by its box."""
    if proposal.masks is None:
        for box in proposal.boxes:
            draw_box(axes, box, colour=colour)
        return
    for mask in proposal.decode_masks():
        draw_mask(axes, mask, colour)


def _draw_objects(axes: Axes, target: Target, found: BestProposals, masks: str | None) -> None:
    """All objects of an image: the best proposal of each, or the object itself in red."""
    boxes = target["boxes"].as_subclass(Tensor).cpu().reshape(-1, 4)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    rows = area.argsort(descending=True, stable=True).tolist()  # small ones on top
    colours = [MISSED if missed else cycle(REACHING, row) for row, missed in enumerate(found.missed.tolist())]
    for row in rows:
        if not bool(found.counted[row]):
            frame(axes, boxes[row].tolist(), edgecolor=WHITE, linestyle=":", linewidth=1.2)
        elif bool(found.missed[row]):
            _draw_truth(axes, target, row, masks, colour=MISSED, dashed=True)
        else:
            _draw(axes, found.of(row), colours[row])
    tagged: Sequence[int] = [row for row in reversed(rows) if bool(found.counted[row])]
    texts = [f"{float(found.iou[row]):.2f}" for row in tagged]
    draw_tags(axes, boxes[tagged], texts, [colours[row] for row in tagged])


def _draw_truth(
    axes: Axes, target: Target, row: int, masks: str | None, *, colour: str, dashed: bool = False
) -> None:
    """An object as it is, by its mask where that is known, and by its box."""
    mask = target[masks][row].as_subclass(Tensor).cpu().bool() if masks in target else None
    if mask is not None and bool(mask.any()):
        draw_mask(axes, mask, colour, dashed=dashed)
    draw_box(axes, target["boxes"][row], colour=colour, dashed=True)
