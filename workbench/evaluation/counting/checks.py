"""Refuse detections that cannot be scored, and say what looks wrong with those that can.

An AP of 0 is more often a mix-up of box formats or labels than a bad detector; these checks name the mix-up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from workbench.data.dataset import evenly_spaced
from workbench.data.reading.boxes import FRACTIONS, XYXY, likely_format
from workbench.errors import DataError
from workbench.evaluation.counting.tables import Found, Objects, box_iou
from workbench.types import Detections

if TYPE_CHECKING:
    from workbench.data import Dataset

_OVERLAP = 0.5  # IoU from which a detection answers an object
_SAMPLE = 200  # images looked at for mix-ups: enough to see one, cheap on any data set
_FEW = 10  # fewer objects than this prove nothing
_LOW, _MANY = 0.1, 100  # so many detections, and none that scores lower: a threshold
_USUAL = 0.05  # threshold where AP is measured


def check_detections(
    detections: Sequence[Detections],
    data: Dataset,
    sizes: Sequence[tuple[int, int]],
    *,
    masks: bool,
    first: int = 0,
) -> None:
    """Refuse detections that cannot be scored.

    Args:
        data: what they are about.
        sizes: (height, width) of the images of `data`, from its `first` one on.
        masks: whether they need masks as well.
        first: index of the first image.

    Raises:
        DataError: names the image, what was expected and what to do.
    """
    if len(detections) != len(sizes):
        raise DataError(
            f"{len(detections)} detections for the {len(sizes)} images of {data.name} {data.split}. Give one "
            "Detections per image, in the order of the data set; where nothing was found, an empty one."
        )
    for index, (found, size) in enumerate(zip(detections, sizes, strict=True), start=first):
        problem = _shape_problem(found) or _value_problem(found, len(data.classes))
        if masks and problem is None:
            problem = _mask_problem(found, size)
        if problem is not None:
            raise DataError(f"Detections of image {index} ({data.where(index)}): {problem}")


def check_values(found: Detections, num_classes: int, where: str) -> None:
    """Refuse the detections of one image, whatever data they are about, that cannot be scored.

    Args:
        num_classes: K of the detector.
        where: which image, for the message.

    Raises:
        DataError: says what was expected.
    """
    problem = _shape_problem(found) or _value_problem(found, num_classes)
    if problem is not None:
        raise DataError(f"Detections of {where}: {problem}")


def _shape_problem(found: Detections) -> str | None:
    boxes, labels, scores = found.boxes, found.labels, found.scores
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        return f"boxes have shape {list(boxes.shape)}, expected [N, 4] as x1, y1, x2, y2 in pixels."
    for name, values in (("labels", labels), ("scores", scores)):
        if values.shape != (len(boxes),):
            return f"{name} have shape {list(values.shape)}, expected [{len(boxes)}], one for each box."
    if labels.is_floating_point() or labels.dtype == torch.bool:
        return f"labels are {labels.dtype}, expected whole numbers (torch.int64)."
    return None


def _value_problem(found: Detections, num_classes: int) -> str | None:
    if not bool(torch.isfinite(found.boxes).all()):
        row = int((~torch.isfinite(found.boxes)).any(dim=1).nonzero()[0])
        return f"box {row} is {found.boxes[row].tolist()}, expected finite pixels. Has training diverged?"
    if not bool(torch.isfinite(found.scores).all()):
        row = int((~torch.isfinite(found.scores)).nonzero()[0])
        return f"score {row} is {found.scores[row].item()}, expected 0..1. Has training diverged?"
    wrong = (found.labels < 1) | (found.labels > num_classes)
    if bool(wrong.any()):
        label = int(found.labels[wrong][0])
        hint = "Was the detector trained on other classes?"
        if label == 0:
            hint = "0 is the background; add 1 if your labels count from 0."
        return f"label {label} is outside 1..{num_classes}, the classes of the data set. {hint}"
    return None


def _mask_problem(found: Detections, size: tuple[int, int]) -> str | None:
    expected = [len(found), *size]
    if found.masks is None:
        return 'no masks, but this iou_type compares masks. Use iou_type="bbox" for boxes.'
    if list(found.masks.shape) != expected:
        return f"masks have shape {list(found.masks.shape)}, expected [N, H, W] = {expected}."
    return None


def suspicions(objects: Objects, found: Found, num_classes: int) -> list[str]:
    """Sentences about what may be wrong with detections that score badly; empty if nothing is."""
    if len(objects) == 0:
        return ["The data set has no objects, so there is nothing to measure."]
    if len(found) == 0:
        return ["The detector found nothing on any image. Is its score threshold too high, or is it untrained?"]
    notes = _box_notes(objects, found) or _label_notes(objects, found, num_classes)
    low, high = float(found.scores.min()), float(found.scores.max())
    if low > _LOW and len(found) >= _MANY:
        notes.append(
            f"No detection scores below {low:.2g}. If a threshold leaves out less likely ones, it lowers AP: "
            f"{_USUAL:g} is usual where AP is measured."
        )
    if low < 0 or high > 1:
        notes.append(f"Scores run from {low:.3g} to {high:.3g}, not within 0..1: figures at a threshold mean little.")
    return notes


def _box_notes(objects: Objects, found: Found) -> list[str]:
    """Boxes in another format find many objects as soon as they are read in that format."""
    readings = {
        "as x, y, width, height (xywh); convert them to x1, y1, x2, y2": _from_xywh(found.boxes),
        "as corners to which x and y were added once too often; a file of results holds x, y, width, height": (
            _from_corners_as_xywh(found.boxes)
        ),
        "as centre x, centre y, width, height; convert them to x1, y1, x2, y2": _from_centre(found.boxes),
        "as y1, x1, y2, x2; swap x and y": found.boxes[:, [1, 0, 3, 2]],
        "as fractions of the image size; multiply them by width and height": _from_fractions(objects, found),
        "with width and height exchanged; a target size is (height, width)": _from_exchanged(objects, found),
    }
    sample = _Sample(objects, found)
    hits = sample.hits(found.boxes)
    best, reading = max((sample.hits(boxes), name) for name, boxes in readings.items())
    if best > max(2 * hits, _FEW):
        return [
            f"The boxes overlap {hits} of {sample.num_objects} objects as they are, "
            f"but {best} when they are read {reading}."
        ]
    if likely_format(found.boxes, objects.sizes[found.images], XYXY) == FRACTIONS:
        return [f"The boxes look like {FRACTIONS}; multiply them by width and height."]
    inverted = float((found.boxes[:, 2:] < found.boxes[:, :2]).any(axis=1).mean())
    if inverted > 0:
        return [
            f"{inverted:.0%} of the boxes have x2 < x1 or y2 < y1 and count as empty. "
            "Boxes are x1, y1, x2, y2; are these x, y, width, height?"
        ]
    if hits == 0 and sample.num_objects >= _FEW:
        return [
            f"No detection overlaps any of {sample.num_objects} objects by {_OVERLAP:g} or more. "
            "Are the boxes in pixels of the image that the detector was given?"
        ]
    return []


def _label_notes(objects: Objects, found: Found, num_classes: int) -> list[str]:
    """Labels that are shifted by one agree with the objects as soon as they are shifted back."""
    sample = _Sample(objects, found)
    anyhow, same = sample.hits(found.boxes), sample.named(found.labels)
    for shift in (1, -1):
        moved = sample.named(found.labels + shift)
        if moved > max(3 * same, 0.4 * anyhow, _FEW):
            return [
                f"{same} of {sample.num_objects} objects are named by the best detection that overlaps them, but "
                f"{moved} if {abs(shift)} is {'added to' if shift > 0 else 'taken from'} every label. "
                f"Labels are 1..{num_classes} in the order of the data set's classes; 0 is the background."
            ]
    if num_classes > 1 and same == 0 and anyhow >= _FEW:
        return [
            f"{anyhow} of {sample.num_objects} objects are overlapped by detections, and the best of them names "
            "none. Does the detector number the classes as the data set does?"
        ]
    return []


class _Sample:
    """The objects of some images, asked how many of them are found when boxes or labels are read differently."""

    def __init__(self, objects: Objects, found: Found):
        images = np.unique(objects.images)
        images = images[evenly_spaced(len(images), _SAMPLE)]
        self.pairs = [(np.flatnonzero(objects.images == i), np.flatnonzero(found.images == i)) for i in images]
        self.objects, self.found = objects, found
        self.num_objects = sum(len(theirs) for theirs, _ in self.pairs)

    def hits(self, boxes: np.ndarray) -> int:
        """Objects overlapped by one of `boxes`."""
        overlaps = (self._overlaps(theirs, boxes[ours]) for theirs, ours in self.pairs)
        return sum(int(overlap.any(axis=1).sum()) for overlap in overlaps)

    def named(self, labels: np.ndarray) -> int:
        """Objects whose class is the one in `labels` of the highest-scoring detection that overlaps them."""
        count = 0
        for theirs, ours in self.pairs:
            if len(ours):
                overlap = self._overlaps(theirs, self.found.boxes[ours])
                best = ours[np.where(overlap, self.found.scores[ours], -np.inf).argmax(axis=1)]
                count += int((overlap.any(axis=1) & (self.objects.labels[theirs] == labels[best])).sum())
        return count

    def _overlaps(self, theirs: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        return box_iou(self.objects.boxes[theirs], boxes) >= _OVERLAP


def _from_xywh(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def _from_corners_as_xywh(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def _from_centre(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1)


def _from_fractions(objects: Objects, found: Found) -> np.ndarray:
    height, width = objects.sizes[found.images].T
    return found.boxes * np.stack([width, height, width, height], axis=1)


def _from_exchanged(objects: Objects, found: Found) -> np.ndarray:
    """Fractions that were multiplied by (height, width) in place of (width, height)."""
    height, width = objects.sizes[found.images].T
    return found.boxes * np.stack([width / height, height / width] * 2, axis=1)
