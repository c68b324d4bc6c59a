"""Photographs with objects of one class, as lists of faces and people have them: without the sizes of the images.

So a list is read without a look at the pictures, and a picture is measured when its size is first asked for. The
tools that made these lists do not turn pictures by their EXIF orientation; neither does this.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torchvision import tv_tensors

from workbench.data.dataset import Dataset, make_target
from workbench.data.reading.boxes import SLACK, XYWH, format_problems, too_thin, xywh
from workbench.data.reading.contents import ObjectsAtHand, rows_of
from workbench.data.reading.images import read_image, stored_size
from workbench.data.reading.listed_table import ListedTable, spans
from workbench.data.reading.picture_folder import PictureFolder
from workbench.data.reading.problems import Problem, raise_first
from workbench.errors import DataError
from workbench.types import Target

SAMPLE = 40  #: images that are measured at once, to see whether boxes are in another format


class ListedImages(Dataset):
    """Images with objects of one class; a subclass reads the table.

    Boxes are clipped to the image, and objects outside of it left out; `area` is that of the box. `difficult` and
    `iscrowd`, columns of the table if it has them, mark objects that are neither learned nor counted; `occlusion` is
    unknown (NaN) without a column of it. Further columns of boxes are clipped, too, except `boxes_full`.

    Args:
        pictures: where the images of the table lie.
        table: all of its keys go into the targets; its `noun` is the class.
        strict: raise DataError at the first error; False leaves out what is wrong and keeps the errors in `problems`.
    """

    clips: ClassVar[bool] = True  #: whether a box that reaches out of its image is worth a word

    def __init__(self, name: str, split: str, pictures: PictureFolder, table: ListedTable, *, strict: bool):
        self.name, self.split, self.classes = name, split, (table.noun,)
        self._pictures = pictures
        found, missing = _found(pictures, table)
        self._table = table.where_images(list(found))
        self._files, self._spans = list(found.values()), spans(self._table)
        self._sizes = np.zeros((len(found), 2), np.int32)  # 0: not measured yet
        self.problems = (*table.problems, *missing)
        if self.clips:
            self.problems = (*self._format_problems(), *self.problems)
        if strict:
            raise_first(self.problems, hint="load_data(…, strict=False) and the doctor list them all")

    def __len__(self) -> int:
        return len(self._files)

    def path(self, index: int) -> Path:
        return self._pictures.file(self._files[self._position(index)])

    def file_name(self, index: int) -> str:
        return self._files[self._position(index)]

    def image_id(self, index: int) -> int:
        return self._position(index) + 1

    def size(self, index: int) -> tuple[int, int]:
        """Height and width in pixels, by the header of the file.

        Raises:
            DataError: the image cannot be read.
        """
        index = self._position(index)
        if not self._sizes[index].any():
            self._sizes[index] = stored_size(self.path(index))
        height, width = self._sizes[index].tolist()
        return height, width

    def class_counts(self) -> None:
        """None: what lies outside its image is left out of targets, and images are not measured at once."""

    def objects_at_hand(self, indices: Sequence[int]) -> ObjectsAtHand:
        """As the list has them."""
        rows = rows_of(self._table.starts, indices)
        hidden = self._table.columns.get("occlusion")
        return ObjectsAtHand(np.ones(len(rows), np.int64), None if hidden is None else hidden[rows])

    def image(self, index: int) -> tv_tensors.Image:
        return read_image(self.path(index), upright=False)

    def target(self, index: int) -> Target:
        index = self._position(index)
        size = self.size(index)
        boxes, kept = self._clipped(index, size)
        rows = self._spans[index].start + np.flatnonzero(kept)
        more = {key: torch.from_numpy(column[rows]) for key, column in self._table.columns.items()}
        flags = {key: more.pop(key, None) for key in ("difficult", "iscrowd", "occlusion")}
        for key in [key for key in more if key.startswith("boxes") and key != "boxes_full"]:
            within = clipped(more[key].numpy(), size)
            more[key] = torch.from_numpy(np.where(too_thin(within)[:, None], 0, within))
        return make_target(
            image_id=index + 1,
            size=size,
            boxes=torch.from_numpy(boxes[kept]),
            labels=torch.ones(len(rows), dtype=torch.int64),
            area=torch.from_numpy(xywh(boxes[kept])[:, 2:].prod(axis=1)),
            **flags,
            more=more | {key: int(column[index]) for key, column in self._table.of_images.items()},
        )

    def image_problems(self, index: int) -> list[Problem]:
        index = self._position(index)
        boxes, kept = self._clipped(index, self.size(index))
        raw = self._table.boxes[self._spans[index]]
        outside = np.abs(raw - boxes).max(axis=1, initial=0)
        problems = []
        for row in np.flatnonzero(~kept | (self.clips & (outside > SLACK))).tolist():
            where = self._table.object(self._spans[index].start + row)
            box = " ".join(f"{value:g}" for value in xywh(raw[[row]])[0])
            if kept[row]:
                what = f"box {box} (x, y, width, height) reaches {outside[row]:g} px outside its image"
                problems.append(Problem("warning", where, what, "It is clipped."))
            else:
                what = f"box {box} (x, y, width, height) lies outside its image"
                problems.append(Problem("warning", where, what, "It is left out."))
        return problems

    def _clipped(self, index: int, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """The boxes of an image within it [N, 4], and which of them are left [N]."""
        boxes = clipped(self._table.boxes[self._spans[index]], size)
        return boxes, ~too_thin(boxes)

    def _format_problems(self) -> list[Problem]:
        """Whether boxes are in another format than x, y, width, height, by a sample of the images."""
        boxes, sizes = [], []
        for index in np.unique(np.linspace(0, len(self) - 1, SAMPLE).astype(int)).tolist() if len(self) else ():
            try:
                size = self.size(index)
            except DataError:
                continue  # said when it is read
            own = xywh(self._table.boxes[self._spans[index]])
            boxes.append(own)
            sizes += [size] * len(own)
        if not sizes:
            return []
        where = self._table.wheres[0]
        return format_problems(np.concatenate(boxes), np.array(sizes, float), where, "boxes from here on", XYWH)


def clipped(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Boxes [N, 4] xyxy within an image of `size` (height, width)."""
    return boxes.clip(0, np.array([size[1], size[0], size[1], size[0]], boxes.dtype))


def _found(pictures: PictureFolder, table: ListedTable) -> tuple[dict[int, str], list[Problem]]:
    """The file of each image of the table that has one, and errors about those that have none.

    Raises:
        DataError: none has one.
    """
    found: dict[int, str] = {}
    problems = []
    for row, name in enumerate(table.names):
        try:
            file = pictures.find(name)
            what = f"there is no image {name} in {pictures.path}"
        except DataError as error:
            file, what = None, str(error)
        if file is None:
            fix = "Restore the image, or take it off the list."
            problems.append(Problem("error", table.wheres[row], what, fix))
        else:
            found[row] = file
    if problems and not found:
        more = f", nor any other of the {len(problems)} images of the list" if len(problems) > 1 else ""
        raise DataError(f"{problems[0].where}: {problems[0].what}{more}; are the images elsewhere?")
    return found, problems
