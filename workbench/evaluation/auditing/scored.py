"""What detectors say of given boxes, counted: accuracy and probabilities with their bootstrap, and tables of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from workbench.errors import DataError, did_you_mean
from workbench.evaluation.auditing import counting
from workbench.evaluation.auditing.conditions import Asked, Condition
from workbench.evaluation.auditing.counted import RESAMPLES, SIZES, grouped
from workbench.evaluation.auditing.drawn_regions import RANGES, range_of
from workbench.evaluation.auditing.summaries import BY, difference, hidden_text
from workbench.evaluation.auditing.tables import Audited, Looks, Regions
from workbench.evaluation.counting.bootstrap import resample_images

MEASURES = ("accuracy", "p_class", "p_object")  #: of the true boxes


class Scored(Asked):
    """Means by detector, condition and group, with samples of the bootstrap.

    Args:
        audited: the objects.
        looks: what detectors say of them.
        regions: what they say of regions.
        conditions: by number.
        num_images: of the data.
    """

    def __init__(
        self, audited: Audited, looks: Looks, regions: Regions, conditions: Sequence[Condition], *, num_images: int
    ):
        super().__init__(conditions)
        self.audited, self.looks, self.regions, self.num_images = audited, looks, regions, num_images

    @cached_property
    def weights(self) -> np.ndarray:
        """[1 + B, I]: every image once, then how often each of the bootstrap's samples has it."""
        samples = resample_images(self.num_images, RESAMPLES)
        return np.concatenate([np.ones((1, self.num_images), np.float32), samples])

    @cached_property
    def right(self) -> np.ndarray:
        """[M] bool: its own class is the most probable one."""
        return self.looks.label == self.audited.label[self.looks.object]

    @cached_property
    def _rows(self) -> dict[tuple[int, int], np.ndarray]:
        return grouped(self.looks.detector, self.looks.condition)

    def rows(self, detector: int, conditions: Iterable[int], members: np.ndarray | None = None) -> np.ndarray:
        """Rows of the looks of a detector under conditions, at members [N] bool of the objects (None: all)."""
        none = np.zeros(0, int)
        rows = np.concatenate([none, *(self._rows.get((detector, condition), none) for condition in conditions)])
        return rows if members is None else rows[members[self.looks.object[rows]]]

    def mean(self, measure: str, rows: np.ndarray) -> np.ndarray:
        """One of `MEASURES` [1 + B] over rows of looks: the value, then its samples."""
        values = self.right if measure == "accuracy" else getattr(self.looks, measure)
        images = self.audited.image[self.looks.object[rows]]
        return counting.means(images, values[rows], self.weights)

    def of_regions(self, detector: int, place: int) -> tuple[int, np.ndarray]:
        """How many regions a range of IoU has, and the mean p(object) [1 + B] that a detector gives them."""
        rows = np.flatnonzero(range_of(self.regions.iou) == place)
        return len(rows), counting.means(
            self.regions.image[rows], self.regions.p_object[rows, detector], self.weights
        )


def accuracy_table(
    scored: Scored, detectors: Sequence[str], classes: Sequence[str], by: str | None = None
) -> pd.DataFrame:
    """What is said of the true boxes; `RegionReport.accuracy` explains it.

    Raises:
        DataError: `by` is none of `BY`.
    """
    if by is not None and by not in BY:
        raise DataError(f"accuracy by {by!r}: expected one of {', '.join(BY)}{did_you_mean(by, BY)}")
    rows = []
    for number, detector in enumerate(detectors):
        for name, curve, members in _groups(scored, classes, by):
            for fraction, conditions in curve:
                chosen = scored.rows(number, conditions, members)
                if len(chosen):
                    group = {} if by is None else {by: name}
                    figures = {"n": len(chosen), **_span("accuracy", scored.mean("accuracy", chosen))}
                    figures |= {one: float(scored.mean(one, chosen)[0]) for one in MEASURES[1:]}
                    rows.append({"detector": detector, **group, "hidden": fraction, **figures})
    columns = ["detector", *([] if by is None else [by]), "hidden", "n", "accuracy", "low", "high", *MEASURES[1:]]
    return pd.DataFrame(rows, columns=columns)


def _groups(scored: Scored, classes: Sequence[str], by: str | None) -> list[tuple[str, Any, np.ndarray | None]]:
    """Names of groups, with their conditions by fraction and their objects (None: all)."""
    whole = scored.curve()
    if by == "kind":
        return [(kind, scored.curve(kind), None) for kind in scored.kinds]
    if by == "place":
        return [(place, scored.curve(scored.placed, place), None) for place in scored.places]
    if by == "class":
        labels = np.unique(scored.audited.label).tolist()
        return [(classes[label - 1], whole, scored.audited.label == label) for label in labels]
    if by == "size":
        area = scored.audited.area
        return [(name, whole, (area >= low) & (area < high)) for name, (low, high) in SIZES.items()]
    return [("", whole, None)]


def regions_table(scored: Scored, detectors: Sequence[str]) -> pd.DataFrame:
    """p(object) by range of IoU; `RegionReport.objectness` explains it."""
    rows = []
    for number, detector in enumerate(detectors):
        for place, name in enumerate(RANGES):
            count, found = scored.of_regions(number, place)
            rows.append({"detector": detector, "iou": name, "n": count, **_span("p_object", found)})
    return pd.DataFrame(rows, columns=["detector", "iou", "n", "p_object", "low", "high"])


def _span(name: str, found: np.ndarray) -> dict[str, float]:
    """A value and its interval, of it and its samples [1 + B]."""
    low, high = counting.spans(found[0], found[1:])
    return {name: float(found[0]), "low": float(low), "high": float(high)}


def differences_table(scored: Scored, a: int, b: int) -> pd.DataFrame:
    """How much better detector b is than a, by a paired bootstrap; `RegionReport.differences` explains it."""
    rows: dict[str, dict[str, float]] = {}
    kinds: list[str | None] = [None, *(scored.kinds if len(scored.kinds) > 1 else ())]
    for kind in kinds:
        for fraction, conditions in scored.curve(kind)[0 if kind is None else 1 :]:
            name = hidden_text(fraction) + ("" if kind is None else f", {kind}")
            sides = [scored.mean("accuracy", scored.rows(number, conditions)) for number in (a, b)]
            rows[f"accuracy, {name}"] = difference(*sides)
    for place, name in enumerate(RANGES):
        sides = [scored.of_regions(number, place)[1] for number in (a, b)]
        rows[f"p(object), IoU {name}"] = difference(*sides)
    columns = ["a", "b", "difference", "low", "high"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("figure")
