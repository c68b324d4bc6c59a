"""What the measures of benchmarks share: what they are given, and the result that they give.

They take what `evaluate` gives (or one `Detections` per image) and the data set, whose targets have the keys of that
benchmark. `evaluate` itself adds their figures to its summary where the data set says that it belongs to one
(`Dataset.benchmark`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.cards import notes_and_tables
from workbench.data import Dataset
from workbench.errors import DataError
from workbench.evaluation.counting import bootstrap
from workbench.evaluation.counting.checks import check_detections
from workbench.evaluation.counting.tables import Found, Objects, gather_found, gather_objects, joined
from workbench.evaluation.result import RESAMPLES, Result
from workbench.types import Detections

if TYPE_CHECKING:
    from workbench.types import Target

FoundObjects = Result | Found | Sequence[Detections]
_ROWS = {"ellipses": (5,), "boxes_full": (4,)}  # shape of one row, where it is no single value
_OF_IMAGES = {"fold", "foreground_level", "background_level"}  # one value for each image
_CHUNK = 256  # images whose targets are in memory at once
_RESAMPLES_AT_ONCE = 100  # whose weights of the images are in memory


@dataclass(frozen=True, eq=False)
class Gathered:
    """The objects of a data set and what was found of them."""

    about: str  #: data set, split, version of the annotations, numbers and sizes, in words
    objects: Objects
    found: Found
    columns: dict[str, np.ndarray]  #: by key of the targets: [N, ...] for each object, or [I] for each image

    @property
    def num_images(self) -> int:
        """I."""
        return self.objects.num_images


def gather(
    found: FoundObjects,
    data: Dataset,
    keys: Sequence[str],
    benchmark: str,
    *,
    noun: str = "face",
    single: bool = True,
) -> Gathered:
    """Objects with the columns that a benchmark needs, and what was found.

    Args:
        found: a result, a table, or one `Detections` per image of `data`.
        data: its targets have the keys; no picture is decoded.
        keys: of the targets.
        benchmark: its name, for messages; `load_data` gives its data set by this name.
        noun: what an object is.
        single: whether there must be one class, the noun.

    Raises:
        DataError: a target lacks a key or has one of another length, there are several classes, or what was found is
            about other images.
    """
    _check_data(data, benchmark, noun if single else None)
    sizes = [data.size(index) for index in range(len(data))]
    objects, parts = [], {key: [np.zeros((0, *_ROWS.get(key, ())))] for key in keys}
    for first in range(0, len(data), _CHUNK):
        targets = []
        for index in range(first, min(first + _CHUNK, len(data))):
            targets.append(target := data.target(index))
            _check_keys(target, keys, benchmark, partial(data.where, index))
            for key in keys:
                parts[key].append(np.asarray(target[key]).reshape(-1, *_ROWS.get(key, ())))
        objects.append(gather_objects(targets, sizes[first : first + _CHUNK], first=first))
    every = joined(objects)
    columns = {key: np.concatenate(values[1:]) for key, values in parts.items()}
    return Gathered(_about(data, every, noun), every, _table(found, data, every, noun), columns)


def _check_data(data: Dataset, benchmark: str, noun: str | None) -> None:
    if not isinstance(data, Dataset):
        raise DataError(f"data is a {type(data).__name__}; expected a data set, as load_data gives one")
    if len(data) == 0:
        raise DataError(f"{data.name} {data.split} has no images to evaluate on.")
    if noun is not None and len(data.classes) != 1:
        raise DataError(
            f"{data.name} {data.split} has {len(data.classes)} classes; {benchmark} needs one, the {noun}"
        )


def _check_keys(target: Target, keys: Sequence[str], benchmark: str, where: Callable[[], str]) -> None:
    missing = [key for key in keys if key not in target]
    if missing:
        lacks = " and ".join(f'target["{key}"]' for key in missing)
        raise DataError(
            f"{where()}: there is no {lacks}, which the measure of {benchmark} needs; "
            f'load_data("{benchmark}", ...) gives such targets'
        )
    number = len(target["labels"])
    for key in keys:
        shape = tuple(np.shape(target[key]))
        expected = () if key in _OF_IMAGES else (number, *_ROWS.get(key, ()))
        if shape != expected:
            raise DataError(f'{where()}: target["{key}"] has shape {list(shape)}, expected {list(expected)}')


def _table(found: FoundObjects, data: Dataset, objects: Objects, noun: str) -> Found:
    if isinstance(found, Found):
        return found
    if not isinstance(found, Result):
        masks = len(found) > 0 and all(one.masks is not None for one in found)
        check_detections(found, data, [(int(h), int(w)) for h, w in objects.sizes], masks=masks)
        return gather_found(found, masks=masks)
    if found.found is None:
        raise DataError(f"This result on {found.data} {found.split} was saved without its boxes. Evaluate again.")
    if found.fingerprint != objects.fingerprint():
        raise DataError(
            f"The result is on {found.data} {found.split} ({found.num_images} images), whose {noun}s are not those "
            f"of {data.name} {data.split} ({len(data)} images). Give the data that it was made on."
        )
    return found.found if found.masks is None else replace(found.found, masks=found.masks)


def _about(data: Dataset, objects: Objects, noun: str) -> str:
    height, width = np.median(objects.sizes, axis=0)
    version = f", annotations {data.annotation_version}" if data.annotation_version else ""
    many = f"{len(objects)} {noun}s in {objects.num_images} images of {width:.0f} x {height:.0f} pixels (median)"
    return f"{data.name} {data.split}{version} (fingerprint {objects.fingerprint()}): {many}"


class BenchmarkResult(ABC):
    """The measure of a benchmark for one detector.

    Figures are in 0..1, NaN where there are no objects to find. Intervals are 95 %, from a bootstrap over images
    (1000 resamples, seed 0), computed when first asked for.
    """

    gathered: Gathered
    how: str  #: how it was computed, in words

    @abstractmethod
    def figures(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Every figure [B] by name, for weights [B, I] of the images."""

    @abstractmethod
    def counts(self) -> dict[str, int]:
        """The number of objects behind each figure."""

    @abstractmethod
    def frame(self) -> pd.DataFrame:
        """The curves, one row for each threshold of the score."""

    @cached_property
    def summary(self) -> dict[str, float]:
        """Figures by name."""
        once = np.ones((1, self.gathered.num_images), np.float32)
        return {name: float(value[0]) for name, value in self.figures(once).items()}

    @cached_property
    def _samples(self) -> dict[str, np.ndarray]:
        generator, number = np.random.default_rng(0), self.gathered.num_images
        parts = []
        for first in range(0, RESAMPLES, _RESAMPLES_AT_ONCE):
            draws = min(_RESAMPLES_AT_ONCE, RESAMPLES - first)
            parts.append(self.figures(bootstrap.resample_images(number, draws, generator)))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def table(self) -> pd.DataFrame:
        """Every figure, its interval (low, high) and number of objects n; `.attrs["note"]` says how it was made."""
        counts, rows = self.counts(), {}
        for name, value in self.summary.items():
            span = bootstrap.interval(value, self._samples[name])
            rows[name] = (value, *np.clip(span, 0.0, 1.0), counts[name])
        table = pd.DataFrame.from_dict(rows, orient="index", columns=["value", "low", "high", "n"])
        table.attrs["note"] = self.note
        return table.rename_axis("figure")

    @property
    def note(self) -> str:
        """What the figures are about and how they were computed."""
        return f"{self.gathered.about}. {self.how}"

    def __repr__(self) -> str:
        parts = ", ".join(f"{name} {value:.3f}" for name, value in self.summary.items())
        return f"{type(self).__name__}({parts})\n{self.note}"

    def _repr_html_(self) -> str:
        return notes_and_tables([self.note], self.table())
