"""The Jaccard index of crowds: how well the set of all detections from a score on fits the set of people.

As in the program of X. Chu et al., "Detection in Crowded Scenes: One Proposal, Multiple Predictions", CVPR 2020
(compute_JI.py): in each image, detections above a score are matched with people one to one, so that the sum of their
IoU is as large as it can be, and only where IoU > 0.5. With k matches of n detections and m people, the index of the
image is k / (n + m - k); people and detections without a match do not count in m and n where more than half of them
lies in an ignored region. Its mean over the images with n or m above 0 is taken at scores 0, 0.1 … 0.9.

Shape letters: I images, d and G detections and objects of one image, S scores, B weightings of the images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from workbench.evaluation.counting.miss_rate import overlaps

SCORES = 0.1 * np.arange(10)  #: [S], as the program computes them: 0.30000000000000004 and so on
EXTRA = 1e-6  #: that the program adds to what it divides by


@dataclass(frozen=True)
class Jaccard:
    """The index of each image at each score."""

    values: np.ndarray  #: [I, S] float64
    counted: np.ndarray  #: [I, S] bool: there are people or detections

    def best(self, weights: np.ndarray) -> np.ndarray:
        """The highest mean of any score [B], for weights [B, I] of the images; NaN without images that count."""
        with np.errstate(invalid="ignore", divide="ignore"):
            means = (weights @ self.values) / (weights @ self.counted.astype(float))
        return np.where(np.isnan(means).all(axis=1), np.nan, np.nan_to_num(means).max(axis=1))


def image_indices(
    found: np.ndarray, scores: np.ndarray, objects: np.ndarray, ignored: np.ndarray, least: float
) -> tuple[np.ndarray, np.ndarray]:
    """The index of one image at each score [S], and whether it counts [S].

    Args:
        found: [d, 4] boxes (xyxy pixels).
        scores: [d].
        objects: [G, 4] boxes of people, ignored regions too.
        ignored: [G] bool.
        least: the IoU and IoA that must be exceeded.
    """
    order = np.argsort(-scores, kind="stable")
    found, scores, people, regions = found[order], scores[order], objects[~ignored], objects[ignored]
    iou = overlaps(found, people, EXTRA)[0]
    iou = np.where(iou > least, iou, 0)
    spared, spared_people = ((overlaps(boxes, regions, EXTRA)[1] > least).any(axis=1) for boxes in (found, people))
    values, counted = np.zeros(len(SCORES)), np.zeros(len(SCORES), bool)
    numbers = (scores[:, None] > SCORES).sum(axis=0)
    for number in np.unique(numbers):
        rows, columns = linear_sum_assignment(iou[:number], maximize=True)
        hits = iou[rows, columns] > 0
        missed, wrong = np.ones(len(people), bool), np.ones(number, bool)
        missed[columns[hits]], wrong[rows[hits]] = False, False
        k = hits.sum()
        m, n = len(people) - (missed & spared_people).sum(), number - (wrong & spared[:number]).sum()
        values[numbers == number] = k / (m + n - k + EXTRA)
        counted[numbers == number] = m > 0 or n > 0
    return values, counted
