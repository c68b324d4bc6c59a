"""WIDER FACE in its own formats, with what is known to be odd in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from folders import mat_cell, picture
from scipy.io import savemat

from workbench import Recipe
from workbench.data import check_data, load_data
from workbench.errors import DataError
from workbench.training.stepping.batches import flip_horizontally

PARADE, CLASH = "0--Parade/0_Parade_a b_1.jpg", "1--Clash/1_Clash_2.JPG"
#: Trailing blanks, an empty line, a face past the border, an empty and an invalid one; an image without faces.
TEXT = f"""{PARADE}
4
10 5 20 30 0 1 0 0 2 1{" "}
50 30 20 20 2 0 1 0 1 0{" "}
7 7 0 9 0 0 0 0 0 0
1 2 3 1 1 0 0 1 0 0

{CLASH}
0
0 0 0 0 0 0 0 0 0 0{" "}
"""
NAMES = {"event_list": mat_cell("0--Parade", "1--Clash"),
         "file_list": mat_cell(mat_cell("0_Parade_a b_1"), mat_cell("1_Clash_2"))}  # fmt: skip


def write(root: Path, text: str = TEXT, split: str = "train") -> Path:
    """A folder of two images of 40 x 60 pixels; the second one is named .jpg on disk."""
    file = root / "wider_face_split" / f"wider_face_{split}_bbx_gt.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    for name in (PARADE, CLASH.lower().replace("clash", "Clash")):
        picture(root / f"WIDER_{split}" / "images" / name, 40, 60)
    return root


def write_level(root: Path, level: str, *numbers: list[int]) -> None:
    chosen = [mat_cell(np.array(each, np.uint8).reshape(-1, 1)) for each in numbers]
    (root / "eval_tools/ground_truth").mkdir(parents=True, exist_ok=True)
    savemat(root / f"eval_tools/ground_truth/wider_{level}_val.mat", {**NAMES, "gt_list": mat_cell(*chosen)})


def test_a_tiny_set_by_hand(tmp_path: Path) -> None:
    data = load_data("wider-face", root=write(tmp_path))
    assert data.classes == ("face",)
    assert [data.file_name(index).rpartition("/")[2] for index in (0, 1)] == ["0_Parade_a b_1.jpg", "1_Clash_2.jpg"]
    image, target = data[0]
    assert image.shape == (3, 40, 60)
    assert target["boxes"].tolist() == [[10, 5, 30, 35], [50, 30, 60, 40], [1, 2, 4, 3]]  # clipped, and one left out
    assert target["labels"].tolist() == [1, 1, 1]
    assert target["difficult"].tolist() == [False, False, True]  # invalid
    assert target["area"].tolist() == [600, 100, 3]
    assert target["occlusion"].isnan().all()
    attributes = [target[key].tolist() for key in ("blur", "expression", "illumination", "occlusion_level", "pose")]
    assert attributes == [[0, 2, 1], [1, 0, 0], [0, 1, 0], [2, 1, 0], [1, 0, 0]]
    assert "easy" not in target
    assert data.target(1)["boxes"].shape == (0, 4)
    assert data.class_counts() is None  # faces outside of their images are left out, and sizes not known at once
    assert [str(problem) for problem in data.problems] == [
        f"warning: {tmp_path}/wider_face_split/wider_face_train_bbx_gt.txt: line 1: face 3 of {PARADE}: "
        "its box 7 7 0 9 (x, y, width, height) is empty. It is left out."
    ]


def test_the_doctor_says_what_shows_with_the_image_only(tmp_path: Path) -> None:
    text = TEXT.replace("1 2 3 1 1 0 0 1 0 0", "70 5 9 9 0 0 0 0 0 0")
    data = load_data("wider-face", root=write(tmp_path, text))
    found = str(check_data(data.subset([0, 1])))
    assert "face 2 of 0--Parade/0_Parade_a b_1.jpg: box 50 30 20 20 (x, y, width, height) reaches 10 px out" in found
    assert (
        "face 3 of 0--Parade/0_Parade_a b_1.jpg: box 70 5 9 9 (x, y, width, height) lies outside its image" in found
    )
    assert "error" not in found
    assert len(data.target(0)["boxes"]) == 2


def test_levels_count_the_faces_of_the_lists(tmp_path: Path) -> None:
    """Also where an empty face stands before a counted one; the lists count all rows, from 1."""
    write(tmp_path, split="val")
    write_level(tmp_path, "easy", [1], [])
    write_level(tmp_path, "hard", [1, 2, 4], [])
    data = load_data("wider-face", "val", tmp_path)
    target = flip_horizontally(*data.subset([0])[0])[1]
    assert target["easy"].tolist() == [True, False, False]
    assert target["hard"].tolist() == [True, True, True]
    assert "medium" not in target
    assert len(data.problems) == 1
    write_level(tmp_path, "hard", [5], [])
    with pytest.raises(DataError, match=r"hard_val\.mat: it counts face 5 of 0--Parade.*, which has 4"):
        load_data("wider-face", "val", tmp_path)


def test_the_mat_form_gives_the_same(tmp_path: Path) -> None:
    by_text = load_data("wider-face", root=write(tmp_path))[0][1]
    file = tmp_path / "wider_face_split" / "wider_face_train_bbx_gt.txt"
    rows = np.array([line.split() for line in TEXT.split("\n")[2:6]], np.float64)
    content = {"face_bbx_list": mat_cell(mat_cell(rows[:, :4]), mat_cell(np.zeros((0, 4))))}
    for place, key in enumerate(("blur", "expression", "illumination", "invalid", "occlusion", "pose"), start=4):
        cells = mat_cell(rows[:, [place]].astype(np.uint8)), mat_cell(np.zeros((0, 1), np.uint8))
        content[f"{key}_label_list"] = mat_cell(*cells)
    file.unlink()
    savemat(file.with_name("wider_face_train.mat"), {**NAMES, **content})
    by_mat = load_data("wider-face", root=tmp_path)[0][1]
    assert list(by_mat) == list(by_text)
    assert {key: str(value) for key, value in by_mat.items()} == {key: str(value) for key, value in by_text.items()}
    content["pose_label_list"][0, 0] = mat_cell(np.zeros((3, 1)))
    savemat(file.with_name("wider_face_train.mat"), {**NAMES, **content})
    with pytest.raises(DataError, match=r"train\.mat: 0--Parade/.*: the boxes and attributes .* do not fit"):
        load_data("wider-face", root=tmp_path)


def test_the_test_images_have_names_only(tmp_path: Path) -> None:
    write(tmp_path, split="test")
    (tmp_path / "wider_face_split" / "wider_face_test_filelist.txt").write_text(f"{PARADE} \n{CLASH}\n\n")
    data = load_data("wider-face", "test", tmp_path)
    assert [len(data.target(index)["boxes"]) for index in range(len(data))] == [0, 0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TEXT.replace("10 5 20 30", "10 5 20"), r"line 3: expected the 10 numbers x y .*, got '10 5 20 0 1"),
        (TEXT.replace("10 5 20 30", "10 5 nan 30"), "line 3: expected the 10 numbers"),
        (TEXT.replace("10 5 20 30", "10 5 1e12 30"), "face 1 of .*: its box is not made of finite"),
        (TEXT.replace(f"{CLASH}", "1--Clash/gone.jpg"), "line 8: there is no image 1--Clash/gone.jpg in"),
        (TEXT.replace(f"{CLASH}", "../../secret.jpg"), "line 8: file name '../../secret.jpg' leads out"),
    ],
)
def test_wrong_lines_are_named_and_can_be_left_out(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_data("wider-face", root=write(tmp_path, text))
    data = load_data("wider-face", root=tmp_path, strict=False)
    assert [problem.level for problem in data.problems].count("error") == 1
    faces = [len(data.target(index)["boxes"]) for index in range(len(data))]
    assert faces in ([2, 0], [3])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TEXT.replace("4\n", "four\n", 1), r"line 2: expected the number of faces of '0--Parade.*', got 'four'"),
        (TEXT.replace("4\n", "3\n", 1), r"line 8: expected the number of faces of '1 2 3 1 .*', got '1--Clash"),
        (TEXT.replace("4\n", "400\n", 1), r"has 400 faces, but the file ends after 7; is it cut off"),
        (f"{PARADE}\n", "is the last line"),
        (f"gone.jpg\n0\n{CLASH}x\n0\n", "no image gone.jpg in .*, nor any other of the 2 images of the list"),
    ],
)
def test_lists_of_which_nothing_follows_are_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_data("wider-face", root=write(tmp_path, text), strict=False)


def test_corners_in_place_of_extents_are_noticed(tmp_path: Path) -> None:
    rows = "".join(f"30 {y} 55 {y + 12} 0 0 0 0 0 0\n" for y in (20, 22, 24, 26))
    with pytest.raises(DataError, match=r"bbx_gt\.txt: line 1: boxes .* look like corners"):
        load_data("wider-face", root=write(tmp_path, f"{PARADE}\n4\n{rows}"))


def test_missing_parts_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no WIDER_val/images"):
        load_data("wider-face", "val", write(tmp_path))
    (tmp_path / "wider_face_split" / "wider_face_train_bbx_gt.txt").unlink()
    with pytest.raises(DataError, match=r"holds no wider_face_split/wider_face_train_bbx_gt\.txt, nor wider_face_tr"):
        load_data("wider-face", root=tmp_path)
    with pytest.raises(DataError, match="split 'all' does not exist; wider-face has train, val, test"):
        load_data("wider-face", "all", tmp_path)


def test_recipes_may_name_it() -> None:
    recipe = Recipe.load("retinanet/digits")
    data = {"name": "wider-face", "root": "/data/wider", "split": "train", "options": {"strict": False}}
    changed = recipe.replace({"data": data})
    assert changed.data.name == "wider-face"
