"""What workers claim, of the same things: whose crosses and outlines are about one object, and which are about none.

A *claim* is one worker's answer, an *item* what it is about: a category of an image ("label"), an object ("spot",
"segment"), or a segment that is called bad ("verify"). Items that are there, by the truth, and nobody claimed are
items, too. A *unit* is what one job is about. From whether a worker claims an item of a unit that was looked at,
everything else is counted.

Crosses belong to the smallest object of their category that they lie in (by its mask where that is known, else by its
box) and that the same worker has not claimed; a second cross on the same object adds nothing. Outlines belong to the
objects with which they overlap best, one to one, whatever the class; a wrong class is counted by itself. What belongs
to no object is put together where it is near each other, so that two workers who err in the same way claim the same
item. What lies in a crowd is left out.

Shape letters: W workers, U units, M items, C claims.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from pycocotools import mask as coco_mask
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array

from workbench.annotation.actions import Action, Stage, Unit, job_spans, standing
from workbench.annotation.counting.images import Images, Objects
from workbench.data import Dataset
from workbench.data.reading.boxes import xywh
from workbench.data.reading.masks import checked_segmentation, code_of
from workbench.errors import DataError
from workbench.evaluation.counting.tables import box_iou
from workbench.rle import RLE, encode_masks

COUNTED: tuple[Stage, ...] = ("label", "spot", "segment", "verify")
TRUTHS = ("data with objects", "the names of the segments that are bad")
SAME_CLASS = 1e-6  #: what an equal class adds to an overlap, so that it decides between equals


@dataclass(frozen=True)
class Claim:
    """One answer."""

    worker: int  #: place among `Claims.workers`
    item: int  #: place among the items
    action: Action
    overlap: float = np.nan  #: IoU with the true object; NaN where there is none
    stretch: tuple[float, ...] = ()  #: by how much each side of the box is off, as a share of width or height
    wrong_class: bool = False


@dataclass(frozen=True, eq=False)
class Claims:
    """All answers of a stage, and what they are about."""

    stage: Stage
    workers: tuple[str, ...]
    units: tuple[Unit, ...]
    done: csr_array  #: [W, U] 0 or 1, who has looked at what
    claims: list[Claim]
    item_units: np.ndarray  #: [M] int64, the unit of each item
    true: np.ndarray | None  #: [M] bool, which items are there; None: nobody knows

    @property
    def num_items(self) -> int:
        """M."""
        return len(self.item_units)

    @property
    def votes(self) -> csr_array:
        """[W, M] 0 or 1, who claims what."""
        pairs = sorted({(one.worker, one.item) for one in self.claims})
        rows, columns = np.array(pairs, np.int64).reshape(-1, 2).T
        return csr_array((np.ones(len(pairs), np.int64), (rows, columns)), shape=(len(self.workers), self.num_items))

    @property
    def looked(self) -> csr_array:
        """[W, M] 0 or 1, who has looked where an item is."""
        return self.done[:, self.item_units]

    def by_item(self) -> list[list[Claim]]:
        """The claims about each item, in the order of time."""
        found: list[list[Claim]] = [[] for _ in range(self.num_items)]
        for one in self.claims:
            found[one.item].append(one)
        return found


@dataclass
class _Gathering:
    """Items and claims as they come."""

    workers: dict[str, int]
    units: dict[Unit, int]
    item_units: list[int] = field(default_factory=list)
    true: list[bool] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)

    def item(self, unit: Unit, *, true: bool = False) -> int:
        """The place of a new item."""
        self.item_units.append(self.units[unit])
        self.true.append(true)
        return len(self.true) - 1

    def claim(self, item: int, action: Action, **more: object) -> None:
        """Add a claim."""
        self.claims.append(Claim(self.workers[action.worker], item, action, **more))  # type: ignore[arg-type]


def gather_claims(
    actions: Iterable[Action],
    stage: Stage,
    truth: Dataset | Collection[str] | None = None,
    *,
    images: Dataset | None = None,
    iou: float = 0.5,
    near: float = 16.0,
) -> Claims:
    """Put the answers of a stage together by what they are about.

    Args:
        actions: of any stages and workers.
        stage: "label", "spot", "segment" or "verify".
        truth: the objects that are there, in data whose images have the ids of the actions; of "verify" the items
            that are bad. None: nobody knows.
        images: what says the sizes of images, for outlines that are polygons, where there is no truth.
        iou: from which overlap on two outlines are of one object, above 0.
        near: pixels within which crosses are of one object, where no true object says so.

    Raises:
        DataError: a stage without such answers, no action of it, an image or class that the data do not have, or an
            outline that cannot be read.
    """
    actions = list(actions)
    if stage not in COUNTED:
        raise DataError(f"nothing can be counted of stage {stage!r}; choose one of {', '.join(COUNTED)}")
    pairs = list(job_spans(sorted(actions, key=lambda one: one.time), stage))
    if not pairs:
        raise DataError(f"there is no action of stage {stage!r}")
    if not 0 < iou <= 1 or near < 0:
        raise DataError(f"iou and near are {iou} and {near}; expected an overlap in 0..1 and pixels from 0 on")
    if truth is not None and isinstance(truth, Dataset) == (stage == "verify"):
        raise DataError(f"the truth of {stage!r} is a {type(truth).__name__}; expected {TRUTHS[stage == 'verify']}")
    workers = {name: place for place, name in enumerate(sorted({worker for worker, _ in pairs}))}
    units = {unit: place for place, unit in enumerate(_by_image(unit for _, unit in pairs))}
    places = np.array([(workers[worker], units[unit]) for worker, unit in pairs]).T
    done = csr_array((np.ones(places.shape[1], np.int64), tuple(places)), shape=(len(workers), len(units)))
    gathering, answers = _Gathering(workers, units), standing(actions, stage)
    there = Images(truth) if isinstance(truth, Dataset) else None
    if stage == "label":
        _label(gathering, answers, there)
    elif stage == "spot":
        _spot(gathering, answers, there, near)
    elif stage == "segment":
        _segment(gathering, answers, there, there if images is None else Images(images), iou)
    else:
        _verify(gathering, answers, set() if truth is None else set(truth))
    return Claims(
        stage,
        tuple(workers),
        tuple(units),
        done,
        gathering.claims,
        np.array(gathering.item_units, np.int64),
        None if truth is None else np.array(gathering.true, bool),
    )


def _by_image(units: Iterable[Unit]) -> list[Unit]:
    """Units in the order of their first actions, those of an image together, so that its truth is read once."""
    found: dict[int | str, dict[Unit, None]] = {}
    for unit in units:
        found.setdefault(unit[0], {})[unit] = None
    return [unit for some in found.values() for unit in some]


def _by_unit(answers: Sequence[Action]) -> dict[Unit, list[Action]]:
    found: dict[Unit, list[Action]] = defaultdict(list)
    for one in answers:
        found[one.unit].append(one)
    return found


def _label(gathering: _Gathering, answers: Sequence[Action], there: Images | None) -> None:
    items: dict[tuple[Unit, str], int] = {}
    if there is not None:
        for unit in gathering.units:
            for label in dict.fromkeys(there.objects(unit[0], masks=False).labels.tolist()):
                items[unit, there.data.classes[label - 1]] = gathering.item(unit, true=True)
        for one in answers:
            there.label(one.category)  # raises for a class that is not there
    for one in answers:
        key = one.unit, str(one.category)
        if key not in items:
            items[key] = gathering.item(one.unit)
        gathering.claim(items[key], one)


def _verify(gathering: _Gathering, answers: Sequence[Action], bad: Collection[str]) -> None:
    items = {unit: gathering.item(unit, true=unit[1] in bad) for unit in gathering.units}
    for one in answers:
        if one.value["bad"]:
            gathering.claim(items[one.unit], one)


def _spot(gathering: _Gathering, answers: Sequence[Action], there: Images | None, near: float) -> None:
    crosses = _by_unit(answers)
    for unit in gathering.units:
        left = crosses[unit] if there is None else _on_objects(gathering, unit, crosses[unit], there)
        for members in near_each_other(left, near):
            item = gathering.item(unit)
            for one in members:
                gathering.claim(item, one)


def _on_objects(gathering: _Gathering, unit: Unit, crosses: Sequence[Action], there: Images) -> list[Action]:
    """Take the crosses that lie on objects; what is left lies on none, nor in a crowd."""
    found = there.objects(unit[0], masks=True)
    own = found[np.flatnonzero(found.labels == there.label(unit[1]))]
    single, crowds = own[np.flatnonzero(~own.crowd)], own[np.flatnonzero(own.crowd)]
    items = [gathering.item(unit, true=True) for _ in range(len(single))]
    area = (single.boxes[:, 2:] - single.boxes[:, :2]).prod(axis=1)
    taken: set[tuple[str, int]] = set()
    left = []
    for one in crosses:
        rows = np.flatnonzero(single.holds(one.point))
        rows = rows[np.argsort(area[rows], kind="stable")]
        free = [row for row in rows.tolist() if (one.worker, row) not in taken]
        if free:
            taken.add((one.worker, free[0]))
            gathering.claim(items[free[0]], one)
        elif len(rows) == 0 and not crowds.holds(one.point).any():
            left.append(one)
    return left


def near_each_other(crosses: Sequence[Action], near: float) -> list[list[Action]]:
    """Crosses of several workers in groups of which no two are of one worker, each for one place.

    Each cross joins the nearest group whose mean is at most `near` pixels away and that has none of its worker.
    """
    groups: list[list[Action]] = []
    for one in crosses:
        here = np.array(one.point)
        best, nearest = None, near
        for group in groups:
            if one.worker not in {other.worker for other in group}:
                apart = float(np.hypot(*(np.mean([other.point for other in group], axis=0) - here)))
                if apart <= nearest:
                    best, nearest = group, apart
        if best is None:
            groups.append([one])
        else:
            best.append(one)
    return groups


@dataclass(frozen=True, eq=False)
class _Shapes:
    """Outlines of an image."""

    boxes: np.ndarray  #: [N, 4] xyxy
    codes: list[RLE] | None  #: masks, where all have one

    def __getitem__(self, rows: Sequence[int]) -> _Shapes:
        codes = None if self.codes is None else [self.codes[row] for row in rows]
        return _Shapes(self.boxes[list(rows)], codes)

    def overlap(self, other: _Shapes) -> np.ndarray:
        """IoU [N, M]: of masks where both have them, else of boxes."""
        if not len(self.boxes) or not len(other.boxes):
            return np.zeros((len(self.boxes), len(other.boxes)))
        if self.codes is None or other.codes is None:
            return box_iou(self.boxes, other.boxes)
        crowd = np.zeros(len(other.boxes), np.uint8)
        return np.asarray(coco_mask.iou(self.codes, other.codes, crowd))


def shapes_of(actions: Sequence[Action], size: tuple[int, int] | None) -> _Shapes:
    """The outlines of segments of an image of `size` (height, width); boxes alone where one has no mask, or no size.

    Raises:
        DataError: a segmentation cannot be read.
    """
    boxes = np.array([one.box for one in actions]).reshape(-1, 4)
    codes: list[RLE] = []
    for one in actions:
        if size is None or one.value.get("segmentation") is None:
            return _Shapes(boxes, None)
        try:
            checked = checked_segmentation(one.value["segmentation"], size)
        except ValueError as error:
            raise DataError(f"a segment of {one.worker!r} in image {one.image!r}: {error}") from error
        if checked is None:
            return _Shapes(boxes, None)
        codes.append(code_of(checked, size))
    return _Shapes(boxes, codes)


def _segment(
    gathering: _Gathering, answers: Sequence[Action], there: Images | None, sizes: Images | None, iou: float
) -> None:
    drawn = _by_unit(answers)
    for unit in gathering.units:
        here = drawn[unit]
        shapes = shapes_of(here, None if sizes is None else sizes.size(unit[0]))
        left = list(range(len(here)))
        if there is not None:
            left = _of_objects(gathering, unit, here, shapes, there, iou)
        for members in _alike([here[row] for row in left], shapes[left], iou):
            item = gathering.item(unit)
            for one in members:
                gathering.claim(item, one)


def _of_objects(
    gathering: _Gathering, unit: Unit, drawn: Sequence[Action], shapes: _Shapes, there: Images, iou: float
) -> list[int]:
    """Give the outlines of each worker to objects; the places of those that fit none, nor lie in a crowd."""
    found, size = there.objects(unit[0], masks=shapes.codes is not None), there.size(unit[0])
    single, crowds = found[np.flatnonzero(~found.crowd)], found[np.flatnonzero(found.crowd)]
    items = [gathering.item(unit, true=True) for _ in range(len(single))]
    ious = shapes.overlap(_true_shapes(single))
    labels = np.array([there.label(one.category) for one in drawn], np.int64)
    left = []
    for rows in _rows_by_worker(drawn).values():
        pairs = dict(_best_pairs(ious[rows], labels[rows][:, None] == single.labels[None], iou))
        for place, row in enumerate(rows):
            if place in pairs:
                own = pairs[place]
                more = {
                    "overlap": float(ious[row, own]),
                    "stretch": _stretch(shapes.boxes[row], single.boxes[own], size),
                    "wrong_class": bool(labels[row] != single.labels[own]),
                }
                gathering.claim(items[own], drawn[row], **more)
            elif not within_crowd(shapes.boxes[row], crowds.boxes):
                left.append(row)
    return sorted(left)


def _true_shapes(objects: Objects) -> _Shapes:
    if objects.masks is None or not objects.masks.any((1, 2)).all():
        return _Shapes(objects.boxes, None)
    from torch import from_numpy  # here, since most of this needs no torch

    return _Shapes(objects.boxes, encode_masks(from_numpy(objects.masks)))


def _rows_by_worker(drawn: Sequence[Action]) -> Mapping[str, list[int]]:
    rows: dict[str, list[int]] = defaultdict(list)
    for row, one in enumerate(drawn):
        rows[one.worker].append(row)
    return rows


def _best_pairs(ious: np.ndarray, same: np.ndarray, least: float) -> Iterator[tuple[int, int]]:
    """Which rows and columns belong together, one to one, so that their overlaps [n, N] from `least` on are most."""
    worth = np.where(ious >= least, ious + SAME_CLASS * same, 0.0)
    for row, column in zip(*linear_sum_assignment(-worth), strict=True):
        if worth[row, column] > 0:
            yield int(row), int(column)


def _stretch(drawn: np.ndarray, true: np.ndarray, size: tuple[int, int] | None) -> tuple[float, ...]:
    """How far the sides of a box are off, as shares of width and height; without those on the edge of the image."""
    scale = np.tile(true[2:] - true[:2], 2)
    off = (drawn - true) / scale
    if size is not None:
        edge = np.array([0, 0, size[1], size[0]])
        off = off[np.abs(drawn - edge) > 1e-6]
    return tuple(off.tolist())


def within_crowd(box: np.ndarray, crowds: np.ndarray) -> bool:
    """Whether at least half of a box [4] lies in one of the boxes [N, 4] of crowds."""
    if not len(crowds):
        return False
    share = coco_mask.iou(xywh(box[None]), xywh(crowds), np.ones(len(crowds), np.uint8))
    return bool(np.asarray(share).max() >= 0.5)


def _alike(drawn: Sequence[Action], shapes: _Shapes, iou: float) -> list[list[Action]]:
    """Outlines in groups of which no two are of one worker: each joins the one whose first it overlaps most."""
    ious = shapes.overlap(shapes)
    groups: list[list[int]] = []
    for row, one in enumerate(drawn):
        fits = [
            (ious[row, group[0]], -place)
            for place, group in enumerate(groups)
            if ious[row, group[0]] >= iou and one.worker not in {drawn[other].worker for other in group}
        ]
        if fits:
            groups[-max(fits)[1]].append(row)
        else:
            groups.append([row])
    return [[drawn[row] for row in group] for group in groups]
