"""How many objects proposals reach, by boxes or by masks: recall by overlap, number of proposals, size and occlusion.

Average recall (AR) is COCO's: the mean over IoU 0.50, 0.55 … 0.95 of the share of objects that the best N proposals
of their image reach, each proposal standing for one object; classes do not matter (`useCats = 0`). A detector on
these proposals can hardly find the rest. With all windows of a network as proposals (a large `most`) it is the upper
bound of Table 3.1 of Lin's thesis.

AUC is AR averaged over the number of proposals on a logarithmic axis from 1 to 1000: an object that the proposal of
rank r reaches counts 1 − log r / log 1000. Lin's thesis says "AR averaged across all proposal counts" (ch. 3.5); its
AUC of 19.4 where AR10, AR100 and AR1k are 14.4, 25.8 and 33.1 (Table 3.3) fits the logarithmic axis of its Fig. 3.6,
and not a linear one, on which it would be about 29.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from workbench.cards import notes_and_tables
from workbench.data.reading.problems import Problem
from workbench.errors import DataError
from workbench.evaluation import occlusion
from workbench.evaluation.counting import bootstrap, saved
from workbench.evaluation.counting.batches import LossMeans, batches
from workbench.evaluation.counting.matching import MASKS, THRESHOLDS, IoUType
from workbench.evaluation.counting.reach import GROUPS, SIZES, Reached, Reaching
from workbench.files import write_json
from workbench.progress import Bar
from workbench.proposals.base import SMALLEST
from workbench.types import Proposals

if TYPE_CHECKING:
    from workbench.data import Dataset
    from workbench.detectors import Detector

LIMITS = (10, 100, 1000)  #: proposals per image
RESAMPLES = 1000  #: bootstrap resamples behind every 95 % interval
ENOUGH = 0.9  #: share of objects with a proposal of IoU 0.5 below which the doctor warns
FORMAT = "occlusion-workbench proposal recall 1"
_LEVELS = list(occlusion.BINS)
#: Group and column of each figure of the summary.
_SUMMARY = (
    {"AR10": ("all", "AR@10"), "AR100": ("all", "AR@100"), "AR1k": ("all", "AR@1000")}
    | {f"AR1k_{size[0]}": (size, "AR@1000") for size in SIZES[1:]}
    | {"AUC": ("all", "AUC")}
    | {f"AUC_{size[0]}": (size, "AUC") for size in SIZES[1:]}
    | {"AR100_unoccluded": (_LEVELS[0], "AR@100"), "AR100_occluded": ("occluded", "AR@100")}
)


@dataclass(frozen=True, eq=False, repr=False)
class ProposalRecall:
    """Recall of the proposals of a data set, and what `evaluate` gives of a detector that proposes and no more.

    Groups of objects are `GROUPS`: all, COCO's sizes, and levels of occlusion. Figures are in 0..1, NaN where there
    is nothing to measure. Intervals are 95 %, from a bootstrap over images.
    """

    data: str  #: name of the data set
    split: str
    num_proposals: float  #: per image, mean
    most: int  #: of the best proposals of an image, so many were looked at
    reached: Reached  #: which proposal reaches which object
    iou_type: IoUType = "bbox"  #: what overlaps: boxes, or masks
    occlusion_note: str | None = None  #: what to know about occlusion that is unknown or estimated
    losses: dict[str, float] | None = None  #: mean losses by name, if asked for
    masks: ProposalRecall | None = None  #: where boxes are compared: the same by the masks, where `evaluate` has them

    @property
    def num_images(self) -> int:
        """Images evaluated."""
        return self.reached.num_images

    @property
    def num_objects(self) -> np.ndarray:
        """[G] int64: objects of each group; crowds and difficult objects are left out."""
        return self.reached.counts()

    @cached_property
    def recall(self) -> np.ndarray:
        """[G, T, most] in 0..1: of each group, at IoU 0.50, 0.55 … 0.95, by the best 1, 2 … `most` proposals."""
        found, number = self.reached.by_number(self.most), self.num_objects[:, None, None]
        return np.divide(found, number, out=np.full(found.shape, np.nan), where=number > 0)

    @cached_property
    def summary(self) -> dict[str, float]:
        """AR10, AR100, AR1k, AR1k_s … of small, medium and large objects, AUC, AUC_s …, AR100_unoccluded, _occluded.

        These are figures of Tables 3.3 and 4.1 of Lin's thesis, and AR of objects of which less than 5 % and at least
        20 % are hidden. Those of `masks` follow as `mask_AR10` and so on.
        """
        own = {name: float(self._figures.loc[place]) for name, place in _SUMMARY.items()}
        of_masks = {} if self.masks is None else self.masks.summary
        return own | {f"mask_{name}": value for name, value in of_masks.items()}

    def table(self) -> pd.DataFrame:
        """One row per size of objects, then one per level of occlusion where that is known.

        Columns: AR@10, AR@100 and its interval (low, high), AR@1000, AR@all (of all `most` proposals, where these are
        more), AUC, recall at IoU 0.5 and 0.7 of all these, number of objects.
        """
        known = self._figures.loc[_LEVELS, "objects"].any()
        return self._rows([*SIZES, *(_LEVELS if known else [])])

    @property
    def by_occlusion(self) -> pd.DataFrame:
        """The rows of `table` of all levels of occlusion; where it is unknown `.attrs["note"]` says so."""
        table = self._rows(_LEVELS).rename_axis("occlusion")
        if self.occlusion_note:
            table.attrs["note"] = self.occlusion_note
        return table

    def against_number(self) -> pd.DataFrame:
        """AR of the best 1, 2 … `most` proposals: a row per number, a column per group."""
        numbers = pd.RangeIndex(1, self.most + 1, name="proposals")
        return pd.DataFrame(self.recall.mean(axis=1).T, index=numbers, columns=list(GROUPS))

    def against_iou(self, number: int) -> pd.DataFrame:
        """Recall of the best `number` proposals: a row per IoU threshold, a column per group.

        Raises:
            DataError: not 1 to `most`.
        """
        if not 1 <= number <= self.most:
            raise DataError(f"recall of the best {number} proposals is not known; choose 1 to {self.most}")
        index = pd.Index(THRESHOLDS.round(2), name="IoU")
        return pd.DataFrame(self.recall[:, :, number - 1].T, index=index, columns=list(GROUPS))

    @cached_property
    def _figures(self) -> pd.DataFrame:
        """A row per group and a column per figure."""
        ranks, within = self.reached.ranks, self.reached.within
        numbers = {f"AR@{number}": number for number in LIMITS}
        numbers |= {"AR@all": self.most} if self.most > LIMITS[-1] else {}
        place = np.log(np.maximum(ranks, 1)) / np.log(LIMITS[-1])  # on the axis of AUC
        values = {name: within(number).mean(axis=1) for name, number in numbers.items()}
        values["AUC"] = np.where(ranks > 0, np.maximum(1 - place, 0), 0).mean(axis=1)
        values |= {f"recall@{THRESHOLDS[t]:.1f}": within(self.most)[:, t] for t in (0, 4)}
        means = {name: self.reached.means(each)[0] for name, each in values.items()}  # of [G, N]
        return pd.DataFrame({**means, "objects": self.num_objects}, index=pd.Index(GROUPS, name="group"))

    def _rows(self, groups: list[str]) -> pd.DataFrame:
        """Some rows of all figures, with the interval of AR@100."""
        weights = bootstrap.resample_images(self.num_images, RESAMPLES)
        samples = self.reached.means(self.reached.within(100).mean(axis=1), weights)
        pairs = zip(self._figures["AR@100"], samples.T, strict=True)
        spans = np.clip([bootstrap.interval(value, column) for value, column in pairs], 0.0, 1.0)
        table = self._figures.copy()
        table.insert(2, "low", spans[:, 0])
        table.insert(3, "high", spans[:, 1])
        return table.loc[groups]

    def __repr__(self) -> str:
        names = [f"{of}{name}" for of in ("", "mask_") for name in ("AR10", "AR100", "AR1k", "AUC")]
        parts = [f"{name} {self.summary[name]:.3f}" for name in names if name in self.summary]
        return "\n".join(filter(None, [f"ProposalRecall({', '.join(parts)}; {self._what()})", self.occlusion_note]))

    def _repr_html_(self) -> str:
        shown = notes_and_tables(filter(None, (self._what(), self.occlusion_note)), self.table())
        return shown + ("" if self.masks is None else self.masks._repr_html_())

    def _what(self) -> str:
        what = "" if self.iou_type == "bbox" else ", by their masks"
        size = f"{self.num_images} images, {self.num_objects[0]} objects"
        return f"{self.data} {self.split}, {size}, {self.num_proposals:.0f} proposals per image{what}"

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write JSON, with which proposal reaches which object as compressed arrays. Returns the path."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"format": FORMAT, **self._content()}, indent=1)
        return path

    def _content(self) -> dict[str, Any]:
        content = {item.name: getattr(self, item.name) for item in fields(self)}
        losses = None if self.losses is None else saved.nan_to_none(self.losses)
        masks = None if self.masks is None else self.masks._content()
        return content | {"reached": saved.packed(self.reached), "losses": losses, "masks": masks}

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ProposalRecall:
        """Read what `save` wrote.

        Raises:
            DataError: the file is something else; it is named.
        """
        return saved.read(path, FORMAT, cls._from_content, "ProposalRecall")

    @classmethod
    def _from_content(cls, content: dict[str, Any]) -> ProposalRecall:
        reached, masks = content.pop("reached"), content.pop("masks")
        said = saved.plain(saved.ProposalRecallSaid, content)
        table = saved.unpacked_reached(reached, len(GROUPS), said["most"])
        return cls(**said, reached=table, masks=None if masks is None else cls._from_content(masks))


def proposal_recall(
    data: Dataset,
    *,
    iou_type: IoUType = "bbox",
    scale: float = 1.0,
    most: int = LIMITS[-1],
    progress: bool = False,
) -> ProposalRecall:
    """Recall of `target["proposals"]`, crowds and difficult objects left out.

    Args:
        iou_type: "bbox" compares boxes; "segm" masks with the visible pixels, "segm-amodal" with all of the object.
        scale: of COCO's `SIZES`, for images smaller than its own: with 0.5, small ends at 16² and medium at 48².
        most: of the best proposals of an image, so many are looked at; at least 1000.

    Raises:
        DataError: there are no images, or one has no proposals (give them by `with_proposals`), or masks are to be
            compared and proposals or objects have none.

    Example:
        >>> data = wb.load_data("digit-scenes", split="test", length=2)
        >>> source = {"kind": "detector", "name": "digit-scenes/faster-rcnn", "cache": "proposals"}
        >>> recall = proposal_recall(wb.with_proposals(data, **source, top=100))
        >>> recall.summary["AR100"] > 0.5
        True
    """
    if iou_type not in ("bbox", *MASKS):
        raise DataError(f"iou_type is {iou_type!r}; choose one of {('bbox', *MASKS)}")
    if most < LIMITS[-1]:
        raise DataError(f"most is {most}; AR1k and AUC need at least {LIMITS[-1]}")
    if len(data) == 0:
        raise DataError(f"{data.name} {data.split} has no images")
    reaching = Reaching(data, iou_type, most=most, scale=scale)
    for index in Bar(range(len(data)), desc="recall of proposals", disable=not progress):
        target = data.target(index)
        if "proposals" not in target:
            raise DataError(f"{data.where(index)}: there are no proposals; give them by with_proposals(data, ...)")
        reaching.add(target, Proposals.of(target["proposals"]))
    return _recall(reaching)


def evaluate_proposals(
    detector: Detector,
    data: Dataset,
    *,
    iou_type: IoUType,
    of_masks: IoUType | None,
    batch_size: int,
    losses: bool,
    progress: bool,
    generator: torch.Generator,
) -> ProposalRecall:
    """Recall of what a detector proposes for `data`; the other arguments are those of `evaluate`.

    Args:
        of_masks: how masks are compared besides, if they are.

    Raises:
        DataError: masks are to be compared and the proposals have none.
    """
    tables = Reaching(data, iou_type, most=LIMITS[-1])
    shapes = None if of_masks is None else Reaching(data, of_masks, most=LIMITS[-1])
    learning = LossMeans(detector, generator) if losses else None
    for batch in batches(data, batch_size, progress=progress):
        found = detector.proposals([image for image, _ in batch], LIMITS[-1])
        for (image, target), each in zip(batch, found, strict=True):
            given = Proposals.of(each).to("cpu").inside((image.shape[-2], image.shape[-1]), smallest=SMALLEST)
            for reaching in (tables, shapes):
                if reaching is not None:
                    reaching.add(target, given)
    if learning is not None:
        for batch in batches(detector.samples(data), batch_size, progress=progress):
            learning.add([image for image, _ in batch], [target for _, target in batch])
    means = None if learning is None else learning.means
    return replace(_recall(tables), losses=means, masks=None if shapes is None else _recall(shapes))


def _recall(reaching: Reaching) -> ProposalRecall:
    data = reaching.data
    return ProposalRecall(
        data=data.name,
        split=data.split,
        num_proposals=reaching.num_proposals / len(data),
        most=reaching.most,
        reached=reaching.reached(),
        iou_type=reaching.iou_type,
        occlusion_note=occlusion.note(*reaching.occlusion(), estimate=data.occlusion_is_estimate, figure="recall"),
    )


def proposal_problems(data: Dataset) -> list[Problem]:
    """What the doctor has to say about the proposals of `data`: a warning if they miss many objects."""
    recall = proposal_recall(data)
    row = recall.table().loc["all"]
    if not row["recall@0.5"] < ENOUGH:  # NaN without objects
        return []
    what = (
        f"only {row['recall@0.5']:.0%} of {row['objects']:.0f} objects have one of IoU ≥ 0.5 among the best "
        f"{recall.most} ({recall.num_proposals:.0f} per image)"
    )
    fix = "Take more, or better ones: what they miss is lost."
    return [Problem("warning", f"proposals of {recall.data} {recall.split}", what, fix)]
