"""Training images as training sees them: with what is hidden, and how much of each object that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from workbench.data import Dataset
from workbench.errors import DataError
from workbench.figures.detection import draw_target, scene_grid
from workbench.figures.drawing.canvas import image_axes, show_image
from workbench.hiders import Hider, Judge, Scene
from workbench.types import Target


def training_grid(
    data: Dataset, indices: Sequence[int] | None = None, *, columns: int = 4, masks: bool = False, side: float = 2.6
) -> Figure:
    """Images of a data set such as `TrainingImages` with their objects, how much of each is hidden, and a summary.

    Objects that are ignored, as too little of them is left, are dashed.

    Args:
        data: whose images are drawn.
        indices: which; None: the first eight.
        columns: images in a row.
        masks: tint the visible pixels of objects.
        side: inches each.

    Raises:
        DataError: there is no image.
    """
    chosen = range(min(8, len(data))) if indices is None else indices
    samples = [data[index] for index in chosen]
    titles = [summary(target) for _, target in samples]
    return scene_grid(samples, data.classes, columns=columns, masks=masks, titles=titles, side=side)


def hiding_figure(
    samples: Sequence[tuple[Tensor, Target]],
    hiders: Mapping[str, Hider],
    classes: Sequence[str],
    *,
    seed: int = 0,
    mean: Tensor | None = None,
    judge: Judge | None = None,
    side: float = 2.2,
) -> Figure:
    """One row per image, one column per hider, after a first column with the image as it is.

    Args:
        samples: images uint8 [3, H, W] with their targets; they are the batch that hiders may take objects from.
        hiders: by the names above the columns.
        classes: names of labels 1..K.
        seed: of all that is drawn.
        mean: colour [3] uint8 that hidden pixels may take; None: grey.
        judge: for hiders that ask the detector, see `training.stepping.placement.judge_of`.
        side: inches of a picture.

    Raises:
        DataError: there is no image.
    """
    if not len(samples):
        raise DataError("there is no image to hide anything of")
    sizes = [image.shape[-2:] for image, _ in samples]
    largest = max(height for height, _ in sizes), max(width for _, width in sizes)
    figure, axes = image_axes(len(samples), 1 + len(hiders), largest, side, titles=len(samples) + 1)
    for row, (image, target) in enumerate(samples):
        others = [sample for place, sample in enumerate(samples) if place != row]
        shown = {"as it is": (image, target)}
        for name, hider in hiders.items():
            given = {} if mean is None else {"mean": mean}
            scene = Scene(np.random.default_rng([seed, row]), others=others, judge=judge, **given)
            shown[name] = hider.hide(image, target, scene)
        for one, (name, (pixels, truth)) in zip(axes[row], shown.items(), strict=True):
            show_image(one, pixels)
            draw_target(one, truth, classes)
            title = f"{name}\n{summary(truth)}" if row == 0 else summary(truth)
            one.set_title(title, fontsize=7, parse_math=False)
    return figure


def summary(target: Target) -> str:
    """How many objects of an image are hidden in part, of how many, and how many are ignored."""
    hidden = int((target["occlusion"] > 0).sum()) if "occlusion" in target else 0
    ignored = int(target["ignored"].sum()) if "ignored" in target else 0
    text = f"{hidden} of {len(target['labels'])} hidden"
    return text + (f", {ignored} ignored" if ignored else "")
