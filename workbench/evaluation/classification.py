"""Score what a network says of whole images: right or wrong for a classifier, the squared error for a decoder.

A table has a column for clean images and one for each ratio and place of the occlusion, as the data set names
them, and "occluded" over all occluded images (Cen et al. 2021: every pattern weighs the same). Intervals are a
bootstrap over the clean images that all others are made from: those of one source are not independent.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from workbench.cards import notes_and_tables
from workbench.errors import DataError
from workbench.evaluation.counting import bootstrap, saved
from workbench.evaluation.counting.batches import LossMeans, batches
from workbench.files import write_json
from workbench.types import Target

if TYPE_CHECKING:
    from workbench.data import Dataset
    from workbench.detectors import Classifier, Detector

RESAMPLES = 1000  #: bootstrap resamples behind every 95 % interval
FORMAT = "occlusion-workbench image result 1"
_ARRAYS = ("labels", "predictions", "patterns", "sources", "values")


@dataclass(frozen=True, eq=False)
class ImageResult:
    """The evaluation of one classifier or decoder on one data set.

    Figures are means of `values` over the images of a column, NaN where it has none. Intervals are 95 %, computed
    when first asked for.

    Example:
        >>> data = wb.load_data("digits", split="test").subset(range(60))
        >>> result = wb.evaluate("dfv/digits-c", data, progress=False)
        >>> ImageResult.load(result.save("result.json")).summary["accuracy_clean"] > 0.8
        True
    """

    data: str  #: name of the data set
    split: str
    classes: tuple[str, ...]
    measure: str  #: "accuracy" or "mse"
    columns: dict[str, tuple[int, ...]]  #: patterns of each column
    labels: np.ndarray  #: [I] 1..K
    predictions: np.ndarray  #: [I] 1..K; 0 where there is none
    patterns: np.ndarray  #: [I] 0 = clean
    sources: np.ndarray  #: [I] which clean image each is made from
    values: np.ndarray  #: [I] float32: 1 = right and 0 = wrong, or the squared error
    losses: dict[str, float] | None = None  #: mean losses by name, if asked for
    pixels: str = ""  #: digest of the images in order; "" in files written before there was one

    @property
    def num_images(self) -> int:
        """Images evaluated, occluded ones included."""
        return len(self.values)

    @property
    def num_sources(self) -> int:
        """Clean images that they are made from."""
        return len(np.unique(self.sources))

    @cached_property
    def summary(self) -> dict[str, float]:
        """Figures by name, such as accuracy_clean, accuracy_20_centre, accuracy_occluded."""
        figures = self._figures(np.ones((1, self.num_sources), np.float32))
        return {f"{self.measure}_{name}": float(value[0]) for name, value in figures.items()}

    @property
    def fingerprint(self) -> str:
        """Equal for equal images, by their pixels too where these are known."""
        return self._fingerprint(self.pixels)

    def _fingerprint(self, pixels: str) -> str:
        digest = hashlib.sha256()
        for values in (self.labels, self.patterns, self.sources):
            digest.update(np.ascontiguousarray(values, dtype="<i8").tobytes())
        digest.update(pixels.encode())
        return digest.hexdigest()[:16]

    def sees_images_of(self, other: ImageResult) -> bool:
        """Whether both are on the same images; a result without digest is compared by the rest."""
        known = bool(self.pixels and other.pixels)
        first, second = (one._fingerprint(one.pixels if known else "") for one in (self, other))
        return first == second

    def table(self) -> pd.DataFrame:
        """Every figure with its interval (low, high) and its number of images n."""
        rows = {}
        for name, samples in self._figures(self._weights()).items():
            value = self.summary[f"{self.measure}_{name}"]
            low, high = bootstrap.interval(value, samples)
            top = 1.0 if self.measure == "accuracy" else np.inf
            count = int(np.isin(self.patterns, self.columns[name]).sum())
            rows[f"{self.measure}_{name}"] = (value, *np.clip((low, high), 0.0, top), count)
        return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "low", "high", "n"]).rename_axis(
            "figure"
        )

    @cached_property
    def by_class(self) -> pd.DataFrame:
        """One row per class and a column of figures per column of the table."""
        rows = {}
        for label, name in enumerate(self.classes, start=1):
            chosen = {
                c: self.values[(self.labels == label) & np.isin(self.patterns, p)] for c, p in self.columns.items()
            }
            rows[name] = {c: float(v.mean()) if len(v) else float("nan") for c, v in chosen.items()}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("class")

    @cached_property
    def by_pattern(self) -> pd.Series:
        """The figure of each pattern, 0 = clean."""
        return pd.Series(self.values).groupby(self.patterns).mean().rename_axis("pattern").rename(self.measure)

    def _weights(self, seed: int | np.random.Generator = 0) -> np.ndarray:
        return bootstrap.resample_images(self.num_sources, RESAMPLES, seed)

    def _figures(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Means [B] of each column for weights [B, S] of the sources."""
        place = np.unique(self.sources, return_inverse=True)[1]
        figures = {}
        for name, patterns in self.columns.items():
            chosen = np.isin(self.patterns, patterns)
            count = np.bincount(place[chosen], minlength=self.num_sources)
            total = np.bincount(place[chosen], self.values[chosen], minlength=self.num_sources)
            with np.errstate(invalid="ignore"):
                figures[name] = (weights @ total) / (weights @ count)
        return figures

    def __repr__(self) -> str:
        parts = [f"{name.removeprefix(self.measure + '_')} {value:.3f}" for name, value in self.summary.items()]
        return f"ImageResult({self.measure}: {', '.join(parts)}; {self._what()})"

    def _repr_html_(self) -> str:
        return notes_and_tables([self._what()], self.table())

    def _what(self) -> str:
        return f"{self.data} {self.split}, {self.num_images} images made from {self.num_sources}"

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write JSON; a reader sees the old file or the new one. What is not finite is null. Returns the path."""
        content: dict[str, Any] = {item.name: getattr(self, item.name) for item in fields(self)}
        content |= {name: content[name].tolist() for name in _ARRAYS}
        content |= {"format": FORMAT, "values": [_finite(round(float(value), 7)) for value in self.values]}
        if self.losses is not None:
            content["losses"] = saved.nan_to_none(self.losses)
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, content)
        return path

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ImageResult:
        """Read what `save` wrote; null is NaN.

        Raises:
            DataError: the file is something else; it is named.
        """
        return saved.read(path, FORMAT, cls._from_content, "ImageResult")

    @classmethod
    def _from_content(cls, content: dict[str, Any]) -> ImageResult:
        said = saved.plain(saved.ImageResultSaid, {key: content[key] for key in content.keys() - set(_ARRAYS)})
        said["columns"] = {name: tuple(patterns) for name, patterns in said["columns"].items()}
        return cls(**said, **_arrays(content, len(said["classes"])))


def _arrays(content: dict[str, Any], num_classes: int) -> dict[str, np.ndarray]:
    """The arrays in the content of a file. Raises ValueError if they are not of one length, or labels of no class."""
    kinds = dict.fromkeys(_ARRAYS, np.int64) | {"values": np.float32}
    arrays = {name: np.array(content[name], dtype=kind) for name, kind in kinds.items()}
    if len({array.shape for array in arrays.values()}) > 1 or arrays["values"].ndim != 1:
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items())
        raise ValueError(f"expected arrays of one length, got {shapes}")
    least = {"labels": 1, "predictions": 0, "patterns": 0, "sources": 0}
    for name, low in least.items():
        if (arrays[name] < low).any() or (name in ("labels", "predictions") and (arrays[name] > num_classes).any()):
            raise ValueError(f"{name} reach from {arrays[name].min()} to {arrays[name].max()}")
    return arrays


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def accuracy_difference(a: ImageResult, b: ImageResult, *, seed: int | np.random.Generator = 0) -> pd.DataFrame:
    """How much better `b` is than `a`, by a paired bootstrap: both see the same resampled clean images.

    One row per figure: a, b, difference (b - a) and its 95 % interval low, high.

    Raises:
        DataError: the results are on different images.

    Example:
        >>> data = wb.load_data("digits", split="test", occlusion={}).subset(range(200))
        >>> plain, augmented = (wb.evaluate(f"dfv/digits-{end}", data, progress=False) for end in ("c", "c-full"))
        >>> bool(accuracy_difference(plain, augmented).loc["accuracy_occluded", "difference"] > 0)
        True
    """
    differ = [n for n in ("data", "split", "classes", "measure", "columns") if getattr(a, n) != getattr(b, n)]
    if not a.sees_images_of(b):
        differ.append("fingerprint")
    if differ:
        raise DataError(
            f"A paired difference needs two results on the same images; these differ in {differ[0]}. "
            "Evaluate both on one data set."
        )
    weights, rows = a._weights(seed), {}
    samples = [result._figures(weights) for result in (a, b)]
    for name in a.columns:
        first, second = (result.summary[f"{a.measure}_{name}"] for result in (a, b))
        interval = bootstrap.interval(second - first, samples[1][name] - samples[0][name])
        rows[f"{a.measure}_{name}"] = (first, second, second - first, *interval)
    columns = ["a", "b", "difference", "low", "high"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("figure")


def evaluate_images(
    detector: Detector,
    data: Dataset,
    *,
    batch_size: int,
    losses: bool,
    progress: bool,
    generator: torch.Generator,
) -> ImageResult:
    """Score a classifier or decoder on every image of `data`; the arguments are those of `evaluate`.

    Raises:
        DataError: `data` has no images of one class.
    """
    if data.columns is None:
        raise DataError(
            f"{data.name} {data.split} has no images of one class; a {detector.task} needs data such as digits"
        )
    judge = _JUDGES[detector.task]
    rows: list[tuple[int, int, int]] = []
    predictions: list[Tensor] = []
    values: list[Tensor] = []
    learning = LossMeans(detector, generator) if losses else None
    pixels = hashlib.sha256()
    for batch in batches(data, batch_size, progress=progress):
        images, targets = [image for image, _ in batch], [target for _, target in batch]
        for image in images:
            pixels.update(_bytes_of(image))
        said, value = judge(detector, images, targets)
        rows += [(target["label"], target["pattern"], target["source"]) for target in targets]
        predictions.append(said.cpu())
        values.append(value.float().cpu())
        if learning is not None:
            learning.add(images, targets)
    labels, patterns, sources = np.array(rows, dtype=np.int64).T
    there = {name: numbers for name, numbers in data.columns.items() if np.isin(patterns, numbers).any()}
    return ImageResult(
        data=data.name,
        split=data.split,
        classes=tuple(data.classes),
        measure=_MEASURES[detector.task],
        columns=there,
        labels=labels,
        predictions=torch.cat(predictions).numpy(),
        patterns=patterns,
        sources=sources,
        values=torch.cat(values).numpy(),
        losses=None if learning is None else learning.means,
        pixels=pixels.hexdigest()[:16],
    )


def _bytes_of(image: Tensor) -> bytes:
    """Kind, size and pixels of an image."""
    values = image.as_subclass(Tensor).cpu().contiguous().numpy()
    return f"{values.dtype} {values.shape} ".encode() + values.tobytes()


def _judge_classes(
    classifier: Classifier, images: Sequence[Tensor], targets: Sequence[Target]
) -> tuple[Tensor, Tensor]:
    """The likeliest label of each image [n], and 1 where it is right."""
    said = classifier.logits(images).argmax(dim=1).cpu() + 1
    return said, said == torch.tensor([target["label"] for target in targets])


def _judge_pictures(decoder: Any, images: Sequence[Tensor], targets: Sequence[Target]) -> tuple[Tensor, Tensor]:
    """No label, and the mean squared error of each decoded image [n]."""
    return torch.zeros(len(images), dtype=torch.int64), decoder.errors(images)


_JUDGES: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {
    "classification": _judge_classes,
    "reconstruction": _judge_pictures,
}
_MEASURES = {"classification": "accuracy", "reconstruction": "mse"}
