"""Images of one class each.

The package's labels run from 1 to K, also here: `target["label"]` is k + 1 for `classes[k]`, and a classifier's
logit k is that of label k + 1. The image is at the same time the one object of its target (`labels` [1], a box of the
whole image), so that browsers and figures made for detectors show it; its `occlusion` is the hidden share.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as V

from workbench.data.dataset import Dataset, make_target
from workbench.data.reading.contents import ObjectsAtHand
from workbench.data.reading.images import read_image
from workbench.errors import DataError
from workbench.types import Target

Resize = Literal["squash", "crop"]


def whole_image_target(
    *,
    image_id: int,
    size: tuple[int, int],
    label: int,
    pattern: int = 0,
    source: int | None = None,
    hidden: float = 0.0,
) -> Target:
    """The target of an image of one class; see the module.

    Args:
        hidden: share of the image's pixels.
    """
    height, width = size
    target = make_target(
        image_id=image_id,
        size=size,
        boxes=torch.tensor([[0.0, 0.0, width, height]]),
        labels=torch.tensor([label]),
        area=torch.tensor([float(height * width)]),
        occlusion=torch.tensor([hidden]),
    )
    target["label"], target["pattern"] = label, pattern
    target["source"] = image_id if source is None else source
    return target


class LabelledImages(Dataset):
    """Clean images with one label each; a subclass gives `image`, `size` and `labels`."""

    task = "classification"
    takes_occlusion_plan = True

    labels: np.ndarray  #: [N] int64 in 1..K
    columns = {"clean": (0,)}  # noqa: RUF012, never changed

    def __len__(self) -> int:
        return len(self.labels)

    def objects_at_hand(self, indices: Sequence[int]) -> ObjectsAtHand:
        """The images themselves, of which nothing is hidden."""
        return ObjectsAtHand(self.labels[list(indices)], np.zeros(len(indices)))

    def target(self, index: int) -> Target:
        index = self._position(index)
        return whole_image_target(image_id=index, size=self.size(index), label=int(self.labels[index]))


class Photographs(LabelledImages):
    """Image files of one class each, all shown at `size` x `size` pixels.

    Args:
        paths: [N] files.
        labels: [N] in 1..K.
        boxes: [N, 4] xyxy pixels of the files to crop to first.
        resize: "squash" resizes to the square directly (the paper on Caltech-101), "crop" resizes the short side to
            8/7 of the size and takes the middle (256 and 224 pixels: the paper on ILSVRC2012).
    """

    def __init__(
        self,
        name: str,
        split: str,
        classes: Sequence[str],
        paths: Sequence[Path],
        labels: Sequence[int] | np.ndarray,
        *,
        boxes: np.ndarray | None = None,
        size: int = 224,
        resize: Resize = "squash",
    ):
        if resize not in get_args(Resize):
            raise DataError(f"resize {resize!r} does not exist; there are {', '.join(get_args(Resize))}")
        if size < 1:
            raise DataError(f"size is {size}; expected pixels, at least 1")
        self.name, self.split, self.classes = name, split, tuple(classes)
        self.paths, self.labels, self.boxes = list(paths), np.asarray(labels, dtype=np.int64), boxes
        self.pixels, self.resize = size, resize

    def path(self, index: int) -> Path:
        return self.paths[self._position(index)]

    def size(self, index: int) -> tuple[int, int]:
        self._position(index)
        return self.pixels, self.pixels

    def full_image(self, index: int) -> tv_tensors.Image:
        """The file at its own size, cropped to its box if it has one."""
        index = self._position(index)
        image = read_image(self.paths[index]).as_subclass(Tensor)
        if self.boxes is not None:
            image = _cropped(image, self.boxes[index], self.paths[index])
        return tv_tensors.Image(image)

    def image(self, index: int) -> tv_tensors.Image:
        image = self.full_image(index).as_subclass(Tensor)
        if self.resize == "crop":
            image = V.resize(image, [round(self.pixels * 8 / 7)], antialias=True)
            return tv_tensors.Image(V.center_crop(image, [self.pixels, self.pixels]).contiguous())
        return tv_tensors.Image(V.resize(image, [self.pixels, self.pixels], antialias=True))

    def chosen(self, rows: Sequence[int] | np.ndarray) -> Photographs:
        """The images at `rows` only, with numbers of their own."""
        rows = np.asarray(rows, dtype=np.int64)
        boxes = None if self.boxes is None else self.boxes[rows]
        paths = [self.paths[row] for row in rows]
        made = Photographs(
            self.name,
            self.split,
            self.classes,
            paths,
            self.labels[rows],
            boxes=boxes,
            size=self.pixels,
            resize=self.resize,
        )
        made.problems = self.problems
        return made


def _cropped(image: Tensor, box: np.ndarray, path: Path) -> Tensor:
    height, width = image.shape[-2:]
    left, top = (max(0, int(np.floor(value))) for value in box[:2])
    right, bottom = min(width, int(np.ceil(box[2]))), min(height, int(np.ceil(box[3])))
    if right <= left or bottom <= top:
        raise DataError(f"{path}: box {box.tolist()} holds nothing of the {height} × {width} image; correct the box")
    return image[:, top:bottom, left:right]


def draw_per_class(labels: np.ndarray, number: int | None, seed: int, *, skip: int = 0) -> np.ndarray:
    """Rows [n], ascending, of at most `number` images of each class, after `skip` others of a seeded shuffle.

    Args:
        number: None takes all that are left.
    """
    rows = []
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        order = np.random.default_rng([seed, int(label)]).permutation(len(own))
        rows.append(own[order[skip : None if number is None else skip + number]])
    return np.sort(np.concatenate(rows)) if rows else np.zeros(0, np.int64)
