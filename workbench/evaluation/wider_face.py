"""WIDER FACE's average precision on easy, medium and hard faces (S. Yang et al., "WIDER FACE: A Face Detection
Benchmark", CVPR 2016), by the rules of its evaluation program (eval_tools, wider_eval.m).

Scores are stretched over the whole data set to 0..1. In order of falling score, each detection of an image asks for
the face that it overlaps most, whatever set that is in. With IoU ≥ 0.5 it is *found* by the first one that asks for
it; a further one is wrong. A face outside of the set is ignored, and so are all detections of it. Precision and
recall are taken at 1,000 thresholds, 0.999, 0.998 … 0, and AP is the area under precision made monotonic.

The program adds 1 to each width and height (x + w is the last pixel, for it), which is done here, too. What it finds
in an image without any annotated face does not count as wrong, and here neither.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from workbench.data import Dataset
from workbench.evaluation.benchmark_result import BenchmarkResult, FoundObjects, Gathered, gather
from workbench.evaluation.counting.bootstrap import best_beyond
from workbench.evaluation.counting.tables import box_iou
from workbench.registry import BENCHMARKS

SETS = ("easy", "medium", "hard")
THRESHOLDS = 1 - np.arange(1, 1001) / 1000  #: [T], of scores in 0..1
ENOUGH = 0.5  #: least IoU
_LAST = np.array([0, 0, 1, 1])  # the last pixel of a box is inside


@dataclass(frozen=True, eq=False, repr=False)
class WiderFaceResult(BenchmarkResult):
    """Precision and recall of one detector on WIDER FACE. Figures are average precisions."""

    gathered: Gathered
    how: str  #: how it was computed, in words
    score_range: tuple[float, float]  #: the detector's scores that are stretched to 0 and 1
    bins: np.ndarray  #: [D] int64, the first of the thresholds that each detection reaches
    right: dict[str, np.ndarray]  #: by set, [D] bool: the first detection of a face
    counted: dict[str, np.ndarray]  #: by set, [D] bool: neither ignored nor in an image without faces
    members: dict[str, np.ndarray]  #: by set, [I] int64: its faces in each image

    def figures(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """`AP_easy`, `AP_medium` and `AP_hard`."""
        return {f"AP_{name}": _area(*self._curves(name, weights)) for name in SETS}

    def counts(self) -> dict[str, int]:
        """The faces of each set."""
        return {f"AP_{name}": int(self.members[name].sum()) for name in SETS}

    def frame(self) -> pd.DataFrame:
        """One row for each set and threshold: faces (the set), score (the detector's own), recall and precision."""
        low, high = self.score_range
        once, parts = np.ones((1, self.gathered.num_images), np.float32), []
        for name in SETS:
            recall, precision = (values[:, 0] for values in self._curves(name, once))
            columns = {"score": low + THRESHOLDS * (high - low), "recall": recall, "precision": precision}
            parts.append(pd.DataFrame({"faces": name, **columns}))
        return pd.concat(parts, ignore_index=True)

    def _curves(self, name: str, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Recall and precision [T, B]; precision is NaN where nothing counts yet."""
        right, counted = ((weights @ self._added(one[name])).T.cumsum(axis=0) for one in (self.right, self.counted))
        with np.errstate(invalid="ignore", divide="ignore"):
            return right / (weights @ self.members[name].astype(float)), right / counted.astype(float)

    def _added(self, chosen: np.ndarray) -> np.ndarray:
        """[I, T] float32: how many of the chosen detections each image adds at each threshold."""
        table = np.zeros((self.gathered.num_images, len(THRESHOLDS)), np.float32)
        np.add.at(table, (self.gathered.found.images[chosen], self.bins[chosen]), 1)
        return table


@BENCHMARKS.register("wider-face")
def evaluate_wider_face(found: FoundObjects, data: Dataset) -> WiderFaceResult:
    """AP of easy, medium and hard faces on data of WIDER FACE.

    Args:
        found: what `evaluate` gives for a detector or a file of results, or one `Detections` per image of `data`.
        data: its targets have `easy`, `medium` and `hard` [N], each with the faces of the sets before it; `boxes` are
            those of all annotated faces.

    Raises:
        DataError: targets without these keys, or detections of other images.

    Example:
        >>> from workbench.data.face_scenes import FaceScenes
        >>> class LikeWider(FaceScenes):
        ...     def target(self, index):
        ...         target = super().target(index)
        ...         height = target["boxes"][:, 3] - target["boxes"][:, 1]
        ...         target.update(easy=height > 50, medium=height > 30, hard=height > 10)
        ...         return target
        >>> data = LikeWider("test", length=4)
        >>> result = evaluate_wider_face(wb.evaluate("face-scenes/faster-rcnn", data, progress=False), data)
        >>> result.counts(), result.summary["AP_easy"] > result.summary["AP_hard"]
        ({'AP_easy': 1, 'AP_medium': 6, 'AP_hard': 10}, True)
    """
    faces = gather(found, data, SETS, "wider-face")
    scores, images, number = faces.found.scores, faces.objects.images, faces.num_images
    low, high = (float(scores.min()), float(scores.max())) if len(scores) else (0.0, 1.0)
    stretched = (scores - low) / (high - low) if high > low else np.ones(len(scores))
    asked = _asked(faces)
    first = _first(asked, scores)
    with_faces = np.bincount(images, minlength=number)[faces.found.images] > 0
    inside = {name: faces.columns[name].astype(bool) for name in SETS}
    wanted = {name: np.append(member, False)[asked] for name, member in inside.items()}  # -1: the False at the end
    return WiderFaceResult(
        gathered=faces,
        how=f"WIDER FACE: boxes, IoU ≥ {ENOUGH:g} with 1 added to sides, 1000 thresholds, at the scale of the images",
        score_range=(low, high),
        bins=np.searchsorted(-THRESHOLDS, -stretched),
        right={name: first & wanted[name] for name in SETS},
        counted={name: with_faces & ((asked < 0) | wanted[name]) for name in SETS},
        members={name: np.bincount(images[inside[name]], minlength=number) for name in SETS},
    )


def _asked(faces: Gathered) -> np.ndarray:
    """The face [D] that each detection overlaps most, the first of several; -1 where that is too little."""
    objects, found = faces.objects, faces.found
    theirs, ours = (np.searchsorted(table.images, np.arange(faces.num_images + 1)) for table in (objects, found))
    asked = np.full(len(found), -1)
    for image in np.flatnonzero((np.diff(theirs) > 0) & (np.diff(ours) > 0)):
        rows = slice(*ours[image : image + 2])
        ious = box_iou(found.boxes[rows] + _LAST, objects.boxes[slice(*theirs[image : image + 2])] + _LAST)
        asked[rows] = np.where(ious.max(axis=1) >= ENOUGH, theirs[image] + ious.argmax(axis=1), -1)
    return asked


def _first(asked: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """[D] bool: which detections are the best of those that ask for the same face."""
    order = np.argsort(-scores, kind="stable")
    first = np.zeros(len(asked), dtype=bool)
    first[order[np.unique(asked[order], return_index=True)[1]]] = True
    return first & (asked >= 0)


def _area(recall: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """[B] under precision made monotonic, from both along the thresholds [T, B]."""
    return (np.diff(recall, axis=0, prepend=0) * best_beyond(np.nan_to_num(precision))).sum(axis=0)
