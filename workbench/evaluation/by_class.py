"""Which classes gain and which lose, as in Fig. 5 of A-Fast-RCNN.

Few objects of a class make wide intervals, and of twenty classes one will exclude 0 by chance: read them together.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.errors import DataError
from workbench.evaluation import occlusion
from workbench.evaluation.counting import bootstrap
from workbench.evaluation.result import RESAMPLES, Result, check_comparable
from workbench.evaluation.voc import voc_ap

MEASURES = ("AP", "AP50", "VOC2007", "VOC2012")


def difference_by_class(
    a: Result,
    b: Result,
    *,
    measure: str = "AP",
    resamples: int = RESAMPLES,
    seed: int | np.random.Generator = 0,
) -> pd.DataFrame:
    """How much better `b` is than `a` in each class, by a paired bootstrap over images.

    One row per class: n objects, a, b, difference (b - a) and its 95 % interval low, high; NaN for classes without
    objects.

    Args:
        measure: COCO's "AP" or "AP50", or VOC's AP of 2007 (11 points) or 2012 (area).

    Raises:
        DataError: another measure, or results on different images.

    Example:
        >>> data = wb.load_data("digit-scenes", split="test", length=2)
        >>> found = wb.load_detector("digit-scenes/faster-rcnn").detect([image for image, _ in data])
        >>> sure = [one.above(0.9) for one in found]
        >>> table = difference_by_class(evaluate_detections(found, data), evaluate_detections(sure, data))
        >>> bool((table["difference"].dropna() <= 0).all())  # what is left out cannot be right
        True
    """
    check_comparable(a, b)
    if measure not in MEASURES:
        raise DataError(f"there is no measure {measure!r}; choose one of {', '.join(MEASURES)}")
    weights = bootstrap.resample_images(a.num_images, resamples, seed)
    first, second = (by_class_samples(result, measure, None)[0] for result in (a, b))  # [K]
    samples = by_class_samples(b, measure, weights) - by_class_samples(a, measure, weights)  # [B, K]
    spans = [bootstrap.interval(gain, some) for gain, some in zip(second - first, samples.T, strict=True)]
    columns = {
        "n": a.by_class["n"].to_numpy(),
        "a": first,
        "b": second,
        "difference": second - first,
        "low": [low for low, _ in spans],
        "high": [high for _, high in spans],
    }
    return pd.DataFrame(columns, index=pd.Index(a.classes, name="class"))


def by_class_samples(result: Result, measure: str, weights: np.ndarray | None) -> np.ndarray:
    """A measure of each class [B, K] for image weights [B, I], or [1, K] without weights.

    Args:
        result: of objects.
        measure: one of `MEASURES`.
        weights: how often each image counts.
    """
    if measure.startswith("VOC"):
        return voc_ap(result.voc_matches, int(measure[3:]), weights)
    everything = list(occlusion.SUBSETS).index("all")
    ap = bootstrap.average_precision(result.matches, weights)[:, everything]  # [B, K, T]
    return ap.mean(axis=2) if measure == "AP" else ap[:, :, 0]
