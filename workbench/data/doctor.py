"""The doctor for data: what is wrong with a data set, and with anchors for it, before it costs hours.

The readers of annotation files collect their own problems (`Dataset.problems`; load with `strict=False` to see
all of them); here the targets and the images themselves are looked at.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_iou

from workbench.data.dataset import Dataset
from workbench.data.doctor_images import check_labelled_images, class_name_problems
from workbench.data.reading.boxes import SLACK, XYXY, format_problems
from workbench.data.reading.lazy_target import at_hand
from workbench.data.reading.picture_problems import picture_problems, size_problems
from workbench.data.reading.problems import Level, Problem, Report
from workbench.errors import DataError
from workbench.types import Target

__all__ = ["Problem", "Report", "check_anchors", "check_data"]


def check_data(
    data: Dataset, *, images: bool = True, limit: int | None = None, indices: Sequence[int] | None = None
) -> Report:
    """Look for what is wrong in a data set.

    Finds what the annotation files' reader found (unknown categories, duplicate ids, mixed-up formats, boxes
    outside, objects without masks among others); unreadable or truncated images, sizes other than annotated, boxes
    that are empty, outside, not finite or there twice, labels outside 1..K, duplicate image ids and files, images
    without objects, classes without objects or with nearly the same name. Raises nothing for bad data.

    Args:
        images: decode every image, too, which takes most of the time.
        limit: look at the first so many images only.
        indices: look at these images only.

    Example:
        >>> print(check_data(wb.load_data("face-scenes", split="test", length=4)))
        FaceScenes('face-scenes', split='test': 4 images, 1 classes): nothing wrong was found
    """
    if data.columns is not None:
        return check_labelled_images(data, images=images, limit=limit)
    indices = range(len(data))[:limit] if indices is None else indices
    number = len(indices)
    problems = [*data.problems, *class_name_problems(data)]
    if number == 0:
        problems.append(Problem("error", str(data), "there are no images", "Check root and split."))
    ids: Counter[int] = Counter()
    files: dict[str, list[int]] = defaultdict(list)
    labels: Counter[int] = Counter()
    empty: list[int] = []
    all_boxes, all_sizes = [], []
    for index in indices:
        try:
            size, target = data.size(index), at_hand(data.target(index))  # what is made on demand fits by its making
        except DataError as error:
            problems.append(_from_error(error, "Correct the annotations."))
            continue
        ids[int(target["image_id"])] += 1
        files[_file(data, index)].append(int(target["image_id"]))
        labels.update(target["labels"].tolist())
        if len(target["boxes"]) == 0:
            empty.append(index)
        boxes = target["boxes"].numpy().reshape(-1, 4).astype(float)
        all_boxes.append(boxes)
        all_sizes.append(size)
        problems += data.image_problems(index)
        problems += _target_problems(target, boxes, size, data.classes, partial(data.where, index))
        if images:
            problems += _image_problems(data, index)
    problems += [*_id_problems(ids, data), *_file_problems(files), *_empty_problems(empty, number, data)]
    problems += _class_problems(labels if number == len(data) else None, data)
    if all_boxes and not data.problems:
        sizes = np.repeat(np.array(all_sizes, float), list(map(len, all_boxes)), axis=0)
        problems += format_problems(np.concatenate(all_boxes), sizes, str(data), "boxes", XYXY)
    return Report(str(data), problems)


def check_anchors(
    boxes: Tensor, anchors: Tensor, *, threshold: float = 0.5, lowest: float = 0.3, where: str = "anchors"
) -> list[Problem]:
    """Whether anchors fit the objects.

    An object is missed if no anchor reaches IoU `threshold`. Gives a warning if more than 10 % are missed, an error
    if more than 10 % do not even reach `lowest`: those objects are learned as background, or from one poor anchor
    each.

    Args:
        boxes: [N, 4], xyxy pixels of the image as the detector sees it (after resizing).
        anchors: [A, 4], likewise; to compare shapes alone, centre both at the origin.

    Example:
        >>> tall, square = torch.tensor([[0.0, 0, 10, 40]]), torch.tensor([[0.0, 0, 20, 20]])
        >>> [problem.what for problem in check_anchors(tall, square)]
        ['100% of 1 objects have no anchor of IoU ≥ 0.5 (their median side is 20 px)']
    """
    if len(boxes) == 0:
        return []
    fix = "Choose anchor sizes and aspect ratios nearer to the objects, or resize the images."
    if len(anchors) == 0:
        return [Problem("error", where, "there are no anchors", fix)]
    best = torch.cat([box_iou(part.float(), anchors.float()).amax(1) for part in boxes.split(1024)])
    limits: tuple[tuple[Level, float], ...] = (("error", lowest), ("warning", threshold))
    for level, limit in limits:
        missed = best < limit
        if missed.float().mean() > 0.1:
            sides = (boxes[missed, 2:] - boxes[missed, :2]).prod(1).clamp(min=0).sqrt()
            what = (
                f"{missed.float().mean():.0%} of {len(boxes)} objects have no anchor of IoU ≥ {limit:g} "
                f"(their median side is {sides.median():.0f} px)"
            )
            return [Problem(level, where, what, fix)]
    return []


def _target_problems(
    target: Target, boxes: np.ndarray, size: tuple[int, int], classes: Sequence[str], where: Callable[[], str]
) -> Iterator[Problem]:
    labels, num_classes = target["labels"].numpy(), len(classes)
    if len(labels) != len(boxes):
        what = f"{len(boxes)} boxes, but {len(labels)} labels"
        yield Problem("error", where(), what, "Give each box one label.")
    for row in np.flatnonzero((labels < 1) | (labels > num_classes)).tolist():
        what = f"object {row} has label {int(labels[row])}"
        yield Problem("error", where(), what, f"Labels run from 1 to {num_classes}; 0 is the background.")
    kinds = _box_kinds(boxes, size)
    for row in np.flatnonzero(kinds).tolist():
        what, fix = _BOX_WRONG[int(kinds[row])]
        yield Problem("error", where(), f"box {_words(boxes[row])} of object {row} {what}", fix)
    for first, again in _same_boxes(boxes):
        names = [classes[label - 1] if 1 <= label <= num_classes else str(label) for label in labels[[first, again]]]
        what = f"objects {first} and {again} ({' and '.join(names)}) have the same box {_words(boxes[first])}"
        yield Problem("warning", where(), what, "Remove one, unless two objects really cover each other.")
    masks = target.get("masks")
    if masks is not None and tuple(masks.shape) != (len(boxes), *size):
        what = f"masks are {tuple(masks.shape)} instead of {(len(boxes), *size)}"
        yield Problem("error", where(), what, "Give one mask of the image's size per object.")


def _words(box: np.ndarray) -> str:
    return " ".join(f"{value:g}" for value in box.tolist())


def _same_boxes(boxes: np.ndarray) -> Iterator[tuple[int, int]]:
    """Pairs of rows with equal boxes: the first of its kind, and each that comes again."""
    if len(boxes) < 2:
        return
    seen: dict[tuple[float, ...], int] = {}
    for row, box in enumerate(map(tuple, boxes.tolist())):
        first = seen.setdefault(box, row)
        if first != row:
            yield first, row


_BOX_WRONG = {
    1: ("lies outside its image", "Clip the box."),
    2: ("is empty", "Boxes are xyxy with x2 > x1 and y2 > y1."),
    3: ("is not finite", "Remove the object."),
}


def _box_kinds(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Which entry of `_BOX_WRONG` is true of each box [N]; 0 for good boxes."""
    low, high = boxes[:, :2], boxes[:, 2:]
    outside = (low < -SLACK).any(1) | (high > np.array([size[1] + SLACK, size[0] + SLACK])).any(1)
    kinds = outside.astype(int)
    kinds[(high <= low).any(1)] = 2
    kinds[~np.isfinite(boxes).all(1)] = 3
    return kinds


