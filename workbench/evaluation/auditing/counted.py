"""The tables of an audit together with the score from which an object counts as found, and what follows from both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np

from workbench.evaluation.auditing import counting
from workbench.evaluation.auditing.conditions import CLEAN, Asked, Condition
from workbench.evaluation.auditing.tables import Answers, Audited, Outcomes
from workbench.evaluation.counting.bootstrap import resample_images

#: What became of an object: "found"; else why not, the first that fits.
FATES = ("found", "low score", "other class", "localisation", "NMS", "nothing")
RESAMPLES, AP_RESAMPLES = 1000, 200  #: of the bootstrap, of recall and of AP
SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, np.inf)}  #: COCO's, by area


class Counted(Asked):
    """Counts by detector, condition and group of objects, with samples of the bootstrap.

    Args:
        audited: the objects.
        outcomes: what became of them.
        answers: the detections.
        conditions: by number.
        num_images: of the data.
        num_classes: of the data.
        num_detectors: E.
        threshold: number of the IoU threshold from which an object is found.
        score: from which a detection counts; None: for each detector the one of its best F1 on the clean images.
    """

    def __init__(
        self,
        audited: Audited,
        outcomes: Outcomes,
        answers: Answers,
        conditions: Sequence[Condition],
        *,
        num_images: int,
        num_classes: int,
        num_detectors: int,
        threshold: int,
        score: float | None,
    ):
        super().__init__(conditions)
        self.audited, self.outcomes, self.answers = audited, outcomes, answers
        self.num_images, self.num_classes, self.num_detectors = num_images, num_classes, num_detectors
        self.threshold, self.score = threshold, score
        self._ap: dict[tuple[int, int], np.ndarray] = {}

    @cached_property
    def scores(self) -> np.ndarray:
        """[E] from which score on the detections of each detector count."""
        if self.score is not None:
            return np.full(self.num_detectors, self.score, np.float32)
        best = [
            counting.best_threshold(self.answers_of(number, 0), self.counts, self.threshold)
            for number in range(self.num_detectors)
        ]
        return np.array(best, np.float32)

    @cached_property
    def found(self) -> np.ndarray:
        """[M] bool: found with enough score."""
        return self.outcomes.score >= self.scores[self.outcomes.detector]

    @cached_property
    def fates(self) -> np.ndarray:
        """[M] place in `FATES`."""
        least = self.scores[self.outcomes.detector]
        reasons = (
            self.found,
            ~np.isnan(self.outcomes.score),
            self.outcomes.other_score >= least,
            self.outcomes.near_score >= least,
            self.outcomes.rival_score >= least,
        )
        fates = np.full(len(self.outcomes), len(FATES) - 1, np.int8)
        for place in range(len(reasons) - 1, -1, -1):
            fates[reasons[place]] = place
        return fates

    @cached_property
    def counts(self) -> np.ndarray:
        """[I, K] audited objects."""
        counts = np.zeros((self.num_images, self.num_classes))
        np.add.at(counts, (self.audited.image, self.audited.label - 1), 1)
        return counts

    @cached_property
    def weights(self) -> np.ndarray:
        """[1 + B, I]: every image once, then how often each of the bootstrap's samples has it."""
        samples = resample_images(self.num_images, RESAMPLES)
        return np.concatenate([np.ones((1, self.num_images), np.float32), samples])

    @cached_property
    def _rows(self) -> dict[tuple[int, int], np.ndarray]:
        """Rows of the outcomes by detector and condition."""
        return grouped(self.outcomes.detector, self.outcomes.condition)

    @cached_property
    def _answers(self) -> dict[tuple[int, int], np.ndarray]:
        return grouped(self.answers.detector, self.answers.condition)

    def rows(self, detector: int, conditions: Iterable[int], members: np.ndarray | None = None) -> np.ndarray:
        """Rows of the outcomes of a detector under conditions.

        Args:
            detector: its number.
            conditions: their numbers.
            members: [N] bool, of these objects alone.
        """
        none = np.zeros(0, int)
        rows = np.concatenate([none, *(self._rows.get((detector, condition), none) for condition in conditions)])
        return rows if members is None else rows[members[self.outcomes.object[rows]]]

    def answers_of(self, detector: int, condition: int) -> Answers:
        """The detections of a detector under a condition."""
        rows = self._answers.get((detector, condition), np.zeros(0, int))
        return Answers(**{name: value[rows] for name, value in vars(self.answers).items()})

    def recall(self, rows: np.ndarray) -> np.ndarray:
        """The share [1 + B] of rows of outcomes that are found; the first is the value, the others its samples."""
        images = self.audited.image[self.outcomes.object[rows]]
        return counting.shares(images, self.found[rows], self.weights)

    def average_precision(self, detector: int, condition: int) -> np.ndarray:
        """AP [1 + B, T] of a detector under a condition, as `recall`; computed once."""
        key = detector, condition
        if key not in self._ap:
            answers = self.answers_of(detector, condition)
            self._ap[key] = counting.average_precision(answers, self.counts, self.weights[: 1 + AP_RESAMPLES])
        return self._ap[key]

    def mean_ap(self, detector: int, conditions: Sequence[int]) -> np.ndarray:
        """Mean AP [1 + B, T] over conditions."""
        return np.mean([self.average_precision(detector, one) for one in conditions], axis=0)

    def sized(self, name: str) -> np.ndarray:
        """[N] bool: the objects of a size."""
        low, high = SIZES[name]
        return (self.audited.area >= low) & (self.audited.area < high)

    @property
    def clean(self) -> int:
        """The number of the condition in which nothing is done."""
        return self.number_of(Condition(CLEAN))


def grouped(first: np.ndarray, second: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
    """Rows by pairs of small numbers."""
    if not len(first):
        return {}
    keys = first.astype(np.int64) << 16 | second
    order = np.argsort(keys, kind="stable")
    values, starts = np.unique(keys[order], return_index=True)
    pairs = [(int(key) >> 16, int(key) & 0xFFFF) for key in values]
    return dict(zip(pairs, np.split(order, starts[1:]), strict=True))
