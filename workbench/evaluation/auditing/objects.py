"""Which objects of an image an audit hides, their pixels, and which of them can be hidden at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from workbench.data.drawing.hiding import hidden_count, object_pixels
from workbench.detectors.class_map import ClassMap, own_names
from workbench.errors import DataError
from workbench.evaluation.counting.tables import Objects, gather_objects
from workbench.types import Target

#: Why objects are set aside; they are neither found nor missed.
REASONS = (
    "crowd or difficult", "of a class that a detector does not know", "smaller than the least size",
    "hidden already", "without a pixel in the image",
)  # fmt: skip


@dataclass(frozen=True)
class AuditedImage:
    """The objects of one image; rows are those of its target."""

    index: int  #: of the image in its data set
    image_id: int
    size: tuple[int, int]  #: height and width, pixels
    objects: Objects  #: all of them
    set_aside: np.ndarray  #: [N] int, 0: audited, k: the k-th of `REASONS`
    pixels: dict[int, np.ndarray] = field(repr=False)  #: of each audited row, bool [H, W]
    rounds: tuple[tuple[int, ...], ...]  #: audited rows that are hidden at once

    @property
    def audited(self) -> np.ndarray:
        """Rows [n] of the objects that are audited."""
        return np.flatnonzero(self.set_aside == 0)

    def round(self, number: int) -> Iterator[tuple[int, np.ndarray, np.ndarray | None]]:
        """Each row of a round, its pixels, and those of the round's others, which stay free; None: there are none."""
        rows = self.rounds[number]
        if len(rows) == 1:
            yield rows[0], self.pixels[rows[0]], None
            return
        count = np.zeros(self.size, np.uint16)
        for row in rows:
            count += self.pixels[row]
        for row in rows:
            yield row, self.pixels[row], count > self.pixels[row]


def audited_image(
    target: Target,
    size: tuple[int, int],
    *,
    index: int,
    known: np.ndarray,
    least_size: float,
    most_hidden: float,
    most: float,
) -> AuditedImage:
    """What is audited of one image.

    Args:
        target: of the image.
        size: height and width, pixels.
        known: bool [K + 1], labels that all detectors know.
        least_size: pixels, root of the area of the smallest box that is audited.
        most_hidden: an object of which more is known to be hidden is set aside.
        most: the largest fraction that will be hidden.
    """
    objects = gather_objects([target], [size], first=index)
    masks = target.get("masks")
    sides = (objects.boxes[:, 2:] - objects.boxes[:, :2]).clip(min=0)
    set_aside = np.zeros(len(objects), int)
    pixels: dict[int, np.ndarray] = {}
    small, hidden = np.sqrt(sides.prod(axis=1)) < least_size, np.nan_to_num(objects.occlusion) > most_hidden
    faults = (objects.ignored, ~known[objects.labels], small, hidden)
    for reason in range(len(faults), 0, -1):  # the first that fits counts
        set_aside[faults[reason - 1]] = reason
    for row in np.flatnonzero(set_aside == 0).tolist():
        mask = None if masks is None else masks[row].as_subclass(Tensor).numpy()
        own = object_pixels(size, objects.boxes[row], mask)
        if own.any():
            pixels[row] = own
        else:
            set_aside[row] = len(REASONS)
    return AuditedImage(
        index=index,
        image_id=int(target.get("image_id", index + 1)),
        size=size,
        objects=objects,
        set_aside=set_aside,
        pixels=pixels,
        rounds=rounds_of(pixels, most),
    )


def rounds_of(pixels: dict[int, np.ndarray], most: float) -> tuple[tuple[int, ...], ...]:
    """Groups of objects that can be hidden at once, each to exactly any fraction up to `most`.

    An occluder leaves the pixels of the other objects free. So what an object shares with others of its group cannot
    be covered, and what is left must be enough. Masks seldom overlap, and then there is one group; boxes often do.
    """
    boxes = {row: _bounds(own) for row, own in pixels.items()}
    spare = {row: int(own.sum()) - hidden_count(int(own.sum()), most) for row, own in pixels.items()}
    groups: list[list[int]] = []
    for row in sorted(pixels, key=lambda row: -spare[row]):
        for group in groups:
            shared = {other: _shared(pixels, boxes, row, other) for other in group}
            if sum(shared.values()) <= spare[row] and all(number <= spare[one] for one, number in shared.items()):
                group.append(row)
                spare[row] -= sum(shared.values())
                for other, number in shared.items():
                    spare[other] -= number
                break
        else:
            groups.append([row])
    return tuple(tuple(sorted(group)) for group in groups)


def _bounds(own: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(own.any(1)), np.flatnonzero(own.any(0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _shared(pixels: dict[int, np.ndarray], boxes: dict[int, tuple[int, int, int, int]], one: int, other: int) -> int:
    """How many pixels two objects share."""
    first, second = boxes[one], boxes[other]
    top, bottom = max(first[0], second[0]), min(first[1], second[1])
    left, right = max(first[2], second[2]), min(first[3], second[3])
    if top >= bottom or left >= right:
        return 0
    window = slice(top, bottom), slice(left, right)
    return int((pixels[one][window] & pixels[other][window]).sum())


def labels_in_common(
    detectors: Sequence[Sequence[str]], classes: Sequence[str], names: Mapping[str, str] | None = None
) -> list[np.ndarray]:
    """For each detector, the labels [K' + 1] of the data for its own; 0: one that the data or another detector lack.

    Args:
        detectors: the classes of each.
        classes: of the data.
        names: the name of some of a detector's classes → that of the data.

    Raises:
        DataError: a name that no detector has, or the data do not; or there is no class that all know.
    """
    pairs = zip(detectors, own_names(detectors, names), strict=True)
    maps = [ClassMap.between(theirs, classes, own) for theirs, own in pairs]
    lacking = {name for one in maps for name in one.lacking}
    if len(lacking) == len(classes):
        raise DataError("no class of the data is known to all detectors; audit them one by one")
    known = np.array([False, *(name not in lacking for name in classes)])
    return [np.where(known[list(one.labels)], one.labels, 0) for one in maps]
