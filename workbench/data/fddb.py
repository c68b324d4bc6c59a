"""FDDB (Jain & Learned-Miller 2010): 5,171 faces in 2,845 press photographs, as ellipses; a test set of AOFD.

`FDDB-folds/FDDB-fold-NN-ellipseList.txt` lists the images of each of ten folds. A target has the box around each
ellipse, clipped to the image, and `ellipses` [N, 5], not clipped: the two radii in pixels, the longer first; the
angle of the long axis in radians, whose direction in the image is (cos, sin) of it in x (to the right) and y (down);
the centre x, y. Ellipses reach out of the image where whole heads do. `fold` is the number of the image's fold.
"""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from workbench.data.listed_images import ListedImages
from workbench.data.reading.face_lists import read_face_list
from workbench.data.reading.listed_table import MOST, ListedTable, joined
from workbench.data.reading.paths import DataRoot, read_text
from workbench.data.reading.picture_folder import PictureFolder, first_place
from workbench.data.reading.problems import Problem
from workbench.errors import DataError
from workbench.registry import DATASETS

FOLDS = range(1, 11)
COLUMNS = "major_axis_radius minor_axis_radius angle center_x center_y 1"
Fold = Annotated[int, Field(ge=1, le=10)]


@DATASETS.register("fddb")
class Fddb(ListedImages):
    """Faces of FDDB.

    Args:
        root: a folder that holds `FDDB-folds` and `originalPics`.
        split: "test"; there is no other.
        folds: which of the ten, in this order; None: all.
        strict: raise DataError at the first error; False leaves out what is wrong and keeps the errors in `problems`.
        follow_links: also follow links that lead out of `root`.
    """

    benchmark = "fddb"
    clips = False  # ellipses are of whole heads

    def __init__(
        self,
        root: str | PathLike[str] | None,
        split: str = "test",
        *,
        folds: Iterable[Fold] | None = None,
        strict: bool = True,
        follow_links: bool = False,
    ):
        place = DataRoot(root, "fddb", follow_links=follow_links)
        if split != "test":
            raise DataError(f"split {split!r} does not exist; fddb has test (and folds=[1, 2] for a part of it)")
        self.folds = tuple(FOLDS if folds is None else folds)
        if not self.folds or len(set(self.folds)) < len(self.folds) or not set(self.folds) <= set(FOLDS):
            raise DataError(f"folds are {list(self.folds)}; expected numbers from 1 to 10, each of them once")
        lists = first_place(place, ["FDDB-folds", "originalPics/FDDB-folds", "."]) or place.path
        images = first_place(place, ["originalPics", "images", "."]) or place.path
        table = joined([_fold(place, lists, number) for number in self.folds])
        super().__init__("fddb", split, PictureFolder(place, images), table, strict=strict)


def ellipse_boxes(ellipses: np.ndarray) -> np.ndarray:
    """The boxes [N, 4] xyxy that just hold ellipses [N, 5], see the module.

    Example:
        >>> from workbench.data.fddb import ellipse_boxes
        >>> ellipse_boxes(np.array([[40.0, 30, np.pi / 2, 100, 80]])).round().tolist()
        [[70.0, 40.0, 130.0, 120.0]]
    """
    long, short, angle, x, y = ellipses.T
    half_width = np.hypot(long * np.cos(angle), short * np.sin(angle))
    half_height = np.hypot(long * np.sin(angle), short * np.cos(angle))
    return np.stack([x - half_width, y - half_height, x + half_width, y + half_height], axis=1)


def _fold(root: DataRoot, folder: Path, number: int) -> ListedTable:
    """The images of a fold."""
    file, names = (root.followed(folder / f"FDDB-fold-{number:02d}{end}.txt") for end in ("-ellipseList", ""))
    listed = read_face_list(file, COLUMNS)
    ellipses, problems = listed.rows[:, :5].copy(), list(listed.problems)
    wrong = (ellipses[:, :2] <= 0).any(axis=1) | (np.abs(ellipses) > MOST).any(axis=1)
    said = "its ellipse has radii {:g} and {:g}, angle {:g}, centre {:g} {:g}"
    whats = [said.format(*row) for row in ellipses[wrong].tolist()]
    ellipses[wrong] = 0
    swapped = ellipses[:, 0] < ellipses[:, 1]
    ellipses[swapped] = ellipses[swapped][:, [1, 0, 2, 3, 4]] + [0, 0, np.pi / 2, 0, 0]
    table = ListedTable(
        listed.names, listed.wheres, listed.starts, ellipse_boxes(ellipses),
        {"ellipses": ellipses.astype(np.float32)}, {"fold": np.full(len(listed.names), number)}, problems,
    )  # fmt: skip
    for row, what in zip(np.flatnonzero(wrong).tolist(), whats, strict=True):
        problems.append(
            Problem("error", table.object(row), what, f"Radii are above 0, and no number above {MOST:g}.")
        )
    problems += _unlisted(names, set(listed.names))
    return table.checked(reported=np.isnan(ellipses).any(axis=1) | wrong)


def _unlisted(file: Path, names: set[str]) -> list[Problem]:
    """Images that the list of a fold has, which is there or not, and the list of its ellipses has not."""
    if not file.exists():
        return []
    lines = [(number, line.strip()) for number, line in enumerate(read_text(file).split("\n"), start=1)]
    fix = "Take the lists of one version; it is left out."
    return [
        Problem("error", f"{file}: line {number}", f"{name} has no entry in the list of ellipses", fix)
        for number, name in lines
        if name and name not in names
    ]
