"""The .mat lists of the original Fast R-CNN."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from workbench.data.reading.mat_files import mat_content
from workbench.errors import DataError

NONE = np.zeros((0, 4), np.float32)


class MatLists(NamedTuple):
    """What a file holds, image after image."""

    boxes: np.ndarray  #: [P, 4] float32 xyxy pixels, of all images
    starts: np.ndarray  #: [I + 1] where the boxes of each image begin
    wrong: list[str]  #: what is wrong with the boxes of each image, which has none then; "" where nothing is
    names: list[str] | None  #: of the images, "" where one has none; None: the file says none


def read_lists(path: Path) -> MatLists:
    """The cell `boxes` of a file, and the cell `images` if there is one for each of it.

    Raises:
        DataError: it is no such file.
    """
    content = mat_content(path, ("boxes", "images"))
    cells, names = content.get("boxes"), content.get("images")
    if not isinstance(cells, list):
        raise DataError(f"{path}: there is no cell `boxes` with the proposals of each image")
    boxes, wrong = zip(*map(_boxes, cells), strict=True) if cells else ((), ())
    starts = np.cumsum([0, *map(len, boxes)])
    texts = None
    if isinstance(names, list) and len(names) == len(cells):
        texts = [_text(name) for name in names]
    return MatLists(np.concatenate([NONE, *boxes]), starts, list(wrong), texts)


def _text(name: Any) -> str:
    """A name, which some files have in a cell of its own."""
    if isinstance(name, list) and len(name) == 1:
        name = name[0]
    return name if isinstance(name, str) else ""


def _boxes(cell: Any) -> tuple[np.ndarray, str]:
    """The boxes of an image as xyxy, and what is wrong with them; they are y1 x1 y2 x2 from 1, the last included."""
    boxes = cell if isinstance(cell, np.ndarray) else np.zeros(len(cell or ()))
    if boxes.size == 0:
        return NONE, ""
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        return NONE, f"its boxes are {boxes.dtype} of shape {boxes.shape}, expected finite [P, 4]"
    top, left, bottom, right = boxes.astype(np.float32).T
    if (bottom < top).any() or (right < left).any():
        return NONE, "its boxes are not y1 x1 y2 x2 with y1 <= y2 and x1 <= x2"
    return np.stack([left - 1, top - 1, right, bottom], axis=1), ""
