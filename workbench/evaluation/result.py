"""What an evaluation found out: figures, tables, and all that is needed to give intervals and differences."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workbench.cards import notes_and_tables
from workbench.errors import DataError
from workbench.evaluation import occlusion
from workbench.evaluation.counting import bootstrap, saved
from workbench.evaluation.counting.matching import THRESHOLDS, Matches, with_elsewhere
from workbench.evaluation.counting.tables import RLE, Found, Objects
from workbench.evaluation.data_detections import DataDetections
from workbench.evaluation.diagnosis import Diagnosis, diagnose
from workbench.evaluation.voc import VocMatches, match_voc, voc_ap
from workbench.evaluation.voc_files import COMPETITION
from workbench.files import write_json
from workbench.types import check_label

RESAMPLES = 1000  #: bootstrap resamples behind every 95 % interval
STRICT = "Wrong detections at objects of other levels count in every level of occlusion."
_FORMAT = "occlusion-workbench result 1"
_NAMES = list(occlusion.SUBSETS)
_ALL, _OCCLUDED = _NAMES.index("all"), _NAMES.index("occluded")
_LEVELS = [_NAMES.index(name) for name in occlusion.BINS]


@dataclass(frozen=True)
class Result:
    """The evaluation of one detector on one data set.

    All figures are in 0..1, NaN where there is nothing to measure. Intervals are 95 %, from a bootstrap over
    images (1000 resamples, seed 0), computed when first asked for.

    Example:
        >>> data = wb.load_data("digit-scenes", split="test", length=2)
        >>> result = wb.evaluate("digit-scenes/faster-rcnn", data, progress=False)
        >>> Result.load(result.save("result.json")).num_objects
        10
    """

    data: str  #: name of the data set
    split: str
    classes: tuple[str, ...]
    iou_type: str  #: "bbox", "segm" or "segm-amodal"
    fingerprint: str  #: equal for equal objects
    summary: dict[str, float]  #: COCO's 12 figures, AP_unoccluded and AP_occluded, and what `evaluate` adds
    matches: Matches
    warnings: list[str] = field(default_factory=list)  #: what looks wrong with the detections
    losses: dict[str, float] | None = None  #: mean validation losses by name, if asked for
    occlusion_is_estimate: bool = False  #: the data set guesses occlusion from other objects' masks
    objects: Objects | None = None  #: without masks; None in results saved before VOC could be asked for
    found: Found | None = None  #: likewise
    strict_levels: bool = False  #: AP by occlusion counts wrong detections at objects of other levels, see `strict`
    image_ids: list[int] | None = None  #: the data set's own, by index; None in results of earlier versions
    category_ids: list[int] | None = None  #: likewise, of the labels from 1 on
    image_names: list[str] | None = None  #: likewise, by index, see `Dataset.image_name`
    masks: list[RLE] | None = field(default=None, repr=False, compare=False)  #: of `found`; `save` leaves them out

    @property
    def num_images(self) -> int:
        """Images evaluated."""
        return self.matches.num_images

    @property
    def num_objects(self) -> int:
        """Objects that can be found: crowds and difficult objects are left out."""
        return int((~self.matches.object_ignored).sum())

    @property
    def occlusion_note(self) -> str | None:
        """What to know about AP by occlusion; None if occlusion is known exactly and levels are not strict."""
        known, ignored = self.matches.object_occlusion, self.matches.object_ignored
        note = occlusion.note(known, ignored, estimate=self.occlusion_is_estimate)
        if self.strict_levels and not np.isnan(known[~ignored]).all():
            return " ".join([note, STRICT] if note else [STRICT])
        return note

    @cached_property
    def by_class(self) -> pd.DataFrame:
        """One row per class: n objects, AP, AP50 and the interval of AP (low, high)."""
        counts = self.matches.counts()[_ALL].sum(axis=0)
        point = bootstrap.average_precision(self.matches)[0, _ALL]  # [K, T]
        samples = self._samples[:, _ALL].mean(axis=2)  # [B, K]
        spans = [_span(value, column) for value, column in zip(point.mean(axis=1), samples.T, strict=True)]
        rows = {
            "n": counts, "AP": point.mean(axis=1), "AP50": point[:, 0],
            "low": [low for low, _ in spans], "high": [high for _, high in spans],
        }  # fmt: skip
        return pd.DataFrame(rows, index=pd.Index(self.classes, name="class"))

    @cached_property
    def by_occlusion(self) -> pd.DataFrame:
        """One row per level of occlusion: n objects, AP, and its interval (low, high).

        Objects of other levels are ignored, not missed, and so is a wrong detection at one of them (that it overlaps
        most, by IoU 0.1 or more, whatever its class): it counts in the level of that object alone. `strict` gives the
        form in which it counts in every level. AP is NaN where occlusion is unknown; `.attrs["note"]` then says so.
        """
        counts = self.matches.counts().sum(axis=(1, 2))
        point = figures(bootstrap.average_precision(self.matches))
        samples = figures(self._samples)
        spans = [_span(point[name][0], samples[name]) for name in occlusion.BINS]
        rows = {
            "n": counts[_LEVELS], "AP": [float(point[name][0]) for name in occlusion.BINS],
            "low": [low for low, _ in spans], "high": [high for _, high in spans],
        }  # fmt: skip
        table = pd.DataFrame(rows, index=pd.Index(list(occlusion.BINS), name="occlusion"))
        if self.occlusion_note:
            table.attrs["note"] = self.occlusion_note
        return table

    def strict(self) -> Result:
        """The same with AP by level of occlusion as COCO counts ranges of area: wrong is wrong in every level.

        A hidden object that is taken for another class then lowers the AP of unoccluded ones, too, and the more the
        more objects of a data set are hidden; figures of one detector on data with few and with many occluders cannot
        be held against each other. Earlier versions counted so. All figures that are not by occlusion are the same.
        """
        matches = self.matches.strict()
        return replace(self, strict_levels=True, matches=matches, summary=self.summary | _by_level(matches))

    def voc(self, year: int = 2007) -> pd.DataFrame:
        """VOC's AP (IoU 0.5) of each class and their mean; boxes are compared, never masks.

        Args:
            year: 2007 to 2009 average precision over 11 points of recall, 2010 to 2012 take the area under the
                curve.

        Returns:
            One row per class and a last row "mean": n objects, AP, and its interval (low, high).

        Raises:
            DataError: another year, or a result that was saved before results held their boxes.
        """
        point = voc_ap(self.voc_matches, year)[0]
        samples = voc_ap(self.voc_matches, year, bootstrap.resample_images(self.num_images, RESAMPLES))
        means = [bootstrap.mean_over_classes(values)[..., None] for values in (point, samples)]
        point, samples = np.append(point, means[0]), np.concatenate([samples, means[1]], axis=1)
        counts = self.voc_matches.counts.sum(axis=0)
        spans = [_span(value, column) for value, column in zip(point, samples.T, strict=True)]
        rows = {
            "n": [*counts, counts.sum()], "AP": point,
            "low": [low for low, _ in spans], "high": [high for _, high in spans],
        }  # fmt: skip
        return pd.DataFrame(rows, index=pd.Index([*self.classes, "mean"], name="class"))

    def diagnosis(self, similar: Iterable[Collection[str]] | None = None) -> Diagnosis:
        """Kinds of errors and what each costs; see `workbench.evaluation.diagnosis`.

        Args:
            similar: groups of names of classes that are easily taken for each other; None: VOC's groups, for
                classes of their names.

        Raises:
            DataError: the result was saved before results held their boxes.
        """
        objects, found = self._boxes()
        return diagnose(objects, found, self.classes, self.voc_matches, similar)

    @cached_property
    def voc_matches(self) -> VocMatches:
        """Which detections are right by VOC's rules."""
        return match_voc(*self._boxes(), len(self.classes))

    def _boxes(self) -> tuple[Objects, Found]:
        if self.objects is None or self.found is None:
            raise DataError(
                f"This result on {self.data} {self.split} was saved by an earlier version, without its boxes. "
                "Evaluate the detector again."
            )
        return self.objects, self.found

    def table(self) -> pd.DataFrame:
        """Every figure of the summary, with its interval (low, high) where the bootstrap gives one."""
        samples = figures(self._samples)
        rows = [(value, *_span(value, samples.get(name, np.empty(0)))) for name, value in self.summary.items()]
        index = pd.Index(list(self.summary), name="figure")
        return pd.DataFrame(rows, columns=["value", "low", "high"], index=index)

    def precision_recall(self, threshold: float = 0.5, label: int | None = None) -> pd.DataFrame:
        """Interpolated precision at COCO's 101 recall points, for one IoU threshold of 0.50, 0.55 … 0.95.

        For one class (label 1..K), or the mean over the classes that have objects (None).
        """
        nearest = int(np.abs(THRESHOLDS - threshold).argmin())
        if abs(THRESHOLDS[nearest] - threshold) > 1e-6:
            raise DataError(f"threshold {threshold} is not one of {THRESHOLDS.round(2).tolist()}.")
        if label is not None:
            check_label(label, len(self.classes))
        curves = bootstrap.precision_at_recall(self.matches)[:, nearest]  # [K, 101]
        precision = bootstrap.mean_over_classes(curves.T) if label is None else curves[label - 1]
        return pd.DataFrame({"recall": bootstrap.RECALLS, "precision": precision})

    @cached_property
    def _samples(self) -> np.ndarray:
        """AP [B, A, K, T] of each resample."""
        weights = bootstrap.resample_images(self.num_images, RESAMPLES)
        return bootstrap.average_precision(self.matches, weights)

    def __repr__(self) -> str:
        parts = [f"{name} {self.summary[name]:.3f}" for name in ("AP", "AP50", "AP_unoccluded", "AP_occluded")]
        lines = [f"Result({', '.join(parts)}; {self._what()})", *self._notes()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return notes_and_tables((self._what(), *self._notes()), self.table())

    def _what(self) -> str:
        return f"{self.data} {self.split}, {self.num_images} images, {self.num_objects} objects"

    def _notes(self) -> list[str]:
        return [f"Warning: {text}" for text in self.warnings] + [text for text in [self.occlusion_note] if text]

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write JSON: the figures as numbers, the matches as compressed arrays. Returns the path."""
        content = {item.name: getattr(self, item.name) for item in fields(self)}
        content |= {
            "format": _FORMAT,
            "summary": saved.nan_to_none(self.summary),
            "losses": None if self.losses is None else saved.nan_to_none(self.losses),
            "image_names": None if self.image_names is None else saved.packed_names(self.image_names),
            **{name: saved.packed(getattr(self, name)) for name in saved.TABLES},
        }
        del content["masks"]
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, content, indent=1)
        return path

    def save_coco(self, path: str | os.PathLike[str]) -> Path:
        """Write the detections in COCO's results format, which other programs score, and `evaluate` does, too.

        Args:
            path: of the JSON file: a list of image_id and category_id (the data set's own), score, bbox (x, y, width,
                height in pixels) and, where masks were found, `segmentation` (RLE). Where masks were compared there
                is no bbox, as in COCO's format: pycocotools would measure sizes by it.

        Returns:
            The path.

        Raises:
            DataError: a result of an earlier version, or one of masks that was saved and so has lost them.
        """
        if self.masks is None and self.iou_type != "bbox":
            raise DataError("Results that were saved have no masks. Call save_coco on what evaluate returns.")
        return self._detections().save_coco(path, boxes=self.iou_type == "bbox")

    def save_voc(self, folder: str | os.PathLike[str], *, competition: str = COMPETITION) -> Path:
        """Write the detections as VOC's files of results, one for each class; see `DataDetections.save_voc`.

        Args:
            folder: where they go; it is made.
            competition: the first part of the names of the files.

        Returns:
            The folder.

        Raises:
            DataError: a result of an earlier version, or a name that cannot stand in such a file.
        """
        if self.image_names is None:
            raise DataError(f"This result on {self.data} {self.split} was saved without names. Evaluate again.")
        return self._detections().save_voc(folder, competition=competition)

    def _detections(self) -> DataDetections:
        if self.found is None or self.image_ids is None or self.category_ids is None:
            raise DataError(f"This result on {self.data} {self.split} was saved without ids. Evaluate again.")
        names = [""] * len(self.image_ids) if self.image_names is None else self.image_names
        return DataDetections(
            data=self.data,
            split=self.split,
            classes=self.classes,
            category_ids=self.category_ids,
            image_ids=self.image_ids,
            image_names=names,
            sizes=[],
            found=replace(self.found, masks=self.masks),
        )

    def _of_an_earlier_version(self) -> Result:
        """What was saved with strict levels as it would be now; as it was where the masks for that are lacking."""
        if self.objects is None or self.found is None or self.iou_type != "bbox":
            return replace(self, strict_levels=True)
        matches = with_elsewhere(self.matches, self.objects, self.found)
        return replace(self, matches=matches, summary=self.summary | _by_level(matches))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Result:
        """Read what `save` wrote.

        Raises:
            DataError: the file is something else; it is named.
        """
        return saved.read(path, _FORMAT, cls._from_content, "Result")

    @classmethod
    def _from_content(cls, content: dict[str, Any]) -> Result:
        said = saved.plain(saved.ResultSaid, {key: content[key] for key in content.keys() - saved.TABLES.keys()})
        names = said.pop("image_names", None)
        result = cls(**said, **saved.unpacked(content, len(said["classes"])))
        if "strict_levels" not in content:
            result = result._of_an_earlier_version()
        if names is not None:
            result = replace(result, image_names=saved.unpacked_names(names, result.num_images))
        for name, number in (("image_ids", result.num_images), ("category_ids", len(result.classes))):
            if len(said.get(name) or [0] * number) != number:
                raise ValueError(f"{name} are {len(said[name])}; expected {number}")
        return result


def _by_level(matches: Matches) -> dict[str, float]:
    """The figures of a summary that are by level of occlusion."""
    known = figures(bootstrap.average_precision(matches))
    return {name: float(known[name][0]) for name in ("AP_unoccluded", "AP_occluded")}


def figures(ap: np.ndarray) -> dict[str, np.ndarray]:
    """The figures [B] that the bootstrap knows, by name, from AP [B, A, K, T]."""
    mean = bootstrap.mean_over_classes
    by_subset = mean(ap.mean(axis=3))  # [B, A]
    return {
        "AP": by_subset[:, _ALL],
        "AP50": mean(ap[:, _ALL, :, 0]),
        "AP75": mean(ap[:, _ALL, :, 5]),
        "AP_unoccluded": by_subset[:, _LEVELS[0]],
        "AP_occluded": by_subset[:, _OCCLUDED],
        **{name: by_subset[:, level] for name, level in zip(occlusion.BINS, _LEVELS, strict=True)},
    }


def difference(
    a: Result, b: Result, *, resamples: int = RESAMPLES, seed: int | np.random.Generator = 0
) -> pd.DataFrame:
    """How much better `b` is than `a`, by a paired bootstrap: both see the same resampled images.

    Rows: AP, AP50, AP_unoccluded, AP_occluded and each level of occlusion. Columns: a, b, difference (b - a)
    and its 95 % interval low, high; an interval without 0 is a difference that other images would show too.
    The interval knows the chance in the choice of images, not that of training (another seed).

    Example:
        >>> data = wb.load_data("digit-scenes", split="test", length=2)
        >>> found = wb.load_detector("digit-scenes/faster-rcnn").detect([image for image, _ in data])
        >>> sure = [one.above(0.9) for one in found]
        >>> table = difference(evaluate_detections(found, data), evaluate_detections(sure, data))
        >>> bool(table.loc["AP", "difference"] < 0)  # what is left out cannot be right
        True
    """
    check_comparable(a, b)
    weights = bootstrap.resample_images(a.num_images, resamples, seed)
    points = [figures(bootstrap.average_precision(result.matches)) for result in (a, b)]
    samples = [figures(bootstrap.average_precision(result.matches, weights)) for result in (a, b)]
    rows = {}
    for name in ("AP", "AP50", "AP_unoccluded", "AP_occluded", *occlusion.BINS):
        first, second = (float(point[name][0]) for point in points)
        gain = second - first
        rows[name] = (first, second, gain, *bootstrap.interval(gain, samples[1][name] - samples[0][name]))
    columns = ["a", "b", "difference", "low", "high"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("figure")


def _span(value: float, samples: np.ndarray) -> tuple[float, float]:
    """The interval of an AP, which ends at 0 and 1."""
    low, high = np.clip(bootstrap.interval(value, samples), 0.0, 1.0)  # NaN stays NaN
    return float(low), float(high)


def check_comparable(a: Result, b: Result) -> None:
    """Raise DataError unless both are about the same images and classes."""
    for name in ("data", "split", "classes", "num_images", "fingerprint", "iou_type", "strict_levels"):
        if getattr(a, name) != getattr(b, name):
            sides = " and ".join(f"{r.data} {r.split} ({r.num_images} images, {r.iou_type})" for r in (a, b))
            raise DataError(
                f"A paired difference needs two results on the same images; these are on {sides}, "
                f"which differ in {name}. Evaluate both detectors on one data set."
            )
