"""Objects by how much of them is hidden.

A subset is a range of occlusion; objects outside it are ignored, not missed, as outside COCO's area ranges; and what
is wrong at one of them is not wrong of the subset (`counting/matching.py`).
An object of unknown occlusion (NaN) belongs to the subset "all" only.
"""

from __future__ import annotations

import numpy as np

UNOCCLUDED = 0.05  #: below this hidden fraction an object counts as unoccluded
OCCLUDED = 0.20  #: from this hidden fraction on an object counts as occluded

#: Name of each level and its range of hidden fractions, from (inclusive) to (exclusive).
BINS: dict[str, tuple[float, float]] = {
    "< 5 %": (0.0, UNOCCLUDED),
    "5–20 %": (UNOCCLUDED, OCCLUDED),
    "20–40 %": (OCCLUDED, 0.40),
    "40–60 %": (0.40, 0.60),
    "≥ 60 %": (0.60, np.inf),
}
_ALL = (-np.inf, np.inf)

#: Every choice of objects that is scored. The first level is the unoccluded objects.
SUBSETS: dict[str, tuple[float, float]] = {
    "all": _ALL,
    **BINS,
    "occluded": (OCCLUDED, np.inf),
}


def members(occlusion: np.ndarray, ignored: np.ndarray) -> np.ndarray:
    """Which objects [A, N] belong to each of SUBSETS, given their occlusion [N] and who is ignored [N]."""
    hidden = occlusion.astype(np.float32)  # 0.2 written as float32 must not fall below 0.2 written as float64
    rows = [
        ~ignored if (low, high) == _ALL else ~ignored & (hidden >= np.float32(low)) & (hidden < np.float32(high))
        for low, high in SUBSETS.values()
    ]
    return np.stack(rows)


def note(occlusion: np.ndarray, ignored: np.ndarray, *, estimate: bool = False, figure: str = "AP") -> str | None:
    """What a reader of a `figure` by occlusion must know if occlusion is unknown or an estimate; None if nothing."""
    counted = occlusion[~ignored]
    unknown = int(np.isnan(counted).sum())
    if len(counted) and unknown == len(counted):
        return f"The occlusion of the objects of this data set is unknown, so {figure} by occlusion cannot be given."
    sentences = []
    if estimate:
        sentences.append("Occlusion is an estimate from overlapping masks.")
    if unknown:
        sentences.append(
            f"The occlusion of {unknown} of {len(counted)} objects is unknown; "
            f"they are ignored in {figure} by occlusion, neither found nor missed."
        )
    return " ".join(sentences) or None
