"""Recall against the number of false positives, as the score that is asked of a detection falls.

A threshold changes what counts only in the images that have a detection of just that score. So what an image gains
is given once for each of its own scores (a *step*), and curves, resamples of the images and single folds are sums of
steps.

Shape letters: E steps, I images, B weightings of the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

_CHUNK = 2_000_000  # numbers per temporary array
_TINY = 1e-9


@dataclass(frozen=True)
class Steps:
    """What each score adds."""

    scores: np.ndarray  #: [E] float64, falling
    images: np.ndarray  #: [E] int64
    found: np.ndarray  #: [E] float64, of objects; below 0 where a better match of another takes one away
    wrong: np.ndarray  #: [E] float64, of detections
    counts: np.ndarray  #: [I] int64, objects of each image

    @classmethod
    def by_score(cls, columns: Sequence[np.ndarray], counts: np.ndarray) -> Steps:
        """From the columns scores, images, found and wrong in any order."""
        order = np.argsort(-columns[0], kind="stable")
        scores, images, found, wrong = (column[order] for column in columns)
        return cls(scores, images, found.astype(float), wrong.astype(float), counts)

    @property
    def ends(self) -> np.ndarray:
        """[E] bool: the last step of its score; equal scores pass a threshold together."""
        return np.append(self.scores[1:] != self.scores[:-1], True)[: len(self.scores)]

    def curve(self) -> pd.DataFrame:
        """One row for each score, falling: `score`, `recall` (NaN without objects) and `false_positives`."""
        total, ends = self.counts.sum(), self.ends
        recall = self.found.cumsum()[ends] / total if total else np.full(ends.sum(), np.nan)
        wrong = np.rint(self.wrong.cumsum()[ends]).astype(np.int64)
        return pd.DataFrame({"score": self.scores[ends], "recall": recall, "false_positives": wrong})

    def recall_at(self, limit: float, weights: np.ndarray | None = None) -> np.ndarray:
        """The best recall [B] of any threshold with at most `limit` false positives; NaN without objects.

        Args:
            limit: of the false positives in all images together.
            weights: how often each image counts, [B, I]; None: once, B = 1.
        """
        if weights is None:
            weights = np.ones((1, len(self.counts)))
        total, ends = weights @ self.counts.astype(float), self.ends
        back = self.wrong < 0  # what a better match takes off the false positives later on
        enough = limit + _TINY - weights[:, self.images[back]] @ self.wrong[back]
        best, found, wrong = np.zeros((3, len(weights)))
        block = max(1, _CHUNK // max(1, len(weights)))
        for start in range(0, len(ends), block):
            rows = slice(start, start + block)
            weight = weights[:, self.images[rows]].astype(float)
            so_far, false = ((weight * part[rows]).cumsum(axis=1) for part in (self.found, self.wrong))
            so_far, false = so_far + found[:, None], false + wrong[:, None]
            few = ends[rows] & (false <= limit + _TINY)
            best = np.maximum(best, np.where(few, so_far, 0.0).max(axis=1))
            found, wrong = so_far[:, -1], false[:, -1]
            if (wrong > enough).all():
                break
        return np.divide(best, total, out=np.full(len(total), np.nan), where=total > 0)

    def of(self, chosen: np.ndarray) -> Steps:
        """Those of some images [I] bool; the others stay, without objects and detections."""
        kept = chosen[self.images]
        columns = {name: getattr(self, name)[kept] for name in ("scores", "images", "found", "wrong")}
        return Steps(**columns, counts=np.where(chosen, self.counts, 0))
