"""What annotation files of faces and people hold: the images of a list, and their objects as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from workbench.data.reading.boxes import too_thin
from workbench.data.reading.problems import Problem
from workbench.errors import DataError

MOST = 1e9  #: pixels; what lies farther away is no place in an image


@dataclass
class ListedTable:
    """I images with N objects of one class in all."""

    names: list[str]  #: [I] of the images, as the file has them
    wheres: list[str]  #: [I] the place of each image in its file, for messages
    starts: np.ndarray  #: [I + 1] int64, where the objects of each image begin
    boxes: np.ndarray  #: [N, 4] float64 xyxy pixels, as they are given: not clipped
    columns: dict[str, np.ndarray] = field(default_factory=dict)  #: [N, ...] further keys of the targets
    of_images: dict[str, np.ndarray] = field(default_factory=dict)  #: [I] further keys, one number each
    problems: list[Problem] = field(default_factory=list)
    noun: str = "face"  #: what an object is, also the name of its class

    @property
    def owner(self) -> np.ndarray:
        """[N] the image of each object."""
        return np.repeat(np.arange(len(self.names)), np.diff(self.starts))

    def object(self, row: int) -> str:
        """An object in words, for messages."""
        image = int(np.searchsorted(self.starts, row, side="right")) - 1
        return f"{self.wheres[image]}: {self.noun} {row - int(self.starts[image]) + 1} of {self.names[image]}"

    def where_objects(self, keep: np.ndarray) -> ListedTable:
        """Only the objects with `keep` [N] bool."""
        counts = np.bincount(self.owner[keep], minlength=len(self.names))
        columns = {name: column[keep] for name, column in self.columns.items()}
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return replace(self, starts=starts, boxes=self.boxes[keep], columns=columns)

    def where_images(self, rows: Sequence[int]) -> ListedTable:
        """Only the images at `rows`, which ascend."""
        if len(rows) == len(self.names):
            return self
        kept = np.zeros(len(self.names), bool)
        kept[list(rows)] = True
        theirs = self.where_objects(kept[self.owner])
        counts = np.diff(theirs.starts)[kept]
        return replace(
            theirs,
            names=[self.names[row] for row in rows],
            wheres=[self.wheres[row] for row in rows],
            starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            of_images={name: column[kept] for name, column in self.of_images.items()},
        )

    def checked(self, reported: np.ndarray | None = None) -> ListedTable:
        """Without objects whose box is none (an error) or empty (a warning).

        Args:
            reported: [N] bool, objects of which `problems` say already what is wrong; they go, too.
        """
        reported = np.zeros(len(self.boxes), bool) if reported is None else reported
        far = ~(np.abs(self.boxes) < MOST).all(axis=1)  # also not a number
        thin = ~far & too_thin(np.where(far[:, None], 0, self.boxes))
        for row in np.flatnonzero(thin & ~reported).tolist():
            x1, y1, x2, y2 = self.boxes[row].tolist()
            what = f"its box {x1:g} {y1:g} {x2 - x1:g} {y2 - y1:g} (x, y, width, height) is empty"
            self.problems.append(Problem("warning", self.object(row), what, "It is left out."))
        for row in np.flatnonzero(far & ~reported).tolist():
            what = "its box is not made of finite numbers of pixels"
            self.problems.append(Problem("error", self.object(row), what, "Correct the numbers."))
        return self.where_objects(~(far | thin | reported))


def from_xywh(boxes: np.ndarray) -> np.ndarray:
    """Boxes [N, 4] as x, y, width, height in xyxy."""
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def whole_numbers(values: np.ndarray) -> np.ndarray:
    """Numbers of a file, such as classes of a kind, as int64; -1 where one is no whole number of a usual size."""
    good = np.isfinite(values) & (np.abs(values) < 2**31) & (values == np.rint(np.nan_to_num(values)))
    return np.where(good, values, -1).astype(np.int64)


def joined(tables: Sequence[ListedTable]) -> ListedTable:
    """The images of several files, one after another; all have the same columns.

    Raises:
        DataError: there are none.
    """
    if not tables:
        raise DataError("there are no tables to join")
    starts = [np.zeros(1, np.int64)]
    for table in tables:
        starts.append(table.starts[1:] + starts[-1][-1])
    first = tables[0]
    return replace(
        first,
        names=[name for table in tables for name in table.names],
        wheres=[where for table in tables for where in table.wheres],
        starts=np.concatenate(starts),
        boxes=np.concatenate([table.boxes for table in tables]),
        columns={name: np.concatenate([table.columns[name] for table in tables]) for name in first.columns},
        of_images={name: np.concatenate([table.of_images[name] for table in tables]) for name in first.of_images},
        problems=[problem for table in tables for problem in table.problems],
    )


def spans(table: ListedTable) -> list[slice]:
    """The rows of the objects of each image [I]."""
    return [slice(first, end) for first, end in pairwise(table.starts.tolist())]
