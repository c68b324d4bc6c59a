"""FDDB's measure: recall of elliptic faces against the number of false positives (V. Jain and E. Learned-Miller,
"FDDB: A Benchmark for Face Detection in Unconstrained Settings", 2010), by the rules of its evaluation program.

At each score, the detections of an image from that score on are matched with its faces one to one, so that the sum
of their IoU is as large as it can be. The *discrete* score of a match is 1 where IoU > 0.5, the *continuous* score
is the IoU; recall is the sum of the scores over the number of faces. In both, a false positive is a detection
without a match of IoU > 0.5. IoU is that of regions in pixels, see `counting/regions.py`. Equal scores pass
together, in all images. Published curves pool the ten folds; the report also asks for the average over them, which
is given as well: in each fold the recall at its share of the false positives.

Recall at 1,000 false positives is the highest of any threshold with at most 1,000: nothing is interpolated.

Detectors give boxes, faces are ellipses, so a perfect box has a continuous score of about 0.78. Others have turned
boxes into ellipses (`ellipses=True`): by the ellipse that touches the sides of the box, or by one that a method of
their own has found, given as `extras["ellipses"]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from workbench.data import Dataset
from workbench.evaluation.benchmark_result import BenchmarkResult, FoundObjects, Gathered, gather
from workbench.evaluation.counting.bootstrap import mean_over_classes
from workbench.evaluation.counting.regions import box_spans, ellipse_spans, inscribed, span_iou
from workbench.evaluation.counting.roc import Steps
from workbench.options import Number
from workbench.registry import BENCHMARKS

SCORES = ("discrete", "continuous")  #: what a match can count as
ENOUGH = 0.5  #: IoU above which a match is right


@dataclass(frozen=True, eq=False, repr=False)
class FddbResult(BenchmarkResult):
    """ROC curves of one detector on FDDB. Figures are recalls at `limit` false positives."""

    gathered: Gathered
    how: str  #: how it was computed, in words
    limit: int  #: false positives in all images together
    steps: dict[str, Steps]  #: by `SCORES`
    folds: np.ndarray  #: [I] int, 1 to 10

    def figures(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """`discrete@1000`, `continuous@1000`, and their averages over the folds, each at its share of the limit."""
        pooled = {f"{kind}@{self.limit}": self.steps[kind].recall_at(self.limit, weights) for kind in SCORES}
        by_fold = {kind: self._fold_recalls(kind, weights) for kind in SCORES}
        return pooled | {f"{k}@{self.limit}_folds": mean_over_classes(v.T) for k, v in by_fold.items()}

    def counts(self) -> dict[str, int]:
        """All faces behind each figure."""
        return dict.fromkeys(self.summary, len(self.gathered.objects))

    @cached_property
    def by_fold(self) -> pd.DataFrame:
        """One row per fold: number of faces n, and both recalls at its share of the false positives."""
        once = np.ones((1, self.gathered.num_images))
        recalls = {kind: self._fold_recalls(kind, once)[:, 0] for kind in SCORES}
        counts = self.steps["discrete"].counts
        n = [int(counts[self.folds == fold].sum()) for fold in self._numbers]
        return pd.DataFrame({"n": n, **recalls}, index=pd.Index(self._numbers, name="fold"))

    def frame(self) -> pd.DataFrame:
        """One row for each score, falling: score, false_positives, and the recalls `discrete` and `continuous`."""
        curves = {kind: self.steps[kind].curve() for kind in SCORES}
        recalls = {kind: curve["recall"] for kind, curve in curves.items()}
        return curves["discrete"][["score", "false_positives"]].assign(**recalls)

    @property
    def _numbers(self) -> np.ndarray:
        return np.unique(self.folds)

    def _fold_recalls(self, kind: str, weights: np.ndarray) -> np.ndarray:
        """[folds, B]."""
        share = self.limit / len(self._numbers)
        steps = self.steps[kind]
        return np.stack([steps.of(self.folds == fold).recall_at(share, weights) for fold in self._numbers])


@BENCHMARKS.register("fddb")
def evaluate_fddb(
    found: FoundObjects, data: Dataset, *, false_positives: Number = 1000, ellipses: bool = False, exact: bool = False
) -> FddbResult:
    """Discrete and continuous ROC on data of FDDB.

    Args:
        found: what `evaluate` gives for a detector or a file of results, or one `Detections` per image of `data`.
        data: its targets have `ellipses` [N, 5] and `fold`.
        false_positives: at which recall is given, in all images together.
        ellipses: compare ellipses in place of boxes: those in `extras["ellipses"]` [N, 5] where detections have them,
            else those that touch the sides of the boxes.
        exact: measure overlap without the rounding to whole pixels of the original program.

    Raises:
        DataError: targets without these keys, detections of other images, or a number below 0.

    Example:
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from workbench.types import Detections
        >>> Path("FDDB").mkdir()
        >>> Image.new("RGB", (80, 60)).save("FDDB/face.jpg")
        >>> size = Path("FDDB/FDDB-fold-01-ellipseList.txt").write_text("face\\n1\\n20 15 1.5708 40 30 1\\n")
        >>> data = wb.load_data("fddb", "test", "FDDB", folds=[1])
        >>> found = Detections(data.target(0)["boxes"], torch.tensor([1]), torch.tensor([0.9]))
        >>> summary = evaluate_fddb([found], data).summary
        >>> summary["discrete@1000"], round(summary["continuous@1000"], 2)  # found; a box is no ellipse
        (1.0, 0.79)
    """
    faces = gather(found, data, ("ellipses", "fold"), "fddb")
    shapes = _shapes(found, faces) if ellipses else None
    what = "boxes" if shapes is None else "ellipses"
    pixels = "unrounded" if exact else "of whole pixels as in the original program"
    how = (
        f"FDDB: {what} found, ellipses annotated; IoU {pixels}, at the scale of the images; recall at no more than "
        f"{false_positives} false positives"
    )
    steps = _all_steps(faces, shapes, exact=exact)
    return FddbResult(faces, how, false_positives, steps, faces.columns["fold"])


def _shapes(found: FoundObjects, faces: Gathered) -> np.ndarray:
    """The ellipse [D, 5] of each detection: its own, or the one that touches the sides of its box."""
    if isinstance(found, Sequence) and all("ellipses" in one.extras for one in found):
        return np.concatenate([np.zeros((0, 5)), *(one.extras["ellipses"].double().cpu().numpy() for one in found)])
    return inscribed(faces.found.boxes)


def _all_steps(faces: Gathered, shapes: np.ndarray | None, *, exact: bool) -> dict[str, Steps]:
    """The steps of all images by kind of score."""
    objects, found, number = faces.objects, faces.found, faces.num_images
    theirs, ours = (np.searchsorted(table.images, np.arange(number + 1)) for table in (objects, found))
    parts = [np.zeros((0, 5))]
    for image in range(number):
        of_faces, of_found = (slice(*places[image : image + 2]) for places in (theirs, ours))
        size = (int(objects.sizes[image, 0]), int(objects.sizes[image, 1]))
        annotated = ellipse_spans(faces.columns["ellipses"][of_faces].astype(float), size, exact=exact)
        if shapes is None:
            detected = box_spans(found.boxes[of_found], size, exact=exact)
        else:
            detected = ellipse_spans(shapes[of_found], size, exact=exact)
        steps = image_steps(span_iou(annotated, detected), found.scores[of_found])
        parts.append(np.insert(steps, 1, image, axis=1))
    scores, images, detections, discrete, continuous = np.concatenate(parts).T
    wrong, counts = detections - discrete, np.diff(theirs)
    gains = {"discrete": discrete, "continuous": continuous}
    return {kind: Steps.by_score((scores, images.astype(int), gains[kind], wrong), counts) for kind in SCORES}


def image_steps(ious: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """What each distinct score of one image adds: [E, 4] the score, detections, discrete and continuous score.

    Args:
        ious: [N, D] of the faces with the detections.
        scores: [D], in any order.
    """
    order = np.argsort(-scores, kind="stable")
    ious, scores = ious[:, order], scores[order]
    ends = np.flatnonzero(np.append(scores[1:] != scores[:-1], True)[: len(scores)]) + 1
    touching = (ious > 0).any(axis=0)
    totals, known = np.zeros((len(ends), 2)), 0
    for row, end in enumerate(ends):
        columns = np.flatnonzero(touching[:end])
        if len(columns) == known:  # nothing new overlaps a face
            totals[row] = totals[row - 1] if row else 0
            continue
        known = len(columns)
        some = ious[:, columns]
        matched = some[linear_sum_assignment(some, maximize=True)]
        totals[row] = (matched > ENOUGH).sum(), matched.sum()
    gained = np.diff(np.column_stack([ends, totals]), axis=0, prepend=0)
    return np.column_stack([scores[ends - 1], gained])
