"""Which proposal reaches which object, for several choices of objects and all IoU thresholds at once.

A proposal stands for one object: best first, each takes the free object that it overlaps most (see `matching`). So an
object that is reached by the proposal of rank r is reached by the best N proposals of its image if N ≥ r, and one
table of ranks gives recall for every number of proposals.

Groups of objects are COCO's sizes and levels of occlusion.

Shape letters: G groups of objects, T IoU thresholds, N objects, P proposals of an image, I images, B resamples.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from pycocotools import mask as coco_mask

from workbench.data.reading.boxes import xywh
from workbench.errors import DataError
from workbench.evaluation import occlusion
from workbench.evaluation.counting.matching import MASKS, THRESHOLDS, IoUType, assign
from workbench.evaluation.counting.tables import Objects, gather_objects, joined
from workbench.types import Proposals, Target

if TYPE_CHECKING:
    from workbench.data import Dataset

SIZES = ("all", "small", "medium", "large")  #: COCO's: areas up to 32², up to 96², and above
_EDGES = np.array([[0, 1e10], [0, 32**2], [32**2, 96**2], [96**2, 1e10]])
GROUPS = (*SIZES, *(name for name in occlusion.SUBSETS if name != "all"))  #: choices of objects


@dataclass(frozen=True)
class Reached:
    """The proposals that reach the objects of a data set."""

    num_images: int
    images: np.ndarray  #: [N] int64, index of the image of each object
    members: np.ndarray  #: [G, N] bool, which objects a group has
    ranks: np.ndarray  #: [G, T, N] int32, of the proposal that reaches the object, 1 the best; 0: none does

    def counts(self) -> np.ndarray:
        """[G] int64: objects of each group."""
        return self.members.sum(axis=1)

    def within(self, number: int) -> np.ndarray:
        """[G, T, N] bool: which objects the best `number` proposals of their images reach."""
        return (self.ranks > 0) & (self.ranks <= number)

    def by_number(self, most: int) -> np.ndarray:
        """[G, T, most] int64: how many objects the best 1, 2 … `most` proposals of their images reach."""
        groups, thresholds, objects = np.nonzero(self.within(most))
        found = np.zeros((*self.ranks.shape[:2], most), np.int64)
        np.add.at(found, (groups, thresholds, self.ranks[groups, thresholds, objects] - 1), 1)
        return found.cumsum(axis=2)

    def means(self, values: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Means [B, G] over the objects of each group; NaN where it has none.

        Args:
            values: [G, N] of the objects.
            weights: [B, I] of the images (None: one row of ones).
        """
        if weights is None:
            weights = np.ones((1, self.num_images))
        total, count = self._by_image(np.where(self.members, values, 0)), self._by_image(self.members)
        with np.errstate(invalid="ignore"):
            return (weights @ total.T) / (weights @ count.T)

    def _by_image(self, values: np.ndarray) -> np.ndarray:
        """Sums [G, I] of values [G, N] of the objects."""
        return np.stack([np.bincount(self.images, row, minlength=self.num_images) for row in values])


def ranks_of(proposals: Proposals, objects: Objects, members: np.ndarray) -> np.ndarray:
    """The rank [G, T, N] int32 of the proposal that reaches each object of one image, 0: none does.

    Args:
        proposals: of the image, best first.
        objects: of the image. Masks are compared where these are gathered, else boxes.
        members: [G, N] bool; objects that a group does not have are not in the way of others.
    """
    found = np.zeros((len(members), len(THRESHOLDS), len(objects)), np.int32)
    groups, counted = np.flatnonzero(members.any(axis=1)), np.flatnonzero(members.any(axis=0))
    if len(proposals) == 0 or len(groups) == 0:
        return found
    crowd = np.zeros(len(counted), np.uint8)
    if objects.masks is None:
        ious = coco_mask.iou(xywh(proposals.boxes.double().numpy()), xywh(objects.boxes[counted]), crowd)
    else:
        ious = coco_mask.iou(proposals.masks, [objects.masks[row] for row in counted], crowd)
    member = members[np.ix_(groups, counted)]
    taken = assign(np.asarray(ious), crowd.astype(bool), ~member)  # [g, T, P]
    group, threshold, rank = np.nonzero(taken >= 0)
    chosen = taken[group, threshold, rank]
    own = member[group, chosen]
    found[groups[group[own]], threshold[own], counted[chosen[own]]] = rank[own] + 1
    return found


def members_of(objects: Objects, scale: float = 1.0) -> np.ndarray:
    """[G, N] bool: which objects each of `GROUPS` has; `scale` is of the edges between sizes."""
    low, high = np.split(_EDGES * scale**2, 2, axis=1)
    sized = (objects.area >= low) & (objects.area <= high) & ~objects.ignored
    hidden = occlusion.members(objects.occlusion, objects.ignored)
    return np.concatenate([sized, hidden[[name != "all" for name in occlusion.SUBSETS]]])


class Reaching:
    """Which proposal reaches which object of a data set, gathered image after image."""

    def __init__(self, data: Dataset, iou_type: IoUType, *, most: int, scale: float = 1.0):
        self.data, self.iou_type, self.most, self.scale = data, iou_type, most, scale
        self.key = MASKS.get(iou_type)
        self.objects: list[Objects] = []
        self.members: list[np.ndarray] = []  # of each image
        self.ranks: list[np.ndarray] = []
        self.num_proposals = 0

    def add(self, target: Target, proposals: Proposals) -> None:
        """Take those of the next image.

        Raises:
            DataError: masks are to be compared, and proposals or objects have none of its size.
        """
        index = len(self.objects)
        if self.key is not None:
            _check_masks(proposals, target, self.key, self.data, index)
        objects = gather_objects([target], [self.data.size(index)], masks=self.key, first=index)
        self.objects.append(replace(objects, masks=None))
        self.members.append(members_of(objects, self.scale))
        self.ranks.append(ranks_of(proposals.top(self.most), objects, self.members[-1]))
        self.num_proposals += len(proposals)

    def reached(self) -> Reached:
        """Those of all images."""
        images = joined(self.objects).images
        members, ranks = np.concatenate(self.members, axis=1), np.concatenate(self.ranks, axis=2)
        return Reached(len(self.objects), images, members, ranks)

    def occlusion(self) -> tuple[np.ndarray, np.ndarray]:
        """The hidden fraction [N] of each object, and whether it is ignored [N]."""
        objects = joined(self.objects)
        return objects.occlusion, objects.ignored


def _check_masks(proposals: Proposals, target: Target, key: str, data: Dataset, index: int) -> None:
    """Raise a DataError unless proposals and objects of an image have masks of its size."""
    if key not in target:
        raise DataError(
            f'{data.where(index)}: there is no target["{key}"] to compare masks with; use iou_type "bbox"'
        )
    if len(proposals) and proposals.masks is None:
        raise DataError(
            f'{data.where(index)}: its proposals are boxes without masks; use iou_type "bbox", or proposals of a '
            "detector or a file with masks"
        )
    size = list(data.size(index))
    other = next((code["size"] for code in proposals.masks or () if list(code["size"]) != size), None)
    if other is not None:
        raise DataError(
            f"{data.where(index)}: masks of proposals are {other} pixels (height, width), the image {size}"
        )
