"""Annotations of COCO files as columns: those that are plainly good many at once, the others kept aside."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

_NUMBER = {int, float}


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
            self._parts.append(part)
            self.has_occlusion = self.has_occlusion or any("occlusion" in entry for entry in chunk)
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
        """The plain entries: keys of COCO, `position`, `shape` (0 or 1), `parts`, `points` and `point_starts`."""
        parts, self._parts = self._parts or [_columns([], self.masks) | {"position": np.zeros(0, np.int64)}], []
        joined = {name: np.concatenate([part.pop(name) for part in parts]) for name in list(parts[0])}
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
        if columns["has_area"][row]:
            entry["area"] = float(columns["area"][row])
        occlusion = float(columns["occlusion"][row])
        entry["occlusion"] = None if np.isnan(occlusion) else occlusion
        starts = columns["point_starts"]
        entry["segmentation"] = [
            columns["points"][starts[part] : starts[part + 1]].tolist() for part in range(*columns["parts"][row])
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
    found["has_area"] = np.array(["area" in entry for entry in chunk], bool)
    found["area"] = _real([entry.get("area", 0) for entry in chunk], most=1e12)
    shares = [entry.get("occlusion") for entry in chunk]
    known = np.array([share is not None for share in shares], bool)
    found["occlusion"] = np.full(len(chunk), np.nan)
    found["occlusion"][known] = _real([share for share in shares if share is not None], most=math.nextafter(1.0, 2.0))
    return found | _polygons([entry.get("segmentation") if masks else None for entry in chunk])


def _whole(values: list[Any]) -> np.ndarray:
    if not set(map(type, values)) <= {int}:
        raise _Odd
    return np.array(values, np.int64)


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
    points = np.array(array("d", chain.from_iterable(polygons)))
    if not np.isfinite(points).all():
        raise _Odd
    counts = np.array(list(map(len, lists)), np.int64)
    return {"shape": (counts > 0).astype(np.uint8), "polygons": counts, "lengths": lengths, "points": points}
