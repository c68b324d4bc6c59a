"""Which detection found which object, by COCO's rules, for several choices of objects at once.

The rules are those of `pycocotools.cocoeval.COCOeval.evaluateImg` (Lin et al., "Microsoft COCO: Common
Objects in Context", 2014): detections of one class and image in order of falling score, each takes the best
free object that it overlaps by at least the IoU threshold. Objects outside the chosen subset are *ignored*,
like objects outside COCO's area ranges: they cannot be missed, and a detection of one counts neither as right
nor as wrong. A crowd region is ignored, can be found many times, and its IoU is the share of the detection
that lies in it. Equal scores keep the order of the images and then of the detections (a stable sort, as there).

Where we depart, in subsets by occlusion: a wrong detection is *elsewhere*, and ignored, if of all objects, whatever
their class, it overlaps one of another level most, by IoU 0.1 or more. So a wrong detection at an object counts in
the level of that object alone, one at none in every level. In COCO's ranges it counts in every one: a hidden object
that is taken for another class, or found too large, then costs the unoccluded ones AP, the more the more is hidden in
the data. What is right does not change, nor does the subset of all objects. From IoU 0.1 on a detection has to do
with an object in diagnoses of errors (Hoiem et al., ECCV 2012); 0.5 would be too late, since what is found of a
hidden object is often its visible part. `Matches.strict` counts as COCO does.

And: PASCAL VOC's `difficult` objects, which COCO does not know, are ignored objects with the
usual IoU, so a second detection of the same one counts as wrong (VOC's own code would ignore it too).

Shape letters: I images, N objects, D detections, G objects and d detections of one image and class,
A subsets of objects, T IoU thresholds, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from pycocotools import mask as coco_mask

from workbench.data.reading.boxes import xywh
from workbench.evaluation.counting.tables import Found, Objects
from workbench.evaluation.occlusion import SUBSETS, members

IoUType = Literal["bbox", "segm", "segm-amodal"]  #: what overlaps: boxes, or masks
MASKS: dict[IoUType, str] = {"segm": "masks", "segm-amodal": "masks_amodal"}  #: where targets have these masks
THRESHOLDS = np.linspace(0.5, 0.95, 10)  #: [T], COCO's IoU thresholds
MAX_DETECTIONS = 100  #: per image and class; the rest does not count

#: What a detection is, given subset and threshold; the last: wrong at an object of another level, and so ignored.
WRONG, RIGHT, IGNORED, ELSEWHERE = 0, 1, 2, 3
NEAR = 0.1  #: IoU from which a wrong detection is one at an object


@dataclass(frozen=True)
class Matches:
    """All that average precision, its intervals and paired differences need; no pixels, no boxes.

    The detections are sorted by class, then by falling score.
    """

    num_images: int
    num_classes: int
    images: np.ndarray  #: [D] int32
    labels: np.ndarray  #: [D] int32
    scores: np.ndarray  #: [D] float64
    status: np.ndarray  #: [A, T, D] uint8, WRONG, RIGHT, IGNORED or ELSEWHERE
    object_images: np.ndarray  #: [N] int32
    object_labels: np.ndarray  #: [N] int32
    object_occlusion: np.ndarray  #: [N] float64, NaN where unknown
    object_ignored: np.ndarray  #: [N] bool, crowd or difficult

    def rows(self, label: int) -> slice:
        """Where the detections of a class are."""
        return slice(*np.searchsorted(self.labels, [label, label + 1]))

    def strict(self) -> Matches:
        """The same with what is elsewhere wrong in every level, as objects outside COCO's area ranges have it."""
        return replace(self, status=np.where(self.status == ELSEWHERE, WRONG, self.status))

    def counts(self) -> np.ndarray:
        """[A, I, K] int64: objects that can be found, by subset, image and class."""
        result = np.zeros((len(SUBSETS), self.num_images, self.num_classes), dtype=np.int64)
        for subset, member in enumerate(members(self.object_occlusion, self.object_ignored)):
            np.add.at(result[subset], (self.object_images[member], self.object_labels[member] - 1), 1)
        return result


def match_all(objects: Objects, found: Found, num_classes: int) -> Matches:
    """Match every image and class; masks are compared where both sides have them, boxes otherwise."""
    order = _best_of_each_image(found)
    images, labels = found.images[order], found.labels[order]
    status = np.full((len(SUBSETS), len(THRESHOLDS), len(order)), WRONG, dtype=np.uint8)
    ignored = ~members(objects.occlusion, objects.ignored)  # [A, N]
    object_groups = groups(objects.images, objects.labels, num_classes)
    for key, rows in groups(images, labels, num_classes).items():
        if key not in object_groups:
            continue
        theirs = object_groups[key]
        ious = _ious(objects, theirs, found, order[rows])
        status[:, :, rows] = match(ious, objects.crowd[theirs], ignored[:, theirs])
    status[elsewhere(objects, found, order)[:, None] & (status == WRONG)] = ELSEWHERE
    return Matches(
        num_images=objects.num_images,
        num_classes=num_classes,
        images=images.astype(np.int32),
        labels=labels.astype(np.int32),
        scores=found.scores[order],
        status=status,
        object_images=objects.images.astype(np.int32),
        object_labels=objects.labels.astype(np.int32),
        object_occlusion=objects.occlusion,
        object_ignored=objects.ignored,
    )


