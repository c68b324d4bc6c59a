"""Average precision as PASCAL VOC defines it (Everingham et al., IJCV 2010 and 2015), by the devkit's rules.

The detections of a class are taken in order of falling score over all images (equal scores in the order of the
images and then of the detections). Each asks for the object of its class and image that it overlaps most, the first
of several, and only for that one: with IoU ≥ 0.5 it is right if the object is free, ignored if it is `difficult`, and
wrong if the object is taken, even where another free one overlaps it nearly as much (COCO would give it that one).
Difficult objects need not be found. There is no limit to the number of detections.

VOC 2007 to 2009: the mean over recalls 0, 0.1 … 1 of the best precision at that recall or above; the recalls are
k · 0.1 in floating point as in the reference, so 3 of 10 objects do not reach 0.30000000000000004. From 2010 on: the
area under precision made monotonic.

The devkit counts pixels from 1 and adds 1 to each width, since its boxes include their last pixel. Ours are
continuous: `Voc` reads (xmin, ymin, xmax, ymax) as (xmin - 1, ymin - 1, xmax, ymax), whose width is already
xmax - xmin + 1. So plain IoU of our boxes is the devkit's, and nothing is added here. To have our detections scored
by the devkit, write x1 + 1, y1 + 1, x2, y2.

Where the code of py-faster-rcnn departs from the devkit (VOCevaldet.m): it asks for IoU > 0.5, the devkit for ≥; we
follow the devkit. Where we depart from both: crowds, which VOC does not know, are taken as difficult objects.

Shape letters: N objects, D detections, B weightings of the images, I images, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from workbench.errors import DataError
from workbench.evaluation.counting.bootstrap import best_beyond
from workbench.evaluation.counting.matching import IGNORED, RIGHT, WRONG, groups
from workbench.evaluation.counting.tables import Found, Objects, box_iou

YEARS = range(2007, 2013)
_AREA_SINCE = 2010
_RECALLS = np.arange(0.0, 1.1, 0.1)
_CHUNK = 500_000  # numbers per temporary array, which stay in the cache


@dataclass(frozen=True)
class VocMatches:
    """What became of each detection, sorted by class and falling score."""

    order: np.ndarray  #: [D] int64, the detection's row among those given
    labels: np.ndarray  #: [D] int64
    images: np.ndarray  #: [D] int64
    status: np.ndarray  #: [D] uint8, WRONG, RIGHT or IGNORED
    nearest: np.ndarray  #: [D] int64, the object of its class and image that it overlaps most; -1: none
    overlap: np.ndarray  #: [D] float64, IoU with that object
    counts: np.ndarray  #: [I, K] int64, objects to be found

    def rows(self, label: int) -> slice:
        """Where the detections of a class are."""
        return slice(*np.searchsorted(self.labels, [label, label + 1]))


def match_voc(objects: Objects, found: Found, num_classes: int, *, threshold: float = 0.5) -> VocMatches:
    """Which detection is right, by VOC's rules. Boxes are compared, never masks.

    Args:
        num_classes: K.
        threshold: the least IoU.
    """
    order = np.lexsort((-found.scores, found.labels))
    images, labels, boxes = found.images[order], found.labels[order], found.boxes[order]
    status = np.full(len(order), WRONG, dtype=np.uint8)
    nearest = np.full(len(order), -1)
    overlap = np.zeros(len(order))
    of_class = groups(objects.images, objects.labels, num_classes)
    for key, rows in groups(images, labels, num_classes).items():
        if key in of_class:
            theirs = of_class[key]
            ious = box_iou(boxes[rows], objects.boxes[theirs])  # [d, G]
            best = ious.argmax(axis=1)
            overlap[rows], nearest[rows] = ious.max(axis=1), theirs[best]
            status[rows] = _claim(nearest[rows], overlap[rows] >= threshold, objects.ignored)
    counts = np.zeros((objects.num_images, num_classes), dtype=np.int64)
    wanted = ~objects.ignored
    np.add.at(counts, (objects.images[wanted], objects.labels[wanted] - 1), 1)
    return VocMatches(order, labels, images, status, nearest, overlap, counts)


def voc_ap(matches: VocMatches, year: int = 2007, weights: np.ndarray | None = None) -> np.ndarray:
    """AP [B, K] by the rules of a year of VOC; NaN for classes without objects.

    Args:
        weights: how often each image counts, [B, I]; None: once, B = 1.

    Raises:
        DataError: a year without a VOC.
    """
    if year not in YEARS:
        raise DataError(f"there is no VOC {year}; choose 2007 (11 points) or 2012 (area), or a year between")
    if weights is None:
        weights = np.ones((1, len(matches.counts)))
    num_classes = matches.counts.shape[1]
    result = np.empty((len(weights), num_classes))
    for k in range(num_classes):
        rows = matches.rows(k + 1)
        status, images = matches.status[rows], matches.images[rows]
        right = np.flatnonzero(status == RIGHT)  # [M]
        added = _added(status, images, right, len(matches.counts))
        step = max(1, _CHUNK // max(1, len(right)))
        for start in range(0, len(weights), step):
            chunk = np.ascontiguousarray(weights[start : start + step].T)  # [I, b]
            total = matches.counts[:, k] @ chunk
            result[start : start + step, k] = _ap(chunk[images[right]], added @ chunk, total, year)
    return result


def _claim(asked: np.ndarray, enough: np.ndarray, ignored: np.ndarray) -> np.ndarray:
    """Status [d] of the detections of one image and class, in order of falling score.

    Args:
        asked: [d], the object that each asks for.
        enough: [d], whether it overlaps that object enough.
        ignored: [N], of all objects.
    """
    status = np.full(len(asked), WRONG, dtype=np.uint8)
    hits = np.flatnonzero(enough)
    _, first = np.unique(asked[hits], return_index=True)
    status[hits[first]] = RIGHT
    status[hits[ignored[asked[hits]]]] = IGNORED
    return status


def _added(status: np.ndarray, images: np.ndarray, right: np.ndarray, num_images: int) -> csr_array:
    """How many detections of each image count from one right detection to the next, [M, I].

    Only right detections are looked at: they alone raise recall, and between them precision falls.

    Args:
        status, images: [D] of one class.
        right: [M] the right ones.
    """
    kept = np.flatnonzero(status[: right[-1] + 1] != IGNORED) if len(right) else right
    once = np.ones(len(kept), np.float32)
    return csr_array((once, (np.searchsorted(right, kept), images[kept])), shape=(len(right), num_images))


def _ap(weight: np.ndarray, added: np.ndarray, total: np.ndarray, year: int) -> np.ndarray:
    """AP [B] of one class.

    Args:
        weight: [M, B] of its right detections.
        added: [M, B], the weight of all that count from one of them to the next.
        total: [B], the weight of its objects.
    """
    found, counted = weight.cumsum(axis=0), added.cumsum(axis=0)
    precision = best_beyond(found / np.where(counted > 0, counted, 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        if year >= _AREA_SINCE:
            ap = np.einsum("mb,mb->b", weight, precision, dtype=float) / total
        else:
            ap = np.mean([_at_recall(precision, found / total, point) for point in _RECALLS], axis=0)
    return np.where(total > 0, ap, np.nan)


def _at_recall(precision: np.ndarray, recall: np.ndarray, point: float) -> np.ndarray:
    """The best precision [B] at a recall of at least `point`, from both along the detections [M, B]."""
    return np.where(recall >= point, precision, 0.0).max(axis=0, initial=0.0)
