"""Detections in COCO's results format, read and written: a JSON list of boxes (or masks) with scores.

Each entry is {"image_id", "category_id", "bbox" as x, y, width, height in pixels, "score"}, in the ids of the data
set, and has a `segmentation` (RLE or polygons) where masks were found; `bbox` may then be absent.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pycocotools import mask as coco_mask

from workbench.data.reading.boxes import finite_box
from workbench.data.reading.masks import Polygons, checked_segmentation, compressed_rle, decode_all
from workbench.data.reading.paths import read_json
from workbench.errors import DataError
from workbench.evaluation.counting.tables import RLE, Found, xywh
from workbench.types import Detections

if TYPE_CHECKING:
    from workbench.data import Dataset

_ROW = tuple[int, tuple[float, ...], float, Any]  # label, xyxy box, score, checked segmentation


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
        self._labels = {category: label for label, category in enumerate(data.category_ids, start=1)}
        content = read_json(path)
        if not isinstance(content, list):
            raise DataError(f"{path}: a list of results was expected, but it holds a {type(content).__name__}")
        self._rows: dict[int, list[_ROW]] = {}
        for number, entry in enumerate(content):
            index, row = self._checked(entry, f"{path}: entry {number}")
            self._rows.setdefault(index, []).append(row)
        rows = [row for rows in self._rows.values() for row in rows]
        self.has_masks = bool(rows) and all(row[3] is not None for row in rows)  #: whether each result has one

    def detections(self, index: int) -> Detections:
        """What was found in an image of the data set; masks [N, H, W] where the file has them."""
        rows = self._rows.get(index, [])
        masks = None
        if self.has_masks:
            masks = torch.from_numpy(decode_all([_decodable(row[3]) for row in rows], self.data.size(index)))
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
        try:
            segmentation = checked_segmentation(entry.get("segmentation"), self.data.size(index))
        except ValueError as error:
            raise DataError(f"{where}: {error}") from None
        return index, (label, self._box(entry, segmentation, index, where), float(score), segmentation)

    def _place(self, entry: dict[str, Any], where: str) -> int:
        image_id = _number(entry, "image_id", where)
        if image_id not in self._places:
            raise DataError(
                f"{where}: image_id {image_id} is not in {self.data.name} {self.data.split}, whose {len(self.data)} "
                "images were expected; is the file about other data?"
            )
        return self._places[image_id]

    def _box(self, entry: dict[str, Any], segmentation: Any, index: int, where: str) -> tuple[float, ...]:
        given = entry.get("bbox")
        if given is None and segmentation is not None:
            mask = decode_all([_decodable(segmentation)], self.data.size(index))[0]
            given = coco_mask.toBbox(coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))).tolist()
        box = finite_box(given)
        if box is None or min(box[2:]) < 0:
            what = "four finite numbers x, y, width, height in pixels"
            raise DataError(f"{where}: bbox is {reprlib.repr(given)}, expected {what}")
        return box[0], box[1], box[0] + box[2], box[1] + box[3]


def results_content(
    found: Found, masks: list[RLE] | None, image_ids: Iterable[int], category_ids: Iterable[int]
) -> list[dict[str, Any]]:
    """Detections as the entries of a file.

    Args:
        found: the detections.
        masks: their codes, one each, or None.
        image_ids: of all images by index.
        category_ids: of all labels from 1 on.
    """
    image_ids, category_ids = list(image_ids), list(category_ids)
    columns = (values.tolist() for values in (found.images, found.labels, xywh(found.boxes), found.scores))
    entries = [
        {"image_id": image_ids[image], "category_id": category_ids[label - 1], "bbox": box, "score": score}
        for image, label, box, score in zip(*columns, strict=True)
    ]
    if masks is not None:
        for entry, code in zip(entries, masks, strict=True):
            size = [int(side) for side in code["size"]]
            entry["segmentation"] = {"size": size, "counts": code["counts"].decode("ascii")}
    return entries


def _number(entry: dict[str, Any], key: str, where: str) -> int:
    value = entry.get(key)
    if type(value) is not int:
        raise DataError(f"{where}: {key} is {reprlib.repr(value)}, expected a whole number")
    return value


def _decodable(segmentation: Polygons | dict[str, Any]) -> list[np.ndarray] | bytes:
    if isinstance(segmentation, dict):
        return compressed_rle(segmentation)
    return [np.array(polygon) for polygon in segmentation]
