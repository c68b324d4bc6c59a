"""Figures of objects under conditions, by detector, group and hidden fraction: what all reports of audits share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

import numpy as np
import pandas as pd

from workbench.errors import DataError, did_you_mean
from workbench.evaluation.auditing import counting
from workbench.evaluation.auditing.conditions import Asked, Condition
from workbench.evaluation.auditing.tables import Audited, Looks, Outcomes
from workbench.evaluation.counting.bootstrap import resample_images

BY = ("kind", "place", "class", "size")  #: what tables can be asked by
RESAMPLES = 1000  #: of the bootstrap
SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, np.inf)}  #: COCO's, by area

Curve = list[tuple[float, list[int]]]  #: conditions by hidden fraction
Group = tuple[str, Curve, np.ndarray | None]  #: its name, conditions and objects ([N] bool; None: all)


class Grouped(Asked):
    """Objects under conditions, by detector, condition and group.

    Args:
        audited: the objects.
        seen: what is known of each under a condition, of one detector.
        conditions: by number.
        num_images: of the data.
    """

    def __init__(self, audited: Audited, seen: Outcomes | Looks, conditions: Sequence[Condition], *, num_images: int):
        super().__init__(conditions)
        self.audited, self.seen, self.num_images = audited, seen, num_images

    @cached_property
    def weights(self) -> np.ndarray:
        """[1 + B, I]: every image once, then how often each of the bootstrap's samples has it."""
        samples = resample_images(self.num_images, RESAMPLES)
        return np.concatenate([np.ones((1, self.num_images), np.float32), samples])

    @cached_property
    def _rows(self) -> dict[tuple[int, int], np.ndarray]:
        return by_pair(self.seen.detector, self.seen.condition)

    def rows(self, detector: int, conditions: Iterable[int], members: np.ndarray | None = None) -> np.ndarray:
        """Rows of what is known of a detector under conditions.

        Args:
            detector: its number.
            conditions: their numbers.
            members: [N] bool, of these objects alone.
        """
        none = np.zeros(0, int)
        rows = np.concatenate([none, *(self._rows.get((detector, condition), none) for condition in conditions)])
        return rows if members is None else rows[members[self.seen.object[rows]]]

    def images_of(self, rows: np.ndarray) -> np.ndarray:
        """The image [n] of each of some rows."""
        return self.audited.image[self.seen.object[rows]]

    def sized(self, name: str) -> np.ndarray:
        """[N] bool: the objects of a size."""
        low, high = SIZES[name]
        return (self.audited.area >= low) & (self.audited.area < high)

    def groups(self, classes: Sequence[str], by: str | None) -> list[Group]:
        """Groups by one of `BY`; None: all in one."""
        whole = self.curve()
        if by == "kind":
            return [(kind, self.curve(kind), None) for kind in self.kinds]
        if by == "place":
            return [(place, self.curve(self.placed, place), None) for place in self.places]
        if by == "class":
            labels = np.unique(self.audited.label).tolist()
            return [(classes[label - 1], whole, self.audited.label == label) for label in labels]
        if by == "size":
            return [(name, whole, self.sized(name)) for name in SIZES]
        return [("", whole, None)]


def group_table(
    grouped: Grouped,
    detectors: Sequence[str],
    classes: Sequence[str],
    by: str | None,
    figures: Callable[[np.ndarray], dict[str, float]],
    names: Sequence[str],
) -> pd.DataFrame:
    """Figures by detector, group and hidden fraction, where there are objects; `n` is how many.

    Args:
        figures: of rows.
        names: of these; the first is what is asked for.

    Raises:
        DataError: `by` is none of `BY`.
    """
    if by is not None and by not in BY:
        raise DataError(f"{names[0]} by {by!r}: expected one of {', '.join(BY)}{did_you_mean(by, BY)}")
    table = []
    for number, detector in enumerate(detectors):
        for name, curve, members in grouped.groups(classes, by):
            for fraction, conditions in curve:
                rows = grouped.rows(number, conditions, members)
                if len(rows):
                    group = {} if by is None else {by: name}
                    found = {"n": len(rows), **figures(rows)}
                    table.append({"detector": detector, **group, "hidden": fraction, **found})
    columns = ["detector", *([] if by is None else [by]), "hidden", "n", *names]
    return pd.DataFrame(table, columns=columns)


def span(name: str, found: np.ndarray, prefix: str = "") -> dict[str, float]:
    """A value and its interval, of it and its samples [1 + B]."""
    low, high = counting.spans(found[0], found[1:])
    return {name: float(found[0]), f"{prefix}low": float(low), f"{prefix}high": float(high)}


def by_pair(first: np.ndarray, second: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
    """Rows by pairs of small numbers."""
    if not len(first):
        return {}
    keys = first.astype(np.int64) << 16 | second
    order = np.argsort(keys, kind="stable")
    values, starts = np.unique(keys[order], return_index=True)
    pairs = [(int(key) >> 16, int(key) & 0xFFFF) for key in values]
    return dict(zip(pairs, np.split(order, starts[1:]), strict=True))
