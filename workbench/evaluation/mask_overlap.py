"""How well masks fit where the box is right: segmentation by itself, apart from detection.

T.-Y. Lin's thesis, sec. 2.7, "Detection evaluated by segmentation" (Figs. 2.8 and 2.9): of the detections whose box
overlaps an object of their class by IoU 0.5, the IoU of predicted and true mask. COCO's rules say which detection
takes which object (`counting.matching`), so each object counts once, with the detection of the highest score.
Crowds, difficult objects and objects without a mask do not count.

Beside it stands what the box itself would reach, all of its pixels taken for the object: for articulated objects
"the majority of the pixels in the tight-fitting bounding box do not lie on the object".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pycocotools import mask as coco_mask

from workbench.cards import notes_and_tables
from workbench.data import Dataset
from workbench.data.reading.boxes import xywh
from workbench.errors import DataError
from workbench.evaluation import occlusion
from workbench.evaluation.counting import bootstrap
from workbench.evaluation.counting.matching import MASKS, IoUType, assign, groups
from workbench.evaluation.counting.tables import Found, Objects, gather_found, gather_objects, joined
from workbench.evaluation.load import as_result
from workbench.evaluation.result import RESAMPLES, Result
from workbench.rle import RLE
from workbench.types import Detections

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CHUNK = 256  # images whose targets are in memory at once
_AT_ONCE = 100  # resamples whose weights are in memory


@dataclass(frozen=True)
class Pairs:
    """Detections whose box is right, with the objects that they take."""

    found: np.ndarray  #: [P] int64, row of the detection
    objects: np.ndarray  #: [P] int64, row of the object
    boxes: np.ndarray  #: [P] IoU of the boxes
    masks: np.ndarray  #: [P] IoU of the masks
    filled: np.ndarray  #: [P] IoU of the true mask with all pixels of the box that was found


@dataclass(frozen=True, eq=False, repr=False)
class MaskOverlap:
    """Overlap of masks on correct boxes, see the module; made by `mask_overlap`. Shares are in 0..1.

    Example:
        >>> from workbench.detectors.shape_masks import ShapeMasks
        >>> shapes = ShapeMasks.learn(wb.load_data("digit-scenes", length=60), progress=False)
        >>> data = wb.load_data("digit-scenes", split="test", length=20)
        >>> overlap = mask_overlap(shapes.on("digit-scenes/faster-rcnn"), data, progress=False)
        >>> bool(0.2 < overlap.mean < 0.7), overlap.by_class.columns.tolist()
        (True, ['n', 'overlap', 'low', 'high', 'filled', 'objects'])
    """

    data: str  #: name of the data set
    split: str
    classes: tuple[str, ...]
    iou_type: str  #: "segm" or "segm-amodal": which masks of objects
    num_images: int
    num_objects: np.ndarray  #: [K] int64, objects of each class that could be found
    images: np.ndarray  #: [P] int64, index of the image of each pair
    labels: np.ndarray  #: [P] int64 in 1..K
    scores: np.ndarray  #: [P]
    hidden: np.ndarray  #: [P] the object's hidden fraction, NaN where unknown
    pairs: Pairs

    @cached_property
    def by_class(self) -> pd.DataFrame:
        """One row per class.

        Columns: n correct boxes, overlap (mean IoU of masks) and its interval (low, high), 95 % from a bootstrap over
        images; filled (that of all pixels of the box), and the number of objects.
        """
        own = [self.labels == label for label in range(1, len(self.classes) + 1)]
        return self._table(own, self.classes).assign(objects=self.num_objects)

    @cached_property
    def by_occlusion(self) -> pd.DataFrame:
        """The same by how much of the object is hidden, all classes together; without the number of objects."""
        members = occlusion.members(self.hidden, np.zeros(len(self.hidden), bool))
        chosen = dict(zip(occlusion.SUBSETS, members, strict=True))
        table = self._table([chosen[name] for name in occlusion.BINS], list(occlusion.BINS))
        return table.rename_axis("occlusion")

    @property
    def mean(self) -> float:
        """The mean over classes that have correct boxes; NaN without any."""
        known = self.by_class["overlap"].dropna()
        return float(known.mean()) if len(known) else float("nan")

    @property
    def filled(self) -> float:
        """The same of all pixels of each box."""
        known = self.by_class["filled"].dropna()
        return float(known.mean()) if len(known) else float("nan")

    def frame(self) -> pd.DataFrame:
        """One row for each correct box.

        Columns: image (index), object (row of all objects), class, score, hidden, box (IoU of the boxes), overlap (of
        the masks) and filled.
        """
        names = np.array(["", *self.classes], dtype=object)
        return pd.DataFrame(
            {
                "image": self.images, "object": self.pairs.objects, "class": names[self.labels],
                "score": self.scores, "hidden": self.hidden, "box": self.pairs.boxes, "overlap": self.pairs.masks,
                "filled": self.pairs.filled,
            }
        )  # fmt: skip

    def figure(self) -> Figure:
        """Overlap by class, as in Fig. 2.9."""
        from workbench.figures.shape_masks import mask_overlap_figure

        return mask_overlap_figure(self)

    @property
    def what(self) -> str:
        """The data, and how many boxes are right, in words."""
        total = int(self.num_objects.sum())
        masks = "amodal masks" if self.iou_type == "segm-amodal" else "visible masks"
        return (
            f"{self.data} {self.split}, {self.num_images} images, {masks}: {len(self.labels)} of {total} objects "
            "have a correct box"
        )

    def __repr__(self) -> str:
        return f"MaskOverlap(overlap {self.mean:.3f}, filled boxes {self.filled:.3f}; {self.what})"

    def _repr_html_(self) -> str:
        return notes_and_tables([self.what, f"mean over classes {self.mean:.3f}"], self.by_class)

    def _table(self, members: Sequence[np.ndarray], names: Sequence[str]) -> pd.DataFrame:
        member = np.stack(members) if members else np.zeros((0, len(self.labels)), bool)
        counts, sums = self._by_image(member), self._by_image(member * self.pairs.masks)
        n, total = counts.sum(axis=1), sums.sum(axis=1)
        means = np.divide(total, n, out=np.full(len(n), np.nan), where=n > 0)
        filled = (member * self.pairs.filled).sum(axis=1)
        filled = np.divide(filled, n, out=np.full(len(n), np.nan), where=n > 0)
        rng, parts = np.random.default_rng(0), []
        for _ in range(RESAMPLES // _AT_ONCE):
            weights = bootstrap.resample_images(self.num_images, _AT_ONCE, rng)
            with np.errstate(invalid="ignore"):
                parts.append((weights @ sums.T) / (weights @ counts.T))
        samples = np.concatenate(parts)
        spans = [bootstrap.interval(value, some) for value, some in zip(means, samples.T, strict=True)]
        low, high = (np.clip([span[side] for span in spans], 0.0, 1.0) for side in (0, 1))
        columns = {"n": n.astype(int), "overlap": means, "low": low, "high": high, "filled": filled}
        return pd.DataFrame(columns, index=pd.Index(names, name="class"))

    def _by_image(self, values: np.ndarray) -> np.ndarray:
        """Sums [G, I] of values [G, P] of the pairs."""
        return np.stack([np.bincount(self.images, row, minlength=self.num_images) for row in values])


def mask_overlap(
    detector: Any,
    data: Dataset,
    *,
    iou_type: IoUType = "segm",
    progress: bool = True,
) -> MaskOverlap:
    """Measure how well masks fit where the box is right.

    Args:
        detector: one with masks (such as `ShapeMasks.on` gives of any), a `Run`, what `load_detector` takes, a file
            of COCO results with segmentations, a `Result` that holds masks, or one `Detections` for each image.
        data: whose targets have masks.
        iou_type: "segm" compares with the visible pixels of objects, "segm-amodal" with all of them.
        progress: show a bar.

    Raises:
        DataError: the detections or the data have no masks, or they are of other images.

    Example:
        >>> data = wb.load_data("digit-scenes", split="test", length=2)
        >>> from workbench.types import Detections
        >>> true = [Detections(t["boxes"], t["labels"], torch.ones(len(t["labels"])), t["masks"]) for _, t in data]
        >>> mask_overlap(true, data, progress=False).mean
        1.0
    """
    if iou_type not in MASKS:
        raise DataError(f"iou_type is {iou_type!r}; expected one of {', '.join(MASKS)}")
    objects = _objects(data, MASKS[iou_type])
    found = _found(detector, data, objects, progress=progress)
    pairs = correct_pairs(objects, found, len(data.classes))
    counted = objects.labels[~objects.ignored]
    return MaskOverlap(
        data=data.name,
        split=data.split,
        classes=tuple(data.classes),
        iou_type=iou_type,
        num_images=objects.num_images,
        num_objects=np.bincount(counted, minlength=len(data.classes) + 1)[1:],
        images=objects.images[pairs.objects],
        labels=objects.labels[pairs.objects],
        scores=found.scores[pairs.found],
        hidden=objects.occlusion[pairs.objects],
        pairs=pairs,
    )


def correct_pairs(objects: Objects, found: Found, num_classes: int) -> Pairs:
    """Which detections are right by their boxes, and how well their masks fit.

    Args:
        objects: with masks.
        found: with masks.
        num_classes: K.

    Raises:
        DataError: one side has no masks.
    """
    if objects.masks is None or found.masks is None:
        raise DataError("masks are compared, and one side has none")
    theirs = groups(objects.images, objects.labels, num_classes)
    chosen: list[tuple[int, int, float]] = []
    for key, rows in groups(found.images, found.labels, num_classes).items():
        if key not in theirs:
            continue
        own = rows[np.argsort(-found.scores[rows], kind="stable")]
        there = theirs[key]
        crowd = objects.crowd[there]
        ious = np.asarray(coco_mask.iou(xywh(found.boxes[own]), xywh(objects.boxes[there]), crowd.astype(np.uint8)))
        taken = assign(ious, crowd, objects.ignored[there][None])[0, 0]  # of all objects, at IoU 0.5
        for place in np.flatnonzero(taken >= 0).tolist():
            if not objects.ignored[there[taken[place]]]:
                chosen.append((int(own[place]), int(there[taken[place]]), float(ious[place, taken[place]])))
    chosen.sort(key=lambda one: one[1])
    rows = np.array([one[:2] for one in chosen], np.int64).reshape(-1, 2)
    masks = [_iou(found.masks[own], objects.masks[there]) for own, there in rows.tolist()]
    filled = [
        _iou(_filled(found.boxes[own], objects.masks[there]), objects.masks[there]) for own, there in rows.tolist()
    ]
    return Pairs(rows[:, 0], rows[:, 1], np.array([one[2] for one in chosen]), np.array(masks), np.array(filled))


def _iou(first: RLE, second: RLE) -> float:
    return float(np.asarray(coco_mask.iou([first], [second], np.zeros(1, np.uint8)))[0, 0])


def _filled(box: np.ndarray, like: RLE) -> RLE:
    """The code of all pixels of a box [4]."""
    return coco_mask.frPyObjects(xywh(box[None]), *like["size"])[0]


def _objects(data: Dataset, key: str) -> Objects:
    parts = []
    for first in range(0, len(data), _CHUNK):
        places = range(first, min(first + _CHUNK, len(data)))
        targets = [data.target(index) for index in places]
        lacking = next((index for index, target in zip(places, targets, strict=True) if key not in target), None)
        if lacking is not None:
            raise DataError(f'{data.where(lacking)}: there is no target["{key}"] to compare masks with')
        parts.append(gather_objects(targets, [data.size(index) for index in places], masks=key, first=first))
    if not parts:
        raise DataError(f"{data.name} {data.split} has no images to evaluate on.")
    return joined(parts)


def _found(detector: Any, data: Dataset, objects: Objects, *, progress: bool) -> Found:
    if isinstance(detector, Iterable) and not isinstance(detector, str | Result):
        listed = list(detector)
        if len(listed) != len(data) or not all(isinstance(one, Detections) for one in listed):
            raise DataError(f"{len(listed)} entries came for {len(data)} images; expected one Detections for each")
        if any(one.masks is None for one in listed):
            raise DataError("some detections have no masks; ShapeMasks.paste gives them some")
        return gather_found(listed, masks=True)
    result = as_result(detector, data, progress=progress)
    if result.masks is None or result.found is None:
        raise DataError(
            "the detections have no masks to compare; give a detector with masks, such as ShapeMasks.learn(data)"
            ".on(detector), and no result that was saved"
        )
    found = result.found
    return Found(found.images, found.labels, found.boxes, found.scores, result.masks)
