"""Several detectors on one data set as one table: their figures, and paired differences from the first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from workbench.data import Dataset
from workbench.errors import DataError
from workbench.evaluation.load import as_result
from workbench.evaluation.result import Result, difference

FIGURES = ("AP", "AP50", "AP_unoccluded", "AP_occluded")


def side_by_side(detectors: Mapping[str, Any], data: Dataset, *, progress: bool = True) -> pd.DataFrame:
    """The figures of several detectors on the same images, each with its 95 % interval, and how they differ.

    The intervals know the chance in the choice of images, not that of training; `wb.compare` trains with several
    seeds.

    Args:
        detectors: name → a detector of any kind (also of `wb.wrap`), a `Run`, a path, a `Result` or its file, or a
            file of COCO results.
        data: what all are evaluated on, where they are no results yet.
        progress: show bars.

    Returns:
        Indexed by (figure, detector): value, low, high; difference, difference_low, difference_high from the first
        detector (NaN for itself), by a paired bootstrap over images.

    Raises:
        DataError: there are none, or they are about other data.

    Example:
        >>> data = wb.load_data("digit-scenes", split="test", length=8)
        >>> names = {"plain": "digit-scenes/faster-rcnn", "hardened": "digit-scenes/faster-rcnn+ia"}
        >>> table = side_by_side(names, data, progress=False)
        >>> table.loc["AP"].index.tolist(), table.columns.tolist()[:3]
        (['plain', 'hardened'], ['value', 'low', 'high'])
    """
    if not isinstance(detectors, Mapping) or not detectors:
        raise DataError("side_by_side takes a dict, name → detector or result, of at least one")
    results = {str(name): as_result(one, data, progress=progress) for name, one in detectors.items()}
    first, columns = next(iter(results.values())), ["value", "low", "high"]
    rows = {}
    for name, result in results.items():
        own = result.table()
        apart = None if result is first else _from(first, result)
        for figure in FIGURES:
            rows[figure, name] = [
                *own.loc[figure, columns],
                *([float("nan")] * 3 if apart is None else apart[figure]),
            ]
    index = [(figure, name) for figure in FIGURES for name in results]
    columns += ["difference", "difference_low", "difference_high"]
    table = pd.DataFrame([rows[one] for one in index], columns=columns)
    table.index = pd.MultiIndex.from_tuples(index, names=["figure", "detector"])
    return table


def _from(first: Result, other: Result) -> dict[str, list[float]]:
    """Of each figure the difference of a result from the first one, and its interval; NaN for that itself."""
    if first is other:
        return {figure: [float("nan")] * 3 for figure in FIGURES}
    table = difference(first, other)
    return {figure: [float(table.loc[figure, one]) for one in ("difference", "low", "high")] for figure in FIGURES}
