"""Counts of an audit with their bootstrap over images: recall, average precision, reliability.

Whole images are drawn, with all that was done to them, so that what is compared is always seen on the same images.
Intervals are the middle 95 % of the samples, reflected about the value (`counting/bootstrap.py`).

Shape letters: B resamples, I images, K classes, D detections.
"""

from __future__ import annotations

import numpy as np

from workbench.evaluation.auditing.tables import Answers
from workbench.evaluation.counting.bootstrap import area, interval
from workbench.evaluation.counting.matching import RIGHT, THRESHOLDS

BINS = 10  #: of scores, in diagrams of reliability
LEAST_SCORE = 0.05  #: detections below it are left out of calibration: detectors keep any number of them


def shares(images: np.ndarray, good: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The share [B] of good ones, for image weights [B, I]; NaN where there are none.

    Args:
        images: [M] of each, index.
        good: [M] bool.
        weights: [B, I].
    """
    number = weights.shape[1]
    total = np.bincount(images, minlength=number)
    hits = np.bincount(images[good], minlength=number)
    with np.errstate(invalid="ignore"):
        return (weights @ hits) / (weights @ total)


def means(images: np.ndarray, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The mean [B] of values [M], for image weights [B, I]; NaN where there are none. `shares` is that of 0 and 1.

    Args:
        images: [M] of each, index.
        values: [M] numbers or bool.
        weights: [B, I].
    """
    number = weights.shape[1]
    total, sums = np.bincount(images, minlength=number), np.bincount(images, values, minlength=number)
    with np.errstate(invalid="ignore"):
        return (weights @ sums) / (weights @ total)


def spans(values: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Low and high [..., 2] of shares [...] and their samples [B, ...], within 0 and 1."""
    return np.clip(differences(values, samples), 0.0, 1.0)


def differences(values: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Low and high [..., 2] of values [...], of either sign, and their samples [B, ...]."""
    flat = samples.reshape(len(samples), -1).T
    pairs = [interval(float(value), column) for value, column in zip(np.ravel(values), flat, strict=True)]
    return np.array(pairs, dtype=float).reshape(*np.shape(values), 2)


def average_precision(answers: Answers, counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """AP [B, T] at each IoU threshold, mean over the classes that have objects; NaN without any.

    Args:
        answers: of one detector under one condition.
        counts: [I, K] objects that can be found.
        weights: [B, I].
    """
    result = np.zeros((len(weights), len(THRESHOLDS)))
    known = np.zeros(len(weights))
    order = np.lexsort((-answers.score, answers.label))
    starts = np.searchsorted(answers.label[order], np.arange(1, counts.shape[1] + 2))
    for label in np.flatnonzero(counts.any(axis=0)):
        rows = order[starts[label] : starts[label + 1]]
        total = weights @ counts[:, label]
        ap = _of_class(answers, rows, total, weights)
        result += np.where(total[:, None] > 0, ap, 0)
        known += total > 0
    with np.errstate(invalid="ignore"):
        return result / known[:, None]


def _of_class(answers: Answers, rows: np.ndarray, total: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """AP [B, T] of one class; `rows` of its detections by falling score, `total` [B] of its objects."""
    ap = np.zeros((len(weights), len(THRESHOLDS)))
    weight = weights[:, answers.image[rows]].T  # [D, B]
    for threshold in range(len(THRESHOLDS)):
        right = (answers.right[rows] >> threshold & 1).astype(bool)
        if right.any():
            spared = (answers.spared[rows] >> threshold & 1).astype(bool)
            counted = np.where(right, 1.0, np.where(spared, 0.0, answers.share[rows]))
            so_far = (weight * counted[:, None]).cumsum(axis=0)[right]
            status = np.full(int(right.sum()), RIGHT)
            ap[:, threshold] = np.nan_to_num(area(status, weight[right], so_far, total))
    return ap


def best_threshold(answers: Answers, counts: np.ndarray, threshold: int) -> float:
    """The score from which on a detector's F1 is the highest, all classes together; 0.5 where it is never right.

    It lies half-way between the lowest score that belongs to the best F1 and the next lower one (0 without one), so
    that a detector whose clean scores are all high is not held to them.

    Args:
        answers: of one detector to the clean images.
        counts: [I, K] objects that can be found.
        threshold: number of the IoU threshold.
    """
    order = np.argsort(-answers.score, kind="stable")
    right = answers.at(answers.right, threshold)[order]
    wrong = ~right & ~answers.at(answers.spared, threshold)[order]
    if not right.any():
        return 0.5
    found, failed = right.cumsum(), (wrong * answers.share[order]).cumsum()
    f1 = 2 * found / (found + failed + counts.sum())
    scores = answers.score[order]
    last = np.append(scores[1:] != scores[:-1], True)  # equal scores pass a threshold together
    best = int(np.where(last, f1, -1).argmax())
    lower = scores[best + 1] if best + 1 < len(scores) else 0.0
    return float((scores[best] + lower) / 2)


def reliability(answers: Answers, threshold: int, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How often detections of a score are right: number [B, bins], mean score and share of right ones [B, bins].

    Args:
        answers: of one detector; those below `LEAST_SCORE`, and those that count neither as right nor as wrong, are
            left out.
        threshold: number of the IoU threshold.
        weights: [B, I].
    """
    right = answers.at(answers.right, threshold)
    keep = (answers.score >= LEAST_SCORE) & (right | ~answers.at(answers.spared, threshold))
    number = weights.shape[1]
    bins = np.minimum((answers.score[keep] * BINS).astype(int), BINS - 1).clip(0)
    place = answers.image[keep].astype(np.int64) * BINS + bins
    counted = np.where(right[keep], 1.0, answers.share[keep])
    sums = [
        np.bincount(place, values, minlength=number * BINS).reshape(number, BINS)
        for values in (counted, counted * answers.score[keep], counted * right[keep])
    ]
    total, scores, hits = (weights @ one for one in sums)
    with np.errstate(invalid="ignore"):
        return total, scores / total, hits / total


def calibration_error(total: np.ndarray, score: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Expected calibration error [B]: the gap between score and share of right ones, weighed by the bins' numbers."""
    with np.errstate(invalid="ignore"):
        return (total * np.nan_to_num(np.abs(score - right))).sum(axis=1) / total.sum(axis=1)
