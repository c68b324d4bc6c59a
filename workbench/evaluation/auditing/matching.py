"""What the detections of an occluded image say of its objects: found, or lost to what.

Right and wrong are as in COCO (`counting/matching.py`): the objects that are not audited, or not in this round, are
ignored. Of each object is kept what a threshold on scores will need later: greedy matching by falling score gives the
same matches for any threshold, so nothing has to be matched again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools import mask as coco_mask

from workbench.data.reading.boxes import xywh
from workbench.evaluation.auditing.objects import AuditedImage
from workbench.evaluation.counting.matching import MAX_DETECTIONS, THRESHOLDS, assign
from workbench.evaluation.counting.tables import box_iou, gather_found
from workbench.types import Detections

NEAR = 0.1  #: IoU from which a detection has to do with an object
PASTED = 0.5  #: IoU from which a detection is of a pasted cut-out


@dataclass(frozen=True)
class Matched:
    """The detections of one image, matched."""

    labels: np.ndarray  #: [D] of the data
    scores: np.ndarray  #: [D]
    right: np.ndarray  #: [D] uint16, bits by threshold
    spared: np.ndarray  #: [D] uint16
    #: Columns of `Outcomes`, each with one value for each row that counts.
    outcomes: dict[str, np.ndarray]


def match_image(
    found: Detections,
    audited: AuditedImage,
    rows: Sequence[int],
    labels: np.ndarray,
    *,
    threshold: int,
    nms_iou: float,
    pasted: np.ndarray,
) -> Matched:
    """Match the detections of one image.

    Args:
        found: with the detector's labels.
        audited: the image's objects.
        rows: of those that count.
        labels: [K' + 1], of the data for those of the detector; see `labels_in_common`.
        threshold: number of the IoU threshold from which an object is found.
        nms_iou: from which overlap on a detection leaves no other of its class beside it.
        pasted: boxes [P, 4] of cut-outs that were laid.
    """
    answers = gather_found([found])
    known = labels[answers.labels] > 0
    order = np.flatnonzero(known)[np.argsort(-answers.scores[known], kind="stable")]
    own, boxes, scores = labels[answers.labels[order]], answers.boxes[order], answers.scores[order]
    keep = _best(own)
    own, boxes, scores = own[keep], boxes[keep], scores[keep]
    objects = audited.objects
    ious = _ious(boxes, objects.boxes, objects.crowd)  # [D, N]
    ignored = np.ones(len(objects), bool)
    ignored[list(rows)] = False
    chosen = np.full((len(THRESHOLDS), len(own)), -1)
    for label in np.unique(own):
        ours, theirs = np.flatnonzero(own == label), np.flatnonzero(objects.labels == label)
        if len(theirs):
            taken = assign(ious[np.ix_(ours, theirs)], objects.crowd[theirs], ignored[None, theirs])[0]
            chosen[:, ours] = np.where(taken >= 0, theirs[taken], -1)
    right = (chosen >= 0) & ~ignored[chosen] if len(objects) else chosen >= 0
    spared = (chosen >= 0) & ~right
    if len(pasted) and len(own):
        spared |= ~right & (box_iou(boxes, pasted).max(axis=1) >= PASTED)
    bits = 1 << np.arange(len(THRESHOLDS), dtype=np.uint16)[:, None]
    rows = np.array(rows, dtype=int)
    least = min(float(THRESHOLDS[threshold]), 1 - 1e-10), nms_iou
    outcomes = _outcomes(rows, objects.labels, own, scores, ious, chosen[threshold], spared[threshold], least)
    return Matched(own, scores, (right * bits).sum(0, np.uint16), (spared * bits).sum(0, np.uint16), outcomes)


def _best(labels: np.ndarray) -> np.ndarray:
    """[D] bool: the best 100 of each class count, of detections in order of falling score."""
    keep = np.ones(len(labels), bool)
    for label in np.unique(labels):
        keep[np.flatnonzero(labels == label)[MAX_DETECTIONS:]] = False
    return keep


def _ious(boxes: np.ndarray, theirs: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """IoU [D, N] by pycocotools, so that overlaps on a threshold fall on the same side as in `evaluate`."""
    if not len(boxes) or not len(theirs):
        return np.zeros((len(boxes), len(theirs)))
    return np.asarray(coco_mask.iou(xywh(boxes), xywh(theirs), crowd.astype(np.uint8)))


def _outcomes(
    rows: np.ndarray,
    object_labels: np.ndarray,
    labels: np.ndarray,
    scores: np.ndarray,
    ious: np.ndarray,
    chosen: np.ndarray,
    spared: np.ndarray,
    least: tuple[float, float],
) -> dict[str, np.ndarray]:
    """What is kept of each row.

    Args:
        rows: of the objects that count.
        object_labels: of all objects.
        labels: of the detections.
        scores: of them, falling.
        ious: [D, N].
        chosen: [D] object that each takes, -1: none.
        spared: [D], neither right nor wrong.
        least: the IoU from which an object is found, and that of non-maximum suppression.
    """
    enough, nms_iou = least
    same = labels[:, None] == object_labels[rows]  # [D, n]
    overlap = ious[:, rows]
    own = chosen[:, None] == rows
    wrong = ((chosen < 0) & ~spared)[:, None]
    score, at = _highest(scores, own)
    other, other_at = _highest(scores, wrong & ~same & (overlap >= enough))
    near, near_at = _highest(scores, wrong & same & (overlap >= NEAR) & (overlap < enough))
    rival, _ = _highest(scores, (chosen >= 0)[:, None] & ~own & same & (overlap >= nms_iou))
    column = np.arange(len(rows))
    nothing = np.full(len(rows), np.nan)
    return {
        "score": score,
        "iou": np.where(at >= 0, overlap[at, column], np.nan) if len(labels) else nothing,
        "other_score": other,
        "other_label": np.where(other_at >= 0, labels[other_at], 0) if len(labels) else np.zeros(len(rows), int),
        "near_score": near,
        "near_iou": np.where(near_at >= 0, overlap[near_at, column], np.nan) if len(labels) else nothing,
        "rival_score": rival,
    }


def _highest(scores: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best score [n] of the chosen detections [D, n] and its place; NaN and -1 where none is.

    Detections are in order of falling score, so that the first chosen one is the best.
    """
    if not len(scores):
        return np.full(chosen.shape[1], np.nan), np.full(chosen.shape[1], -1)
    at = np.where(chosen.any(axis=0), chosen.argmax(axis=0), -1)
    return np.where(at >= 0, scores[at], np.nan), at
