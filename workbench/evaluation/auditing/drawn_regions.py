"""Regions of an image by how much they overlap the nearest object: what a detector says of them is asked for.

They are drawn, and depend on (seed, image id) and the objects alone: all detectors are asked about the same ones,
also those that have proposals of their own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench.evaluation.counting.tables import box_iou

#: IoU with the nearest object, from (inclusive) to (exclusive, but for 1).
RANGES: dict[str, tuple[float, float]] = {
    "0–0.1": (0.0, 0.1), "0.1–0.3": (0.1, 0.3), "0.3–0.5": (0.3, 0.5), "0.5–1": (0.5, 1.0),
}  # fmt: skip
UNSURE = 0.1  #: share of a region within objects that do not count from which nobody knows what it should be
_NEAR, _ANYWHERE = 512, 256  # candidates around objects, and all over the image


def range_of(iou: np.ndarray) -> np.ndarray:
    """The place in `RANGES` of each IoU [R]."""
    return np.searchsorted([low for low, _ in RANGES.values()], iou, side="right") - 1


def draw_regions(
    boxes: np.ndarray,
    ignored: np.ndarray,
    size: tuple[int, int],
    *,
    each: int,
    least_size: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Regions [R, 4] and their IoU [R] with the nearest object; at most `each` of every range, as far as found.

    Candidates are the boxes of objects moved and scaled, little or much, and boxes of any size anywhere.

    Args:
        boxes: [N, 4] of the objects, xyxy pixels.
        ignored: [N] bool, objects that do not count; a region lies by less than a tenth within each.
        size: height and width of the image, pixels.
        each: how many for each of `RANGES`.
        least_size: pixels, root of the area of the smallest region.
        rng: drawn from.
    """
    candidates = np.concatenate([_near(boxes[~ignored], rng), _anywhere(size, least_size, rng)])
    return chosen_regions(candidates, boxes, ignored, size, each=each, least_size=least_size)


def chosen_regions(
    candidates: np.ndarray,
    boxes: np.ndarray,
    ignored: np.ndarray,
    size: tuple[int, int],
    *,
    each: int,
    least_size: float,
) -> tuple[np.ndarray, np.ndarray]:
    """The first `each` candidates [M, 4] of every range, within the image, and their IoU; see `draw_regions`."""
    limits = np.array([size[1], size[0]] * 2, dtype=float)
    inside = np.clip(candidates, 0, limits)
    large = np.sqrt((inside[:, 2:] - inside[:, :2]).clip(min=0).prod(axis=1)) >= least_size
    sure = (_within(inside, boxes[ignored]) < UNSURE).all(axis=1)
    inside = inside[large & sure]
    own = boxes[~ignored]
    iou = box_iou(own, inside).max(axis=0) if len(own) else np.zeros(len(inside))
    place = range_of(iou)
    rows = np.concatenate([np.flatnonzero(place == one)[:each] for one in range(len(RANGES))])
    return inside[rows], iou[rows]


def _near(boxes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Boxes of objects, each moved and scaled by a share of itself that is drawn as well."""
    if not len(boxes):
        return np.zeros((0, 4))
    own = boxes[rng.integers(len(boxes), size=_NEAR)]
    strength = rng.random((_NEAR, 1))
    sides, middle = own[:, 2:] - own[:, :2], (own[:, :2] + own[:, 2:]) / 2
    middle = middle + 0.6 * strength * sides * rng.standard_normal((_NEAR, 2))
    sides = sides * np.exp(0.6 * strength * rng.standard_normal((_NEAR, 2)))
    return np.concatenate([middle - sides / 2, middle + sides / 2], axis=1)


def _anywhere(size: Sequence[int], least_size: float, rng: np.random.Generator) -> np.ndarray:
    """Boxes whose sides are drawn evenly on a scale of ratios, anywhere in the image."""
    whole = np.array([size[1], size[0]], dtype=float)
    least = np.minimum(max(least_size, 1.0), whole)
    sides = least * (whole / least) ** rng.random((_ANYWHERE, 2))
    corner = rng.random((_ANYWHERE, 2)) * (whole - sides)
    return np.concatenate([corner, corner + sides], axis=1)


def _within(regions: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The share [R, N] of each region that lies in each box."""
    low = np.maximum(regions[:, None, :2], boxes[None, :, :2])
    high = np.minimum(regions[:, None, 2:], boxes[None, :, 2:])
    area = (regions[:, 2:] - regions[:, :2]).clip(min=0).prod(axis=1)
    return (high - low).clip(min=0).prod(axis=2) / np.maximum(area, 1e-9)[:, None]
