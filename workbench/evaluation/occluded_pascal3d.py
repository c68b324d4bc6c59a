"""Detection on OccludedPASCAL3D+ by level of occlusion (A. Wang, Y. Sun, A. Kortylewski and A. Yuille, "Robust Object
Detection under Occlusion with Context-Aware CompositionalNets", CVPR 2020).

Each image holds one annotated object. As in that paper's tables ("correct AP@IoU0.5"), an image counts as right if
its *first* detection, the one of the highest score of all classes, is of the object's class and has IoU > 0.5 with
its whole box; `first@0.5` is the share of right images. Its authors have published no program for it. `AP@0.5` is the
usual mean over the classes of AP at IoU ≥ 0.5, the area under the curve by VOC's rules from 2010 on, where further
detections count as wrong. Both are given for each level and as means over the levels that the data set has.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from workbench.data import Dataset
from workbench.errors import DataError
from workbench.evaluation.benchmark_result import BenchmarkResult, FoundObjects, Gathered, gather
from workbench.evaluation.counting.bootstrap import mean_over_classes
from workbench.evaluation.counting.tables import box_iou
from workbench.evaluation.voc import VocMatches, match_voc, voc_ap
from workbench.registry import BENCHMARKS

KEYS = ("foreground_level", "background_level")
ENOUGH = 0.5  #: IoU
_YEAR = 2012  # of VOC's rules: the area under the curve


@dataclass(frozen=True, eq=False, repr=False)
class OccludedPascal3dResult(BenchmarkResult):
    """How one detector does at each level of occlusion."""

    gathered: Gathered
    how: str  #: how it was computed, in words
    levels: dict[str, np.ndarray]  #: the images of each, such as FGL1_BGL1, ascending
    right: np.ndarray  #: [I] bool, whether the first detection of an image is right
    matches: dict[str, VocMatches]  #: by level, of its own images counted from 0

    def figures(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """`first@0.5` and `AP@0.5`, and each for each level, such as `first@0.5_FGL1_BGL1`."""
        first, ap = {}, {}
        for name, images in self.levels.items():
            own = weights[:, images].astype(float)
            with np.errstate(invalid="ignore", divide="ignore"):
                first[name] = own @ self.right[images] / own.sum(axis=1)
            ap[name] = mean_over_classes(voc_ap(self.matches[name], _YEAR, own))
        figures = {}
        for kind, by_level in ((f"first@{ENOUGH:g}", first), (f"AP@{ENOUGH:g}", ap)):
            figures[kind] = np.mean(list(by_level.values()), axis=0)
            figures |= {f"{kind}_{name}": values for name, values in by_level.items()}
        return figures

    def counts(self) -> dict[str, int]:
        """The images behind each figure, each of which has one object."""
        sizes = {name: len(images) for name, images in self.levels.items()}
        return {name: sizes.get(name.partition("_")[2], len(self.right)) for name in self.summary}

    def frame(self) -> pd.DataFrame:
        """One row for each level: foreground, background, n images, first and AP."""
        rows = []
        for name, images in self.levels.items():
            front, back = (int(self.gathered.columns[key][images[0]]) for key in KEYS)
            own = {kind: self.summary[f"{kind}@{ENOUGH:g}_{name}"] for kind in ("first", "AP")}
            rows.append({"foreground": front, "background": back, "n": len(images), **own})
        return pd.DataFrame(rows, index=pd.Index(list(self.levels), name="level"))


@BENCHMARKS.register("occluded-pascal3d")
def evaluate_occluded_pascal3d(found: FoundObjects, data: Dataset) -> OccludedPascal3dResult:
    """Right first detections and AP at each level, on data of OccludedPASCAL3D+.

    Args:
        found: what `evaluate` gives for a detector or a file of results, or one `Detections` per image of `data`.
        data: its targets have one object, `foreground_level` and `background_level`.

    Raises:
        DataError: targets without these keys or with several objects, or detections of other images.

    Example:
        >>> from workbench.data.digit_scenes import DigitScenes
        >>> class LikeLevels(DigitScenes):
        ...     def target(self, index):
        ...         target = super().target(index)
        ...         one = {key: target[key][:1] for key in ("boxes", "labels", "area", "occlusion", "iscrowd")}
        ...         return {"image_id": index, "foreground_level": 1, "background_level": 1 + index % 2, **one}
        >>> data = LikeLevels("test", length=4)
        >>> result = evaluate_occluded_pascal3d(wb.evaluate("digit-scenes/faster-rcnn", data, progress=False), data)
        >>> result.frame()["n"].tolist()
        [2, 2]
    """
    gathered = gather(found, data, KEYS, "occluded-pascal3d", noun="object", single=False)
    objects, answers = gathered.objects, gathered.found
    if not np.array_equal(objects.images, np.arange(objects.num_images)):
        row = int(np.flatnonzero(np.bincount(objects.images, minlength=objects.num_images) != 1)[0])
        number = int((objects.images == row).sum())
        raise DataError(f"{data.where(row)}: it has {number} objects; occluded-pascal3d has one in each image")
    pairs = np.stack([gathered.columns[key].astype(int) for key in KEYS], axis=1)
    levels = {
        f"FGL{front}_BGL{back}": np.flatnonzero((pairs == (front, back)).all(axis=1))
        for front, back in np.unique(pairs, axis=0).tolist()
    }
    order = np.lexsort((np.arange(len(answers)), -answers.scores, answers.images))
    images, places = np.unique(answers.images[order], return_index=True)
    best = order[places]
    right = np.zeros(objects.num_images, bool)
    overlap = np.array(
        [box_iou(answers.boxes[[row]], objects.boxes[[image]])[0, 0] for row, image in zip(best, images, strict=True)]
    )
    right[images] = (overlap > ENOUGH) & (answers.labels[best] == objects.labels[images])
    matches = {name: _matches(gathered, one, len(data.classes)) for name, one in levels.items()}
    how = f"OccludedPASCAL3D+: whole boxes, IoU > {ENOUGH:g} of the first detection; AP by VOC's rules of {_YEAR}"
    return OccludedPascal3dResult(gathered, how, levels, right, matches)


def _matches(gathered: Gathered, images: np.ndarray, num_classes: int) -> VocMatches:
    """VOC's matches of some images [n], which are counted from 0."""
    objects, found = gathered.objects, gathered.found
    names = ("images", "labels", "boxes", "area", "crowd", "difficult", "occlusion")
    mine, ours = np.isin(objects.images, images), np.isin(found.images, images)
    own = {name: getattr(objects, name)[mine] for name in names}
    theirs = {name: getattr(found, name)[ours] for name in ("images", "labels", "boxes", "scores")}
    for table in (own, theirs):
        table["images"] = np.searchsorted(images, table["images"])
    some = replace(objects, num_images=len(images), sizes=objects.sizes[images], **own)
    return match_voc(some, replace(found, masks=None, **theirs), num_classes, threshold=ENOUGH)