def with_elsewhere(matches: Matches, objects: Objects, found: Found) -> Matches:
    """Matches of boxes as `match_all` gives them, from such without ELSEWHERE, of an earlier version.

    Raises:
        ValueError: they are not of these detections.
    """
    order = _best_of_each_image(found)
    if not np.array_equal(found.images[order], matches.images) or len(objects) != len(matches.object_images):
        raise ValueError("the matches are of other detections or objects")
    there = elsewhere(objects, found, order)[:, None] & (matches.status == WRONG)
    return replace(matches, status=np.where(there, np.uint8(ELSEWHERE), matches.status))


def elsewhere(objects: Objects, found: Found, order: np.ndarray) -> np.ndarray:
    """Which detections [A, D] are at an object that is none of each subset, whatever its class, if they are wrong.

    Args:
        objects: of which crowds and difficult ones do not count.
        found: all detections.
        order: [D], rows of those that count.
    """
    inside = members(objects.occlusion, objects.ignored)  # [A, N]
    nearest = np.full(len(order), -1)
    counted = np.flatnonzero(~objects.ignored)
    of_image = groups(objects.images[counted], np.zeros(len(counted), int), 0)
    for image, rows in groups(found.images[order], np.zeros(len(order), int), 0).items():
        if image in of_image:
            theirs = counted[of_image[image]]
            ious = _ious(objects, theirs, found, order[rows])  # [d, G]
            nearest[rows] = np.where(ious.max(axis=1) >= NEAR, theirs[ious.argmax(axis=1)], -1)
    return (nearest >= 0) & ~inside[:, nearest] if len(objects) else np.zeros((len(inside), len(order)), bool)


def match(ious: np.ndarray, crowd: np.ndarray, ignored: np.ndarray) -> np.ndarray:
    """Match the detections of one image and class.

    Returns the status [A, T, d] of each detection.

    Args:
        ious: [d, G], detections in order of falling score.
        crowd: [G] bool.
        ignored: [A, G] bool.
    """
    chosen = assign(ious, crowd, ignored)
    spared = ignored[np.arange(len(ignored))[:, None, None], chosen]
    return np.where(chosen < 0, WRONG, np.where(spared, IGNORED, RIGHT)).astype(np.uint8)


def assign(ious: np.ndarray, crowd: np.ndarray, ignored: np.ndarray) -> np.ndarray:
    """Which object [A, T, d] each detection of one image and class takes, -1: none; the arguments are `match`'s."""
    thresholds = np.minimum(THRESHOLDS, 1 - 1e-10)[:, None]  # [T, 1]; a perfect overlap must pass rounding
    chosen = np.full((len(ignored), len(thresholds), len(ious)), -1)
    taken = np.zeros((len(ignored), len(thresholds), ious.shape[1]), dtype=bool)
    for detection in np.flatnonzero(ious.max(axis=1) >= thresholds[0]):
        overlap = ious[detection]  # [G]
        free = (overlap >= thresholds) & (~taken | crowd)  # [A, T, G]
        wanted = free & ~ignored[:, None]
        free = np.where(wanted.any(axis=2, keepdims=True), wanted, free)  # ignored objects come last
        # argmax of the reversed axis: of equally good objects COCO's loop keeps the last.
        best = free.shape[2] - 1 - np.where(free, overlap, -1.0)[..., ::-1].argmax(axis=2)  # [A, T]
        subset, threshold = np.nonzero(free.any(axis=2))
        chosen[subset, threshold, detection] = best[subset, threshold]
        taken[subset, threshold, best[subset, threshold]] = True
    return chosen


def _best_of_each_image(found: Found) -> np.ndarray:
    """Indices of the detections that count, sorted by class, then falling score."""
    order = np.lexsort((-found.scores, found.images, found.labels))
    first = np.ones(len(order), dtype=bool)
    first[1:] = (np.diff(found.images[order]) != 0) | (np.diff(found.labels[order]) != 0)
    place = np.arange(len(order))
    rank = place - np.maximum.accumulate(np.where(first, place, 0))
    order = order[rank < MAX_DETECTIONS]  # by class, image, falling score
    return order[np.lexsort((-found.scores[order], found.labels[order]))]


def groups(images: np.ndarray, labels: np.ndarray, num_classes: int) -> dict[int, np.ndarray]:
    """Indices of the rows of each (image, class), in their order, by a number that is the pair's own."""
    keys = images * (num_classes + 1) + labels
    order = np.argsort(keys, kind="stable")
    values, starts = np.unique(keys[order], return_index=True)
    return dict(zip(values.tolist(), np.split(order, starts[1:]), strict=True)) if len(values) else {}


def _ious(objects: Objects, theirs: np.ndarray, found: Found, ours: np.ndarray) -> np.ndarray:
    """IoU [d, G] by pycocotools' own code, so that overlaps exactly on a threshold fall on the same side."""
    crowd = objects.crowd[theirs].astype(np.uint8)
    if objects.masks is not None and found.masks is not None:
        ious = coco_mask.iou([found.masks[i] for i in ours], [objects.masks[i] for i in theirs], crowd)
    else:
        ious = coco_mask.iou(xywh(found.boxes[ours]), xywh(objects.boxes[theirs]), crowd)
    return np.asarray(ious)
