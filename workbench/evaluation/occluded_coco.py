"""Recall on Occluded COCO and Separated COCO (G. Zhan, W. Xie and A. Zisserman, "A Tri-Layer Plugin to Improve
Occluded Detection", BMVC 2022), by the rules of its evaluation program (test_recall_occluded_separated.py; in
MMDetection, CocoOccludedSeparatedMetric).

A listed object is found if a detection of its class with a score ≥ 0.3 has a mask with IoU ≥ 0.75 with its own; other
detections do not matter, and one may find several objects. The masks are those of the lists. Detections without masks
are compared by boxes, whose figures are not comparable with published ones and have names of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from pycocotools import mask as coco_mask

from workbench.data import Dataset
from workbench.errors import DataError
from workbench.evaluation.benchmark_result import BenchmarkResult, FoundObjects, Gathered, gather
from workbench.evaluation.counting.tables import box_iou
from workbench.options import Overlap, Share
from workbench.registry import BENCHMARKS
from workbench.rle import encode_masks

LISTS = ("occluded", "separated")


@dataclass(frozen=True, eq=False, repr=False)
class OccludedCocoResult(BenchmarkResult):
    """Which listed objects one detector finds. Figures are recalls."""

    gathered: Gathered
    how: str  #: how it was computed, in words
    prefix: str  #: of figures: "box_" where boxes are compared
    least: float  #: IoU
    score: float  #: least score of a detection
    listed: pd.DataFrame  #: one row for each listed object: list, image (index), label, and score, see `frame`

    def figures(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """`recall_occluded@0.75` and `recall_separated@0.75`; of boxes `box_recall_…`."""
        figures = {}
        for name, rows in self._by_list():
            theirs = weights[:, rows["image"]].astype(float)
            with np.errstate(invalid="ignore", divide="ignore"):
                figures[self._figure(name)] = theirs @ (rows["score"] >= self.score) / theirs.sum(axis=1)
        return figures

    def counts(self) -> dict[str, int]:
        """The objects of each list."""
        return {self._figure(name): len(rows["score"]) for name, rows in self._by_list()}

    def frame(self) -> pd.DataFrame:
        """Recall by the least score of a detection, one row for each score that finds an object: list, score, recall.

        `listed` has one row for each object, with the highest score of a detection that finds it (-inf: none does).
        """
        parts = []
        for name, rows in self._by_list():
            scores = np.sort(rows["score"][np.isfinite(rows["score"])])[::-1]
            recall = np.arange(1, len(scores) + 1) / max(1, len(rows["score"]))
            parts.append(pd.DataFrame({"list": name, "score": scores, "recall": recall}))
        return pd.concat(parts, ignore_index=True).drop_duplicates(["list", "score"], keep="last", ignore_index=True)

    def _by_list(self) -> list[tuple[str, dict[str, np.ndarray]]]:
        """Columns of the objects of each list that the data set has."""
        there = [name for name in LISTS if name in self.gathered.columns]
        tables = [(name, self.listed[self.listed["list"] == name]) for name in there]
        types = {"image": np.int64, "score": float}  # of a table without rows nothing says them
        return [(name, {key: table[key].to_numpy(types[key]) for key in types}) for name, table in tables]

    def _figure(self, name: str) -> str:
        return f"{self.prefix}recall_{name}@{self.least:g}"


@BENCHMARKS.register("occluded-coco")
def evaluate_occluded_coco(
    found: FoundObjects, data: Dataset, *, score: Share = 0.3, iou: Overlap = 0.75
) -> OccludedCocoResult:
    """Recall of occluded and of separated objects on data of Occluded COCO.

    Args:
        found: what `evaluate` gives for a detector or a file of results, or one `Detections` per image of `data`.
        data: its targets have `masks` and `occluded`, `separated` or both [N] bool.
        score: the least score of a detection.
        iou: the least IoU of a right one.

    Raises:
        DataError: targets without these keys, or detections of other images.

    Example:
        >>> from workbench.data.digit_scenes import DigitScenes
        >>> class LikeOccluded(DigitScenes):
        ...     def target(self, index):
        ...         target = super().target(index)
        ...         target.update(occluded=target["occlusion"] > 0.2)
        ...         return target
        >>> data = LikeOccluded("test", length=4)
        >>> result = evaluate_occluded_coco(wb.evaluate("digit-scenes/faster-rcnn", data, progress=False), data)
        >>> list(result.summary)  # the detector gives no masks
        ['box_recall_occluded@0.75']
    """
    if not isinstance(data, Dataset) or len(data) == 0:
        raise DataError(f"expected a data set with images, as load_data gives one, not {data!r}")
    keys = tuple(name for name in LISTS if name in data.target(0)) or LISTS
    objects = gather(found, data, keys, "occluded-coco", noun="object", single=False)
    by_masks = objects.found.masks is not None
    rows = [row for image in range(objects.num_images) for row in _of_image(image, objects, data, keys, iou)]
    listed = pd.DataFrame(rows, columns=["list", "image", "label", "score"])
    listed = listed.astype({"image": np.int64, "label": np.int64, "score": float})  # also where there are no rows
    what = "masks" if by_masks else "boxes (published figures compare masks)"
    how = f"Occluded COCO: recall of {what}, IoU ≥ {iou:g}, detections of score ≥ {score:g}"
    return OccludedCocoResult(objects, how, "" if by_masks else "box_", iou, score, listed)


def _of_image(
    image: int, gathered: Gathered, data: Dataset, keys: tuple[str, ...], iou: float
) -> list[tuple[str, int, int, float]]:
    """A row for each listed object of an image: list, image, label, and the highest score that finds it."""
    objects, found = gathered.objects, gathered.found
    theirs, ours = (slice(*np.searchsorted(table.images, [image, image + 1])) for table in (objects, found))
    flags = {name: gathered.columns[name][theirs].astype(bool) for name in keys}
    chosen = np.flatnonzero(np.any(list(flags.values()), axis=0))
    if len(chosen) == 0:
        return []
    labels, scores = objects.labels[theirs][chosen], found.scores[ours]
    if found.masks is None:
        overlap = box_iou(found.boxes[ours], objects.boxes[theirs][chosen])
    else:
        target = data.target(image)
        if "masks" not in target:
            raise DataError(f"{data.where(image)}: there are no masks, which the measure of occluded-coco compares")
        codes = encode_masks(target["masks"][chosen])
        overlap = np.asarray(coco_mask.iou(found.masks[ours], codes, [0] * len(codes))).reshape(-1, len(codes))
    right = (overlap >= iou) & (found.labels[ours][:, None] == labels)  # [d, n]
    best = np.where(right, scores[:, None], -np.inf).max(axis=0, initial=-np.inf)
    places = {int(row): place for place, row in enumerate(chosen)}
    return [
        (name, image, int(labels[places[row]]), float(best[places[row]]))
        for name in keys
        for row in np.flatnonzero(flags[name]).tolist()
    ]
