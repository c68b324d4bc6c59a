"""The images that actions name, by id or by file name, and what is truly there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from workbench.data import Dataset
from workbench.errors import DataError


@dataclass(frozen=True, eq=False)
class Objects:
    """The true objects of an image."""

    labels: np.ndarray  #: [N]
    boxes: np.ndarray  #: [N, 4] xyxy pixels
    crowd: np.ndarray  #: [N] bool
    masks: np.ndarray | None  #: [N, H, W] bool

    def __getitem__(self, rows: np.ndarray) -> Objects:
        masks = None if self.masks is None else self.masks[rows]
        return Objects(self.labels[rows], self.boxes[rows], self.crowd[rows], masks)

    def __len__(self) -> int:
        return len(self.labels)

    def holds(self, point: tuple[float, float]) -> np.ndarray:
        """Which objects a point lies in [N], by the mask where it has a pixel, else by the box."""
        x, y = point
        x1, y1, x2, y2 = self.boxes.T
        inside = (x1 <= x) & (x <= x2) & (y1 <= y) & (y <= y2)
        if self.masks is None:
            return inside
        height, width = self.masks.shape[1:]
        row, column = min(max(int(y), 0), height - 1), min(max(int(x), 0), width - 1)
        return np.where(self.masks.any((1, 2)), self.masks[:, row, column], inside)


class Images:
    """Images of a data set by what actions call them: their ids, or their file names."""

    def __init__(self, data: Dataset):
        self.data = data
        self._latest: tuple[object, Objects] | None = None  # by image and with or without masks

    def place(self, image: int | str) -> int:
        """The index of an image.

        Raises:
            DataError: there is none of this id or name.
        """
        if image in self._ids:
            return self._ids[image]
        if isinstance(image, str) and image in self._names:
            return self._names[image]
        raise DataError(f"there is no image {image!r} in {self.data.name} {self.data.split}, and actions name it")

    def size(self, image: int | str) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.data.size(self.place(image))

    def label(self, category: str | None) -> int:
        """The label of a class by its name.

        Raises:
            DataError: there is no such class.
        """
        if category not in self.data.classes:
            raise DataError(f"there is no class {category!r} in {self.data.name}, and actions name it")
        return self.data.classes.index(category) + 1

    def objects(self, image: int | str, *, masks: bool) -> Objects:
        """What is truly in an image; asked again for the same image, it is not read again.

        Args:
            image: id or file name.
            masks: with the masks, where the data have them.
        """
        if self._latest is None or self._latest[0] != (image, masks):
            target = self.data.target(self.place(image))
            labels, boxes = np.asarray(target["labels"]), np.asarray(target["boxes"], dtype=float)
            crowd = np.asarray(target["iscrowd"]) if "iscrowd" in target else np.zeros(len(labels), bool)
            pixels = np.asarray(target["masks"]) if masks and "masks" in target else None
            self._latest = (image, masks), Objects(labels, boxes, crowd, pixels)
        return self._latest[1]

    @cached_property
    def _ids(self) -> dict[int | str, int]:
        return {self.data.image_id(index): index for index in range(len(self.data))}

    @cached_property
    def _names(self) -> dict[str, int]:
        return {self.data.file_name(index): index for index in range(len(self.data))}
