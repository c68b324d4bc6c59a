"""MAFA in both versions of its annotations, and in the forms in which these go round."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from folders import picture
from scipy.io import savemat

from workbench.data import check_data, load_data
from workbench.errors import DataError
from workbench.training.stepping.batches import flip_horizontally

#: x y w h, type, box of the occluder from the corner of the face, its type, degree, sex, race, orientation, glasses
MASKED = [10, 5, 20, 20, 1, 4, 10, 12, 8, 2, 3, 1, 1, 3, -1, -1, -1, -1]
BARE = [40, 10, 15, 15, 2, -1, -1, -1, -1, -1, -1, 1, 1, 3, -1, -1, -1, -1]
IGNORED = [0, 0, 8, 8, 3, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1]
TRAIN = [10, 5, 20, 20, 13, 9, 22, 9, 4, 10, 12, 8, 2, 3, 1, 1, 3, -1, -1, -1, -1]
NAMES = ("pig.jpg", "two words.jpg")  # of whose ends strip(".jpg") takes letters
HEAD = "name_file,x,y,w,h,label\n"


def structs(fields: tuple[str, ...], *rows: tuple[Any, ...]) -> np.ndarray:
    """A struct array [1, n]."""
    made = np.empty((1, len(rows)), dtype=[(field, object) for field in fields])
    for place, row in enumerate(rows):
        made[0, place] = row
    return made


def write(root: Path, split: str, content: dict[str, Any] | str, file: str | None = None) -> Path:
    for name in NAMES:
        picture(root / f"{split}-images" / "images" / name, 40, 60)
    folder = root / f"MAFA-Label-{split.title()}"
    folder.mkdir(exist_ok=True)
    if isinstance(content, str):
        (folder / file if folder and file else root).write_text(content)
    else:
        savemat(folder / f"Label{split.title()}All.mat", content)
    return root


def test_test_images_by_hand(tmp_path: Path) -> None:
    labels = np.array([MASKED, BARE, IGNORED], np.int16)
    rows = (NAMES[0], labels), (NAMES[1], np.array([MASKED], np.int16))
    data = load_data("mafa", "test", write(tmp_path, "test", {"LabelTest": structs(("name", "label"), *rows)}))
    image, target = data[0]
    assert image.shape == (3, 40, 60)
    assert data.classes == ("face",)
    assert target["boxes"].tolist() == [[10, 5, 30, 25], [40, 10, 55, 25], [0, 0, 8, 8]]
    assert target["face_type"].tolist() == [1, 2, 3]
    assert target["difficult"].tolist() == [False, False, True]
    assert target["boxes_occluder"].tolist() == [[14, 15, 26, 23], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert target["occluder_type"].tolist() == [2, -1, -1]
    assert target["occlusion_degree"].tolist() == [3, -1, -1]
    assert target["occlusion"].isnan().all()
    assert [data.file_name(index) for index in (0, 1)] == list(NAMES)
    assert data.problems == ()
    assert str(check_data(data)).endswith("nothing wrong was found")
    exported = data.export_coco()["annotations"]
    assert [one["bbox_occluder"] for one in exported] == [[14, 15, 12, 8], *[[0, 0, 0, 0]] * 2, [14, 15, 12, 8]]
    assert [one["face_type"] for one in exported] == [1, 2, 3, 1]
    flipped = flip_horizontally(image, target)[1]
    assert flipped["boxes_occluder"][0].tolist() == [34, 15, 46, 23]
    assert (flipped["boxes_occluder"][1:, 2] == flipped["boxes_occluder"][1:, 0]).all()  # still without area
    assert flipped["face_type"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("field", ["imgName", "imageName"])
def test_training_images_by_hand(tmp_path: Path, field: str) -> None:
    """All of them are masked; the struct also has the name of the picture before it was chosen."""
    rows = structs(("orgImg", field, "label"), ("add 1.jpg", NAMES[0], np.array([TRAIN], np.int16)))
    target = load_data("mafa", root=write(tmp_path, "train", {"label_train": rows})).target(0)
    assert target["boxes"].tolist() == [[10, 5, 30, 25]]
    assert target["boxes_occluder"].tolist() == [[14, 15, 26, 23]]
    assert [target[key].tolist() for key in ("face_type", "occluder_type", "occlusion_degree")] == [[1], [2], [3]]


def test_text_gives_the_same(tmp_path: Path) -> None:
    lines = [" ".join([NAMES[image], *map(str, row)]) for image, row in ((0, MASKED), (1, BARE), (0, IGNORED))]
    data = load_data("mafa", "test", write(tmp_path, "test", "\n".join(lines) + " \n\n", "LabelTestAll.txt"))
    assert [data.file_name(index) for index in (0, 1)] == list(NAMES)
    assert [data.target(index)["face_type"].tolist() for index in (0, 1)] == [[1, 3], [2]]
    assert data.target(0)["boxes_occluder"].tolist() == [[14, 15, 26, 23], [0, 0, 0, 0]]


def test_the_other_version(tmp_path: Path) -> None:
    """It is taken where there is no other, or where it is asked for."""
    content = f"{HEAD}{NAMES[0]},10.0,5.0,20.0,20.0,1\n{NAMES[1]},1,1,9,9,0\n{NAMES[0]},0,0,8,8,3\n"
    write(tmp_path, "test", content, "test_mafa_annotation.csv")
    rows = structs(("name", "label"), (NAMES[0], np.array([IGNORED])))
    asked = "MAFA-Label-Test/test_mafa_annotation.csv"
    data = load_data("mafa", "test", tmp_path)
    assert [data.target(index)["face_type"].tolist() for index in (0, 1)] == [[1, 1], [2]]
    assert data.target(0)["boxes"].tolist() == [[10, 5, 30, 25], [0, 0, 8, 8]]
    assert data.target(0)["occluder_type"].tolist() == [-1, -1]
    write(tmp_path, "test", {"LabelTest": rows})
    assert len(load_data("mafa", "test", tmp_path)) == 1
    assert len(load_data("mafa", "test", tmp_path, labels=asked)) == 2
    with pytest.raises(DataError, match="leads out"):
        load_data("mafa", "test", tmp_path, labels="../x.csv")
    with pytest.raises(DataError, match=r"read from \.mat, \.txt, \.csv"):
        load_data("mafa", "test", tmp_path, labels="test-images")


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        (
            "LabelTestAll.txt",
            f"{NAMES[0]} 1 2 3\n",
            "line 1: expected the name of an image and 18 or 21 numbers",
        ),
        ("LabelTestAll.txt", " ".join([NAMES[1], *map(str, [*MASKED[:4], 9, *MASKED[5:]])]), "face 1 .* type is 9"),
        ("LabelTestAll.txt", " ".join(["gone.jpg", *map(str, MASKED)]), "line 1: there is no image gone.jpg in"),
        ("test_mafa_annotation.csv", "a,b\n", "its first line is 'a,b'; expected name_file,x,y,w,h,label"),
        (
            "test_mafa_annotation.csv",
            f"{HEAD}{NAMES[0]},1,1,9,9,7\n",
            "line 2: .*label from 0 to 3",
        ),
        ("test_mafa_annotation.csv", f"{HEAD}{NAMES[0]},1,1,9\n", "line 2: expected name_file"),
    ],
)
def test_wrong_files_are_named(tmp_path: Path, file: str, content: str, words: str) -> None:
    with pytest.raises(DataError, match=rf"{file}: .*{words}" if "line" not in words else words):
        load_data("mafa", "test", write(tmp_path, "test", content, file))


ROWS = np.array([MASKED])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"other": 1}, "there is no struct label_train or LabelTest"),
        ({"LabelTest": structs(("file", "label"), ("a.jpg", ROWS))}, "its struct has the fields file, label"),
        ({"LabelTest": structs(("name", "label"), (NAMES[0], ROWS[:, :5]))}, "entry 1: expected rows of 18 numbers"),
    ],
)
def test_wrong_mat_files_are_named(tmp_path: Path, content: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=rf"LabelTestAll\.mat: {words}"):
        load_data("mafa", "test", write(tmp_path, "test", content))


def test_a_table_of_endless_fields_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"annotation\.csv: line \d: this is not a CSV file"):
        load_data("mafa", "test", write(tmp_path, "test", HEAD + "a" * 140_000, "test_mafa_annotation.csv"))


def test_missing_parts_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no MAFA-Label-Test/LabelTestAll\.mat, nor test_mafa_annotation\.csv"):
        load_data("mafa", "test", tmp_path)
    with pytest.raises(DataError, match="split 'val' does not exist; mafa has train, test"):
        load_data("mafa", "val", tmp_path)
