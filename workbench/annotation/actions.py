"""What workers did: one action after another, with worker and time, as the stages of COCO's pipeline have them.

T.-Y. Lin's thesis, sec. 2.4 and app. A. Everything about workers is counted from actions: who named which category,
where a cross was placed, which outline was drawn, which segment was judged bad. A file of actions is JSON, one action
a line.

| stage | what an action adds |
|---|---|
| collect | a picture that is clicked away, since it is iconic |
| label | a `category` that the image shows, and the `point` [x, y] where its icon was dropped |
| spot | a cross: the `point` [x, y] on one instance of `category` |
| segment | an object of `category`: its `bbox` (x, y, width, height) and, where drawn, its `segmentation` |
| verify | a vote on the segment `item`: whether it is `bad` |
| crowd | what is beyond ten instances of `category`: a `segmentation` |

Pixels are those of the image; it is called by its id or its file name. A worker who has looked and found nothing says
so by the kind "done": without it nobody could distinguish an image without objects from one that was not looked at.
What other programs log can be brought into this form: `Action(**one)` takes a dict of these fields.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from os import PathLike
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from workbench.data.reading.boxes import finite_box
from workbench.errors import DataError, did_you_mean
from workbench.files import user_path, whole_file

Stage = Literal["collect", "label", "spot", "segment", "verify", "crowd"]
Kind = Literal["add", "remove", "done"]
STAGES: tuple[Stage, ...] = get_args(Stage)
KINDS: tuple[Kind, ...] = get_args(Kind)
#: What an action that adds something must have.
NEEDS: dict[str, tuple[str, ...]] = {
    "collect": (),
    "label": ("category",),
    "spot": ("category", "point"),
    "segment": ("category", "bbox"),
    "verify": ("item", "bad"),
    "crowd": ("category", "segmentation"),
}
Unit = tuple[int | str, str | None]  #: what one job is about: an image, and in spotting a category of it


@dataclass(frozen=True)
class Action:
    """One thing that a worker did.

    Args:
        worker: a name.
        time: seconds since 1970 (UTC), or since any other moment that all actions share.
        stage: of the pipeline, see the module.
        image: the id of the image in its data set, or its file name; of a vote it may be "".
        kind: "add" adds something, or puts it in place of what the same worker added there under the same `item`;
            "remove" takes that back; "done" ends a job, which may have added nothing.
        item: what was added, by a name of one's own; needed if it is ever to be changed or taken back. In "label" the
            category is the name. In "verify" the segment.
        category: the name of a class.
        value: `point`, `bbox`, `segmentation` or `bad`, as the stage needs, and whatever else is to be kept.

    Raises:
        DataError: a field is not what the stage needs; it is named.

    Example:
        >>> cross = Action("w1", 12.5, "spot", image=7, category="cup", value={"point": [30, 40]})
        >>> Action.from_json(cross.to_json()) == cross
        True
    """

    worker: str
    time: float
    stage: Stage
    image: int | str
    kind: Kind = "add"
    item: str = ""
    category: str | None = None
    value: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, known in (("stage", STAGES), ("kind", KINDS)):
            if getattr(self, name) not in known:
                given = getattr(self, name)
                raise DataError(f"an action has the {name} {given!r}{did_you_mean(given, known)}")
        if not isinstance(self.worker, str) or not self.worker:
            raise DataError(f"{self._name}: its worker is {self.worker!r}; expected a name")
        if isinstance(self.time, bool) or not isinstance(self.time, int | float) or not math.isfinite(self.time):
            raise DataError(f"{self._name}: its time is {self.time!r}; expected seconds")
        if isinstance(self.image, bool) or not isinstance(self.image, int | str):
            raise DataError(f"{self._name}: its image is {self.image!r}; expected the id of an image")
        if not isinstance(self.item, str) or not isinstance(self.category, str | None):
            raise DataError(f"{self._name}: item and category are {self.item!r}, {self.category!r}; expected texts")
        if not isinstance(self.value, Mapping):
            raise DataError(f"{self._name}: its value is {self.value!r}; expected an object, such as {{'bad': true}}")
        if self.kind == "add":
            self._check_value()
        if self.kind == "remove" and not self.key:
            raise DataError(f"{self._name} takes back something without a name; say which by item")

    @property
    def key(self) -> str:
        """The name under which something is added and taken back."""
        return self.item or (self.category or "" if self.stage == "label" else "")

    @property
    def unit(self) -> Unit:
        """What the job is about."""
        if self.stage == "verify":
            return self.image, self.item
        return self.image, self.category if self.stage == "spot" else None

    @property
    def box(self) -> np.ndarray:
        """The box [4] of a segment, xyxy pixels."""
        x, y, width, height = (float(value) for value in self.value["bbox"])
        return np.array([x, y, x + width, y + height])

    @property
    def point(self) -> tuple[float, float]:
        """Where an icon or a cross lies, x and y in pixels."""
        x, y = self.value["point"]
        return float(x), float(y)

    def to_json(self) -> str:
        """One line of a file of actions."""
        standard = {one.name: one.default for one in fields(self)} | {"value": {}}
        content = {name: value for name, value in asdict(self).items() if value != standard[name]}
        return json.dumps(content, allow_nan=False)

    @classmethod
    def from_json(cls, line: str) -> Action:
        """Read what `to_json` wrote.

        Raises:
            DataError: it is something else.
        """
        try:
            content = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"an action is no JSON: {line!r:.80}") from error
        known = [one.name for one in fields(cls)]
        if not isinstance(content, dict) or not set(content) <= set(known):
            raise DataError(f"an action is {line!r:.80}; expected an object with some of {', '.join(known)}")
        missing = [name for name in ("worker", "time", "stage", "image") if name not in content]
        if missing:
            raise DataError(f"an action has no {missing[0]}: {line!r:.80}")
        return cls(**content)

    @property
    def _name(self) -> str:
        return f"an action of {self.worker!r} in {self.stage!r}"

    def _check_value(self) -> None:
        for name in NEEDS[self.stage]:
            given = getattr(self, name) if name in ("category", "item") else self.value.get(name)
            if given is None or given == "":
                raise DataError(f"{self._name} has no {name}")
        point, box = self.value.get("point"), self.value.get("bbox")
        if point is not None and not (_numbers(point) and len(point) == 2):
            raise DataError(f"{self._name}: its point is {point!r}; expected x, y in pixels")
        if box is not None:
            given = finite_box(list(box) if isinstance(box, Sequence) else box)
            if given is None or min(given[2:]) <= 0:
                raise DataError(f"{self._name}: its bbox is {box!r}; expected x, y, width, height above 0 in pixels")
        if self.stage == "verify" and not isinstance(self.value["bad"], bool):
            raise DataError(f"{self._name}: bad is {self.value['bad']!r}; expected true or false")


def standing(actions: Iterable[Action], stage: Stage) -> list[Action]:
    """What was added in a stage and not taken back, in the order of time.

    Of what a worker added several times to an image under one name, the last stands.

    Example:
        >>> first = Action("w1", 1, "label", image=7, category="cup")
        >>> second = Action("w1", 2, "label", image=7, category="dog")
        >>> undone = Action("w1", 3, "label", image=7, category="cup", kind="remove")
        >>> [one.category for one in standing([first, second, undone], "label")]
        ['dog']
    """
    kept: dict[object, Action] = {}
    for place, one in enumerate(_of_stage(actions, stage)):
        key = (one.worker, one.image, one.key) if one.key else place
        kept.pop(key, None)
        if one.kind == "add":
            kept[key] = one
    return list(kept.values())


def jobs(actions: Iterable[Action], stage: Stage) -> pd.DataFrame:
    """Who worked on what in a stage: one row for each worker and unit.

    Columns: worker, image, category (of spotting; the segment of a vote; else None), answers (that stand) and seconds
    (from the worker's action before the job, in whatever stage, to its last one; NaN for a worker's first).

    Example:
        >>> named = Action("w1", 10, "label", image=7, category="cup")
        >>> nothing = Action("w1", 14, "label", image=8, kind="done")
        >>> jobs([named, nothing], "label")[["image", "answers", "seconds"]].values.tolist()
        [[7.0, 1.0, nan], [8.0, 0.0, 4.0]]
    """
    everything = sorted(actions, key=lambda one: one.time)
    spans = job_spans(everything, stage)
    answers: dict[tuple[str, Unit], int] = {}
    for one in standing(everything, stage):
        answers[one.worker, one.unit] = answers.get((one.worker, one.unit), 0) + 1
    rows = [
        (worker, *unit, answers.get((worker, unit), 0), end - begin) for (worker, unit), (begin, end) in spans.items()
    ]
    return pd.DataFrame(rows, columns=["worker", "image", "category", "answers", "seconds"])


def job_spans(actions: Sequence[Action], stage: Stage) -> dict[tuple[str, Unit], tuple[float, float]]:
    """When each worker began with each unit of a stage (NaN: unknown) and ended, by actions in the order of time."""
    spans: dict[tuple[str, Unit], tuple[float, float]] = {}
    latest: dict[str, float] = {}
    for one in actions:
        if one.stage == stage:
            begin, _ = spans.get((one.worker, one.unit), (latest.get(one.worker, math.nan), one.time))
            spans[one.worker, one.unit] = begin, one.time
        latest[one.worker] = one.time
    return spans


def read_actions(path: str | PathLike[str]) -> list[Action]:
    """The actions that a file holds, one a line.

    Raises:
        DataError: the file cannot be read, or a line is no action; both are named.

    Example:
        >>> place = write_actions("actions.jsonl", [Action("w1", 0.0, "label", image=7, kind="done")])
        >>> [one.kind for one in read_actions(place)]
        ['done']
    """
    place = user_path(path, DataError)
    try:
        lines = place.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{place}: these actions cannot be read ({error})") from error
    found = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                found.append(Action.from_json(line))
            except DataError as error:
                raise DataError(f"{place}, line {number}: {error}") from None
    return found


def write_actions(path: str | PathLike[str], actions: Iterable[Action]) -> Path:
    """Write actions, one a line; the file appears whole or not at all. Returns the path.

    Raises:
        OSError: the disk refuses.

    Example:
        >>> place = write_actions("actions.jsonl", [Action("w1", 0.0, "label", image=7, category="cup")])
        >>> read_actions(place)[0].category
        'cup'
    """
    place = user_path(path, DataError)
    place.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(place) as file:
        file.write("".join(f"{one.to_json()}\n" for one in actions).encode())
    return place


def _of_stage(actions: Iterable[Action], stage: Stage) -> list[Action]:
    if stage not in STAGES:
        raise DataError(f"there is no stage {stage!r}{did_you_mean(stage, STAGES)}")
    return sorted((one for one in actions if one.stage == stage), key=lambda one: one.time)


def _numbers(values: object) -> bool:
    return isinstance(values, Sequence) and all(
        isinstance(one, int | float) and not isinstance(one, bool) and math.isfinite(one) for one in values
    )
