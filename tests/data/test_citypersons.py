"""CityPersons in both of its forms, with what is odd in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from folders import mat_cell, picture
from scipy.io import savemat

from workbench.data import check_data, load_data
from workbench.errors import DataError
from workbench.training.stepping.batches import flip_horizontally

CITIES = ("frankfurt", "lindau")
NAMES = ("frankfurt_000000_000294", "lindau_000001_000019")
#: class, box, instance, visible box: a pedestrian who reaches out to the right, a rider, a group, a poster.
ROWS = [
    [1, 150, 5, 60, 30, 24, 150, 5, 50, 18], [2, 100, 2, 10, 20, 25, 100, 2, 10, 20],
    [5, 30, 0, 40, 30, 26, 0, 0, 0, 0], [0, 5, 5, 4, 4, 0, 5, 5, 4, 4],
]  # fmt: skip
LABELS = ("ignore", "pedestrian", "rider", "sitting person", "person (other)", "person group")


def structs(*rows: np.ndarray, fields: tuple[str, ...] = ("cityname", "im_name", "bbs")) -> np.ndarray:
    """The cell [1, n] of a .mat file, a struct for each image."""
    cell = np.empty((1, len(rows)), dtype=object)
    for place, (city, name, boxes) in enumerate(zip(CITIES, NAMES, rows, strict=False)):
        one = np.empty((1, 1), dtype=[(field, object) for field in fields])
        one[0, 0] = (city, f"{name}_leftImg8bit.png", boxes)
        cell[0, place] = one
    return cell


def write(root: Path, content: dict[str, Any] | None = None, split: str = "val") -> Path:
    """A folder of two images of 40 x 200 pixels; the numbers are bytes, as in MATLAB's file."""
    for city, name in zip(CITIES, NAMES, strict=True):
        picture(root / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png", 40, 200)
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    cells = {f"anno_{split}_aligned": structs(np.array(ROWS, np.uint8), np.zeros((0, 10), np.uint8))}
    savemat(root / "annotations" / f"anno_{split}.mat", cells if content is None else content)
    return root


def entry(row: list[int]) -> dict[str, Any]:
    return {"label": LABELS[row[0]], "bbox": row[1:5], "instanceId": row[5], "bboxVis": row[6:]}


def write_json(root: Path, objects: Any, split: str = "val") -> Path:
    """The same as the files of Cityscapes."""
    write(root, split=split)
    (root / "annotations" / f"anno_{split}.mat").unlink()
    for city, name, own in zip(CITIES, NAMES, (objects, []), strict=True):
        file = root / "gtBboxCityPersons" / split / city / f"{name}_gtBboxCityPersons.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"imgHeight": 40, "imgWidth": 200, "objects": own}))
    return root


def test_a_tiny_set_by_hand(tmp_path: Path) -> None:
    """In bytes, 150 + 60 would be 210, but 200 + 60 would be 4: numbers are made larger first."""
    data = load_data("citypersons", "val", write(tmp_path))
    assert data.classes == ("pedestrian",)
    assert data.annotation_version == "of CityPersons' authors"
    assert data.problems == ()
    image, target = data[0]
    assert image.shape == (3, 40, 200)
    assert target["boxes"].tolist() == [[150, 5, 200, 35], [100, 2, 110, 22], [30, 0, 70, 30], [5, 5, 9, 9]]
    assert target["boxes_full"][0].tolist() == [150, 5, 210, 35]
    assert target["boxes_visible"].tolist() == [[150, 5, 200, 23], [100, 2, 110, 22], [0, 0, 0, 0], [5, 5, 9, 9]]
    assert target["iscrowd"].tolist() == [False, True, True, True]
    assert target["person_type"].tolist() == [1, 2, 5, 0]
    assert target["instance_id"].tolist() == [24, 25, 26, 0]
    assert target["occlusion"][:2].tolist() == [0.5, 0]  # 50 x 18 of 60 x 30
    assert target["occlusion"][2:].isnan().all()  # of these, the full box is not known
    assert data.target(1)["boxes"].shape == (0, 4)
    assert [data.image_id(index) for index in (0, 1)] == [1, 2]
    assert "error" not in str(check_data(data))


def test_sums_of_bytes_do_not_run_over(tmp_path: Path) -> None:
    rows = np.array([[1, 190, 5, 100, 30, 24, 190, 5, 10, 30]], np.uint8)
    content = {"anno_train_aligned": structs(rows, np.zeros((0, 10)))}
    target = load_data("citypersons", root=write(tmp_path, content, "train")).target(0)
    assert target["boxes_full"].tolist() == [[190, 5, 290, 35]]
    assert target["occlusion"].tolist() == pytest.approx([0.9])


def test_both_forms_are_the_same(tmp_path: Path) -> None:
    by_mat = load_data("citypersons", "val", write(tmp_path / "mat"))
    by_json = load_data("citypersons", "val", write_json(tmp_path / "json", [entry(row) for row in ROWS]))
    assert by_json.annotation_version == "of Cityscapes"
    assert [by_json.file_name(index) for index in (0, 1)] == [by_mat.file_name(index) for index in (0, 1)]
    for index in (0, 1):
        first, second = by_mat.target(index), by_json.target(index)
        assert {key: str(value) for key, value in first.items()} == {key: str(value) for key, value in second.items()}
    write(tmp_path / "json")  # of both, the .mat file is taken, unless the other is asked for
    assert load_data("citypersons", "val", tmp_path / "json").annotation_version == "of CityPersons' authors"
    asked = load_data("citypersons", "val", tmp_path / "json", labels="gtBboxCityPersons/val")
    assert asked.annotation_version == "of Cityscapes"


def test_what_it_knows_goes_with_it(tmp_path: Path) -> None:
    data = load_data("citypersons", "val", write(tmp_path))
    target = flip_horizontally(*data[0])[1]
    assert target["boxes_full"][0].tolist() == [-10, 5, 50, 35]
    assert (target["boxes_visible"][2, 2:] == target["boxes_visible"][2, :2]).all()  # still without area
    entries = data.export_coco()["annotations"]
    assert [one["person_type"] for one in entries] == [1, 2, 5, 0]
    assert entries[0]["bbox_full"] == [150, 5, 60, 30]


NOTHING = np.zeros((0, 10))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"other": 1}, r"anno_val\.mat: there is no cell anno_val_aligned, as in CityPersons' anno_val\.mat"),
        ({"anno_train_aligned": structs(NOTHING)}, r"no cell anno_val_aligned \(it has anno_train_aligned\)"),
        ({"anno_val_aligned": mat_cell("x")}, r"image 1 has no cityname or im_name; expected a struct"),
        ({"anno_val_aligned": structs(np.ones((2, 9)))}, r"image 1: its bbs are 2 × 9 numbers; expected rows of 10"),
        ({"anno_val_aligned": structs(np.full((1, 10), 7.0))}, r"pedestrian 1 of .*its ten numbers are 7 7 .*0 to 5"),
        (
            {"anno_val_aligned": structs(np.array([[1, np.nan, *[2] * 8]]))},
            "pedestrian 1 of .*its ten numbers are 1 n",
        ),
    ],
)
def test_wrong_mat_files_are_named(tmp_path: Path, content: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_data("citypersons", "val", write(tmp_path, content))


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        (
            [entry(ROWS[0]) | {"label": "cat"}],
            "an object has the label 'cat'; expected one of ignore, pedestrian, rid",
        ),
        ([entry(ROWS[0]) | {"bbox": [1, 2, 3]}], r"an object has \{'bbox': \[1, 2, 3\].*two boxes of four finite"),
        ([entry(ROWS[0]) | {"instanceId": 2**40}], "an object has .*and a whole number"),
        ([3], "an object is a int, not a JSON object"),
        ("x", "it has no list `objects`"),
    ],
)
def test_wrong_json_files_are_named_and_the_rest_is_kept(tmp_path: Path, objects: Any, words: str) -> None:
    good = [*objects, entry(ROWS[1])] if isinstance(objects, list) else objects
    with pytest.raises(DataError, match=rf"000294_gtBboxCityPersons\.json: {words}"):
        load_data("citypersons", "val", write_json(tmp_path, good))
    data = load_data("citypersons", "val", tmp_path, strict=False)
    assert len(data.target(0)["labels"]) == isinstance(objects, list)


def test_missing_parts_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no annotations/anno_val\.mat, nor gtBboxCityPersons/val"):
        load_data("citypersons", "val", tmp_path)
    with pytest.raises(DataError, match=r"split 'test' does not exist; citypersons has train, val; the annotations"):
        load_data("citypersons", "test", tmp_path)
    write(tmp_path, split="train")
    (tmp_path / "leftImg8bit" / "train").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="holds no leftImg8bit/train"):
        load_data("citypersons", "train", tmp_path)
    (tmp_path / "gtBboxCityPersons" / "val").mkdir(parents=True)
    (tmp_path / "val").mkdir()
    with pytest.raises(DataError, match=r"there are no files \*_gtBboxCityPersons\.json in it"):
        load_data("citypersons", "val", tmp_path)
    with pytest.raises(DataError, match="leads out"):
        load_data("citypersons", "val", tmp_path, labels="../x.mat")
