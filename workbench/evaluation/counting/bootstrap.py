"""Average precision under resampling of the images, and the intervals that come from it.

A resample draws as many images as there are, with replacement, so an image counts 0, 1, 2 … times. Matching
does not change with these weights, only counting does: along the detections of a class, sorted once by score,
precision is (weight of the right ones so far) / (weight of all that are not ignored so far). Only detections
that match something can raise recall, and they are few, so the weight of all detections so far is needed at
those places only. This makes a resample some thousand times cheaper than an evaluation, and with all weights 1
the result is pycocotools' AP.

Interpolated AP is too high on few objects, and a resample, which repeats some, is too high by about as much
again. So the samples are reflected about the value (the basic bootstrap), which takes this excess off; their
plain percentiles would add it twice. In a simulation of 300 images with 10 classes the true AP lay in the
reflected intervals in 87–93 % of the cases, in the plain ones in 69–92 %. In differences between two detectors
the excess cancels, and either way 91–96 % held the truth.

Shape letters: B resamples, I images, D detections of a class, M of them matched, A subsets, K classes,
T IoU thresholds.
"""

from __future__ import annotations

import numpy as np

from workbench.evaluation.counting.matching import ELSEWHERE, IGNORED, RIGHT, THRESHOLDS, Matches

RECALLS = np.linspace(0.0, 1.0, 101)  #: COCO's recall points
_CHUNK = 2_000_000  # numbers per temporary array: a few megabytes stay in the cache
_TINY = float(np.spacing(1))  # pycocotools adds it to each denominator


def resample_images(num_images: int, resamples: int, seed: int | np.random.Generator = 0) -> np.ndarray:
    """How often each image counts, [B, I] float32, for `resamples` draws of all images with replacement."""
    chances = np.full(num_images, 1.0 / num_images)
    return np.random.default_rng(seed).multinomial(num_images, chances, size=resamples).astype(np.float32)


def average_precision(matches: Matches, weights: np.ndarray | None = None) -> np.ndarray:
    """AP [B, A, K, T] for image weights [B, I] (None: one row of ones); NaN where there are no objects."""
    if weights is None:
        weights = np.ones((1, matches.num_images))
    counts = matches.counts()
    result = np.full((len(weights), len(counts), matches.num_classes, len(THRESHOLDS)), np.nan)
    for k in range(matches.num_classes):
        rows = matches.rows(k + 1)
        status = matches.status[:, :, rows]
        aside = (status == ELSEWHERE).any(axis=1)  # [A, D], not in the weight so far, whatever the threshold
        matched = np.flatnonzero(((status == RIGHT) | (status == IGNORED)).any(axis=(0, 1)))  # [M]
        status, images = status[:, :, matched], matches.images[rows]
        step = max(1, _CHUNK // max(1, len(images)))
        for start in range(0, len(weights), step):
            chunk = weights[start : start + step]
            every = chunk.T[images]  # [D, B]
            all_so_far, weight = every.cumsum(axis=0)[matched], every[matched]
            for a in np.flatnonzero(counts[:, :, k].any(axis=1)):
                total, so_far = chunk @ counts[a, :, k], all_so_far
                if aside[a].any():
                    so_far = (every * ~aside[a][:, None]).cumsum(axis=0)[matched]
                for t in range(len(THRESHOLDS)):
                    ap = area(status[a, t], weight, so_far, total, aside[a][matched])
                    result[start : start + step, a, k, t] = ap
    return result


def precision_at_recall(matches: Matches, subset: int = 0) -> np.ndarray:
    """Interpolated precision [K, T, 101] at COCO's recall points; NaN where there are no objects."""
    result = np.full((matches.num_classes, len(THRESHOLDS), len(RECALLS)), np.nan)
    totals = matches.counts()[subset].sum(axis=0)
    for k in np.flatnonzero(totals):
        status = matches.status[subset][:, matches.rows(k + 1)]  # [T, D]
        right = (status == RIGHT).cumsum(axis=1).T  # [D, T]
        counted = (status != IGNORED) & (status != ELSEWHERE)
        best = best_beyond(right / (counted.cumsum(axis=1).T + _TINY))
        for t, recall in enumerate(right.T / totals[k]):
            first = np.searchsorted(recall, RECALLS)  # where each recall is reached
            result[k, t] = np.append(best[:, t], 0.0)[first]
    return result


def mean_over_classes(values: np.ndarray) -> np.ndarray:
    """Mean [...] of values [..., K] over the classes that have objects; NaN if none has."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0.0).sum(axis=-1) / known.sum(axis=-1)


def interval(point: float, samples: np.ndarray) -> tuple[float, float]:
    """The 95 % interval (low, high) of a figure from its value and its bootstrap samples [B]; NaN if unknown.

    This is the basic bootstrap: the middle 95 % of the samples, reflected about the value.
    """
    samples = samples[~np.isnan(samples)]
    if np.isnan(point) or len(samples) == 0:
        return float("nan"), float("nan")
    low, high = np.percentile(samples, [2.5, 97.5])
    return float(2 * point - high), float(2 * point - low)


def area(
    status: np.ndarray,
    weight: np.ndarray,
    so_far: np.ndarray,
    total: np.ndarray,
    aside: np.ndarray | None = None,
) -> np.ndarray:
    """AP [B] of one class and threshold: the area under precision against recall.

    Args:
        status: [M], of each matched detection.
        weight: [M, B], of each matched detection.
        so_far: [M, B], of all detections up to it.
        total: [B], of the objects.
        aside: [M] bool, those that `so_far` leaves out; None: it has all.
    """
    right, counts = np.flatnonzero(status == RIGHT), (status != IGNORED) & (status != ELSEWHERE)
    found = weight[right].cumsum(axis=0)
    counted = so_far[right]
    has = np.ones(len(status), bool) if aside is None else ~aside
    wrongly = np.flatnonzero(counts != has)  # left out though they count, or the other way round
    if len(wrongly):
        more = weight[wrongly] * np.where(counts[wrongly], 1.0, -1.0)[:, None]
        before = np.concatenate([np.zeros((1, len(total))), more.cumsum(axis=0)])
        counted = counted + before[np.searchsorted(wrongly, right, side="right")]
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = found / total
    reached = np.searchsorted(RECALLS, recall, side="right")  # recall points at or below
    gained = np.diff(reached, axis=0, prepend=0)
    ap = (gained * best_beyond(found / (counted + _TINY))).sum(axis=0) / len(RECALLS)
    return np.where(total > 0, ap, np.nan)


def best_beyond(precision: np.ndarray) -> np.ndarray:
    """The best precision at this or any higher recall, along the first axis."""
    return np.maximum.accumulate(precision[::-1], axis=0)[::-1]
