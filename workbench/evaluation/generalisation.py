"""Cross-dataset generalisation: train on A, test on A and on B (T.-Y. Lin's thesis, sec. 2.7 and Table 2.1).

Torralba and Efros (2011) measure it by the *performance drop* between the data set that a detector was trained on and
another one. Only classes that all data sets and all detectors have are compared, by name; a mean over them is given
beside each. The drop says how different two data sets are, and how hard the other one is: without the detector that
was trained there nobody can distinguish the two, so give both.

Intervals are 95 %, from a bootstrap over images. The two sides of a drop are different images, which are drawn
independently; two detectors on one data set see the same draws. They know the chance in the choice of images, not
that of training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd

from workbench.cards import notes_and_tables
from workbench.data import Dataset
from workbench.detectors.class_map import few
from workbench.detectors.load import DetectorLike, as_detector
from workbench.errors import DataError, did_you_mean
from workbench.evaluation.by_class import MEASURES, by_class_samples
from workbench.evaluation.counting import bootstrap
from workbench.evaluation.evaluate import evaluate
from workbench.evaluation.published import published_generalisation
from workbench.evaluation.result import RESAMPLES, Result

Measure = Literal["AP", "AP50", "VOC2007", "VOC2012"]
MEAN = "mean"  #: the last column of the table
#: Names of VOC's classes that COCO has under other ones.
VOC_IN_COCO = {
    "aeroplane": "airplane",
    "diningtable": "dining table",
    "motorbike": "motorcycle",
    "pottedplant": "potted plant",
    "sofa": "couch",
    "tvmonitor": "tv",
}


@dataclass(frozen=True, eq=False, repr=False)
class Generalisation:
    """How detectors do on data of other kinds; made by `generalisation`. Figures are in 0..1.

    Example:
        >>> plain = wb.load_data("digit-scenes", split="test", length=6, occlusion_rate=0.0)
        >>> hidden = wb.load_data("digit-scenes", split="test", length=6, occlusion_rate=1.0)
        >>> found = generalisation({"plain": "digit-scenes/faster-rcnn"}, {"plain": plain, "hidden": hidden},
        ...                        progress=False)
        >>> found.drops().columns.tolist()
        ['trained on', 'tested on', 'home', 'away', 'drop', 'low', 'high', 'ratio']
        >>> bool(found.drops().loc["plain", "drop"] > 0)
        True
    """

    measure: str
    classes: tuple[str, ...]  #: that all data sets and detectors have
    trained_on: dict[str, str]  #: detector → its data set
    results: dict[tuple[str, str], Result] = field(repr=False)  #: by (data set, detector)
    labels: dict[tuple[str, str], tuple[int, ...]] = field(repr=False)  #: of the classes, in the data of each result

    def table(self) -> pd.DataFrame:
        """Table 2.1: a row for each (tested on, detector), a column for each class and their mean."""
        rows = {place: [*values, _mean(values)] for place, values in self._points.items()}
        table = pd.DataFrame.from_dict(rows, orient="index", columns=[*self.classes, MEAN])
        table.index = pd.MultiIndex.from_tuples(table.index, names=["tested on", "detector"])
        return table

    def intervals(self) -> pd.DataFrame:
        """The mean over classes of each row of the table, with its interval: value, low, high."""
        rows = {}
        for place, values in self._points.items():
            value = _mean(values)
            rows[place] = (value, *np.clip(bootstrap.interval(value, self._samples[place]), 0.0, 1.0))
        table = pd.DataFrame.from_dict(rows, orient="index", columns=["value", "low", "high"])
        table.index = pd.MultiIndex.from_tuples(table.index, names=["tested on", "detector"])
        return table

    def drops(self) -> pd.DataFrame:
        """The performance drop of each detector on each other data set.

        Columns: trained on, tested on, home (mean over classes where it was trained), away, drop (home - away), its
        interval (low, high), and ratio (home / away; NaN where away is 0). The index names the detectors.
        """
        rows, names = [], []
        for detector, home in self.trained_on.items():
            for data in dict.fromkeys(place for place, name in self.results if name == detector):
                if data == home:
                    continue
                at_home, away = (_mean(self._points[one, detector]) for one in (home, data))
                samples = self._samples[home, detector] - self._samples[data, detector]
                span = bootstrap.interval(at_home - away, samples)
                ratio = at_home / away if away > 0 else float("nan")
                rows.append((home, data, at_home, away, at_home - away, *span, ratio))
                names.append(detector)
        columns = ["trained on", "tested on", "home", "away", "drop", "low", "high", "ratio"]
        return pd.DataFrame(rows, columns=columns, index=pd.Index(names, name="detector"))

    def differences(self, data: str) -> pd.DataFrame:
        """How much better each other detector is than the first one on a data set, paired: both see the same draws.

        Columns: value, difference, low, high, of the mean over classes.

        Args:
            data: its name.

        Raises:
            DataError: there is no such data set.
        """
        known = list(dict.fromkeys(place for place, _ in self.results))
        if data not in known:
            raise DataError(f"nothing was tested on {data!r}{did_you_mean(data, known)}")
        first, *others = [name for place, name in self.results if place == data]
        rows = {}
        for name in others:
            values = [_mean(self._points[data, one]) for one in (first, name)]
            samples = self._samples[data, name] - self._samples[data, first]
            rows[name] = (values[1], values[1] - values[0], *bootstrap.interval(values[1] - values[0], samples))
        columns = ["value", "difference", "low", "high"]
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis(f"minus {first}")

    @staticmethod
    def published() -> pd.DataFrame:
        """Table 2.1 as Lin's thesis has it, quoted: AP (VOC's, 0..1) of DPM on VOC 2012 and COCO."""
        return published_generalisation()

    @cached_property
    def _points(self) -> dict[tuple[str, str], np.ndarray]:
        return {
            place: by_class_samples(result, self.measure, None)[0, self._columns(place)]
            for place, result in self.results.items()
        }

    @cached_property
    def _samples(self) -> dict[tuple[str, str], np.ndarray]:
        """Means over the classes [B] of each resample: the same draws for all detectors on a data set."""
        seeds = {data: seed for seed, data in enumerate(dict.fromkeys(place for place, _ in self.results))}
        found = {}
        for place, result in self.results.items():
            weights = bootstrap.resample_images(result.num_images, RESAMPLES, seeds[place[0]])
            values = by_class_samples(result, self.measure, weights)[:, self._columns(place)]
            found[place] = bootstrap.mean_over_classes(values)
        return found

    def _columns(self, place: tuple[str, str]) -> list[int]:
        return [label - 1 for label in self.labels[place]]

    @property
    def what(self) -> str:
        """What was compared, in words."""
        tests = len(dict.fromkeys(place for place, _ in self.results))
        return (
            f"{self.measure} of {len(self.trained_on)} detectors on {tests} data sets, "
            f"{len(self.classes)} classes in common: {few(self.classes)}"
        )

    def __repr__(self) -> str:
        return f"Generalisation({self.what})\n{self.drops().to_string(float_format='{:.3f}'.format, na_rep='–')}"

    def _repr_html_(self) -> str:
        return notes_and_tables([self.what], self.table(), self.drops())


def generalisation(
    detectors: Mapping[str, DetectorLike],
    data: Mapping[str, Dataset],
    *,
    trained_on: Mapping[str, str] | None = None,
    names: Mapping[str, str] | None = None,
    classes: Sequence[str] | None = None,
    measure: Measure = "AP50",
    batch_size: int = 16,
    progress: bool = True,
) -> Generalisation:
    """Test each detector on each data set, with classes mapped by name.

    Args:
        detectors: name → a detector of objects, as `evaluate` takes them.
        data: name → images to test on.
        trained_on: detector → the name of its data set among `data`; None: a detector has the name of its data.
        names: a class's other name → the one to use, for detectors and data alike, such as `VOC_IN_COCO`.
        classes: which of the common classes are compared, by the names that are used; None: all.
        measure: "AP" (COCO's), "AP50", "VOC2007" or "VOC2012" (as Table 2.1).
        batch_size: images at a time.
        progress: show bars.

    Returns:
        `table()`, `intervals()`, `drops()` and `differences(data)`; `published()` is Table 2.1, quoted.

    Raises:
        DataError: nothing to compare, a name that does not exist, or no class in common.

    Example:
        >>> sets = {"plain": wb.load_data("digit-scenes", split="test", length=2)}
        >>> generalisation({"plain": "digit-scenes/faster-rcnn"}, sets, progress=False).table().shape
        (1, 11)
    """
    homes = _homes(detectors, data, trained_on)
    if measure not in MEASURES:
        raise DataError(f"there is no measure {measure!r}; choose one of {', '.join(MEASURES)}")
    made = {name: as_detector(one) for name, one in detectors.items()}
    names = dict(names or {})
    common = _common({**made, **data}, names, classes)
    results, labels = {}, {}
    for place, images in data.items():
        theirs = {names.get(name, name): name for name in images.classes}
        for name, detector in made.items():
            other = {own: theirs.get(names.get(own, own), own) for own in detector.classes}
            mapped = {own: there for own, there in other.items() if own != there}
            result = evaluate(detector, images, classes=mapped, batch_size=batch_size, progress=progress)
            if not isinstance(result, Result):
                raise DataError(f"{name} is no detector of objects with classes, so it has no AP by class")
            results[place, name] = result
            labels[place, name] = tuple(images.classes.index(theirs[one]) + 1 for one in common)
    return Generalisation(measure, common, homes, results, labels)


def _homes(
    detectors: Mapping[str, DetectorLike], data: Mapping[str, Dataset], trained_on: Mapping[str, str] | None
) -> dict[str, str]:
    if not isinstance(detectors, Mapping) or not isinstance(data, Mapping) or not detectors or not data:
        raise DataError("give detectors and data as {name: detector} and {name: data set}, at least one of each")
    homes = {name: (trained_on or {}).get(name, name) for name in detectors}
    for name in trained_on or {}:
        if name not in detectors:
            raise DataError(f"trained_on: there is no detector {name!r}{did_you_mean(name, list(detectors))}")
    for name, home in homes.items():
        if home not in data:
            said = "which is not among the data" if trained_on and name in trained_on else "and no data are called so"
            raise DataError(
                f"detector {name!r} was trained on {home!r}, {said}{did_you_mean(home, list(data))}; say on which by "
                "trained_on={detector: data}"
            )
    return homes


def _common(
    sides: Mapping[str, Dataset | DetectorLike], names: Mapping[str, str], chosen: Sequence[str] | None
) -> tuple[str, ...]:
    """The classes that all have, in the order of the first data or detector."""
    known = {side: [names.get(name, name) for name in one.classes] for side, one in sides.items()}  # type: ignore[union-attr]
    for side, some in known.items():
        twice = next((name for name in some if some.count(name) > 1), None)
        if twice is not None:
            raise DataError(f"names: {side!r} has several classes that are to be {twice!r}")
    first, *others = known.values()
    common = [name for name in first if all(name in some for some in others)]
    if not common:
        raise DataError(
            "no class is in all of them: "
            + "; ".join(f"{side} has {few(some)}" for side, some in known.items())
            + ". Say which are the same: names={other name: name}"
        )
    for name in chosen or ():
        if name not in common:
            raise DataError(f"classes: {name!r} is not among those that all have{did_you_mean(name, common)}")
    return tuple(common if chosen is None else chosen)


def _mean(values: np.ndarray) -> float:
    return float(bootstrap.mean_over_classes(np.asarray(values)))
