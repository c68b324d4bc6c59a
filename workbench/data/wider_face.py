"""WIDER FACE (Yang et al. 2016): 32,203 images of 61 kinds of events, on which AOFD (Chen et al. 2018) is trained.

The lists are `wider_face_split/wider_face_S_bbx_gt.txt` or, where there is none, `wider_face_S.mat`; the images are
in `WIDER_S/images`. Of the test images only the names are public.

The attributes are [N] int64 as WIDER FACE numbers them: `blur` (0 clear, 1 normal, 2 heavy), `expression` (0 typical,
1 exaggerated), `illumination` (0 normal, 1 extreme), `occlusion_level` (0 none, 1 partial, 2 heavy) and `pose` (0
typical, 1 atypical). Faces that it calls invalid are `difficult`. Where `wider_easy_val.mat`, `wider_medium_val.mat`
or `wider_hard_val.mat` of its evaluation are there, `easy`, `medium` or `hard` [N] bool says which faces count.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np

from workbench.data.listed_images import ListedImages
from workbench.data.reading.face_lists import read_face_list
from workbench.data.reading.listed_table import ListedTable, from_xywh, whole_numbers
from workbench.data.reading.paths import DataRoot, read_text
from workbench.data.reading.picture_folder import PictureFolder, first_place
from workbench.data.reading.wider_mat import LEVELS, names_of, read_level, read_wider_mat
from workbench.errors import DataError
from workbench.registry import DATASETS

SPLITS = ("train", "val", "test")
COLUMNS = "x y width height blur expression illumination invalid occlusion pose"
ATTRIBUTES = {"blur": 4, "expression": 5, "illumination": 6, "occlusion_level": 8, "pose": 9}  #: places in a row
INVALID = 7


@DATASETS.register("wider-face")
class WiderFace(ListedImages):
    """Faces of WIDER FACE.

    Args:
        root: a folder that holds `wider_face_split` and `WIDER_train`, `WIDER_val` or `WIDER_test`.
        split: "train", "val" or "test".
        strict: raise DataError at the first error; False leaves out what is wrong and keeps the errors in `problems`.
        follow_links: also follow links that lead out of `root`.
    """

    def __init__(
        self,
        root: str | PathLike[str] | None,
        split: str = "train",
        *,
        strict: bool = True,
        follow_links: bool = False,
    ):
        place = DataRoot(root, "wider-face", follow_links=follow_links)
        if split not in SPLITS:
            raise DataError(f"split {split!r} does not exist; wider-face has {', '.join(SPLITS)}")
        folders = [f"WIDER_{split}/images", f"WIDER_{split}/WIDER_{split}/images", f"{split}/images", "images"]
        images = first_place(place, [*folders, f"WIDER_{split}", split])
        if images is None:
            raise DataError(f"{place.path}: this folder holds no WIDER_{split}/images")
        table = _names(place) if split == "test" else _faces(place, split)
        self.benchmark = "wider-face" if set(LEVELS) <= set(table.columns) else None
        super().__init__("wider-face", split, PictureFolder(place, images), table, strict=strict)


def _place(root: DataRoot, split: str, *names: str) -> Path | None:
    """A file of the annotations, which people keep in several folders."""
    folders = ["wider_face_split/", "", f"WIDER_{split}/wider_face_split/", f"WIDER_{split}/"]
    folders += ["eval_tools/ground_truth/", "ground_truth/", "wider_face_split/ground_truth/"]
    return first_place(root, [folder + name for name in names for folder in folders])


def _faces(root: DataRoot, split: str) -> ListedTable:
    """All faces of a split, with their attributes and the levels that are there."""
    names = (f"wider_face_{split}_bbx_gt.txt", f"wider_face_{split}.mat")
    file = _place(root, split, *names)
    if file is None:
        raise DataError(f"{root.path}: this folder holds no wider_face_split/{names[0]}, nor {names[1]}")
    listed = read_wider_mat(file) if file.suffix == ".mat" else read_face_list(file, COLUMNS)
    rows = listed.rows
    columns = {name: whole_numbers(rows[:, place]) for name, place in ATTRIBUTES.items()}
    columns["difficult"] = rows[:, INVALID] == 1
    problems = list(listed.problems)
    for level in LEVELS:
        if (known := _place(root, split, f"wider_{level}_{split}.mat")) is not None:
            columns[level], more = read_level(known, listed.names, listed.starts)
            problems += more
    boxes = from_xywh(rows[:, :4])
    table = ListedTable(listed.names, listed.wheres, listed.starts, boxes, columns, problems=problems)
    return table.checked(reported=np.isnan(rows).any(axis=1) if file.suffix != ".mat" else None)


def _names(root: DataRoot) -> ListedTable:
    """The images of the test split, of whose faces nothing is public."""
    file = _place(root, "test", "wider_face_test_filelist.txt", "wider_face_test.mat")
    if file is None:
        raise DataError(f"{root.path}: this folder holds no wider_face_split/wider_face_test_filelist.txt")
    if file.suffix == ".mat":
        names = names_of(file)
        wheres = [str(file)] * len(names)
    else:
        lines = [(number, line.strip()) for number, line in enumerate(read_text(file).split("\n"), start=1)]
        names = [line for _, line in lines if line]
        wheres = [f"{file}: line {number}" for number, line in lines if line]
    return ListedTable(names, wheres, np.zeros(len(names) + 1, np.int64), np.zeros((0, 4)))
