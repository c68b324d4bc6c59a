"""What the measures of face benchmarks share: what they are given, and the result that they give.

`fddb`, `wider_face` and `mafa` take what `evaluate` gives (or one `Detections` per image) and the data set, whose
targets have the keys of that benchmark. `evaluate` itself adds their figures to its summary where the data set says
that it belongs to one (`Dataset.benchmark`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.data import Dataset
from workbench.errors import DataError
from workbench.evaluation.counting import bootstrap
from workbench.evaluation.counting.checks import check_detections
from workbench.evaluation.counting.tables import Found, Objects, gather_found, gather_objects
from workbench.evaluation.result import RESAMPLES, Result
from workbench.types import Detections

if TYPE_CHECKING:
    from workbench.types import Target

FoundFaces = Result | Found | Sequence[Detections]


@dataclass(frozen=True, eq=False)
class Faces:
    """The faces of a data set and what was found of them."""

    about: str  #: data set, split, version of the annotations, numbers and sizes, in words
    objects: Objects
    found: Found
    columns: dict[str, np.ndarray]  #: by key of the targets: [N, ...] for each face, or [I] for each image

    @property
    def num_images(self) -> int:
        """I."""
        return self.objects.num_images


def gather_faces(found: FoundFaces, data: Dataset, keys: Sequence[str], benchmark: str) -> Faces:
    """Faces with the columns that a benchmark needs, and what was found.

    Args:
        found: a result, a table, or one `Detections` per image of `data`.
        data: of one class.
        keys: of the targets.
        benchmark: its name, for messages; `load_data` gives its data set by this name.

    Raises:
        DataError: a target lacks a key or has one of another length, there are several classes, or what was found is
            about other images.
    """
    _check_data(data, benchmark)
    targets = [data.target(index) for index in range(len(data))]
    for index, target in enumerate(targets):
        _check_keys(target, keys, benchmark, data.where(index))
    sizes = [data.size(index) for index in range(len(data))]
    objects = gather_objects(targets, sizes)
    columns = {key: np.concatenate([np.asarray(target[key]).reshape(-1, *_ROWS.get(key, ())) for target in targets])
               for key in keys}  # fmt: skip
    return Faces(_about(data, objects), objects, _table(found, data, objects, sizes), columns)


_ROWS = {"ellipses": (5,)}  # shape of one row, where it is no single value


def _check_data(data: Dataset, benchmark: str) -> None:
    if not isinstance(data, Dataset):
        raise DataError(f"data is a {type(data).__name__}; expected a data set, as load_data gives one")
    if len(data) == 0:
        raise DataError(f"{data.name} {data.split} has no images to evaluate on.")
    if len(data.classes) != 1:
        raise DataError(f"{data.name} {data.split} has {len(data.classes)} classes; {benchmark} needs one, the face")


def _check_keys(target: Target, keys: Sequence[str], benchmark: str, where: str) -> None:
    missing = [key for key in keys if key not in target]
    if missing:
        lacks = " and ".join(f'target["{key}"]' for key in missing)
        raise DataError(
            f"{where}: there is no {lacks}, which the measure of {benchmark} needs; "
            f'load_data("{benchmark}", ...) gives such targets'
        )
    number = len(target["labels"])
    for key in keys:
        shape = tuple(np.shape(target[key]))
        expected = () if key == "fold" else (number, *_ROWS.get(key, ()))
        if shape != expected:
            raise DataError(f'{where}: target["{key}"] has shape {list(shape)}, expected {list(expected)}')


def _table(found: FoundFaces, data: Dataset, objects: Objects, sizes: Sequence[tuple[int, int]]) -> Found:
    if isinstance(found, Found):
        return found
    if not isinstance(found, Result):
        check_detections(found, data, sizes, masks=False)
        return gather_found(found)
    if found.found is None:
        raise DataError(f"This result on {found.data} {found.split} was saved without its boxes. Evaluate again.")
    if found.fingerprint != objects.fingerprint():
        raise DataError(
            f"The result is on {found.data} {found.split} ({found.num_images} images), whose faces are not those of "
            f"{data.name} {data.split} ({len(data)} images). Give the data that it was made on."
        )
    return found.found


def _about(data: Dataset, objects: Objects) -> str:
    height, width = np.median(objects.sizes, axis=0)
    version = f", annotations {data.annotation_version}" if data.annotation_version else ""
    faces = f"{len(objects)} faces in {objects.num_images} images of {width:.0f} x {height:.0f} pixels (median)"
    return f"{data.name} {data.split}{version} (fingerprint {objects.fingerprint()}): {faces}"


class FaceResult(ABC):
    """The measure of a face benchmark for one detector.

    Figures are in 0..1, NaN where there are no faces to find. Intervals are 95 %, from a bootstrap over images (1000
    resamples, seed 0), computed when first asked for.
    """

    faces: Faces
    how: str  #: how it was computed, in words

    @abstractmethod
    def figures(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Every figure [B] by name, for weights [B, I] of the images."""

    @abstractmethod
    def counts(self) -> dict[str, int]:
        """The number of faces behind each figure."""

    @abstractmethod
    def frame(self) -> pd.DataFrame:
        """The curves, one row for each threshold of the score."""

    @cached_property
    def summary(self) -> dict[str, float]:
        """Figures by name."""
        once = np.ones((1, self.faces.num_images), np.float32)
        return {name: float(value[0]) for name, value in self.figures(once).items()}

    @cached_property
    def _samples(self) -> dict[str, np.ndarray]:
        return self.figures(bootstrap.resample_images(self.faces.num_images, RESAMPLES))

    def table(self) -> pd.DataFrame:
        """Every figure with its interval (low, high) and number of faces n; `.attrs["note"]` says how it was made."""
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
        return f"{self.faces.about}. {self.how}"

    def __repr__(self) -> str:
        parts = ", ".join(f"{name} {value:.3f}" for name, value in self.summary.items())
        return f"{type(self).__name__}({parts})\n{self.note}"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.note)}</p>" + self.table().to_html(float_format="{:.3f}".format, na_rep="–")
