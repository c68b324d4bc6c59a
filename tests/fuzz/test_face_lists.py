"""Lists of WIDER FACE, FDDB and MAFA with strange values, names that lead out of their folder, and damaged bytes."""

from __future__ import annotations

import io
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from campaign import STRANGE, cases, changed, damaged, only_own_errors
from folders import mat_cell, picture
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.io import savemat
from torch import Tensor

from workbench.data import check_data, load_data
from workbench.errors import DataError


class Spoilt(NamedTuple):
    """A data set, and the list of it that is spoilt."""

    name: str
    split: str
    images: str  #: a folder in the root
    file: str  #: the list, in the root
    content: Any  #: text, or what a .mat file holds


WIDER = Spoilt(
    "wider-face", "train", "WIDER_train/images", "wider_face_split/wider_face_train_bbx_gt.txt",
    "a/a b.jpg\n2\n10 5 20 30 0 1 0 0 2 1 \n1 2 3 1 1 0 0 1 0 0\n\nb/b.jpg\n0\n0 0 0 0 0 0 0 0 0 0\n",
)  # fmt: skip
WIDER_NAMES = Spoilt("wider-face", "test", "WIDER_test/images", "wider_face_split/wider_face_test_filelist.txt",
                     "a/a b.jpg\nb/b.jpg\n")  # fmt: skip
FDDB = Spoilt(
    "fddb", "test", "originalPics", "FDDB-folds/FDDB-fold-03-ellipseList.txt",
    "a/a b\n2\n10.0 5.0 1.570796 20.0 15.0  1 \n8.0 6.0 0.0 58.0 30.0  1\nb/b\n0\n",
)  # fmt: skip
ROW = "10 5 20 20 1 4 10 12 8 2 3 1 1 3 -1 -1 -1 -1"
MAFA = Spoilt("mafa", "test", "test-images/images", "MAFA-Label-Test/LabelTestAll.txt",
              f"a/a b.jpg {ROW}\nb/b.jpg {ROW}\na/a b.jpg {ROW}\n")  # fmt: skip
MAFA_ANEW = MAFA._replace(
    file="test_mafa_annotation.csv",
    content="name_file,x,y,w,h,label\na/a b.jpg,10.0,5.0,20.0,20.0,1\nb/b.jpg,1,1,9,9,0\n",
)
OPTIONS: dict[str, dict[str, Any]] = {"fddb": {"folds": [3]}}
TEXTS = (WIDER, WIDER_NAMES, FDDB, MAFA, MAFA_ANEW)

LISTED = {"event_list": ["a", "b"], "file_list": [["a b"], ["b.jpg"]]}
BOXES, LABEL = [[10, 5, 20, 30], [1, 2, 3, 1]], [float(number) for number in ROW.split()]
ATTRIBUTES = ("blur", "expression", "illumination", "invalid", "occlusion", "pose")
WIDER_MAT = WIDER._replace(
    file="wider_face_split/wider_face_train.mat",
    content=LISTED
    | {"face_bbx_list": [[BOXES], [[]]]}
    | {f"{name}_label_list": [[[[0], [1]]], [[]]] for name in ATTRIBUTES},
)
WIDER_LEVEL = WIDER._replace(file="wider_easy_train.mat", content=LISTED | {"gt_list": [[[[1], [2]]], [[]]]})
WIDER_NAMES_MAT = WIDER_NAMES._replace(file="wider_face_split/wider_face_test.mat", content=LISTED)
MAFA_MAT = MAFA._replace(
    file="MAFA-Label-Test/LabelTestAll.mat",
    content={"LabelTest": [{"name": "a/a b.jpg", "label": [LABEL, LABEL]}, {"name": "b/b.jpg", "label": [LABEL]}]},
)
MATS = (WIDER_MAT, WIDER_LEVEL, WIDER_NAMES_MAT, MAFA_MAT)

#: Names of what lies outside of the folder, by a way or by a link, and of what is no picture; {} is the folder above.
NAMES = [
    "../secret.jpg", "../../secret.jpg", "a/../../../secret.jpg", "{}/secret.jpg", "//{}/secret.jpg",
    "..\\secret.jpg", "\\secret.jpg", "C:\\secret.jpg", "C:secret.jpg", "~/secret.jpg", "$HOME/secret.jpg",
    "file://{}/secret.jpg", "linked.jpg", "linked", "LINKED.jpg", "folder/secret.jpg", "folder\\secret.jpg",
    "FOLDER/secret.jpg", "a/../folder/secret.jpg", "circle.jpg", "round/round/a/a b.jpg", "pipe.jpg", "gone.jpg",
    "a", "a/", ".", "..", "./a",
]  # fmt: skip
WORDS = [
    "0", "-1", "-0", "7", "2.5", "1e5", "1e30", "1e308", "1e400", "inf", "nan", "9" * 50, "1_0", "0x10", "\u0663",
    "", "x", "ü", "\0", "\r", "\x0c", "\u2028", "\ufeff", ",", '"', "'", "%", "#", "x" * 5000,
]  # fmt: skip


