"""What an audit found: one row for each object and condition, and the tables that are counted from them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from workbench.errors import DataError
from workbench.evaluation.auditing import report_files, summaries
from workbench.evaluation.auditing.conditions import Condition
from workbench.evaluation.auditing.counted import FATES, Counted
from workbench.evaluation.auditing.grouping import SIZES
from workbench.evaluation.auditing.reports import Report
from workbench.evaluation.auditing.tables import Answers, Audited, Outcomes
from workbench.evaluation.counting.matching import THRESHOLDS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """A piece of an occluded image, with an object that was lost there."""

    detector: str
    title: str  #: class, and from which hidden fraction on it is lost
    facts: str  #: what the picture shows
    pixels: np.ndarray = field(repr=False)  #: uint8 [h, w, 3]
    box: tuple[float, float, float, float]  #: of the object, xyxy pixels of the picture


@dataclass(frozen=True, eq=False, repr=False)
class AuditReport(Report):
    """How detectors fare when what they look for is hidden, blurred, faded or compressed.

    An object is *found* by a detection of its class that is right by COCO's rules at the IoU `iou`, with at least the
    score `scores` of its detector. *Recall* is the share of audited objects that are found; AP is COCO's over the
    same objects, all others ignored. Intervals are 95 %, from a bootstrap over images (1000 resamples, of AP 200).

    Where "hidden" is 0 the images are as they are. Unless a table is by kind, all kinds of occluders count together.

    Example:
        >>> data = wb.load_data("digit-scenes", split="test", length=2)
        >>> few = {"kinds": ("grey",), "fractions": (0.5,), "corruptions": (), "search": ()}
        >>> report = wb.audit("digit-scenes/faster-rcnn", data, **few, progress=False)
        >>> report.frame()["place"].unique().tolist()
        ['', 'random', 'centre', 'top', 'bottom', 'left', 'right']
        >>> again = AuditReport.load(report.save("audit.json"))
        >>> again.recall().equals(report.recall())
        True
    """

    _asked, _how = "audited", "audit({name: detector, ...}, data)"

    data: str  #: name of the data set
    split: str
    classes: tuple[str, ...]  #: of the data
    detectors: tuple[str, ...]  #: names to show
    conditions: tuple[Condition, ...]
    num_images: int
    settings: dict[str, float | None]  #: iou, score, seed, least_size, most_hidden, nms_iou, budget
    set_aside: dict[str, int]  #: how many objects were not audited, by the reason
    audited: Audited
    outcomes: Outcomes
    answers: Answers
    pictures: tuple[Picture, ...] = field(default=(), repr=False)  #: objects that were lost first

    @cached_property
    def counted(self) -> Counted:
        """Counts and samples of the bootstrap, from which the tables are made."""
        return Counted(
            self.audited,
            self.outcomes,
            self.answers,
            self.conditions,
            num_images=self.num_images,
            num_classes=len(self.classes),
            num_detectors=len(self.detectors),
            threshold=int(np.abs(THRESHOLDS - (self.settings["iou"] or 0.5)).argmin()),
            score=self.settings["score"],
        )

    @property
    def scores(self) -> dict[str, float]:
        """From which score on the detections of each detector count."""
        return dict(zip(self.detectors, self.counted.scores.tolist(), strict=True))

    def frame(self) -> pd.DataFrame:
        """One row for each detector, condition and object.

        Columns: detector, image (index), image_id, object (row of its target), class, size (COCO's), area and pixels
        (that count as the object), occlusion (before; NaN: unknown), kind, place, severity, fraction (asked for),
        hidden (pixels under occluders), found, fate, score and iou (of the right detection of any score; NaN: none)
        and taken_for (the class of the best wrong detection in its place; "" without one).

        A fate is "found"; "low score": found with too low a score; "other class": a detection of another class is in
        its place; "localisation": one of its class overlaps it by IoU 0.1 or more, and too little; "NMS": one of its
        class in its place is right about a neighbour, so that non-maximum suppression leaves none for it; "nothing".
        The first that fits counts, and only detections of at least the score `scores`.
        """
        rows, own = self.outcomes, self.outcomes.object
        names = np.array(["", *self.classes], dtype=object)
        sizes = np.select([self.counted.sized(name) for name in SIZES], list(SIZES), "")
        conditions = {
            name: np.array([getattr(one, name) for one in self.conditions])[rows.condition]
            for name in ("kind", "place", "severity", "fraction")
        }
        table: dict[str, Any] = {
            "detector": np.array(self.detectors, dtype=object)[rows.detector],
            "image": self.audited.image[own], "image_id": self.audited.image_id[own],
            "object": self.audited.row[own], "class": names[self.audited.label[own]], "size": sizes[own],
            "area": self.audited.area[own], "pixels": self.audited.pixels[own],
            "occlusion": self.audited.occlusion[own], **conditions, "hidden": rows.hidden,
            "found": self.counted.found, "fate": np.array(FATES, dtype=object)[self.counted.fates],
            "score": rows.score, "iou": rows.iou, "taken_for": names[rows.other_label],
        }  # fmt: skip
        texts = ("detector", "class", "size", "kind", "place", "fate", "taken_for")
        return pd.DataFrame(table).astype(dict.fromkeys(texts, "category"))

    @property
    def summary(self) -> pd.DataFrame:
        """One row for each detector.

        Columns: score (from which detections count), recall and AP on clean images, recall_50 and AP_50 with 50 % of
        each object hidden (or what is nearest to it), half_at (the hidden fraction at which half of what was found on
        clean images is lost; NaN: never), recall_worst_50 (at the worst places found), AP_corrupted (mean over all
        corruptions), ECE and ECE_50 (calibration error); as far as they were asked for.
        """
        return summaries.summary_table(self.counted, self.detectors)

    def recall(self, by: str | None = None) -> pd.DataFrame:
        """Recall by detector and hidden fraction, with its interval.

        Args:
            by: also by "kind" of occluder, by "place" (of the first kind), by "class" or by "size" of the object.

        Raises:
            DataError: `by` is something else.
        """
        return summaries.recall_table(self.counted, self.detectors, self.classes, by)

    def average_precision(self, *, by_kind: bool = False) -> pd.DataFrame:
        """AP and AP50 by detector and hidden fraction (the mean over kinds, or of each), with their intervals."""
        return summaries.precision_table(self.counted, self.detectors, by_kind)

    def halves(self, *, by_class: bool = False) -> pd.DataFrame:
        """Which half a detector needs: recall without the top against recall without the bottom, left against right.

        Columns: half, other, hidden (the fraction, from that side), n objects, without (recall with `half` hidden),
        without_other, difference (without_other - without: above 0, `half` is needed more) and its paired interval.
        """
        return summaries.halves_table(self.counted, self.detectors, self.classes, by_class)

    def corruptions(self) -> pd.DataFrame:
        """Recall and AP by detector, corruption and severity, with their intervals; severity 0 is the clean image."""
        return summaries.corruption_table(self.counted, self.detectors)

    def fates(self) -> pd.DataFrame:
        """The share of objects found, and lost to what, by detector and hidden fraction; see `frame`."""
        return summaries.fates_table(self.counted, self.detectors)

    def calibration(self) -> pd.DataFrame:
        """Whether scores mean what they say when objects are hidden, by detector and hidden fraction.

        Columns: n detections (from score 0.05 on), their mean score, right (share of right ones) and ECE, the
        expected calibration error (over 10 bins of scores; Küppers et al. 2020 call it D-ECE), with its interval.
        """
        return summaries.calibration_table(self.counted, self.detectors)

    def reliability(self) -> pd.DataFrame:
        """The share of right detections in each tenth of scores, by detector and hidden fraction."""
        return summaries.reliability_table(self.counted, self.detectors)

    def first_lost(self, detector: str | None = None) -> pd.DataFrame:
        """The objects that are found on clean images, those first that are lost first.

        Columns: image, image_id, object, class, area, score (on the clean image), lost_at (the least hidden fraction
        at which it is not found, 1 if it always is, as a mean over kinds of occluders) and lost_to (by how many kinds
        it is hidden from the detector).

        Args:
            detector: whose; None: the first.

        Raises:
            DataError: there is no detector of this name.
        """
        return summaries.lost_table(self.counted, self._number(detector), self.classes)

    def differences(self, a: str | None = None, b: str | None = None) -> pd.DataFrame:
        """How much better detector `b` is than `a`: both see the same images, under the same occluders.

        Rows: recall by hidden fraction, at each place, by corruption, and AP by hidden fraction. Columns: a, b,
        difference (b - a) and its 95 % interval low, high.

        Args:
            a, b: names; None: the first and the second.

        Raises:
            DataError: there is no detector of this name, or there is one only.
        """
        return summaries.difference_table(self.counted, *self._pair(a, b))

    @property
    def notes(self) -> list[str]:
        """What a reader must know: what was audited, what was left out, and when an object counts as found."""
        return report_files.notes(self)

    @property
    def figure_names(self) -> tuple[str, ...]:
        """What `figure` can draw of this audit."""
        from workbench.figures.audit import figure_names

        return figure_names(self)

    def figure(self, name: str) -> Figure:
        """A matplotlib figure.

        Args:
            name: one of `figure_names`.

        Raises:
            DataError: there is no such figure of this audit.
        """
        from workbench.figures.audit import audit_figure

        return audit_figure(self, name)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the report.

        Args:
            path: ends in .html (one file with all tables and figures, which asks nothing of any other place) or in
                .json (what `load` reads).

        Returns:
            The path.

        Raises:
            DataError: another ending.
        """
        path = Path(path)
        if path.suffix.lower() not in (".html", ".json"):
            raise DataError(f"{path}: a report is saved as .html, to be read, or as .json, to be loaded")
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() == ".json":
            report_files.write(self, path)
        else:
            from workbench.figures.audit_page import write_page

            write_page(self, path)
        return path

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> AuditReport:
        """Read what `save` wrote as .json.

        Raises:
            DataError: the file is something else; it is named.
        """
        return report_files.read(cls, path)

    @property
    def what(self) -> str:
        """The data and the extent of the audit, in words."""
        return (
            f"{self.data} {self.split}, {self.num_images} images, {len(self.audited)} objects under "
            f"{len(self.conditions)} conditions"
        )
