"""What an audit knows, as tables of arrays: the objects, what became of each, and the detections.

Shape letters: N objects, M objects under conditions, D detections, R regions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, TypeVar

import numpy as np

from workbench.evaluation.counting.saved import Column


@dataclass(frozen=True)
class Audited:
    """The objects that are audited."""

    image: np.ndarray  #: [N] int32, index in the data set
    image_id: np.ndarray  #: [N] int64
    row: np.ndarray  #: [N] int32, in the image's target
    label: np.ndarray  #: [N] int16 of the data
    box: np.ndarray  #: [N, 4] float32, xyxy pixels
    area: np.ndarray  #: [N] float32, pixels, by which it is small, medium or large
    pixels: np.ndarray  #: [N] int64 that count as the object
    occlusion: np.ndarray  #: [N] float32, hidden before; NaN: unknown

    COLUMNS: ClassVar[dict[str, Column]] = {
        "image": Column("iu", "N", "I"), "image_id": Column("iu", "N"), "row": Column("iu", "N"),
        "label": Column("iu", "N", "K"), "box": Column("f", "N4"), "area": Column("f", "N"),
        "pixels": Column("iu", "N"), "occlusion": Column("f", "N"),
    }  # fmt: skip

    def __len__(self) -> int:
        return len(self.image)


@dataclass(frozen=True)
class Outcomes:
    """What became of an object under a condition, of one detector."""

    detector: np.ndarray  #: [M] int16
    condition: np.ndarray  #: [M] int16
    object: np.ndarray  #: [M] int32, row of `Audited`
    hidden: np.ndarray  #: [M] int32, pixels of it under occluders
    score: np.ndarray  #: [M] float32 of the detection that is right about it; NaN: there is none
    iou: np.ndarray  #: [M] float32 of that detection
    other_score: np.ndarray  #: [M] float32, the best of another class in its place that is right about nothing
    other_label: np.ndarray  #: [M] int16, its class; 0: there is none
    near_score: (
        np.ndarray
    )  #: [M] float32, the best of its class that overlaps it too little and is right about nothing
    near_iou: np.ndarray  #: [M] float32
    rival_score: np.ndarray  #: [M] float32, the best of its class in its place that is right about another object

    COLUMNS: ClassVar[dict[str, Column]] = {
        "detector": Column("iu", "M", "E"), "condition": Column("iu", "M", "C"), "object": Column("iu", "M", "O"),
        "hidden": Column("iu", "M"), "score": Column("f", "M"), "iou": Column("f", "M"),
        "other_score": Column("f", "M"), "other_label": Column("iu", "M"), "near_score": Column("f", "M"),
        "near_iou": Column("f", "M"), "rival_score": Column("f", "M"),
    }  # fmt: skip

    def __len__(self) -> int:
        return len(self.detector)


@dataclass(frozen=True)
class Answers:
    """The detections under all conditions; of bits, the t-th is for the t-th IoU threshold 0.50, 0.55 … 0.95."""

    detector: np.ndarray  #: [D] int16
    condition: np.ndarray  #: [D] int16
    image: np.ndarray  #: [D] int32, index in the data set
    label: np.ndarray  #: [D] int16 of the data
    score: np.ndarray  #: [D] float32
    right: np.ndarray  #: [D] uint16, bits
    spared: np.ndarray  #: [D] uint16, bits: neither right nor wrong
    share: np.ndarray  #: [D] float32, what a wrong one counts: 1 / number of the image's rounds

    COLUMNS: ClassVar[dict[str, Column]] = {
        "detector": Column("iu", "D", "E"), "condition": Column("iu", "D", "C"), "image": Column("iu", "D", "I"),
        "label": Column("iu", "D", "K"), "score": Column("f", "D"), "right": Column("u", "D"),
        "spared": Column("u", "D"), "share": Column("f", "D"),
    }  # fmt: skip

    def __len__(self) -> int:
        return len(self.detector)

    def at(self, bits: np.ndarray, threshold: int) -> np.ndarray:
        """[D] bool: one of the thresholds of `right` or `spared`."""
        return (bits >> threshold & 1).astype(bool)


@dataclass(frozen=True)
class Looks:
    """What a detector says of the true box of an object under a condition."""

    detector: np.ndarray  #: [M] int16
    condition: np.ndarray  #: [M] int16
    object: np.ndarray  #: [M] int32, row of `Audited`
    hidden: np.ndarray  #: [M] int32, pixels of it under occluders
    label: np.ndarray  #: [M] int16, the most probable class, of the data, background left out
    p_class: np.ndarray  #: [M] float32, probability of its own class
    p_object: np.ndarray  #: [M] float32, probability that it is no background

    COLUMNS: ClassVar[dict[str, Column]] = {
        "detector": Column("iu", "M", "E"), "condition": Column("iu", "M", "C"), "object": Column("iu", "M", "O"),
        "hidden": Column("iu", "M"), "label": Column("iu", "M", "K"), "p_class": Column("f", "M"),
        "p_object": Column("f", "M"),
    }  # fmt: skip

    def __len__(self) -> int:
        return len(self.detector)


@dataclass(frozen=True)
class Regions:
    """Regions of the clean images, and what the E detectors say of them."""

    image: np.ndarray  #: [R] int32, index in the data set
    box: np.ndarray  #: [R, 4] float32, xyxy pixels
    iou: np.ndarray  #: [R] float32, with the nearest object
    p_object: np.ndarray  #: [R, E] float32, probability that it is no background

    COLUMNS: ClassVar[dict[str, Column]] = {
        "image": Column("iu", "R", "I"), "box": Column("f", "R4"), "iou": Column("f", "R"),
        "p_object": Column("f", "RE"),
    }  # fmt: skip

    def __len__(self) -> int:
        return len(self.image)


Table = TypeVar("Table", Audited, Outcomes, Answers, Looks, Regions)


def joined(kind: type[Table], parts: Sequence[Table]) -> Table:
    """Tables one below the other."""
    columns: dict[str, Any] = {
        item.name: np.concatenate([getattr(part, item.name) for part in parts]) for item in fields(kind)
    }
    return kind(**columns)


Seen = TypeVar("Seen", Outcomes, Looks)


def joined_objects(audited: Sequence[Audited], seen: Sequence[Seen]) -> tuple[Audited, Seen]:
    """The objects of all images, and what is known of them, whose `object` counts each image's own from 0."""
    first = np.cumsum([0, *map(len, audited)], dtype=np.int32)
    shifted = [replace(one, object=one.object + start) for one, start in zip(seen, first, strict=False)]
    return joined(Audited, audited), joined(type(seen[0]), shifted)
