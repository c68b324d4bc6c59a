"""Workers of known skill, so that what is counted from actions can be held against what was put in.

A simulated worker finds each thing with the chance `recall`, independently of all else, and adds errors at such a
rate that the share `precision` of all answers is right. Boxes have every side moved by a normal number of the
standard deviation `looseness` times their width or height, and a share `wrong_class` of the objects found gets
another class. Errors of real workers depend on each other: a small cup is hard for everybody. Unions of simulated
workers are therefore better than those of real ones.

What each stage's errors are: in "label" a category that is not there; in "spot" a cross beside all objects of the
category; in "segment" a box that overlaps no object by half; in votes a good segment that is called bad.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from workbench.annotation.actions import Action, Stage
from workbench.annotation.counting.claims import within_crowd
from workbench.data import Dataset
from workbench.data.noisy_labels import loosened
from workbench.errors import DataError
from workbench.evaluation.counting.tables import box_iou
from workbench.rle import encode_masks, for_json
from workbench.types import Target

MOST_CROSSES = 10  #: of one worker on one category of an image
_TRIES = 200  # to place an error where there is no object
SIMULATED: tuple[Stage, ...] = ("label", "spot", "segment")


@dataclass(frozen=True)
class SimulatedWorker:
    """A worker of known skill.

    Args:
        name: of the worker.
        recall: the chance to find something that is there, 0..1.
        precision: the share of answers that are right, above 0, at most 1.
        looseness: of boxes, the standard deviation of each side as a share of the box's width or height.
        wrong_class: the share of objects found that get another class, 0..1; in "segment" only.
        seconds: per answer, on average.
        jobs: how many images, drawn at random; None: all.

    Raises:
        DataError: a skill outside its range.

    Example:
        >>> careful = SimulatedWorker("careful", recall=0.95, precision=0.99)
        >>> actions = simulate([careful], wb.load_data("digit-scenes", length=1), "label")
        >>> actions[-1].kind, round(careful.errors, 4)  # wrong answers for each thing that is there
        ('done', 0.0096)
    """

    name: str
    recall: float = 0.8
    precision: float = 0.95
    looseness: float = 0.0
    wrong_class: float = 0.0
    seconds: float = 10.0
    jobs: int | None = None

    def __post_init__(self) -> None:
        ranges = {
            "recall": 0 <= self.recall <= 1,
            "precision": 0 < self.precision <= 1,
            "looseness": 0 <= self.looseness < np.inf,
            "wrong_class": 0 <= self.wrong_class <= 1,
            "seconds": 0 < self.seconds < np.inf,
            "jobs": self.jobs is None or self.jobs >= 0,
        }
        for name, fine in ranges.items():
            if not fine:
                raise DataError(f"{self.name} has the {name} {getattr(self, name)}, which is outside its range")

    @property
    def errors(self) -> float:
        """How many wrong answers there are for each thing that is there, on average."""
        return self.recall * (1 - self.precision) / self.precision


def simulate(
    workers: Sequence[SimulatedWorker],
    data: Dataset,
    stage: Stage,
    *,
    masks: bool = False,
    seed: int = 0,
) -> list[Action]:
    """What workers of known skill do on data whose truth is known, in the order of time.

    In "spot" a job is about each category that an image shows, with at most ten crosses; so where there are more
    objects of a category, recall is lower than the worker's. Crowds are left out.

    Args:
        workers: with names of their own.
        data: of objects.
        stage: "label", "spot" or "segment".
        masks: segments have the masks of their objects, too, fitted to their boxes.
        seed: of everything. The actions of a worker do not depend on those of the others.

    Raises:
        DataError: another stage, two workers of one name, or errors that have no room: a precision that cannot be
            had as too few categories are absent, or masks that the data do not have.

    Example:
        >>> data = wb.load_data("digit-scenes", split="test", length=30)
        >>> worker = SimulatedWorker("w", recall=0.7, precision=0.8, looseness=0.05)
        >>> found = worker_quality(simulate([worker], data, "segment"), data, stage="segment").workers.loc["w"]
        >>> bool(found["recall_low"] < 0.7 < found["recall_high"])
        True
    """
    if stage not in SIMULATED:
        raise DataError(f"nobody simulates stage {stage!r}; choose one of {', '.join(SIMULATED)}, or simulate_votes")
    if len({one.name for one in workers}) < len(workers):
        raise DataError("two workers have one name")
    scenes = [_scene(data, index, stage, masks) for index in range(len(data))]
    actions = []
    for worker in workers:
        rng = np.random.default_rng([seed, SIMULATED.index(stage), *worker.name.encode()])
        chosen = scenes
        if worker.jobs is not None and worker.jobs < len(scenes):
            chosen = [scenes[place] for place in np.sort(rng.choice(len(scenes), worker.jobs, replace=False))]
        answers = {"label": _label, "spot": _spot, "segment": _segment}[stage](worker, chosen, data.classes, rng)
        actions += list(_timed(worker, answers, rng))
    return sorted(actions, key=lambda one: one.time)


def simulate_votes(
    judges: Sequence[SimulatedWorker], bad: Mapping[str, bool], *, seed: int = 0
) -> dict[str, dict[str, bool]]:
    """What judges of known skill would say of segments: by judge, by segment, whether it is bad.

    A judge finds a bad segment with the chance `recall`, and of those that are called bad the share `precision` is.

    Args:
        judges: with names of their own.
        bad: name of each segment → whether it is bad.
        seed: of everything.

    Raises:
        DataError: a precision that cannot be had, as there are too few good segments.

    Example:
        >>> said = simulate_votes([SimulatedWorker("j", recall=1.0, precision=1.0)], {"a": True, "b": False})
        >>> said["j"]
        {'a': True, 'b': False}
    """
    found = {}
    for judge in judges:
        rng = np.random.default_rng([seed, len(SIMULATED), *judge.name.encode()])
        number = sum(bad.values())
        rate = _rate(judge, judge.errors * number, len(bad) - number, "good segments")
        found[judge.name] = {name: bool(rng.random() < (judge.recall if one else rate)) for name, one in bad.items()}
    return found


class _Scene(NamedTuple):
    """What is there to be found in an image."""

    image: int
    size: tuple[int, int]
    labels: np.ndarray  # [N]
    boxes: np.ndarray  # [N, 4] xyxy
    masks: np.ndarray | None  # [N, H, W]
    crowd_labels: np.ndarray  # [M]
    crowds: np.ndarray  # [M, 4] xyxy
    shown: frozenset[int]  # labels, also those of crowds


def _scene(data: Dataset, index: int, stage: Stage, masks: bool) -> _Scene:
    target: Target = data.target(index)
    labels, boxes = np.asarray(target["labels"]), np.asarray(target["boxes"], dtype=float)
    kept = np.ones(len(labels), bool) if "iscrowd" not in target else ~np.asarray(target["iscrowd"])
    pixels = None
    if stage == "spot" or (stage == "segment" and masks):
        pixels = np.asarray(target["masks"])[kept] if "masks" in target else None
    if masks and stage == "segment" and pixels is None:
        raise DataError(f"{data.where(index)}: there are no masks; leave masks out")
    return _Scene(
        image=data.image_id(index),
        size=data.size(index),
        labels=labels[kept],
        boxes=boxes[kept],
        masks=pixels,
        crowd_labels=labels[~kept],
        crowds=boxes[~kept],
        shown=frozenset(labels.tolist()),
    )


def _rate(worker: SimulatedWorker, errors: float, room: int, what: str) -> float:
    """The chance of each possible error, so that there are so many on average."""
    if errors == 0:
        return 0.0
    if errors > room:
        raise DataError(
            f"{worker.name} cannot have the precision {worker.precision} with the recall {worker.recall}: that takes "
            f"{errors:.1f} errors, and there are {room} {what}"
        )
    return errors / room


def _label(
    worker: SimulatedWorker, scenes: Sequence[_Scene], classes: Sequence[str], rng: np.random.Generator
) -> Iterator[Action]:
    present = sum(len(scene.shown) for scene in scenes)
    absent = len(classes) * len(scenes) - present
    rate = _rate(worker, worker.errors * present, absent, "categories that are not there")
    for scene in scenes:
        for label, name in enumerate(classes, start=1):
            there = label in scene.shown
            if rng.random() < (worker.recall if there else rate):
                point = _anywhere(scene, rng)
                own = np.flatnonzero(scene.labels == label)
                if len(own):
                    point = _on(scene, int(rng.choice(own)), rng)
                yield Action(worker.name, 0.0, "label", scene.image, category=name, value={"point": point})
        yield Action(worker.name, 0.0, "label", scene.image, kind="done")


def _spot(
    worker: SimulatedWorker, scenes: Sequence[_Scene], classes: Sequence[str], rng: np.random.Generator
) -> Iterator[Action]:
    for scene in scenes:
        for label in sorted(scene.shown):
            rows, name = np.flatnonzero(scene.labels == label), classes[label - 1]
            points = [_on(scene, int(row), rng) for row in rows if rng.random() < worker.recall]
            wrong = [_beside(scene, label, rng) for _ in range(rng.poisson(worker.errors * len(rows)))]
            points += [one for one in wrong if one is not None]
            for number in rng.permutation(len(points))[:MOST_CROSSES].tolist():
                value, item = {"point": points[number]}, f"{name} {number}"
                yield Action(worker.name, 0.0, "spot", scene.image, item=item, category=name, value=value)
            yield Action(worker.name, 0.0, "spot", scene.image, kind="done", category=name)


def _segment(
    worker: SimulatedWorker, scenes: Sequence[_Scene], classes: Sequence[str], rng: np.random.Generator
) -> Iterator[Action]:
    forms = np.concatenate([scene.boxes for scene in scenes] or [np.zeros((0, 4))])
    for scene in scenes:
        found = np.flatnonzero(rng.random(len(scene.labels)) < worker.recall)
        boxes = loosened(scene.boxes[found], worker.looseness, scene.size, rng)
        labels = _confused(scene.labels[found], worker.wrong_class, len(classes), rng)
        values: list[dict[str, Any]] = [{"bbox": _xywh(box)} for box in boxes]
        if scene.masks is not None:
            for value, row, box in zip(values, found, boxes, strict=True):
                value["segmentation"] = _fitted(scene.masks[row], scene.boxes[row], box)
        for _ in range(rng.poisson(worker.errors * len(scene.labels))):
            wrong = _off(scene, forms, rng)
            if wrong is not None:
                labels = np.append(labels, rng.integers(1, len(classes) + 1))
                values.append({"bbox": _xywh(wrong)})
                if scene.masks is not None:
                    values[-1]["segmentation"] = _fitted(np.ones(scene.size, bool), wrong, wrong)
        for number, (label, value) in enumerate(zip(labels.tolist(), values, strict=True)):
            item, name = f"{worker.name} {scene.image} {number}", classes[label - 1]
            yield Action(worker.name, 0.0, "segment", scene.image, item=item, category=name, value=value)
        yield Action(worker.name, 0.0, "segment", scene.image, kind="done")


def _timed(worker: SimulatedWorker, answers: Iterator[Action], rng: np.random.Generator) -> Iterator[Action]:
    """The same with times, one answer after another."""
    now = 0.0
    for one in answers:
        now += float(rng.exponential(worker.seconds))
        yield replace(one, time=round(now, 3))


def _confused(labels: np.ndarray, share: float, number: int, rng: np.random.Generator) -> np.ndarray:
    """Some labels [N] replaced by others of 1..`number`."""
    if number < 2:
        return labels
    wrong = rng.random(len(labels)) < share
    other = (labels - 1 + rng.integers(1, number, len(labels))) % number + 1
    return np.where(wrong, other, labels)


def _on(scene: _Scene, row: int, rng: np.random.Generator) -> list[float]:
    """A point on an object: in a pixel of its mask, or in the middle half of its box."""
    if scene.masks is not None and scene.masks[row].any():
        y, x = np.argwhere(scene.masks[row])[rng.integers(scene.masks[row].sum())].tolist()
        return [x + 0.5, y + 0.5]
    low, high = scene.boxes[row, :2], scene.boxes[row, 2:]
    return [round(float(value), 2) for value in low + (high - low) * rng.uniform(0.25, 0.75, 2)]


def _anywhere(scene: _Scene, rng: np.random.Generator) -> list[float]:
    height, width = scene.size
    return [round(float(value), 2) for value in rng.uniform(0, [width, height])]


def _beside(scene: _Scene, label: int, rng: np.random.Generator) -> list[float] | None:
    """A point outside the boxes of all objects of a label; None where none is found."""
    own = np.concatenate([scene.boxes[scene.labels == label], scene.crowds[scene.crowd_labels == label]])
    x1, y1, x2, y2 = own.T
    for _ in range(_TRIES):
        x, y = _anywhere(scene, rng)
        if not ((x1 - 1 <= x) & (x <= x2 + 1) & (y1 - 1 <= y) & (y <= y2 + 1)).any():
            return [x, y]
    return None


def _off(scene: _Scene, forms: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """A box [4] as large as one of `forms` [n, 4] that overlaps no object by half; None where none is found."""
    height, width = scene.size
    for _ in range(_TRIES):
        form = forms[rng.integers(len(forms))]
        sides = np.minimum(form[2:] - form[:2], [width, height])
        low = rng.uniform(0, np.array([width, height]) - sides + 1e-9)
        box = np.round(np.concatenate([low, low + sides]), 2)
        clear = box_iou(box[None], scene.boxes).max(initial=0) < 0.45  # well below one half
        if clear and not within_crowd(box, scene.crowds):
            return box
    return None


def _fitted(mask: np.ndarray, own: np.ndarray, box: np.ndarray) -> dict[str, Any]:
    """A mask [H, W] moved from its own box to another one, by its nearest pixels, as a code for JSON."""
    from torch import from_numpy  # here, since most of this needs no torch

    height, width = mask.shape
    out = np.zeros((1, height, width), bool)
    x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
    columns = np.flatnonzero((x >= box[0]) & (x <= box[2]))
    rows = np.flatnonzero((y >= box[1]) & (y <= box[3]))
    across, down = (
        (start + (middles - low) * (end - start) / (high - low)).astype(int).clip(0, most - 1)
        for middles, low, high, start, end, most in (
            (x[columns], box[0], box[2], own[0], own[2], width),
            (y[rows], box[1], box[3], own[1], own[3], height),
        )
    )
    out[0][np.ix_(rows, columns)] = mask[np.ix_(down, across)]
    return for_json(encode_masks(from_numpy(out))[0])


def _xywh(box: np.ndarray) -> list[float]:
    x1, y1, x2, y2 = (round(float(value), 3) for value in box)
    return [x1, y1, round(x2 - x1, 3), round(y2 - y1, 3)]
