"""The tables of an audit together with the score from which an object counts as found, and what follows from both."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from workbench.evaluation.auditing import counting
from workbench.evaluation.auditing.conditions import CLEAN, Condition
from workbench.evaluation.auditing.grouping import Grouped, by_pair
from workbench.evaluation.auditing.tables import Answers, Audited, Outcomes

#: What became of an object: "found"; else why not, the first that fits.
FATES = ("found", "low score", "other class", "localisation", "NMS", "nothing")
AP_RESAMPLES = 200  #: of the bootstrap, of AP


class Counted(Grouped):
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
        super().__init__(audited, outcomes, conditions, num_images=num_images)
        self.outcomes, self.answers = outcomes, answers
        self.num_classes, self.num_detectors = num_classes, num_detectors
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
    def _answers(self) -> dict[tuple[int, int], np.ndarray]:
        return by_pair(self.answers.detector, self.answers.condition)

    def answers_of(self, detector: int, condition: int) -> Answers:
        """The detections of a detector under a condition."""
        rows = self._answers.get((detector, condition), np.zeros(0, int))
        return Answers(**{name: value[rows] for name, value in vars(self.answers).items()})

    def recall(self, rows: np.ndarray) -> np.ndarray:
        """The share [1 + B] of rows of outcomes that are found; the first is the value, the others its samples."""
        return counting.shares(self.images_of(rows), self.found[rows], self.weights)

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

    @property
    def clean(self) -> int:
        """The number of the condition in which nothing is done."""
        return self.number_of(Condition(CLEAN))