@pytest.fixture(scope="module")
def above(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a picture, and in `root` all data sets' images, with links to that picture and other snares."""
    above = tmp_path_factory.mktemp("above")
    picture(above / "secret.jpg", 11, 13)
    for images in {one.images for one in TEXTS}:
        folder = above / "root" / images
        for name in ("a/a b.jpg", "b/b.jpg"):
            picture(folder / name, 40, 60)
        (folder / "linked.jpg").symlink_to(above / "secret.jpg")
        (folder / "folder").symlink_to(above)
        (folder / "round").symlink_to(folder)
        (folder / "circle.jpg").symlink_to("circle.jpg")
        os.mkfifo(folder / "pipe.jpg")
    return above


@pytest.mark.parametrize("spoilt", TEXTS, ids=lambda one: Path(one.file).stem)
@given(draw=st.data(), strict=st.booleans())
@cases(40)
def test_words(above: Path, spoilt: Spoilt, draw: st.DataObject, strict: bool) -> None:
    use(above, spoilt, draw.draw(respelt(spoilt.content)).replace("{}", str(above)).encode(), strict)


@pytest.mark.parametrize("spoilt", TEXTS, ids=lambda one: Path(one.file).stem)
@given(draw=st.data(), strict=st.booleans())
@cases(20)
def test_bytes(above: Path, spoilt: Spoilt, draw: st.DataObject, strict: bool) -> None:
    use(above, spoilt, draw.draw(damaged(spoilt.content.encode())), strict)


@pytest.mark.parametrize("spoilt", MATS, ids=lambda one: Path(one.file).stem)
@given(draw=st.data(), strict=st.booleans(), whole=st.booleans())
@cases(4)  # a process each
def test_mat_files(above: Path, spoilt: Spoilt, draw: st.DataObject, strict: bool, whole: bool) -> None:
    names = [name.replace("{}", str(above)) for name in NAMES]
    content = draw.draw(changed(spoilt.content, values=[*STRANGE, *names])) if whole else spoilt.content
    file = io.BytesIO()
    try:
        savemat(file, matlab(content))
    except (ValueError, TypeError, UnicodeError, OverflowError, IndexError):
        assume(False)  # nothing that a .mat file could hold
    use(above, spoilt, file.getvalue() if whole else draw.draw(damaged(file.getvalue())), strict)


def use(above: Path, spoilt: Spoilt, content: bytes, strict: bool) -> None:
    """All that a training and the doctor ask of data; what is wrong is said of the list, and no path leads out."""
    root = above / "root"
    for other in (*TEXTS, *MATS):
        (root / other.file).unlink(missing_ok=True)
    if spoilt is WIDER_LEVEL:
        write(root / WIDER.file, WIDER.content.encode())
    file = write(root / spoilt.file, content)
    with only_own_errors():
        data, said = None, str(file)
        try:
            data = load_data(spoilt.name, spoilt.split, root, strict=strict, **OPTIONS.get(spoilt.name, {}))
        except DataError as error:
            said = str(error)
        assert str(file) in said
        if data is None:
            return
        assert all(str(file) in problem.where for problem in data.problems)
        for index in range(len(data)):
            assert Path(os.path.realpath(data.path(index))).is_relative_to(os.path.realpath(root))
        check_data(data)
        for index in range(len(data)):
            with only_own_errors():
                image, target = data[index]
                assert image.shape == (3, 40, 60)
                boxes = target["boxes"]
                assert (boxes[:, :2] < boxes[:, 2:]).all()
                known = [value for key, value in target.items() if key != "occlusion" and isinstance(value, Tensor)]
                assert all(value.isfinite().all() for value in known)


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@st.composite
def respelt(draw: Any, text: str) -> str:
    """A text with one to three of its words or names replaced, or its lines dropped, doubled, moved or cut off."""
    lines = text.split("\n")
    for _ in range(draw(st.integers(1, 3))):
        lines = lines or [""]
        at = draw(st.integers(0, len(lines) - 1))
        line = lines.pop(at)
        action = draw(st.sampled_from(["word", "word", "name", "name", "drop", "double", "move", "cut"]))
        if action == "word":
            parts = re.split("([ ,])", line)
            parts[2 * draw(st.integers(0, len(parts) // 2))] = draw(st.sampled_from(WORDS))
            lines.insert(at, "".join(parts))
        elif action == "name":
            lines.insert(at, draw(st.sampled_from(NAMES)) + line.partition(".jpg")[2])
        elif action == "cut":
            lines.insert(at, line[: draw(st.integers(0, len(line)))])
        elif action != "drop":
            lines.insert(at if action == "double" else draw(st.integers(0, len(lines))), line)
            lines[at:at] = [line] * (action == "double")
    return "\n".join(lines)


def matlab(value: Any) -> Any:
    """A document as `savemat` takes it: numbers in lists as an array, dicts in a list as a struct, else cells."""
    if isinstance(value, dict):
        return {str(key): matlab(one) for key, one in value.items()}
    if not isinstance(value, list):
        return value
    if value and all(isinstance(one, dict) and one and one.keys() == value[0].keys() for one in value):
        made = np.empty((1, len(value)), [(str(key), object) for key in value[0]])
        made[0] = [tuple(matlab(one[key]) for key in value[0]) for one in value]
        return made
    with suppress(ValueError, TypeError, OverflowError):
        return np.array(value) + 0.0
    return mat_cell(*map(matlab, value))
