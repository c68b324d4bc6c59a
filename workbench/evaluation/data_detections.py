"""What a detector found in a data set, in the files that servers and other programs score: COCO's and VOC's."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
import torch

from workbench.data.export import result_entries
from workbench.errors import DataError
from workbench.evaluation.counting.tables import Found
from workbench.evaluation.voc_files import COMPETITION, write_rows
from workbench.files import user_path, write_json
from workbench.rle import decode_masks
from workbench.types import Detections


@dataclass(frozen=True)
class DataDetections:
    """The detections of a data set, image by image, without a word on how good they are; see `detect_all`.

    Example:
        >>> data = wb.load_data("digit-scenes", split="test", length=3)
        >>> found = wb.detect_all("digit-scenes/faster-rcnn", data, progress=False)
        >>> len(found), len(found[0].above(0.5)) > 0
        (3, True)
    """

    data: str  #: name of the data set
    split: str
    classes: tuple[str, ...]
    category_ids: list[int]  #: the data set's own, of the labels from 1 on
    image_ids: list[int]  #: likewise, by index
    image_names: list[str]  #: by index, see `Dataset.image_name`
    sizes: list[tuple[int, int]]  #: by index, height and width in pixels
    found: Found

    def __len__(self) -> int:
        return len(self.image_ids)

    def __getitem__(self, index: int) -> Detections:
        """Those of one image."""
        place = range(len(self))[index]
        rows = np.flatnonzero(self.found.images == place)
        masks = None
        if self.found.masks is not None:
            masks = decode_masks([self.found.masks[row] for row in rows.tolist()], self.sizes[place])
        columns = (self.found.boxes, self.found.labels, self.found.scores)
        boxes, labels, scores = (torch.from_numpy(column[rows]) for column in columns)
        return Detections(boxes.float(), labels, scores.float(), masks)

    def __repr__(self) -> str:
        what = f"{len(self.found)} detections in the {len(self)} images of {self.data} {self.split}"
        return f"DataDetections({what})"

    def above(self, threshold: float) -> DataDetections:
        """Only the detections that score at least `threshold`."""
        rows = np.flatnonzero(self.found.scores >= threshold)
        masks = self.found.masks
        kept = Found(
            images=self.found.images[rows],
            labels=self.found.labels[rows],
            boxes=self.found.boxes[rows],
            scores=self.found.scores[rows],
            masks=None if masks is None else [masks[row] for row in rows.tolist()],
        )
        return DataDetections(**vars(self) | {"found": kept})

    def save_coco(self, path: str | PathLike[str], *, boxes: bool = True) -> Path:
        """Write COCO's results format, which its server takes and `evaluate` scores.

        Args:
            path: of the JSON file: a list of image_id and category_id (the data set's own), score, bbox (x, y, width,
                height in pixels) and, where masks were found, `segmentation` (RLE).
            boxes: False leaves bbox out, as results of masks have none: pycocotools would measure sizes by it.

        Returns:
            The path.
        """
        path = user_path(path, DataError)
        path.parent.mkdir(parents=True, exist_ok=True)
        images = [self.image_ids[index] for index in self.found.images.tolist()]
        categories = [self.category_ids[label - 1] for label in self.found.labels.tolist()]
        content = result_entries(images, categories, self.found.boxes, self.found.scores, self.found.masks)
        for entry in () if boxes else content:
            del entry["bbox"]
        write_json(path, content)
        return path

    def save_voc(self, folder: str | PathLike[str], *, competition: str = COMPETITION) -> Path:
        """Write VOC's files of results, comp4_det_test_aeroplane.txt and so on, one for each class.

        Its server takes an archive of them in results/VOC2012/Main; `evaluate` scores the folder.

        Args:
            folder: where they go; it is made.
            competition: comp3 for detectors that have seen no other data than VOC's, comp4 for all others.

        Returns:
            The folder.

        Raises:
            DataError: the name of a class or an image cannot stand in such a file.
        """
        folder = user_path(folder, DataError)
        write_rows(folder, self.found, self.image_names, self.classes, self.split, competition)
        return folder
