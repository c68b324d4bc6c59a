"""What detectors say of given boxes, counted: accuracy and probabilities with their bootstrap, and tables of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pandas as pd

from workbench.evaluation.auditing import counting
from workbench.evaluation.auditing.conditions import Condition
from workbench.evaluation.auditing.drawn_regions import RANGES, range_of
from workbench.evaluation.auditing.grouping import Grouped, group_table, span
from workbench.evaluation.auditing.summaries import difference, hidden_text
from workbench.evaluation.auditing.tables import Audited, Looks, Regions

MEASURES = ("accuracy", "p_class", "p_object")  #: of the true boxes


class Scored(Grouped):
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
        super().__init__(audited, looks, conditions, num_images=num_images)
        self.looks, self.regions = looks, regions

    @cached_property
    def right(self) -> np.ndarray:
        """[M] bool: its own class is the most probable one."""
        return self.looks.label == self.audited.label[self.looks.object]

    def mean(self, measure: str, rows: np.ndarray) -> np.ndarray:
        """One of `MEASURES` [1 + B] over rows of looks: the value, then its samples."""
        values = self.right if measure == "accuracy" else getattr(self.looks, measure)
        return counting.means(self.images_of(rows), values[rows], self.weights)

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

    def figures(rows: np.ndarray) -> dict[str, float]:
        means = {one: float(scored.mean(one, rows)[0]) for one in MEASURES[1:]}
        return span("accuracy", scored.mean("accuracy", rows)) | means

    return group_table(scored, detectors, classes, by, figures, ["accuracy", "low", "high", *MEASURES[1:]])


def regions_table(scored: Scored, detectors: Sequence[str]) -> pd.DataFrame:
    """p(object) by range of IoU; `RegionReport.objectness` explains it."""
    rows = []
    for number, detector in enumerate(detectors):
        for place, name in enumerate(RANGES):
            count, found = scored.of_regions(number, place)
            rows.append({"detector": detector, "iou": name, "n": count, **span("p_object", found)})
    return pd.DataFrame(rows, columns=["detector", "iou", "n", "p_object", "low", "high"])


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
