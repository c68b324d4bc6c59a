"""Detections from files in COCO's results format: a JSON list of boxes (or masks) with scores.

Each entry is {"image_id", "category_id", "bbox" as x, y, width, height in pixels, "score"}, in the ids of the data
set, and has a `segmentation` (RLE or polygons) where masks were found; `bbox` may then be absent.
"""

from __future__ import annotations

import reprlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from workbench.data.reading.boxes import finite_box
from workbench.data.reading.masks import checked_segmentation, code_of
from workbench.data.reading.paths import read_json
from workbench.errors import DataError
from workbench.rle import RLE, decode_masks, mask_box
from workbench.types import Detections

if TYPE_CHECKING:
    from workbench.data import Dataset

_ROW = tuple[int, tuple[float, ...], float, RLE | None]  # label, xyxy box, score, mask


class ResultsFile:
    """The detections that a file holds for the images of `data`.

    Args:
        path: a JSON list of results.
        data: whose image ids and category ids the file uses.

    Raises:
        DataError: the file cannot be read, or an entry is wrong or about another data set; says which entry.
    """

    def __init__(self, path: Path, data: Dataset):
        self.path, self.data = path, data
        self._places = {data.image_id(index): index for index in range(len(data))}
        self._labels = data.category_labels
        content = read_json(path)
        if not isinstance(content, list):
            what = f"{path}: a list of results was expected, but it holds a {type(content).__name__}"
            raise DataError(f"{what}; one that Result.save wrote is read by workbench.evaluation.load_result")
        self._rows: dict[int, list[_ROW]] = {}
        for number, entry in enumerate(content):
            index, row = self._checked(entry, f"{path}: entry {number}")
            if row[0] > 0:  # else of a class that the data leave out
                self._rows.setdefault(index, []).append(row)
        rows = [row for rows in self._rows.values() for row in rows]
        self.has_masks = bool(rows) and all(row[3] is not None for row in rows)  #: whether each result has one

    @property
    def images(self) -> set[int]:
        """Positions in the data of the images that have results."""
        return set(self._rows)

    def detections(self, index: int) -> Detections:
        """What was found in an image of the data set; masks [N, H, W] where the file has them."""
        rows = self._rows.get(index, [])
        masks = None
        if self.has_masks:
            masks = decode_masks([row[3] for row in rows if row[3] is not None], self.data.size(index))
        boxes = torch.tensor([row[1] for row in rows], dtype=torch.float64).reshape(-1, 4)
        labels = torch.tensor([row[0] for row in rows], dtype=torch.int64)
        scores = torch.tensor([row[2] for row in rows], dtype=torch.float64)
        return Detections(boxes, labels, scores, masks)

    def _checked(self, entry: Any, where: str) -> tuple[int, _ROW]:
        if not isinstance(entry, dict):
            raise DataError(
                f"{where} is a {type(entry).__name__}, not an object with image_id, category_id and score"
            )
        index = self._place(entry, where)
        label = self._labels.get(_number(entry, "category_id", where))
        if label is None:
            known = f"{self.data.name} {self.data.split} has {reprlib.repr(list(self.data.category_ids))}"
            raise DataError(f"{where}: category_id {entry['category_id']} is unknown; {known}")
        score = entry.get("score")
        if finite_box([score] * 4) is None:
            raise DataError(f"{where}: score is {reprlib.repr(score)}, expected a finite number")
        size = self.data.size(index)
        try:
            segmentation = checked_segmentation(entry.get("segmentation"), size)
        except ValueError as error:
            raise DataError(f"{where}: {error}") from None
        code = None if segmentation is None else code_of(segmentation, size)
        return index, (label, _box(entry, code, where), float(entry["score"]), code)

    def _place(self, entry: dict[str, Any], where: str) -> int:
        image_id = _number(entry, "image_id", where)
        if image_id not in self._places:
            raise DataError(
                f"{where}: image_id {image_id} is not in {self.data.name} {self.data.split}, whose {len(self.data)} "
                "images were expected; is the file about other data?"
            )
        return self._places[image_id]


def _number(entry: dict[str, Any], key: str, where: str) -> int:
    value = entry.get(key)
    if type(value) is not int:
        raise DataError(f"{where}: {key} is {reprlib.repr(value)}, expected a whole number")
    return value


def _box(entry: dict[str, Any], code: RLE | None, where: str) -> tuple[float, ...]:
    given = entry.get("bbox")
    if given is None and code is not None:
        given = list(mask_box(code))
    box = finite_box(given)
    if box is None or min(box[2:]) < 0:
        what = "four finite numbers x, y, width, height in pixels"
        raise DataError(f"{where}: bbox is {reprlib.repr(given)}, expected {what}")
    return box[0], box[1], box[0] + box[2], box[1] + box[3]
