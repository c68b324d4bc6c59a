"""Occluded and Separated COCO: lists of objects beside COCO's own annotations."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from folders import coco_content, write_coco

from workbench.data import check_data, load_data
from workbench.errors import DataError
from workbench.rle import encode_masks
from workbench.training.stepping.batches import flip_horizontally


def code(top: int, left: int, bottom: int, right: int, size: tuple[int, int] = (40, 60)) -> dict[str, Any]:
    """The code of a rectangle."""
    mask = torch.zeros(1, *size)
    mask[0, top:bottom, left:right] = 1
    return encode_masks(mask)[0]


PERSON = ["b.png", "person", 1, [10, 10, 20, 20], code(10, 10, 30, 30)]
DOG = ("b.png", "dog", 2, [30.0, 12.0, 40.0, 28.0], code(12, 30, 28, 36))  # of fewer pixels than the annotation


def write(root: Path, occluded: Any = (PERSON,), separated: Any = (DOG,)) -> Path:
    write_coco(root, coco_content(), "val2017")
    for name, objects in (("occluded", occluded), ("separated", separated)):
        if objects is not None:
            (root / f"{name}_coco.pkl").write_bytes(pickle.dumps(objects))
    return root


def test_a_tiny_set_by_hand(tmp_path: Path) -> None:
    data = load_data("occluded-coco", "val2017", write(tmp_path))
    assert repr(data) == "OccludedCoco('occluded-coco', split='val2017': 2 images, 2 classes)"
    assert data.problems == ()
    target = data.target(1)  # images are sorted by id
    assert data.annotation_ids(1) == [1, 2, 3]
    assert target["occluded"].tolist() == [True, False, False]
    assert target["separated"].tolist() == [False, True, False]
    assert target["masks"].flatten(1).sum(1).tolist() == [400, 16 * 6, 400]  # the dog's is that of the list
    assert target["area"].tolist() == [400, 160, 400]
    assert data.target(0)["occluded"].shape == (0,)
    assert "error" not in str(check_data(data))
    flipped = flip_horizontally(data.image(1), target)[1]
    assert flipped["occluded"].tolist() == [True, False, False]
    assert [one["separated"] for one in data.export_coco()["annotations"]] == [False, True, False]


def test_json_gives_the_same_and_one_list_is_enough(tmp_path: Path) -> None:
    write(tmp_path, separated=None)
    text = json.dumps([[*PERSON[:4], {**PERSON[4], "counts": PERSON[4]["counts"].decode()}]])
    (tmp_path / "annotations" / "separated_coco.json").write_text(text)
    target = load_data("occluded-coco", "val2017", tmp_path).target(1)
    assert (target["occluded"] == target["separated"]).all()
    (tmp_path / "annotations" / "separated_coco.json").rename(tmp_path / "own.json")
    assert "separated" not in load_data("occluded-coco", "val2017", tmp_path).target(1)
    assert "separated" in load_data("occluded-coco", "val2017", tmp_path, separated="own.json").target(1)
    (tmp_path / "occluded_coco.pkl").unlink()
    with pytest.raises(DataError, match=r"holds no occluded_coco\.pkl, nor separated_coco\.pkl"):
        load_data("occluded-coco", "val2017", tmp_path)
    with pytest.raises(DataError, match="leads out"):
        load_data("occluded-coco", "val2017", tmp_path, occluded="../x.pkl")
    with pytest.raises(DataError, match=r"x\.txt: lists of occluded objects are read from \.pkl and \.json"):
        load_data("occluded-coco", "val2017", tmp_path, occluded="x.txt")


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (["b.png", "person", 9, [], code(0, 0, 1, 1)], "entry 1: annotation 9 is not in .*instances_val2017.json"),
        (
            ["b.png", "cat", 1, [], code(0, 0, 1, 1)],
            r"annotation 1 is a cat of b\.png \(40 × 60\), but a person of b",
        ),
        (
            ["a.png", "person", 1, [], code(0, 0, 1, 1)],
            r"annotation 1 is a person of a\.png .*but a person of b\.png",
        ),
        (["b.png", "person", 1, [], code(0, 0, 1, 1, (30, 20))], r"\(30 × 20\), but a person of b\.png \(40 × 60\)"),
        (["b.png", "person", 1, [], {"size": [40, 60], "counts": b"~"}], "its mask cannot be used: compressed RLE"),
        (["b.png", "person", 1, [], [[0, 0, 5, 5]]], "its mask cannot be used: RLE has size None"),
        (["b.png", "person", "1", [], {}], "it begins with 'b.png', 'person', '1'; expected names"),
        (["b.png", "person", 1], "it is no list of image, class, id, box and mask"),
        (7, "it is no list of image"),
    ],
)
def test_wrong_entries_are_named_and_can_be_left_out(tmp_path: Path, entry: Any, words: str) -> None:
    with pytest.raises(DataError, match=rf"occluded_coco\.pkl: entry 1: .*{words.removeprefix('entry 1: ')}"):
        load_data("occluded-coco", "val2017", write(tmp_path, [entry, DOG]))
    data = load_data("occluded-coco", "val2017", tmp_path, strict=False)
    assert [problem.level for problem in data.problems] == ["error"]
    assert data.target(1)["occluded"].tolist() == [False, True, False]


def test_lists_of_something_else_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"occluded_coco\.pkl: it holds a dict; expected a list of objects"):
        load_data("occluded-coco", "val2017", write(tmp_path, {"a": 1}), strict=False)
    with pytest.raises(DataError, match="which is not loaded since it could run code"):
        load_data("occluded-coco", "val2017", write(tmp_path, [Path("x")]), strict=False)


def test_an_object_that_is_listed_twice_counts_once(tmp_path: Path) -> None:
    data = load_data("occluded-coco", "val2017", write(tmp_path, [PERSON, PERSON]))
    assert [str(problem).partition("pkl: ")[2] for problem in data.problems] == [
        "entry 2: annotation 1 occurs twice. It counts once."
    ]


def test_the_folder_and_the_split_are_those_of_coco(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'occluded-coco lies in a folder: say which, load_data\("occluded-coco"'):
        load_data("occluded-coco")
    with pytest.raises(DataError, match=r"there is no split 'val2017'"):
        load_data("occluded-coco", "val2017", tmp_path)
