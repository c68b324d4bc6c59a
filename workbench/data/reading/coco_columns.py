"""Annotations of COCO files as columns: those that are plainly good many at once, the others kept aside."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

WITHOUT, POLYGONS, CODE = 0, 1, 2  #: values of `shape`
_NUMBER = {int, float}
_ABSENT = object()  # in place of the value of a key that an entry does not have


class _Odd(Exception):
    """Something in a chunk is not as it mostly is."""


class Gatherer:
    """Takes annotations chunk by chunk.

    An entry is plain if its types are right and its numbers finite, and it has polygons of three points or more, or
    no segmentation. Whether ids and boxes fit the rest of the file is left to who knows it.

    Args:
        masks: whether to gather segmentations.
    """

    def __init__(self, masks: bool):
        self.masks = masks
        self.has_occlusion = False
        self.odd: dict[int, Any] = {}  #: what is not plain, by position in the file
        self.points = array("d")  #: x and y in turn of the plain polygons; an array that grows is there only once
        self._parts: list[dict[str, np.ndarray]] = []
        self._count = 0

    def add(self, chunk: list[Any]) -> None:
        """Take the next entries of the file."""
        places = range(self._count, self._count + len(chunk))
        self._count += len(chunk)
        codes = _codes(chunk, places) if self.masks else {}
        for place, item in codes.items():
            self._keep_aside(place, item)
        rest = [(p, item) for p, item in zip(places, chunk, strict=True) if p not in codes] if codes else None
        if rest is not None:
            chunk = [item for _, item in rest]
        if chunk:
            self._add(chunk, places if rest is None else [p for p, _ in rest])

    def _add(self, chunk: list[Any], places: Sequence[int]) -> None:
        try:
            part = _columns(chunk, self.masks)
            part["position"] = np.array(places, np.int64)
            self.points.frombytes(part.pop("points").view(np.uint8))
            self._parts.append(part)
        except (_Odd, KeyError, TypeError, ValueError, OverflowError, AttributeError):
            if len(chunk) == 1:
                self._keep_aside(places[0], chunk[0])
                return
            middle = len(chunk) // 2
            self._add(chunk[:middle], places[:middle])
            self._add(chunk[middle:], places[middle:])

    def _keep_aside(self, place: int, item: Any) -> None:
        self.odd[place] = item
        self.has_occlusion |= isinstance(item, dict) and "occlusion" in item

    def columns(self) -> dict[str, np.ndarray]:
        """The plain entries: keys of COCO, `position`, `shape` (0 or 1), `parts` and `point_starts`."""
        if not self._parts:
            self._add([], [])
        parts, self._parts = self._parts, []
        joined = {name: np.concatenate([part.pop(name) for part in parts]) for name in list(parts[0])}
        self.has_occlusion |= not joined.pop("without_occlusion").all()
        ends = np.cumsum(joined.pop("polygons"))
        joined["parts"] = np.stack([np.concatenate([[0], ends[:-1]])[: len(ends)], ends], axis=1).astype(np.int64)
        joined["point_starts"] = np.concatenate([[0], np.cumsum(joined.pop("lengths"))]).astype(np.int64)
        return joined

    def entry(self, columns: dict[str, np.ndarray], row: int) -> dict[str, Any]:
        """A plain entry as the file had it, but for the keys that nobody looks at."""
        entry: dict[str, Any] = {
            key: int(columns[key][row]) for key in ("id", "image_id", "category_id", "iscrowd", "difficult")
        }
        entry["bbox"] = columns["bbox"][row].tolist()
        if not np.isnan(columns["area"][row]):
            entry["area"] = float(columns["area"][row])
        occlusion = float(columns["occlusion"][row])
        entry["occlusion"] = None if np.isnan(occlusion) else occlusion
        starts = columns["point_starts"]
        entry["segmentation"] = [
            self.points[starts[part] : starts[part + 1]].tolist() for part in range(*columns["parts"][row])
        ]
        return entry


def _codes(chunk: list[Any], places: Sequence[int]) -> dict[int, Any]:
    """The entries that have an RLE, which are looked at by themselves, by their places."""
    kinds = [type(item.get("segmentation")) if type(item) is dict else None for item in chunk]
    if dict not in kinds:
        return {}
    return {place: item for place, item, kind in zip(places, chunk, kinds, strict=True) if kind is dict}


def _columns(chunk: list[dict[str, Any]], masks: bool) -> dict[str, np.ndarray]:
    """The columns of entries that are all plain. Raises one of many errors where one is not."""
    found = {key: _whole([entry[key] for entry in chunk]) for key in ("id", "image_id", "category_id")}
    for key in ("iscrowd", "difficult"):
        found[key] = _whole([entry.get(key, 0) for entry in chunk]) != 0
    found["bbox"] = _boxes([entry["bbox"] for entry in chunk])
    found["area"], _ = _known([entry.get("area", _ABSENT) for entry in chunk], most=1e12)
    shares = [entry.get("occlusion", _ABSENT) for entry in chunk]
    found["occlusion"], found["without_occlusion"] = _known(shares, most=math.nextafter(1.0, 2.0), null=True)
    return found | _polygons([entry.get("segmentation") if masks else None for entry in chunk])


def _whole(values: list[Any]) -> np.ndarray:
    if not set(map(type, values)) <= {int}:
        raise _Odd
    return np.array(values, np.int64)


def _known(values: list[Any], most: float, *, null: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Numbers [N], NaN where there is none, and for which of them the key is absent [N].

    Args:
        values: of the key; `_ABSENT` where an entry does not have it.
        most: below which they are.
        null: whether they may be null.
    """
    if set(map(type, values)) <= _NUMBER:  # mostly
        return _real(values, most), np.zeros(len(values), bool)
    absent = np.array([value is _ABSENT for value in values], bool)
    known = ~absent & np.array([not (null and value is None) for value in values], bool)
    numbers = np.full(len(values), np.nan)
    numbers[known] = _real([value for value, one in zip(values, known.tolist(), strict=True) if one], most)
    return numbers, absent


