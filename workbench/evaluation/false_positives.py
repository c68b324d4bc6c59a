"""Recall at a fixed number of false positives, as face detectors are compared on FDDB, for any boxes or masks.

The detections of all classes and images are taken in order of falling score until one more would make the false
positives too many. Right, wrong and ignored are as in COCO (`counting/matching.py`): 100 detections per image and
class, and for a level of occlusion objects of all other levels are ignored; false positives are those of all levels.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.errors import DataError
from workbench.evaluation.counting import bootstrap
from workbench.evaluation.counting.matching import ELSEWHERE, RIGHT, THRESHOLDS, WRONG
from workbench.evaluation.counting.roc import Steps
from workbench.evaluation.occlusion import SUBSETS
from workbench.evaluation.result import RESAMPLES, Result


def recall_at_false_positives(result: Result, number: int = 1000, *, threshold: float = 0.5) -> pd.DataFrame:
    """The share of objects that are found before there are more than `number` false positives in all images.

    Args:
        result: of any detector of objects.
        number: of false positives, at least 0.
        threshold: least IoU, one of 0.50, 0.55 … 0.95.

    Returns:
        One row for all objects, for each level of occlusion, and for "occluded": n objects, recall, its 95 % interval
        (low, high), and score, the lowest that a detection then has (NaN where even the best makes too many).

    Raises:
        DataError: another threshold, or a number below 0.

    Example:
        >>> data = wb.load_data("digit-scenes", split="test").subset(range(20))
        >>> result = wb.evaluate("digit-scenes/faster-rcnn", data, progress=False)
        >>> table = recall_at_false_positives(result, 20)
        >>> bool(table.loc["< 5 %", "recall"] > table.loc["≥ 60 %", "recall"])
        True
    """
    nearest = int(np.abs(THRESHOLDS - threshold).argmin())
    if abs(THRESHOLDS[nearest] - threshold) > 1e-6:
        raise DataError(f"threshold {threshold} is not one of {THRESHOLDS.round(2).tolist()}.")
    if number < 0:
        raise DataError(f"{number} false positives were asked for; expected a number from 0 on")
    weights = bootstrap.resample_images(result.num_images, RESAMPLES)
    matches, counts, rows = result.matches, result.matches.counts().sum(axis=2), {}  # [A, I]
    for subset, name in enumerate(SUBSETS):
        status = matches.status[subset, nearest]
        columns = (matches.scores, matches.images, status == RIGHT, np.isin(status, (WRONG, ELSEWHERE)))
        steps = Steps.by_score(columns, counts[subset])
        recall = float(steps.recall_at(number)[0])
        low, high = np.clip(bootstrap.interval(recall, steps.recall_at(number, weights)), 0.0, 1.0)
        curve = steps.curve()
        score = curve.loc[curve["false_positives"] <= number, "score"].min()
        rows[name] = (int(counts[subset].sum()), recall, low, high, score)
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["n", "recall", "low", "high", "score"])
    table.attrs["note"] = f"{result.data} {result.split}: IoU ≥ {threshold:g}, at most {number} false positives"
    return table.rename_axis("objects")
