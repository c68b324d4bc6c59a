"""What detectors of others answer for one image, in any of the usual forms.

Taken as they are: dicts and objects with `boxes`, `labels` and `scores` (torchvision, MAITE's
`ObjectDetectionTarget`, Hugging Face after `post_process_object_detection`), and the same under the names of
detectron2, ultralytics, mmdetection and supervision; tuples (boxes, labels, scores), maybe with masks behind them;
rows x1, y1, x2, y2, score, label; lists of one dict with `box`, `label` and `score` for each object (Hugging Face's
pipelines). Numbers may be lists, numpy arrays or tensors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbench.errors import DataError

#: How others call the parts of an answer, the usual name first.
BOXES = ("boxes", "pred_boxes", "bboxes", "xyxy")
LABELS = ("labels", "pred_classes", "class_id", "cls", "classes")
SCORES = ("scores", "conf", "confidence")
MASKS = ("masks", "pred_masks", "mask")
ALL_SCORES = ("class_scores",)
OBJECTNESS = ("objectness",)
INSIDE = ("instances", "pred_instances")  #: where detectron2 and mmdetection have all of it
PIXELS = ("tensor", "data")  #: where objects of theirs have their numbers
FORMS = "a dict with boxes, labels and scores, a tuple of them, or rows x1, y1, x2, y2, score, label"


@dataclass
class Answer:
    """The parts of an answer; N objects in the order they came, C the detector's own classes."""

    boxes: Tensor  #: [N, 4] float32, in whatever form they are
    labels: Tensor | list[str] | None  #: [N] int64 in the detector's own numbers, or names
    scores: Tensor | None  #: [N] float32
    masks: Tensor | None = None  #: [N, H, W] bool
    class_scores: Tensor | None = None  #: [N, C] float32
    objectness: Tensor | None = None  #: [N] float32


def read_answer(given: Any, where: str) -> Answer:
    """The parts of what a detector answered for one image.

    Args:
        given: its answer; None or nothing at all: it found nothing.
        where: which detector and image, for messages.

    Raises:
        DataError: it has none of the known forms, or its parts do not fit together.
    """
    if given is None or (isinstance(given, Sequence | Tensor | np.ndarray) and len(given) == 0):
        return Answer(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0))
    if isinstance(given, tuple) and hasattr(given, "_asdict"):
        given = given._asdict()
    if isinstance(given, Tensor | np.ndarray):
        return _of_rows(given, where)
    if isinstance(given, Sequence) and not isinstance(given, str):
        return _of_sequence(given, where)
    inside = _part(given, INSIDE)
    return _of_parts(given, where) if inside is None else read_answer(inside, where)


def _part(given: Any, names: Sequence[str]) -> Any:
    """The first of the parts of these names that a dict or an object has."""
    for name in names:
        value = given.get(name) if isinstance(given, Mapping) else getattr(given, name, None)
        if value is not None:
            return value
    return None


def _of_parts(given: Any, where: str) -> Answer:
    boxes = _part(given, BOXES)
    if boxes is None:
        has = ""
        if isinstance(given, Mapping):
            has = f" with {', '.join(map(repr, given)) or 'no keys'}"
        raise DataError(f"{where}: the answer is a {type(given).__name__}{has}; expected {FORMS}, for each image")
    parts = {"labels": _part(given, LABELS), "scores": _part(given, SCORES)}
    within = _part(boxes, ("xyxy",)) if not isinstance(boxes, Sequence) else None
    if within is not None:  # ultralytics has labels and scores there, too
        parts = {"labels": _part(boxes, LABELS), "scores": _part(boxes, SCORES)}
        boxes = within
    answer = _checked(boxes, **parts, masks=_part(given, MASKS), every=_part(given, ALL_SCORES), where=where)
    objectness = _part(given, OBJECTNESS)
    if objectness is not None and len(answer.boxes):
        answer.objectness = _numbers(objectness, "objectness", where).float()
        if answer.objectness.shape != (len(answer.boxes),):
            what = f"{len(answer.boxes)} boxes came with objectness of the shape {list(answer.objectness.shape)}"
            raise DataError(f"{where}: {what}; expected [{len(answer.boxes)}]")
    return answer


def _of_sequence(given: Sequence[Any], where: str) -> Answer:
    if all(isinstance(one, Mapping) and "box" in one for one in given):
        corners = [[one["box"][key] for key in ("xmin", "ymin", "xmax", "ymax")] for one in given]
        labels, scores = ([one[key] for one in given] for key in ("label", "score"))
        return _checked(corners, labels, scores, None, None, where)
    first = _numbers(given[0], "boxes", where)
    if first.ndim == 1 and len(first) == 6:
        return _of_rows(given, where)
    if not 3 <= len(given) <= 5:
        what = f"the answer is a {type(given).__name__} of {len(given)}"
        raise DataError(f"{where}: {what}; expected {FORMS}, for each image")
    boxes, labels, scores, *more = given
    if not _like_labels(labels, where) and _like_labels(scores, where):  # as many give them
        labels, scores = scores, labels
    shapes = {_numbers(one, "masks", where).ndim: one for one in more if one is not None}
    masks = next((one for sides, one in shapes.items() if sides > 2), None)
    return _checked(boxes, labels, scores, masks, shapes.get(2), where)


