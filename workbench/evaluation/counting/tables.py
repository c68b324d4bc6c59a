"""Objects and detections of a whole data set as flat tables, the form that matching and counting work on.

Shape letters: I images, N objects, D detections. An image is named by its index in the data set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import chain
from typing import Any, TypeVar

import numpy as np
from pycocotools import mask as coco_mask
from torch import Tensor

from workbench.data.reading.boxes import xywh
from workbench.rle import RLE, encode_masks
from workbench.types import Detections, Target


@dataclass(frozen=True)
class Objects:
    """Every annotated object, image after image."""

    num_images: int
    sizes: np.ndarray  #: [I, 2] int64, (height, width) in pixels
    images: np.ndarray  #: [N] int64, index of the image
    labels: np.ndarray  #: [N] int64 in 1..K
    boxes: np.ndarray  #: [N, 4] float64, xyxy pixels
    area: np.ndarray  #: [N] float64, square pixels
    crowd: np.ndarray  #: [N] bool
    difficult: np.ndarray  #: [N] bool
    occlusion: np.ndarray  #: [N] float64 in 0..1, NaN where unknown
    masks: list[RLE] | None = None  #: N codes

    def __len__(self) -> int:
        return len(self.images)

    @property
    def ignored(self) -> np.ndarray:
        """[N] bool: neither found nor missed counts."""
        return self.crowd | self.difficult

    def fingerprint(self) -> str:
        """A short code that is equal for equal objects and differs between data sets."""
        digest = hashlib.sha1(np.int64([self.num_images]).tobytes(), usedforsecurity=False)
        for column in (self.images, self.labels, self.boxes.astype(np.float32), self.ignored):
            digest.update(np.ascontiguousarray(column).tobytes())
        digest.update(np.nan_to_num(self.occlusion, nan=-1.0).astype(np.float32).tobytes())
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Found:
    """Every detection, image after image, in the order the detector gave them."""

    images: np.ndarray  #: [D] int64, index of the image
    labels: np.ndarray  #: [D] int64 in 1..K
    boxes: np.ndarray  #: [D, 4] float64, xyxy pixels
    scores: np.ndarray  #: [D] float64
    masks: list[RLE] | None = None  #: D codes

    def __len__(self) -> int:
        return len(self.images)


def box_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """IoU [N, D] of boxes [N, 4] and [D, 4]; boxes turned inside out overlap nothing."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = (high - low).clip(min=0).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).clip(min=0).prod(axis=1) for boxes in (first, second)]
    return shared / np.maximum(areas[0][:, None] + areas[1] - shared, 1e-9)


Rows = TypeVar("Rows", Objects, Found)


def joined(parts: Sequence[Rows]) -> Rows:
    """Tables of consecutive images, gathered with `first`, as one."""
    columns: dict[str, Any] = {}
    for item in fields(parts[0]):
        values = [getattr(part, item.name) for part in parts]
        if item.name == "num_images":
            columns[item.name] = sum(values)
        elif isinstance(values[0], np.ndarray):
            columns[item.name] = np.concatenate(values)
        else:
            columns[item.name] = None if values[0] is None else list(chain.from_iterable(values))
    return type(parts[0])(**columns)


def gather_objects(
    targets: Sequence[Target], sizes: Sequence[tuple[int, int]], *, masks: str | None = None, first: int = 0
) -> Objects:
    """The objects of `targets`; `sizes` are (height, width) of the images.

    Args:
        masks: the key of the masks to gather as well, as codes. Objects whose mask is unknown count as difficult, and
            their boxes as their masks, so that to find one is not wrong.
        first: index of the first image in its data set.
    """
    counts = [len(target["labels"]) for target in targets]
    boxes = _stack([_numpy(target["boxes"], np.float64).reshape(-1, 4) for target in targets], (0, 4))
    difficult = _column(targets, counts, "difficult", 0).astype(bool)
    difficult |= _column(targets, counts, "ignored", 0).astype(bool)  # by a training image; no data set has it
    codes: list[RLE] | None = None
    if masks is not None:
        codes = [code for target in targets for code in encode_masks(target[masks])]
        unknown = np.concatenate([unknown_masks(target[masks]) for target in targets])
        difficult |= unknown
        owners = np.repeat(np.arange(len(targets)), counts)
        for row in np.flatnonzero(unknown).tolist():
            codes[row] = coco_mask.frPyObjects(xywh(boxes[row : row + 1]), *sizes[owners[row]])[0]
    known_area = _column(targets, counts, "area", np.nan)
    box_area = xywh(boxes)[:, 2:].prod(axis=1)
    return Objects(
        num_images=len(targets),
        sizes=np.array(sizes, dtype=np.int64).reshape(-1, 2),
        images=np.repeat(np.arange(first, first + len(targets)), counts),
        labels=_column(targets, counts, "labels", 0).astype(np.int64),
        boxes=boxes,
        area=np.where(np.isnan(known_area), box_area, known_area),
        crowd=_column(targets, counts, "iscrowd", 0).astype(bool),
        difficult=difficult,
        occlusion=_column(targets, counts, "occlusion", np.nan),
        masks=codes,
    )


def unknown_masks(masks: Tensor) -> np.ndarray:
    """Which masks [N, H, W] have no pixel, as they are unknown [N]."""
    return ~masks.flatten(1).any(dim=1).cpu().numpy()


def gather_found(detections: Sequence[Detections], *, masks: bool = False, first: int = 0) -> Found:
    """`detections`, one entry per image, as one table; `masks` asks for masks too; `first` as in `gather_objects`."""
    counts = [len(found) for found in detections]
    return Found(
        images=np.repeat(np.arange(first, first + len(detections)), counts),
        labels=_stack([_numpy(found.labels, np.int64) for found in detections], (0,)).astype(np.int64),
        boxes=_stack([_numpy(found.boxes, np.float64).reshape(-1, 4) for found in detections], (0, 4)),
        scores=_stack([_numpy(found.scores, np.float64) for found in detections], (0,)),
        masks=[code for found in detections for code in encode_masks(found.masks)] if masks else None,
    )


def _numpy(values: Tensor, dtype: type) -> np.ndarray:
    if values.is_floating_point():
        values = values.double()  # numpy knows no bfloat16
    return values.detach().cpu().numpy().astype(dtype)


def _stack(parts: list[np.ndarray], empty_shape: tuple[int, ...]) -> np.ndarray:
    return np.concatenate([np.zeros(empty_shape), *parts])


def _column(targets: Sequence[Target], counts: list[int], key: str, default: float) -> np.ndarray:
    """One value per object; `default` for the images that do not know it."""
    parts = [
        _numpy(target[key], np.float64).reshape(-1) if key in target else np.full(count, default)
        for target, count in zip(targets, counts, strict=True)
    ]
    return _stack(parts, (0,))
