"""How many objects proposals reach, by boxes or by masks: recall by overlap, number of proposals and size of object.

Average recall (AR) is COCO's: the mean over IoU 0.50, 0.55 … 0.95 of the share of objects that the best N proposals
of their image reach, each proposal standing for one object; classes do not matter (`useCats = 0`). A detector on
these proposals can hardly find the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pycocotools import mask as coco_mask

from workbench.data.reading.boxes import xywh
from workbench.data.reading.problems import Problem
from workbench.errors import DataError
from workbench.evaluation.counting.matching import RIGHT, THRESHOLDS, match
from workbench.evaluation.counting.tables import Objects, gather_objects
from workbench.evaluation.evaluate import MASKS, IoUType
from workbench.progress import Bar
from workbench.types import Proposals, Target

if TYPE_CHECKING:
    from workbench.data import Dataset

LIMITS = (10, 100, 1000)  #: proposals per image
SIZES = ("all", "small", "medium", "large")  #: COCO's: areas up to 32², up to 96², and above
_EDGES = np.array([[0, 1e10], [0, 32**2], [32**2, 96**2], [96**2, 1e10]])
ENOUGH = 0.9  #: share of objects with a proposal of IoU 0.5 below which the doctor warns


@dataclass(frozen=True)
class ProposalRecall:
    """Recall of the proposals of a data set; S sizes, T IoU thresholds, L numbers of proposals."""

    data: str
    num_images: int
    num_proposals: float  #: per image, mean
    num_objects: np.ndarray  #: [S] int64
    found: np.ndarray  #: [S, T, L] int64, objects reached
    iou_type: IoUType = "bbox"  #: what overlaps: boxes, or masks

    @property
    def recall(self) -> np.ndarray:
        """[S, T, L] in 0..1, NaN where there are no objects."""
        number = self.num_objects[:, None, None]
        return np.divide(self.found, number, out=np.full(self.found.shape, np.nan), where=number > 0)

    def table(self) -> pd.DataFrame:
        """One row per size: AR@10, AR@100, AR@1000, recall at IoU 0.5 and 0.7 of all these, number of objects."""
        recall = self.recall
        average = {f"AR@{limit}": recall[:, :, place].mean(axis=1) for place, limit in enumerate(LIMITS)}
        at = {f"recall@{THRESHOLDS[place]:.1f}": recall[:, place, -1] for place in (0, 4)}
        return pd.DataFrame({**average, **at, "objects": self.num_objects}, index=pd.Index(SIZES, name="size"))

    @property
    def summary(self) -> dict[str, float]:
        """The columns of Table 4.1 of Lin's thesis: AR100, AR1k, and AR1k of small, medium and large objects."""
        table = self.table()
        by_size = {f"AR1k_{size[0]}": float(table.loc[size, "AR@1000"]) for size in SIZES[1:]}
        return {"AR100": float(table.loc["all", "AR@100"]), "AR1k": float(table.loc["all", "AR@1000"]), **by_size}

    def __str__(self) -> str:
        what = "" if self.iou_type == "bbox" else ", by their masks"
        head = f"{self.data}: {self.num_images} images, {self.num_proposals:.0f} proposals per image{what}"
        return f"{head}\n{self.table().to_string(float_format='{:.3f}'.format, na_rep='–')}"


def proposal_recall(
    data: Dataset, *, iou_type: IoUType = "bbox", scale: float = 1.0, progress: bool = False
) -> ProposalRecall:
    """Recall of `target["proposals"]`, crowds and difficult objects left out.

    Args:
        iou_type: "bbox" compares boxes; "segm" masks with the visible pixels, "segm-amodal" with all of the object.
        scale: of COCO's `SIZES`, for images smaller than its own: with 0.5, small ends at 16² and medium at 48².

    Raises:
        DataError: an image has no proposals (give them by `with_proposals`), or masks are to be compared and
            proposals or objects have none.

    Example:
        >>> data = wb.load_data("digit-scenes", split="test", length=2)
        >>> source = {"kind": "detector", "name": "digit-scenes/faster-rcnn", "cache": "proposals"}
        >>> recall = proposal_recall(wb.with_proposals(data, **source, top=100))
        >>> recall.summary["AR100"] > 0.5
        True
    """
    if iou_type not in ("bbox", *MASKS):
        raise DataError(f"iou_type is {iou_type!r}; choose one of {('bbox', *MASKS)}")
    key = MASKS.get(iou_type)
    number = np.zeros(len(SIZES), np.int64)
    found = np.zeros((len(SIZES), len(THRESHOLDS), len(LIMITS)), np.int64)
    proposals = 0
    for index in Bar(range(len(data)), desc="recall of proposals", disable=not progress):
        target = data.target(index)
        if "proposals" not in target:
            raise DataError(f"{data.where(index)}: there are no proposals; give them by with_proposals(data, ...)")
        given = Proposals.of(target["proposals"])
        proposals += len(given)
        if key is not None:
            _check_masks(given, target, key, data, index)
        objects = gather_objects([target], [data.size(index)], masks=key)
        member = _members(objects, scale)
        number += member.sum(axis=1)
        found += _found(given, objects, member)
    mean = proposals / max(1, len(data))
    return ProposalRecall(f"{data.name} {data.split}", len(data), mean, number, found, iou_type)


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


def _members(objects: Objects, scale: float) -> np.ndarray:
    """[S, N] bool: which objects count for which size."""
    low, high = np.split(_EDGES * scale**2, 2, axis=1)
    return (objects.area >= low) & (objects.area <= high) & ~objects.ignored


def _found(proposals: Proposals, objects: Objects, member: np.ndarray) -> np.ndarray:
    """[S, T, L] how many objects of one image are reached: by their masks where these are gathered, else by boxes."""
    best = proposals.top(LIMITS[-1])
    if len(best) == 0 or len(objects) == 0:
        return np.zeros((len(SIZES), len(THRESHOLDS), len(LIMITS)), np.int64)
    crowd = objects.crowd.astype(np.uint8)
    if objects.masks is None:
        ious = coco_mask.iou(xywh(best.boxes.double().numpy()), xywh(objects.boxes), crowd)
    else:
        ious = coco_mask.iou(best.masks, objects.masks, crowd)
    ious = np.asarray(ious)
    right = (match(ious, objects.crowd, ~member) == RIGHT).cumsum(axis=2)  # [S, T, P]
    return right[:, :, [min(limit, len(best)) - 1 for limit in LIMITS]]


def proposal_problems(data: Dataset) -> list[Problem]:
    """What the doctor has to say about the proposals of `data`: a warning if they miss many objects."""
    recall = proposal_recall(data)
    reached = float(recall.recall[0, 0, -1])
    if not reached < ENOUGH:  # NaN without objects
        return []
    what = (
        f"only {reached:.0%} of {recall.num_objects[0]} objects have one of IoU ≥ 0.5 among the best {LIMITS[-1]} "
        f"({recall.num_proposals:.0f} per image)"
    )
    fix = "Take more, or better ones: what they miss is lost."
    return [Problem("warning", f"proposals of {recall.data}", what, fix)]
