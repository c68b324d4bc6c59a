"""What is verified next (T.-Y. Lin's thesis, app. A), by the rules of `stages`: for whom, and known bad ones.

Where we depart from it: a grid of fewer segments has fewer bad ones in proportion, and they are real segments that
were spoilt, since nobody has a stock of known bad ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from scipy import ndimage

from workbench.annotation.stages import GRID, KNOWN_BAD, TO_FIND, verdict


def planted(good: int) -> int:
    """How many known bad segments go into a grid with so many others: 4 with 60, at least one.

    Example:
        >>> [planted(number) for number in (60, 20, 1, 0)]
        [4, 2, 1, 0]
    """
    return min(KNOWN_BAD, math.ceil(good * KNOWN_BAD / (GRID - KNOWN_BAD)))


def passes(number: int, found: int) -> bool:
    """Whether a worker who found so many of a number of known bad segments has found enough: 3 of 4."""
    return found >= math.ceil(number * TO_FIND / KNOWN_BAD)


def to_judge(
    segments: Mapping[int | str, str], votes: Mapping[int | str, Mapping[str, bool]], worker: str, most: int
) -> list[int | str]:
    """The segments that a worker is to judge, those with the most votes first.

    Args:
        segments: annotation → who drew it; nobody judges what they drew themselves.
        votes: annotation → worker → good.
        worker: who judges.
        most: how many there is room for.
    """
    open_ones = [
        one
        for one, drawer in segments.items()
        if drawer != worker and worker not in votes.get(one, {}) and _is_open(votes.get(one, {}))
    ]
    return sorted(open_ones, key=lambda one: -len(votes.get(one, {})))[:most]


def _is_open(votes: Mapping[str, bool]) -> bool:
    return verdict([not good for good in votes.values()]).state == "open"


def spoil(mask: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A bad segment out of a good one: shifted by half of its size, half of it lost, or far too wide.

    Args:
        mask: bool [H, W], not empty.
        generator: draws which.

    Returns:
        bool [H, W], not empty, with an IoU below 0.6 with the good one.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    kinds = generator.permutation(3)
    for kind in kinds:
        if kind == 0:
            sign = generator.choice([-1, 1], 2)
            bad = _shifted(mask, int(sign[0] * math.ceil(0.5 * height)), int(sign[1] * math.ceil(0.5 * width)))
        elif kind == 1:
            bad = mask.copy()
            if height > width:
                bad[rows[0] + height // 2 :] = False
            else:
                bad[:, columns[0] + width // 2 :] = False
        else:
            bad = ndimage.binary_dilation(mask, iterations=max(2, round(0.35 * math.sqrt(mask.sum()))))
        if bad.any() and (bad & mask).sum() < 0.6 * (bad | mask).sum():
            return bad
    return ~mask if not mask.all() else _corner(mask)


def _shifted(mask: np.ndarray, down: int, right: int) -> np.ndarray:
    return ndimage.shift(mask.astype(np.uint8), (down, right), order=0).astype(bool)


def _corner(mask: np.ndarray) -> np.ndarray:
    corner = np.zeros_like(mask)
    corner[: max(1, mask.shape[0] // 2), : max(1, mask.shape[1] // 2)] = True
    return corner