def _image_problems(data: Dataset, index: int) -> list[Problem]:
    try:
        path = data.path(index)
        if path is not None:
            return picture_problems(path, data.where(index), data.size(index))
        return size_problems(tuple(data.image(index).shape[-2:]), data.where(index), data.size(index))
    except DataError as error:
        return [_from_error(error, "Replace the file or take the image off the list.")]


def _id_problems(ids: Counter[int], data: Dataset) -> list[Problem]:
    fix = "Give each image an id of its own: evaluation would mix them."
    return [
        Problem("error", str(data), f"image_id {identity} occurs {number} times", fix)
        for identity, number in ids.items()
        if number > 1
    ]


def _file(data: Dataset, index: int) -> str:
    """The file of an image as one way to write its path; "" for images that are made."""
    try:
        path = data.path(index)
    except DataError:
        return ""  # said when the image is looked at
    return "" if path is None else os.path.normpath(path)


def _file_problems(files: dict[str, list[int]]) -> Iterator[Problem]:
    fix = "List each picture once, with all of its objects: what one entry lacks is learned as background."
    for file, ids in files.items():
        if file and len(ids) > 1:
            what = f"{len(ids)} images are this one file: image_id {', '.join(map(str, ids[:5]))}"
            yield Problem("warning", file, what, fix)


def _class_problems(labels: Counter[int] | None, data: Dataset) -> Iterator[Problem]:
    """A warning about classes that never occur.

    Args:
        labels: how often each does, if all images were looked at.
    """
    counts = data.class_counts()
    if counts is None and labels is not None:
        counts = np.array([labels[label] for label in range(1, len(data.classes) + 1)])
    if counts is None or not counts.any():
        return
    never = [name for name, number in zip(data.classes, counts.tolist(), strict=True) if number == 0]
    if never:
        more = ", …" if len(never) > 10 else ""
        what = f"{len(never)} of {len(data.classes)} classes have no objects: {', '.join(never[:10])}{more}"
        yield Problem("warning", str(data), what, "They are never learned; leave them out by classes=, or look why.")


def _empty_problems(empty: list[int], number: int, data: Dataset) -> list[Problem]:
    if not empty:
        return []
    if not data.annotated:
        fix = "Nothing can be learned or measured here; `detect_all` writes what is found for those who can."
        return [Problem("warning", str(data), "the split has no annotations", fix)]
    if len(empty) == len(data):
        fix = "Check the annotations: there is nothing to learn or to measure."
        return [Problem("error", str(data), f"none of the {number} images has an object", fix)]
    what = f"{len(empty)} of {number} images have no objects, the first is {data.where(empty[0])}"
    return [Problem("warning", str(data), what, "Fine if they are meant as background.")]


def _from_error(error: DataError, fix: str) -> Problem:
    where, _, what = str(error).partition(": ")
    return Problem("error", where, what or where, fix)
