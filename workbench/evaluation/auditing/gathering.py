"""The tables of one image of an audit, as they grow condition after condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from workbench.evaluation.auditing.matching import Matched
from workbench.evaluation.auditing.objects import REASONS, AuditedImage
from workbench.evaluation.auditing.occluding import Shown
from workbench.evaluation.auditing.tables import Answers, Audited, Outcomes


@dataclass(frozen=True)
class ImagePart:
    """What is found out on one image; `Outcomes.object` counts its own audited objects from 0."""

    audited: Audited
    outcomes: Outcomes
    answers: Answers
    set_aside: np.ndarray  #: [R] int, how many objects for each of `REASONS`

    FORMAT: ClassVar[str] = "workbench audit parts 1"
    TABLES: ClassVar[dict[str, type]] = {"audited": Audited, "outcomes": Outcomes, "answers": Answers}


class Gathered:
    """The tables of one image as they grow."""

    def __init__(self, audited: AuditedImage):
        self.audited = audited
        self.place = {row: place for place, row in enumerate(audited.audited.tolist())}
        self.outcomes: list[dict[str, np.ndarray]] = []
        self.answers: list[dict[str, np.ndarray]] = []
        self.clean: dict[int, dict[str, np.ndarray]] = {}  # of each detector

    def add(self, detector: int, shown: Shown, matched: Matched) -> None:
        """Take what a detector found in the image under a condition."""
        places = [self.place[row] for row in shown.rows]
        hidden = [shown.hidden[row] for row in shown.rows]
        both = {"detector": detector, "condition": shown.condition}
        self.outcomes.append(even(len(places), both) | {"object": places, "hidden": hidden} | matched.outcomes)
        more = both | {"image": self.audited.index, "share": shown.share}
        columns = {"label": matched.labels, "score": matched.scores, "right": matched.right, "spared": matched.spared}
        self.answers.append(even(len(matched.labels), more) | columns)
        if shown.condition == 0:
            self.clean[detector] = self.answers[-1]

    def repeat(self, detector: int, conditions: Sequence[int]) -> None:
        """Take the answers to the clean image, the first condition, for others."""
        first = self.clean[detector]
        for condition in conditions:
            number = len(first["label"])
            self.answers.append(first | even(number, {"detector": detector, "condition": condition}))

    def part(self) -> ImagePart:
        """All of them."""
        return ImagePart(
            audited=audited_table(self.audited),
            outcomes=typed(Outcomes, self.outcomes),
            answers=typed(Answers, self.answers),
            set_aside=set_aside(self.audited),
        )


def audited_table(audited: AuditedImage) -> Audited:
    """The objects of one image that are audited."""
    objects, rows = audited.objects, audited.audited
    counts = [int(audited.pixels[row].sum()) for row in rows.tolist()]
    known = {
        "image": np.full(len(rows), audited.index), "image_id": np.full(len(rows), audited.image_id),
        "row": rows, "label": objects.labels[rows], "box": objects.boxes[rows].reshape(-1, 4),
        "area": objects.area[rows], "pixels": counts, "occlusion": objects.occlusion[rows],
    }  # fmt: skip
    return typed(Audited, [known])


def set_aside(audited: AuditedImage) -> np.ndarray:
    """How many of its objects are not audited [R], for each of `REASONS`."""
    return np.bincount(audited.set_aside, minlength=len(REASONS) + 1)[1:]


def even(number: int, values: Mapping[str, float]) -> dict[str, Any]:
    """Columns of `number` equal values."""
    return {name: np.full(number, value) for name, value in values.items()}


_TYPES: dict[str, type] = {
    **dict.fromkeys(("detector", "condition", "label", "other_label"), np.int16),
    **dict.fromkeys(("image", "row", "object", "hidden"), np.int32),
    **dict.fromkeys(("image_id", "pixels"), np.int64),
    **dict.fromkeys(("right", "spared"), np.uint16),
}  # all others are float32


def typed(kind: Any, parts: Sequence[Mapping[str, Any]]) -> Any:
    """A table from columns of its parts, in the types that it keeps."""
    columns: dict[str, Any] = {}
    for item in fields(kind):
        values = np.concatenate([np.asarray(part[item.name]) for part in parts])
        columns[item.name] = values.astype(_TYPES.get(item.name, np.float32))
    return kind(**columns)
