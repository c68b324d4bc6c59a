"""Which objects of an image an audit hides, their pixels, and which of them can be hidden at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from workbench.data.drawing.hiding import hidden_count, object_pixels
from workbench.errors import DataError, did_you_mean
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


def known_labels(classes: Sequence[str], *detectors: Sequence[str]) -> np.ndarray:
    """bool [K + 1]: which labels of the data all detectors know, by name; background is none."""
    return np.array([False, *(all(name in theirs for theirs in detectors) for name in classes)])


def renamed(
    detectors: Sequence[Sequence[str]], names: Mapping[str, str] | None, classes: Sequence[str]
) -> list[tuple[str, ...]]:
    """The classes of detectors under the names that the data have for them.

    Args:
        detectors: the classes of each.
        names: the name of some of a detector's classes → that of the data.
        classes: of the data.

    Raises:
        DataError: no detector has such a class, or the data do not.
    """
    for own, other in (names or {}).items():
        all_of_them = sorted({name for theirs in detectors for name in theirs})
        if own not in all_of_them:
            raise DataError(f"classes: no detector has {own!r}{did_you_mean(own, all_of_them)}")
        if other not in classes:
            raise DataError(f"classes: {own!r} is to be {other!r}, which the data lack{did_you_mean(other, classes)}")
    return [tuple((names or {}).get(name, name) for name in theirs) for theirs in detectors]


def label_map(theirs: Sequence[str], ours: Sequence[str]) -> np.ndarray:
    """[K' + 1] int: the label of the data for each of a detector, by the name of the class; 0: there is none."""
    places = {name: label for label, name in enumerate(ours, start=1)}
    return np.array([0, *(places.get(name, 0) for name in theirs)])