def _real(values: list[Any], most: float) -> np.ndarray:
    if not set(map(type, values)) <= _NUMBER:
        raise _Odd
    numbers = np.array(values, np.float64)
    if not ((numbers >= 0) & (numbers < most)).all():
        raise _Odd
    return numbers


def _boxes(boxes: list[Any]) -> np.ndarray:
    if not (set(map(type, boxes)) <= {list} and set(map(len, boxes)) <= {4}):
        raise _Odd
    flat = list(chain.from_iterable(boxes))
    if not set(map(type, flat)) <= _NUMBER:
        raise _Odd
    numbers = np.array(flat, np.float64).reshape(-1, 4)
    if not np.isfinite(numbers).all():
        raise _Odd
    return numbers


def _polygons(values: list[Any]) -> dict[str, np.ndarray]:
    """Polygons of entries: how many each has, the length of each and all their points."""
    lists = [[] if value is None else value for value in values]
    if not set(map(type, lists)) <= {list}:
        raise _Odd
    polygons = list(chain.from_iterable(lists))
    lengths = np.array(list(map(len, polygons)), np.int64)
    if not set(map(type, polygons)) <= {list} or (lengths < 6).any() or (lengths % 2).any():
        raise _Odd
    points = np.fromiter(chain.from_iterable(polygons), np.float64, int(lengths.sum()))
    if not np.isfinite(points).all():
        raise _Odd
    counts = np.array(list(map(len, lists)), np.int64)
    found = {"shape": (counts > 0).astype(np.uint8), "polygons": counts, "lengths": lengths, "points": points}
    return found | _extents(points.reshape(-1, 2), (np.cumsum(lengths) - lengths) // 2)


def _extents(points: np.ndarray, starts: np.ndarray) -> dict[str, np.ndarray]:
    """The lowest and highest x and y of polygons [P, 2], and their areas [P] by the shoelace formula.

    Args:
        points: [n, 2] x and y of all polygons, one after the other.
        starts: [P] first point of each.
    """
    if len(starts) == 0:
        return {"low": np.zeros((0, 2)), "high": np.zeros((0, 2)), "outlined": np.zeros(0)}
    low, high = (reduce.reduceat(points, starts, axis=0) for reduce in (np.minimum, np.maximum))
    x, y = points.T
    cross = np.empty(len(points))
    cross[:-1] = x[:-1] * y[1:] - x[1:] * y[:-1]
    ends = np.append(starts[1:], len(points)) - 1
    cross[ends] = x[ends] * y[starts] - x[starts] * y[ends]
    return {"low": low, "high": high, "outlined": np.abs(np.add.reduceat(cross, starts)) / 2}
