"""Average precision on MAFA's masked faces as AOFD gives it (Y. Chen et al., "Adversarial Occlusion-aware Face
Detection", 2018, section 4.2, Table 1 and Fig. 6c), for three choices of faces:

*all*: ignored faces (blurred, deformed, or of less than 32 pixels) are faces as any other. *masked*: masked faces
only; to find an unmasked one is wrong, as in the paper, and an ignored one counts neither way. *without_ignored*:
masked and unmasked faces; ignored ones count neither way.

Right and wrong are as in PASCAL VOC (`voc.py`), and AP is the area under the curve, as from 2010 on.

MAFA's boxes are squares, so the paper turns boxes into squares first, without saying how. Here each becomes the
square about its centre whose side is the box's longer one, as the annotated squares hold whole faces; `square`
chooses another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from workbench.data import Dataset
from workbench.errors import DataError
from workbench.evaluation.benchmark_result import BenchmarkResult, FoundObjects, Gathered, gather
from workbench.evaluation.counting.bootstrap import best_beyond
from workbench.evaluation.counting.matching import IGNORED, RIGHT
from workbench.evaluation.counting.tables import Found
from workbench.evaluation.voc import VocMatches, match_voc, voc_ap
from workbench.options import Overlap
from workbench.registry import BENCHMARKS

Square = Literal["longer", "mean", "shorter", "none"]
MASKED, UNMASKED, IGNORE = 1, 2, 3  #: values of `face_type`
#: Faces to be found, by the name of the choice, and those that count neither way; to find any other is wrong.
CHOICES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "all": ((MASKED, UNMASKED, IGNORE), ()),
    "masked": ((MASKED,), (IGNORE,)),
    "without_ignored": ((MASKED, UNMASKED), (IGNORE,)),
}
_YEAR = 2012  # of VOC's rules: the area under the curve


@dataclass(frozen=True, eq=False, repr=False)
class MafaResult(BenchmarkResult):
    """Precision and recall of one detector on MAFA. Figures are average precisions."""

    gathered: Gathered
    how: str  #: how it was computed, in words
    matches: dict[tuple[str, float], VocMatches]  #: by choice of faces and least IoU

    def figures(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Such as `AP_masked@0.5`, for each choice of faces and least IoU."""
        return {_name(*key): voc_ap(matches, _YEAR, weights)[:, 0] for key, matches in self.matches.items()}

    def counts(self) -> dict[str, int]:
        """The faces to be found of each choice."""
        return {_name(*key): int(matches.counts.sum()) for key, matches in self.matches.items()}

    def frame(self) -> pd.DataFrame:
        """One row for each detection that counts, by falling score.

        Columns: faces (the choice), iou (the least), score, recall, precision, and envelope, the best precision at
        that recall or above, whose area is the AP.
        """
        parts = [self._curve(matches).assign(faces=key[0], iou=key[1]) for key, matches in self.matches.items()]
        return pd.concat(parts, ignore_index=True)

    def _curve(self, matches: VocMatches) -> pd.DataFrame:
        kept = matches.status != IGNORED
        right = (matches.status[kept] == RIGHT).cumsum()
        precision = right / np.arange(1, len(right) + 1)
        with np.errstate(invalid="ignore"):
            recall = right / matches.counts.sum()
        columns = {"recall": recall, "precision": precision, "envelope": best_beyond(precision)}
        return pd.DataFrame({"score": self.gathered.found.scores[matches.order[kept]], **columns})


@BENCHMARKS.register("mafa")
def evaluate_mafa(
    found: FoundObjects,
    data: Dataset,
    *,
    ious: Sequence[Overlap] = (0.5, 0.45),
    square: Square = "longer",
    unmasked_are_wrong: bool = True,
) -> MafaResult:
    """AP of all, masked, and all but ignored faces on data of MAFA.

    Args:
        found: what `evaluate` gives for a detector or a file of results, or one `Detections` per image of `data`.
        data: its targets have `face_type` [N]: 1 masked, 2 unmasked, 3 ignored.
        ious: the least IoU of a right detection, one figure for each.
        square: side of the square that each found box becomes: the box's "longer" or "shorter" one, or their "mean";
            "none" leaves boxes as they are.
        unmasked_are_wrong: False: to find an unmasked face counts neither way where masked ones are asked for.

    Raises:
        DataError: targets without this key or with another type, detections of other images, or another option.

    Example:
        >>> from workbench.data.face_scenes import FaceScenes
        >>> class LikeMafa(FaceScenes):
        ...     def target(self, index):
        ...         target = super().target(index)
        ...         target["face_type"] = torch.where(target["occlusion"] > 0, 1, 2)  # masked, or not
        ...         return target
        >>> data = LikeMafa("test", length=4)
        >>> result = evaluate_mafa(wb.evaluate("face-scenes/faster-rcnn", data, progress=False), data)
        >>> result.summary["AP_masked@0.5"] < result.summary["AP_all@0.5"]
        True
    """
    if not ious:
        raise DataError("ious is empty; give at least one number above 0 and up to 1")
    faces = gather(found, data, ("face_type",), "mafa")
    others = set(np.unique(faces.columns["face_type"]).tolist()) - {MASKED, UNMASKED, IGNORE}
    if others:
        known = "1 masked, 2 unmasked, 3 ignored"
        raise DataError(f"{data.name} {data.split}: face_type {sorted(others)} is none of {known}")
    shapes = inside(squared(faces.found.boxes, square), faces.objects.sizes[faces.found.images])
    boxes = replace(faces.found, boxes=shapes, labels=np.ones_like(faces.found.labels))
    choices = dict(CHOICES)
    if not unmasked_are_wrong:
        choices["masked"] = ((MASKED,), (UNMASKED, IGNORE))
    matches = {(name, iou): _match(faces, boxes, *kinds, iou) for iou in ious for name, kinds in choices.items()}
    shape = "boxes as they are" if square == "none" else f"boxes made squares of their {square} side"
    unmasked = "wrong" if unmasked_are_wrong else "ignored"
    how = f"MAFA: {shape}, at the scale of the images; AP as the area; unmasked faces are {unmasked} among masked"
    return MafaResult(faces, how, matches)


def squared(boxes: np.ndarray, square: Square = "longer") -> np.ndarray:
    """Boxes [N, 4] (xyxy pixels) as squares about their centres."""
    if square == "none":
        return boxes
    sides = (boxes[:, 2:] - boxes[:, :2]).clip(min=0)
    side = {"longer": sides.max, "mean": sides.mean, "shorter": sides.min}[square](axis=1, keepdims=True)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.concatenate([centre - side / 2, centre + side / 2], axis=1)


def inside(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Boxes [N, 4] cut off at the borders of their images of `sizes` [N, 2] (height, width), as true ones are."""
    return boxes.clip(0, sizes[:, [1, 0, 1, 0]])


def _match(
    faces: Gathered, found: Found, wanted: tuple[int, ...], neither: tuple[int, ...], iou: float
) -> VocMatches:
    kinds, objects = faces.columns["face_type"], faces.objects
    there = np.isin(kinds, wanted + neither)
    columns = {name: getattr(objects, name)[there] for name in ("images", "labels", "boxes", "area", "occlusion")}
    never = np.zeros(there.sum(), dtype=bool)
    some = replace(objects, **columns, crowd=never, difficult=np.isin(kinds[there], neither))
    return match_voc(some, found, 1, threshold=iou)


def _name(choice: str, iou: float) -> str:
    return f"AP_{choice}@{iou:g}"
