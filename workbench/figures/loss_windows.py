"""Which windows a loss is about: windows on their images, and where in an image the loss comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from workbench.data import Dataset
from workbench.errors import DataError
from workbench.figures.drawing.boxes import draw_boxes, draw_lines, outlines
from workbench.figures.drawing.canvas import draw_box, image_axes, plain, show_image
from workbench.figures.drawing.colours import MINT, ORANGE, WHITE, YELLOW
from workbench.figures.drawing.sheet import Sheet, class_name

WINDOW, OBJECT = YELLOW, WHITE  #: colours of the window, and of objects, which are dashed
CONTEXT, LEAST = 2.5, 128  #: a picture shows so many times the window's long side, and at least so many pixels
OF_OBJECTS, OF_BACKGROUND = MINT, ORANGE  #: colours of windows by what they should say


def windows_grid(
    table: pd.DataFrame, data: Dataset, *, columns: int = 6, side: float = 1.6, dpi: int = 100
) -> Figure:
    """Windows on their images (yellow, objects dashed), with what they are, what they are taken for, and their loss.

    Args:
        table: rows of `analysis.anchor_losses.hardest_windows` or `Ranking.around`.
        data: where the windows come from.
        side: inches of a picture.
        dpi: pixels per inch.

    Raises:
        DataError: there are no rows, or `data` has fewer images than they are about.
    """
    if not len(table):
        raise DataError("there is no window to show: the table is empty")
    if int(table["image"].max()) >= len(data):
        raise DataError(f"the windows are from image {table['image'].max()}; {data.name} has {len(data)} images")
    columns = min(columns, len(table))
    sheet = Sheet.blank(-(-len(table) // columns), columns, side, dpi, above=3, below=1, labels=0, bar=0)
    for index, row in enumerate(table.itertuples()):
        place = divmod(index, columns)
        image, target = data[row.image]
        box = torch.tensor([row.x1, row.y1, row.x2, row.y2])
        corner, pixels = square_around(box, image.shape[-2:])
        facts = _facts(row.label, row.guess, row.score, row.loss, data.classes)
        sheet.show(*place, _cut(image, corner, pixels, round(side * dpi)), facts)
        sheet.caption(*place, f"image {row.image}")
        inside, shift = sheet.inside(*place, (pixels, pixels)), torch.tensor(corner * 2)
        known = outlines(target["boxes"].as_subclass(Tensor) - shift)
        draw_lines(sheet.figure, known, colors=OBJECT, linewidths=1.0, linestyles="--", **inside)
        draw_boxes(sheet.figure, box[None] - shift, colours=WINDOW, **inside)
    return sheet.finished(None)


def square_around(box: Tensor, size: Sequence[int]) -> tuple[tuple[int, int], int]:
    """Upper left corner (x, y) and side of what is shown of an image of (height, width) around a box [4]."""
    height, width = size
    middle = ((box[:2] + box[2:]) / 2).tolist()
    wanted = max(CONTEXT * float((box[2:] - box[:2]).max()), LEAST)
    side = round(min(wanted, max(height, width)))
    x, y = (
        round(min(max(0, centre - side / 2), max(0, length - side)))
        for centre, length in zip(middle, (width, height), strict=True)
    )
    return (x, y), side


def loss_on_image(
    image: Tensor,
    boxes: Tensor,
    labels: Tensor,
    losses: Mapping[str, Tensor],
    *,
    objects: Tensor | None = None,
    side: float = 2.7,
) -> Figure:
    """Where in an image the loss comes from: a disc in the middle of each window, its area the share of the loss.

    Args:
        image: [3, H, W].
        boxes: [A, 4], the windows.
        labels: [A], 0 for background, 1..K for objects; others are left out.
        losses: name to show → loss [A] of each window, 0 where it does not count. One picture each.
        objects: [N, 4], dashed.
        side: inches of a picture.

    Raises:
        DataError: no losses, or a loss that is 0 everywhere.
    """
    if not losses:
        raise DataError("no losses to show; give a mapping from names to losses of each window")
    figure, panels = image_axes(1, len(losses), image.shape[-2:], side, titles=3)
    grey = (image.float().mean(dim=0, keepdim=True) * 0.75).to(image.dtype).expand_as(image)
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    for axes, (name, each) in zip(panels[0], losses.items(), strict=True):
        counted = torch.where(labels >= 0, each.double(), 0.0)
        if not float(counted.sum()) > 0:
            raise DataError(f"the loss {name!r} is 0 for every window; there is nothing to show")
        share = counted / counted.sum()
        show_image(axes, grey)
        for box in () if objects is None else objects:
            draw_box(axes, box, dashed=True)
        area = (side * 72) ** 2 / 8  # points², of a window that has all of the loss
        for kind, colour in ((labels == 0, OF_BACKGROUND), (labels > 0, OF_OBJECTS)):
            x, y = middles[kind].T.numpy()
            sizes = area * share[kind].numpy()
            axes.scatter(x, y, s=sizes, color=colour, alpha=0.55, edgecolors="black", linewidths=0.4, zorder=3)
        some = f"{int((counted > 0).sum()):,} windows; background has {float(share[labels == 0].sum()):.0%}"
        axes.set_title(f"{plain(name)}\n{some}", fontsize=9, linespacing=1.35)
    return figure


def _facts(label: int, guess: int, score: float, loss: float, classes: Sequence[str]) -> str:
    """What a window is and what it is taken for."""
    best = class_name(guess, classes)
    return f"truth: {class_name(label, classes)}\nbest guess {best}: {score:.2g}\nloss {loss:.2g}"


def _cut(image: Tensor, corner: tuple[int, int], pixels: int, wanted: int) -> np.ndarray:
    """A square of an image uint8 or float (0..1) [3, H, W], uint8 RGB [wanted, wanted, 3]; grey outside the image."""
    if image.is_floating_point():
        image = (image * 255).round().to(torch.uint8)
    x, y = corner
    part = image[:, y : y + pixels, x : x + pixels]
    part = F.pad(part, (0, pixels - part.shape[2], 0, pixels - part.shape[1]), value=200)
    picture = Image.fromarray(part.permute(1, 2, 0).contiguous().numpy())
    return np.array(picture.resize((wanted, wanted), Image.Resampling.BICUBIC))
