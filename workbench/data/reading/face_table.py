"""What annotation files of faces hold: the images of a list, and their faces as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from workbench.data.reading.boxes import too_thin
from workbench.data.reading.problems import Problem
from workbench.errors import DataError

MOST = 1e9  #: pixels; what lies farther away is no place in an image


@dataclass
class FaceTable:
    """I images with N faces in all."""

    names: list[str]  #: [I] of the images, as the file has them
    wheres: list[str]  #: [I] the place of each image in its file, for messages
    starts: np.ndarray  #: [I + 1] int64, where the faces of each image begin
    boxes: np.ndarray  #: [N, 4] float64 xyxy pixels, as they are given: not clipped
    columns: dict[str, np.ndarray] = field(default_factory=dict)  #: [N, ...] further keys of the targets
    of_images: dict[str, np.ndarray] = field(default_factory=dict)  #: [I] further keys, one number each
    problems: list[Problem] = field(default_factory=list)

    @property
    def owner(self) -> np.ndarray:
        """[N] the image of each face."""
        return np.repeat(np.arange(len(self.names)), np.diff(self.starts))

    def face(self, row: int) -> str:
        """A face in words, for messages."""
        image = int(np.searchsorted(self.starts, row, side="right")) - 1
        return f"{self.wheres[image]}: face {row - int(self.starts[image]) + 1} of {self.names[image]}"

    def where_faces(self, keep: np.ndarray) -> FaceTable:
        """Only the faces with `keep` [N] bool."""
        counts = np.bincount(self.owner[keep], minlength=len(self.names))
        columns = {name: column[keep] for name, column in self.columns.items()}
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return FaceTable(self.names, self.wheres, starts, self.boxes[keep], columns, self.of_images, self.problems)

    def where_images(self, rows: Sequence[int]) -> FaceTable:
        """Only the images at `rows`, which ascend."""
        if len(rows) == len(self.names):
            return self
        kept = np.zeros(len(self.names), bool)
        kept[list(rows)] = True
        faces = self.where_faces(kept[self.owner])
        counts = np.diff(faces.starts)[kept]
        return FaceTable(
            [self.names[row] for row in rows],
            [self.wheres[row] for row in rows],
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            faces.boxes,
            faces.columns,
            {name: column[kept] for name, column in self.of_images.items()},
            self.problems,
        )

    def checked(self, reported: np.ndarray | None = None) -> FaceTable:
        """Without faces whose box is none (an error) or empty (a warning).

        Args:
            reported: [N] bool, faces of which `problems` say already what is wrong; they go, too.
        """
        reported = np.zeros(len(self.boxes), bool) if reported is None else reported
        far = ~(np.abs(self.boxes) < MOST).all(axis=1)  # also not a number
        thin = ~far & too_thin(np.where(far[:, None], 0, self.boxes))
        for row in np.flatnonzero(thin & ~reported).tolist():
            x1, y1, x2, y2 = self.boxes[row].tolist()
            what = f"its box {x1:g} {y1:g} {x2 - x1:g} {y2 - y1:g} (x, y, width, height) is empty"
            self.problems.append(Problem("warning", self.face(row), what, "It is left out."))
        for row in np.flatnonzero(far & ~reported).tolist():
            what = "its box is not made of finite numbers of pixels"
            self.problems.append(Problem("error", self.face(row), what, "Correct the numbers."))
        return self.where_faces(~(far | thin | reported))


def from_xywh(boxes: np.ndarray) -> np.ndarray:
    """Boxes [N, 4] as x, y, width, height in xyxy."""
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def whole_numbers(values: np.ndarray) -> np.ndarray:
    """Numbers of a file, such as classes of a kind, as int64; -1 where one is no whole number of a usual size."""
    good = np.isfinite(values) & (np.abs(values) < 2**31) & (values == np.rint(np.nan_to_num(values)))
    return np.where(good, values, -1).astype(np.int64)


def joined(tables: Sequence[FaceTable]) -> FaceTable:
    """The images of several files, one after another; all have the same columns.

    Raises:
        DataError: there are none.
    """
    if not tables:
        raise DataError("there are no tables of faces to join")
    starts = [np.zeros(1, np.int64)]
    for table in tables:
        starts.append(table.starts[1:] + starts[-1][-1])
    first = tables[0]
    return FaceTable(
        [name for table in tables for name in table.names],
        [where for table in tables for where in table.wheres],
        np.concatenate(starts),
        np.concatenate([table.boxes for table in tables]),
        {name: np.concatenate([table.columns[name] for table in tables]) for name in first.columns},
        {name: np.concatenate([table.of_images[name] for table in tables]) for name in first.of_images},
        [problem for table in tables for problem in table.problems],
    )


def spans(table: FaceTable) -> list[slice]:
    """The rows of the faces of each image [I]."""
    return [slice(first, end) for first, end in pairwise(table.starts.tolist())]
