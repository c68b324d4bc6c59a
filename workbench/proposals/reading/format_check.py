"""Whether proposals are in the format that their file should have: by their images, and by the objects there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_iou

from workbench.data.reading.boxes import FORMATS, corners, format_problems
from workbench.data.reading.problems import Problem

OVERLAP = 0.5  #: IoU from which an object is reached
ENOUGH = 10  #: objects that prove another format


def proposal_format_problems(
    given: Sequence[np.ndarray], sizes: Sequence[tuple[int, int]], objects: Sequence[Tensor], where: str, meant: str
) -> list[Problem]:
    """An error about proposals that are in another format than is meant.

    Args:
        given: boxes [P, 4] of each image, as the file has them.
        sizes: height and width of each image.
        objects: boxes [N, 4] xyxy of the objects of each image.
        where: the file.
        meant: the format that it should have; see `boxes.FORMATS`.
    """
    boxes = np.concatenate([np.zeros((0, 4)), *given])
    of_boxes = np.repeat(np.array(sizes, float).reshape(-1, 2), [len(each) for each in given], axis=0)
    return _by_objects(given, objects, where, meant) or format_problems(
        boxes, of_boxes, where, "the proposals", meant
    )


def _by_objects(given: Sequence[np.ndarray], objects: Sequence[Tensor], where: str, meant: str) -> list[Problem]:
    """In square images, and where boxes are small, those of any format lie inside, but not where objects are."""
    reached = dict.fromkeys(FORMATS, 0)
    for boxes, proposals in zip(objects, given, strict=True):
        if len(boxes) and len(proposals):
            for form in FORMATS:
                overlap = box_iou(boxes.double(), torch.from_numpy(corners(proposals, form)))
                reached[form] += int((overlap.amax(dim=1) >= OVERLAP).sum())
    best = max(FORMATS, key=lambda form: reached[form])
    if reached[best] < ENOUGH or reached[best] <= 2 * reached[meant]:
        return []
    what = f"the proposals reach {reached[meant]} objects when read as {meant}, but {reached[best]} as {best}"
    return [Problem("error", where, what, "Convert the boxes.")]
