"""What detectors say of given boxes: one row for each object and condition, and the tables counted from them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workbench.evaluation.auditing import scored
from workbench.evaluation.auditing.conditions import Condition
from workbench.evaluation.auditing.drawn_regions import RANGES, range_of
from workbench.evaluation.auditing.reports import Report, Said, content_of, fields_of
from workbench.evaluation.auditing.scored import Scored
from workbench.evaluation.auditing.tables import Audited, Looks, Regions
from workbench.evaluation.counting import saved
from workbench.files import write_json

_FORMAT = "workbench regions 1"
_TABLES: dict[str, type] = {"audited": Audited, "looks": Looks, "regions": Regions}


class _RegionsSaid(Said):
    settings: dict[str, float | int]


@dataclass(frozen=True, eq=False, repr=False)
class RegionReport(Report):
    """What detectors say of the true boxes, clean and occluded, and of untouched regions around and beside them.

    *Accuracy* is the share of objects whose own class is the most probable one at their true box, background left
    out: whether the class is still seen, whatever proposals, thresholds and suppression would make of it. `p_class`
    is the mean probability of that class, and `p_object` that of any: 1 minus that of background (for detectors with
    independent classes the highest of them). Intervals are 95 %, from a bootstrap over images (1000 resamples).

    Where "hidden" is 0 the images are as they are. Unless a table is by kind, all kinds of occluders count together.

    Example:
        >>> data = wb.load_data("digit-scenes", split="test", length=4)
        >>> report = wb.score_regions("digit-scenes/faster-rcnn", data, kinds=("grey",), progress=False)
        >>> report.accuracy()["hidden"].tolist()
        [0.0, 0.1, 0.3, 0.5]
        >>> RegionReport.load(report.save("regions.json")).accuracy().equals(report.accuracy())
        True
    """

    _asked, _how = "asked", "score_regions({name: detector, ...}, ...)"

    data: str  #: name of the data set
    split: str
    classes: tuple[str, ...]  #: of the data
    detectors: tuple[str, ...]  #: names to show
    conditions: tuple[Condition, ...]
    num_images: int
    settings: dict[str, float]  #: seed, regions, least_size, most_hidden
    set_aside: dict[str, int]  #: how many objects were not asked about, by the reason
    audited: Audited  #: the objects
    looks: Looks
    regions: Regions

    @cached_property
    def scored(self) -> Scored:
        """Means and samples of the bootstrap, from which the tables are made."""
        return Scored(self.audited, self.looks, self.regions, self.conditions, num_images=self.num_images)

    def frame(self) -> pd.DataFrame:
        """One row for each detector, condition and object.

        Columns: detector, image (index), image_id, object (row of its target), class, area and pixels (that count as
        the object), kind, place, fraction (asked for), hidden (pixels under occluders), said (the most probable
        class), right, p_class and p_object.
        """
        rows, own = self.looks, self.looks.object
        names = np.array(["", *self.classes], dtype=object)
        conditions = {
            name: np.array([getattr(one, name) for one in self.conditions])[rows.condition]
            for name in ("kind", "place", "fraction")
        }
        table: dict[str, Any] = {
            "detector": np.array(self.detectors, dtype=object)[rows.detector],
            "image": self.audited.image[own], "image_id": self.audited.image_id[own],
            "object": self.audited.row[own], "class": names[self.audited.label[own]],
            "area": self.audited.area[own], "pixels": self.audited.pixels[own], **conditions,
            "hidden": rows.hidden, "said": names[rows.label], "right": self.scored.right,
            "p_class": rows.p_class, "p_object": rows.p_object,
        }  # fmt: skip
        return pd.DataFrame(table)

    def regions_frame(self) -> pd.DataFrame:
        """One row for each detector and region.

        Columns: image (index), x1, y1, x2, y2 (pixels), iou (with the nearest object), its range, and p_object.
        """
        regions, names = self.regions, np.array(list(RANGES), dtype=object)
        boxes = dict(zip(("x1", "y1", "x2", "y2"), regions.box.T, strict=True))
        place = {"image": regions.image, **boxes, "iou": regions.iou, "range": names[range_of(regions.iou)]}
        parts = [
            pd.DataFrame({"detector": detector, **place, "p_object": regions.p_object[:, number]})
            for number, detector in enumerate(self.detectors)
        ]
        return pd.concat(parts, ignore_index=True)

    def accuracy(self, by: str | None = None) -> pd.DataFrame:
        """Accuracy at the true boxes by detector and hidden fraction, with its interval, p_class and p_object.

        Args:
            by: also by "kind" of occluder, by "place" (of the first kind), by "class" or by "size" of the object.

        Raises:
            DataError: `by` is something else.
        """
        return scored.accuracy_table(self.scored, self.detectors, self.classes, by)

    def objectness(self) -> pd.DataFrame:
        """Mean p(object) of untouched regions by detector and IoU with the nearest object, with its interval.

        The images are clean and the regions are no true boxes. A detector that has learned to take what its training
        changed for objects gives less to regions that nobody changed.
        """
        return scored.regions_table(self.scored, self.detectors)

    @property
    def figures(self) -> dict[str, dict[str, float]]:
        """For each detector its figures by name: what `compare` has tables of.

        `accuracy_clean`, `accuracy_30` (30 % hidden, all kinds of occluders together), `accuracy_30_grey` (of each
        kind, where there are several), and `p_object_0.3-0.5` (by IoU).
        """
        found: dict[str, dict[str, float]] = {name: {} for name in self.detectors}
        tables = [self.accuracy()] + ([self.accuracy("kind")] if len(self.scored.kinds) > 1 else [])
        for table in tables:
            for row in table.to_dict("records"):
                kind = f"_{row['kind']}" if "kind" in row else ""
                if row["hidden"] or not kind:
                    name = f"accuracy_{100 * row['hidden']:g}{kind}" if row["hidden"] else "accuracy_clean"
                    found[row["detector"]][name] = row["accuracy"]
        for row in self.objectness().to_dict("records"):
            found[row["detector"]][f"p_object_{row['iou'].replace('–', '-')}"] = row["p_object"]
        return found

    @property
    def summary(self) -> pd.DataFrame:
        """One row for each detector: its accuracy by hidden fraction and its p(object) by IoU; see `figures`."""
        kinds = tuple(f"_{kind}" for kind in self.scored.kinds)
        rows = {
            name: {key: value for key, value in one.items() if not key.endswith(kinds)}
            for name, one in self.figures.items()
        }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("detector")

    def differences(self, a: str | None = None, b: str | None = None) -> pd.DataFrame:
        """How much better detector `b` is than `a`: both were asked about the same boxes of the same images.

        Rows: accuracy by hidden fraction, also by kind of occluder where there are several, and p(object) by IoU.
        Columns: a, b, difference (b - a) and its 95 % interval low, high, by a paired bootstrap over images.

        Args:
            a, b: names; None: the first and the second.

        Raises:
            DataError: there is no detector of this name, or there is one only.
        """
        return scored.differences_table(self.scored, *self._pair(a, b))

    @property
    def notes(self) -> list[str]:
        """What a reader must know."""
        settings = self.settings
        notes = [
            "Accuracy: the own class is the most probable one at the true box, background left out.",
            f"Seed {settings['seed']:g}; intervals are 95 %, from a bootstrap over the {self.num_images} images.",
        ]
        aside = [f"{number} {reason}" for reason, number in self.set_aside.items() if number]
        if aside:
            notes.append(f"Objects set aside: {', '.join(aside)}.")
        return notes

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write JSON, which `load` reads. Returns the path."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, content_of(self, _FORMAT, _RegionsSaid, _TABLES), indent=1)
        return path

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> RegionReport:
        """Read what `save` wrote.

        Raises:
            DataError: the file is something else; it is named.
        """
        return saved.read(
            path, _FORMAT, lambda content: cls(**fields_of(content, _RegionsSaid, _TABLES)), "RegionReport"
        )

    @property
    def what(self) -> str:
        """The data and the extent, in words."""
        return (
            f"{self.data} {self.split}, {self.num_images} images, {len(self.audited)} objects under "
            f"{len(self.conditions)} conditions, {len(self.regions)} regions"
        )
