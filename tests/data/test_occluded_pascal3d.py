"""OccludedPASCAL3D+ in its own files: lists, images and arrays of numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from folders import picture

from workbench.data import check_data, load_data
from workbench.errors import DataError
from workbench.training.stepping.batches import flip_horizontally


def note(**changes: Any) -> dict[str, Any]:
    """The arrays of an image of 40 x 60: a car of 10 x 20 pixels, half of it behind an occluder of 40 x 10."""
    mask = np.full((40, 60), 3, np.uint8)  # grey of JPEG around the object
    mask[10:20, 20:40] = 250
    occluder = np.zeros((40, 60), bool)
    occluder[:, 30:40] = True
    box = np.array([10, 20, 20, 40, 40, 60], np.float32)  # y0 y1 x0 x1, height, width
    known = {"source": "../x.JPEG", "box": box, "mask": mask, "occluder_mask": occluder, "category": "car",
             "occluder_box": np.array([[0, 40, 30, 40, 40, 60]], np.float32)}  # fmt: skip
    return {key: value for key, value in (known | changes).items() if value is not None}


def add(root: Path, folder: str, *names: str, **changes: Any) -> Path:
    """A list with its files; "a" has the arrays with `changes`."""
    (root / "lists").mkdir(parents=True, exist_ok=True)
    (root / "annotations" / folder).mkdir(parents=True, exist_ok=True)
    (root / "lists" / f"{folder}.txt").write_text("".join(f"{name}.JPEG\n" for name in names))
    for name in names:
        picture(root / "images" / folder / f"{name}.JPEG", 40, 60)
        np.savez(root / "annotations" / folder / f"{name}.npz", **note(**(changes if name == "a" else {})))
    return root


def test_a_tiny_set_by_hand(tmp_path: Path) -> None:
    add(tmp_path, "carFGL2_BGL1", "a", "b")
    add(tmp_path, "busFGL2_BGL1", "a")
    data = load_data("occluded-pascal3d", "test", add(tmp_path, "carFGL1_BGL3", "a"))
    assert repr(data) == "OccludedPascal3d('occluded-pascal3d', split='test': 4 images, 12 classes)"
    assert data.problems == ()
    files = ["carFGL1_BGL3/a.JPEG", "busFGL2_BGL1/a.JPEG", "carFGL2_BGL1/a.JPEG", "carFGL2_BGL1/b.JPEG"]
    assert [data.file_name(index) for index in range(4)] == files
    assert data.class_counts()[[4, 5]].tolist() == [1, 3]
    image, target = data[0]
    assert image.shape == (3, 40, 60)
    assert [data.classes[label - 1] for label in target["labels"]] == ["car"]
    assert target["boxes"].tolist() == [[20, 10, 40, 20]]
    assert target["boxes_visible"].tolist() == [[20, 10, 30, 20]]
    assert target["masks"].sum() == 100
    assert target["masks_amodal"].sum() == 200
    assert target["mask_occluder"].sum() == 400
    assert target["occlusion"].tolist() == [0.5]
    assert target["area"].tolist() == [100]
    assert (target["foreground_level"], target["background_level"]) == (1, 3)
    assert [data.target(index)["foreground_level"] for index in (1, 2, 3)] == [2, 2, 2]
    report = str(check_data(data))
    assert "error" not in report


def test_what_it_knows_goes_with_it(tmp_path: Path) -> None:
    data = load_data("occluded-pascal3d", "test", add(tmp_path, "carFGL1_BGL1", "a"))
    target = flip_horizontally(*data[0])[1]
    assert target["boxes_visible"].tolist() == [[30, 10, 40, 20]]
    assert target["mask_occluder"][:, 20:30].all()
    content = data.export_coco()
    assert content["images"][0]["foreground_level"] == 1
    assert content["annotations"][0]["bbox_visible"] == [20, 10, 10, 10]
    assert content["annotations"][0]["occlusion"] == 0.5


def test_levels(tmp_path: Path) -> None:
    for front, back in ((1, 1), (3, 2), (0, 0)):
        add(tmp_path / "OccludedPASCAL3D", f"sofaFGL{front}_BGL{back}", "a")
    assert len(load_data("occluded-pascal3d", "test", tmp_path)) == 3
    data = load_data("occluded-pascal3d", "test", tmp_path, levels=["FGL3_BGL2", "FGL0_BGL0"])
    assert [data.target(index)["foreground_level"] for index in (0, 1)] == [3, 0]
    for levels, words in [
        (["FGL4_BGL1"], r"level 'FGL4_BGL1' does not exist; did you mean"),
        (["FGL1_BGL1"] * 2, r"levels are .*each of them once"),
        ([], r"levels are \[\]; expected at least one"),
        (["FGL2_BGL2"], r"there is no list of level FGL2_BGL2, such as aeroplaneFGL2_BGL2\.txt"),
    ]:
        with pytest.raises(DataError, match=words):
            load_data("occluded-pascal3d", "test", tmp_path, levels=levels)
    with pytest.raises(DataError, match="split 'train' does not exist; occluded-pascal3d has test"):
        load_data("occluded-pascal3d", "train", tmp_path)


def test_an_object_that_is_all_hidden_and_one_without_a_mask(tmp_path: Path) -> None:
    hidden = load_data("occluded-pascal3d", "test", add(tmp_path / "1", "carFGL1_BGL1", "a",
                       occluder_mask=np.ones((40, 60)))).target(0)  # fmt: skip
    assert hidden["occlusion"].tolist() == [1]
    assert hidden["boxes_visible"].tolist() == [[0, 0, 0, 0]]
    without = load_data("occluded-pascal3d", "test", add(tmp_path / "2", "carFGL1_BGL1", "a",
                        mask=np.zeros((40, 60), np.uint8))).target(0)  # fmt: skip
    assert without["occlusion"].isnan().all()
    assert without["boxes"].tolist() == [[20, 10, 40, 20]]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mask": None}, "its array mask is not there; expected a mask of"),
        ({"mask": np.zeros((60, 40), np.uint8)}, r"its array mask is uint8 of shape \[60, 40\]; expected a mask of"),
        ({"occluder_mask": np.array("x")}, "its array occluder_mask is <U1 of shape"),
        ({"mask": np.array([None])}, "its array 'mask' cannot be read .it holds Python objects"),
        ({"box": np.array([1.0, 2, 3])}, r"its array box is \[1\.0, 2\.0, 3\.0\]; expected y0, y1, x0, x1"),
        ({"box": np.array([1.0, np.nan, 3, 4])}, "its array box is .*nan.*; expected y0"),
        ({"box": np.array([20.0, 10, 20, 40])}, "its box y 20 to 10, x 20 to 40 is empty within its image"),
        ({"box": np.array([10.0, 20, 70, 90])}, "its box y 10 to 20, x 70 to 90 is empty"),
        ({"box": None}, "its array box is not there"),
    ],
)
def test_wrong_annotations_are_named(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    data = load_data("occluded-pascal3d", "test", add(tmp_path, "carFGL1_BGL1", "a", "b", **changes))
    with pytest.raises(DataError, match=rf"carFGL1_BGL1/a\.npz: {words}"):
        data.target(0)
    assert "a.npz" in str(check_data(data))
    assert len(data.target(1)["labels"]) == 1


def test_a_box_is_clipped_to_its_image(tmp_path: Path) -> None:
    add(tmp_path, "carFGL1_BGL1", "a", box=np.array([-5, 20, 20, 90, 40, 60]))
    assert load_data("occluded-pascal3d", "test", tmp_path).target(0)["boxes"].tolist() == [[20, 0, 60, 20]]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("gone.JPEG", "line 3: there is no .*images/carFGL1_BGL1/gone.JPEG"),
        ("../../secret.JPEG", "line 3: .*leads out"),
        ("/etc/hostname", "line 3: .*"),
        ("c.JPEG", r"line 3: there is no annotation of c\.JPEG"),
    ],
)
def test_wrong_lines_are_named_and_can_be_left_out(tmp_path: Path, line: str, words: str) -> None:
    add(tmp_path, "carFGL1_BGL1", "a", "b")
    picture(tmp_path / "images" / "carFGL1_BGL1" / "c.JPEG", 40, 60)
    (tmp_path / "lists" / "carFGL1_BGL1.txt").write_text(f"a.JPEG\n\n{line}\nb.JPEG \r\nb.JPEG")
    with pytest.raises(DataError, match=rf"carFGL1_BGL1\.txt: {words}"):
        load_data("occluded-pascal3d", "test", tmp_path)
    data = load_data("occluded-pascal3d", "test", tmp_path, strict=False)
    assert [problem.level for problem in data.problems] == ["error", "warning"]  # the second is of b, listed twice
    assert len(data) == 2


def test_missing_parts_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no lists"):
        load_data("occluded-pascal3d", "test", tmp_path)
    (tmp_path / "lists").mkdir()
    with pytest.raises(DataError, match=r"no list of these levels, such as aeroplaneFGL1_BGL1\.txt"):
        load_data("occluded-pascal3d", "test", tmp_path)