def _of_rows(given: Any, where: str) -> Answer:
    """Rows x1, y1, x2, y2, score, label."""
    rows = _numbers(given, "rows", where)
    if rows.ndim != 2 or rows.shape[1] != 6:
        raise DataError(f"{where}: the answer is an array {list(rows.shape)}; expected {FORMS}, for each image")
    scores, labels = rows[:, 4], rows[:, 5]
    if not _like_labels(labels, where) and _like_labels(scores, where):
        what = "rows are x1, y1, x2, y2, score, label in this order, and the last column holds no whole numbers"
        raise DataError(f"{where}: {what}, but the fifth does; exchange the two, or give a dict")
    return _checked(rows[:, :4], labels, scores, None, None, where)


def _checked(boxes: Any, labels: Any, scores: Any, masks: Any, every: Any, where: str) -> Answer:
    """The parts as tensors that fit together."""
    boxes = _numbers(boxes, "boxes", where).float()
    if boxes.numel() == 0:
        boxes = boxes.reshape(-1, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise DataError(f"{where}: boxes have the shape {list(boxes.shape)}; expected [N, 4]")
    number = len(boxes)
    values = None if scores is None else _numbers(scores, "scores", where).float()
    if values is not None and values.ndim == 2 and number:  # MAITE's: those of all classes
        values, every = None, values
    all_scores = None if every is None else _numbers(every, "class_scores", where).float()
    if all_scores is None and (values is None or labels is None):
        lacks = "labels" if labels is None else "scores"
        raise DataError(f"{where}: the answer has no {lacks}; expected {FORMS}, for each image")
    names = None if labels is None else _labels(labels, where)
    shapes: dict[str, int | None] = {"labels": None if names is None else len(names)}
    shapes["scores"] = None if values is None else (len(values) if values.ndim == 1 else -1)
    shapes["class_scores"] = None if all_scores is None else (len(all_scores) if all_scores.ndim == 2 else -1)
    for name, length in shapes.items():
        if length not in (None, number) and not (number == 0 and length in (0, -1)):
            form = f"[{number}, C]" if name == "class_scores" else f"[{number}]"
            raise DataError(f"{where}: {number} boxes came with {name} of another shape; expected {form}")
    if number == 0:
        return read_answer(None, where)
    return Answer(boxes, names, values, _masks(masks, number, where), all_scores)


def _masks(given: Any, number: int, where: str) -> Tensor | None:
    """bool [N, H, W]; fractions are cut at one half."""
    if given is None:
        return None
    masks = _numbers(given, "masks", where)
    masks = masks[:, 0] if masks.ndim == 4 and masks.shape[1] == 1 else masks
    if masks.ndim != 3 or len(masks) != number:
        raise DataError(f"{where}: masks have the shape {list(masks.shape)}; expected [{number}, H, W]")
    return masks > 0.5 if masks.is_floating_point() else masks != 0


def _labels(given: Any, where: str) -> Tensor | list[str]:
    if _are_names(given):
        return [str(one) for one in given]
    labels = _numbers(given, "labels", where)
    if labels.is_floating_point() and not bool((labels == labels.round()).all()):
        odd = labels[labels != labels.round()].flatten()[0].item()
        raise DataError(f"{where}: {odd:g} is among the labels; expected whole numbers or names of classes")
    return labels.reshape(-1).long() if labels.numel() == 0 or labels.ndim == 1 else labels.long()


def _like_labels(given: Any, where: str) -> bool:
    """Whether these may be labels: names, or numbers without fractions."""
    if _are_names(given):
        return True
    values = _numbers(given, "labels", where)
    return not values.is_floating_point() or bool((values == values.round()).all())


def _are_names(given: Any) -> bool:
    if isinstance(given, np.ndarray):
        return given.dtype.kind in "US" or (given.dtype == object and all(isinstance(one, str) for one in given.flat))
    return isinstance(given, Sequence) and len(given) > 0 and all(isinstance(one, str) for one in given)


def _numbers(given: Any, what: str, where: str) -> Tensor:
    """A tensor on the CPU, without its graph, of what may be a tensor, an array, a list or an object with one."""
    if not isinstance(given, Tensor | np.ndarray | Sequence):
        inside = _part(given, PIXELS)
        given = given if inside is None or isinstance(inside, memoryview) else inside
    if isinstance(given, Tensor):
        return given.detach().as_subclass(Tensor).cpu()
    if isinstance(given, Sequence) and any(isinstance(one, Tensor) for one in given):
        given = [one.detach().cpu().numpy() if isinstance(one, Tensor) else one for one in given]
    try:
        array = np.asarray(given)
        return torch.from_numpy(np.array(array, dtype=array.dtype if array.dtype != np.float16 else np.float32))
    except (TypeError, ValueError) as reason:
        raise DataError(f"{where}: {what} are a {type(given).__name__} that is no array of numbers") from reason
