"""Results of pedestrian benchmarks: miss rate against false positives per image, for subsets of the people.

A subset is a range of heights and one of visibility (visible area / full area, 1 - `occlusion`). People outside of it
are not missed: their boxes are ignored regions, as those are that the annotations say to ignore.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workbench.evaluation.benchmark_result import BenchmarkResult, Gathered
from workbench.evaluation.counting.matching import IGNORED
from workbench.evaluation.counting.miss_rate import MissCurve, Rules, judge, overlaps

_INF = float("inf")


@dataclass(frozen=True)
class Subset:
    """Which people are to be found; both ends of a range belong to it."""

    heights: tuple[float, float] = (0.0, _INF)  #: pixels of the full body
    visible: tuple[float, float] = (0.0, 1.0)  #: shares of the full box

    def members(self, heights: np.ndarray, occlusion: np.ndarray) -> np.ndarray:
        """Which people [N] bool belong to it, by height [N] and occlusion [N]; without a known one, to none.

        Shares are compared as float32, in which targets have them, so that 0.65 is at least 0.65.
        """
        low, high = self.visible
        hidden = occlusion.astype(np.float32)
        seen = (hidden <= np.float32(1 - low)) & (hidden >= np.float32(1 - high))
        if self.visible == (0.0, 1.0):
            seen = np.ones(len(hidden), dtype=bool)
        return seen & (heights >= self.heights[0]) & (heights <= self.heights[1])

    def __str__(self) -> str:
        ranges = (("height", self.heights, _INF), ("visibility", self.visible, 1.0))
        parts = [
            f"{what} ≥ {low:g}" if high == most else f"{what} {low:g}–{high:g}"
            for what, (low, high), most in ranges
            if (low, high) != (0.0, most)
        ]
        return ", ".join(parts) or "all"


@dataclass(frozen=True, eq=False, repr=False)
class MissRateResult(BenchmarkResult):
    """Miss rates of one detector on people. Figures are log-average miss rates (MR⁻²): lower is better."""

    gathered: Gathered
    how: str  #: how it was computed, in words
    subsets: dict[str, Subset]
    curves: dict[str, MissCurve]  #: by name of the subset

    def figures(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Such as `MR_reasonable`, for each subset."""
        return {f"MR_{name}": curve.log_average(weights) for name, curve in self.curves.items()}

    def counts(self) -> dict[str, int]:
        """The people to be found of each subset."""
        return {f"MR_{name}": int(curve.counts.sum()) for name, curve in self.curves.items()}

    def frame(self) -> pd.DataFrame:
        """One row for each subset and detection that counts: subset, score, fppi, miss_rate and precision."""
        parts = [curve.frame().assign(subset=name) for name, curve in self.curves.items()]
        return pd.concat(parts, ignore_index=True)


def miss_curves(
    gathered: Gathered,
    boxes: tuple[np.ndarray, np.ndarray],
    subsets: Mapping[str, Subset],
    rules: Rules,
    *,
    stretch: float = _INF,
    most: int | None = None,
) -> dict[str, MissCurve]:
    """The curve of each subset.

    Args:
        gathered: people and detections.
        boxes: what is compared of the people [N, 4] and of the detections [D, 4].
        subsets: by name; their heights are of these boxes.
        rules: of the benchmark.
        stretch: detections whose height is not within the range of a subset, divided and multiplied by this, are left
            out (Dollár's expanded filtering).
        most: detections of an image, those of the highest scores; None: all.
    """
    people, found = gathered.objects, gathered.found
    theirs, ours = (np.searchsorted(table.images, np.arange(gathered.num_images + 1)) for table in (people, found))
    heights, ours_heights = (part[:, 3] - part[:, 1] for part in boxes)
    inside = {name: ~people.ignored & one.members(heights, people.occlusion) for name, one in subsets.items()}
    kept = {name: _near(ours_heights, one, stretch) for name, one in subsets.items()}
    status = {name: np.full(len(found), IGNORED, np.uint8) for name in subsets}
    for image in np.flatnonzero(np.diff(ours)):
        rows = np.arange(*ours[image : image + 2])
        rows = rows[np.argsort(-found.scores[rows], kind="stable")][:most]
        there = slice(*theirs[image : image + 2])
        iou, ioa = overlaps(boxes[1][rows], boxes[0][there], rules.extra)
        for name in subsets:
            some = kept[name][rows]
            status[name][rows[some]] = judge(iou[some], ioa[some], inside[name][there], rules)
    counts = {name: np.bincount(people.images[one], minlength=gathered.num_images) for name, one in inside.items()}
    return {name: MissCurve.of(found.scores, found.images, status[name], counts[name], rules) for name in subsets}


def _near(heights: np.ndarray, subset: Subset, stretch: float) -> np.ndarray:
    """Which detections [D] have a height that a person of the subset could be found with."""
    low, high = subset.heights
    return (heights >= low / stretch) & ((heights < high * stretch) | (high == _INF))
