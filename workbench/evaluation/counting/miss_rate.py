"""Miss rate against false positives per image (FPPI), as pedestrian benchmarks count it.

P. Dollár et al., "Pedestrian Detection: An Evaluation of the State of the Art", TPAMI 2012. In each image, detections
in order of falling score each take the free object that they overlap most by IoU; those that get none are ignored
where enough of *their own* area lies in an ignored region (IoA), which can ignore any number of them, and else wrong.
The log-average miss rate (MR⁻²) is the geometric mean of the miss rates at nine FPPI from 0.01 to 1.

Where the programs of two benchmarks differ, see `Rules`.

Shape letters: I images, D detections, d those of one image, G objects of one image, B weightings of the images.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workbench.evaluation.counting.matching import IGNORED, RIGHT, WRONG

#: As the programs of both benchmarks have them: 10 ** (-2, -1.75 … 0), rounded.
FPPI = np.array([0.01, 0.0178, 0.0316, 0.0562, 0.1, 0.1778, 0.3162, 0.5623, 1.0])
LEAST = 1e-10  #: that a miss rate counts as, so that it has a logarithm
_CHUNK = 2_000_000  # numbers per temporary array


@dataclass(frozen=True)
class Rules:
    """In what the programs of benchmarks differ."""

    least: float  #: IoU, and IoA with an ignored region
    inclusive: bool  #: an overlap of just `least` is enough
    last_of_equal: bool  #: of objects that are overlapped alike, the last one is taken, else the first
    reaching: bool  #: a miss rate is that of the first detection with which FPPI reaches a value, or of the last one
    extra: float = 0.0  #: square pixels that are added to each area which an overlap is divided by


def overlaps(first: np.ndarray, second: np.ndarray, extra: float) -> tuple[np.ndarray, np.ndarray]:
    """IoU and IoA [d, G] of boxes [d, 4] with [G, 4]; IoA is the share of the first box that lies in the second.

    Args:
        first, second: boxes (xyxy pixels).
        extra: square pixels to add to what is divided by.
    """
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = (high - low).clip(min=0).prod(axis=2)
    ours, theirs = ((boxes[:, 2:] - boxes[:, :2]).clip(min=0).prod(axis=1) for boxes in (first, second))
    with np.errstate(invalid="ignore", divide="ignore"):
        iou = shared / (ours[:, None] + theirs - shared + extra)
        ioa = shared / (ours[:, None] + extra)
    return np.nan_to_num(iou), np.nan_to_num(ioa)


def judge(iou: np.ndarray, ioa: np.ndarray, counted: np.ndarray, rules: Rules) -> np.ndarray:
    """What the detections of one image are [d] uint8: WRONG, RIGHT or IGNORED.

    Args:
        iou, ioa: [d, G], detections in order of falling score.
        counted: [G] bool, objects to be found; others are ignored regions.
        rules: of the benchmark.
    """
    within = ioa[:, ~counted]
    iou = iou[:, counted]
    enough = iou >= rules.least if rules.inclusive else iou > rules.least
    ignored = (within >= rules.least if rules.inclusive else within > rules.least).any(axis=1)
    status = np.where(ignored, IGNORED, WRONG).astype(np.uint8)
    free = np.ones(iou.shape[1], dtype=bool)
    for row in np.flatnonzero(enough.any(axis=1)):
        asked = np.where(enough[row] & free, iou[row], -1.0)
        best = len(asked) - 1 - asked[::-1].argmax() if rules.last_of_equal else asked.argmax()
        if asked[best] >= 0:
            status[row], free[best] = RIGHT, False
    return status


@dataclass(frozen=True)
class MissCurve:
    """The detections that count, by falling score, and how many objects there are."""

    scores: np.ndarray  #: [D] float64, falling; equal scores in the order of the images, and then of the detections
    images: np.ndarray  #: [D] int64
    right: np.ndarray  #: [D] bool; others are false positives
    counts: np.ndarray  #: [I] int64, objects to be found in each image
    reaching: bool  #: see `Rules`

    @classmethod
    def of(
        cls, scores: np.ndarray, images: np.ndarray, status: np.ndarray, counts: np.ndarray, rules: Rules
    ) -> MissCurve:
        """From detections image after image, without those that are ignored."""
        kept = np.flatnonzero(status != IGNORED)
        order = kept[np.argsort(-scores[kept], kind="stable")]
        return cls(scores[order], images[order], status[order] == RIGHT, counts, rules.reaching)

    def frame(self) -> pd.DataFrame:
        """One row for each detection that counts: score, fppi, miss_rate (NaN without objects) and precision."""
        right, number = self.right.cumsum(), np.arange(1, len(self.right) + 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            missed = 1 - right / np.float64(self.counts.sum())
        columns = {"fppi": (number - right) / len(self.counts), "miss_rate": missed, "precision": right / number}
        return pd.DataFrame({"score": self.scores, **columns})

    def miss_rates(self, weights: np.ndarray | None = None) -> np.ndarray:
        """The miss rates [B, 9] at `FPPI`; NaN without objects.

        Where no detection is within an FPPI, all objects are missed there, as in Dollár's program.

        Args:
            weights: how often each image counts, [B, I]; None: once, B = 1.
        """
        if weights is None:
            weights = np.ones((1, len(self.counts)))
        images, found = weights.sum(axis=1), np.zeros((len(weights), len(FPPI)))
        short = int(np.searchsorted((~self.right).cumsum(), 1.5 * len(self.counts), side="right")) + 1
        for row, right, wrong in self._cumulated(weights, short):
            if wrong[-1] <= FPPI[-1] * images[row] and short < len(self.right):  # a rare weighting needs more of them
                _, right, wrong = next(self._cumulated(weights[row : row + 1], len(self.right)))
            found[row] = self._at(wrong / images[row], right)
        with np.errstate(invalid="ignore", divide="ignore"):
            return 1 - found / (weights @ self.counts.astype(float))[:, None]

    def _cumulated(self, weights: np.ndarray, first: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """For each weighting of the images, its row and the right and wrong ones up to each of the first detections.

        With the first detections that have one and a half times as many wrong ones as there are images, nearly every
        weighting of a bootstrap gets beyond the last FPPI, which is 1.
        """
        images, hits = self.images[:first], self.right[:first]
        step = max(1, _CHUNK // max(1, len(images)))
        for start in range(0, len(weights) if len(images) else 0, step):
            weight = weights[start : start + step, images].astype(float)  # [b, D]
            right, wrong = ((weight * part).cumsum(axis=1) for part in (hits, ~hits))
            yield from zip(range(start, start + step), right, wrong, strict=False)

    def _at(self, fppi: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Objects found [9] at `FPPI`, from both along the detections [D]."""
        if self.reaching:
            return right[np.minimum(np.searchsorted(fppi, FPPI, side="left"), len(fppi) - 1)]
        within = np.searchsorted(fppi, FPPI, side="right")
        return np.append(0.0, right)[within]

    def log_average(self, weights: np.ndarray | None = None) -> np.ndarray:
        """MR⁻² [B]; NaN without objects."""
        return np.exp(np.log(np.maximum(self.miss_rates(weights), LEAST)).mean(axis=1))

    def average_precision(self, weights: np.ndarray | None = None) -> np.ndarray:
        """The area under precision against recall, straight from point to point [B]; NaN without objects.

        As in CrowdHuman's program, what lies left of the first point does not count.
        """
        if weights is None:
            weights = np.ones((1, len(self.counts)))
        total, area = weights @ self.counts.astype(float), np.zeros(len(weights))
        for row, right, wrong in self._cumulated(weights, len(self.right)):
            so_far = right + wrong
            precision = right / np.maximum(so_far, LEAST)
            means = (precision[1:] + precision[:-1]) / 2 * (so_far[:-1] > 0)
            area[row] = (means * np.diff(right)).sum()
        with np.errstate(invalid="ignore", divide="ignore"):
            return area / np.where(total > 0, total, np.nan)
