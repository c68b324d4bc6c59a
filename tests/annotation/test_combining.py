"""Several workers as one annotation, by hand; the file is one that `load_data("coco")` reads."""

from __future__ import annotations

import numpy as np
import pytest
from folders import picture
from listed_data import Listed
from pycocotools import mask as coco_mask

import workbench as wb
from workbench.annotation import Action, SimulatedWorker, combine, simulate
from workbench.errors import DataError

DATA = Listed([[], [], []])


def draw(worker: str, *box: float, category: str = "cat", image: int = 1, **value) -> Action:
    x1, y1, x2, y2 = box
    value["bbox"] = [x1, y1, x2 - x1, y2 - y1]
    return Action(worker, 0.0, "segment", image, item=f"{worker} {box}", category=category, value=value)


def looked(worker: str, image: int = 1, stage: str = "segment", **more) -> Action:
    return Action(worker, 1.0, stage, image, kind="done", **more)


#: Three drew the cat, one of them as a dog; one drew something else; d looked and drew nothing.
DRAWN = [
    draw("a", 10, 10, 50, 50),
    draw("b", 12, 10, 50, 54, category="dog"),
    draw("c", 10, 14, 56, 50),
    draw("c", 100, 10, 140, 50, category="cup"),
    looked("d"),
    looked("a", 2),
]


def boxes(file) -> list[tuple]:
    return [(file.categories[one["category_id"]]["name"], *one["bbox"]) for one in file.annotations.values()]


def test_union_majority_and_numbers_of_votes_by_hand():
    both = [("cat", 10, 10, 40, 40), ("cup", 100, 10, 40, 40)]  # medians of 10 12 10, 10 10 14, 50 50 56, 50 54 50
    assert boxes(combine(DRAWN, DATA, rule="union")) == boxes(combine(DRAWN, DATA, rule=1)) == both
    assert boxes(combine(DRAWN, DATA)) == boxes(combine(DRAWN, DATA, rule=3)) == both[:1]
    assert boxes(combine(DRAWN, DATA, rule=4)) == []
    file = combine(DRAWN, DATA)
    assert list(file.images) == [1, 2]  # nobody looked at the third
    assert [one["name"] for one in file.categories.values()] == list(DATA.classes)
    about = file.annotations[1]
    assert (about["votes"], about["looked"], about["workers"]) == (3, 4, ["a", "b", "c"])


def test_half_is_no_majority():
    two = [draw("a", 10, 10, 50, 50), looked("b")]
    assert boxes(combine(two, DATA)) == []
    assert len(combine(two, DATA, rule="union").annotations) == 1


def test_masks_are_what_half_of_those_who_drew_them_drew():
    left, right, low = ([[x1, y1, x2, y1, x2, y2, x1, y2]] for x1, y1, x2, y2 in (
        (10, 10, 40, 50), (12, 10, 50, 50), (10, 14, 48, 50),
    ))  # fmt: skip
    outlines = zip("abc", (left, right, low), strict=True)
    file = combine([draw(w, 10, 10, 50, 50, segmentation=one) for w, one in outlines], DATA)
    made = coco_mask.decode({**file.annotations[1]["segmentation"]})
    hand = np.zeros((100, 200), np.uint8)
    hand[10:50, 12:40] = hand[14:50, 10:48] = 1  # at least two of three
    assert np.array_equal(made, hand)
    assert file.annotations[1]["bbox"] == [10, 10, 38, 40]


def test_crosses_and_icons_are_boxes_around_their_points():
    spots = [
        Action(w, 0, "spot", 1, category="cat", value={"point": [x, 50]})
        for w, x in (("a", 50), ("b", 54), ("a", 198))
    ]
    file = combine(spots, DATA, stage="spot", rule="union")
    assert boxes(file) == [("cat", 36, 34, 32, 32), ("cat", 182, 34, 18, 32)]
    assert file.annotations[1]["point"] == [52, 50]
    assert boxes(combine(spots, DATA, stage="spot")) == [("cat", 36, 34, 32, 32)]
    named = [
        Action("a", 0, "label", 1, category="dog", value={"point": [20, 30]}),
        Action("a", 1, "label", 1, category="cup"),
    ]
    assert boxes(combine(named, DATA, stage="label", near=5)) == [("dog", 15, 25, 10, 10), ("cup", 95, 45, 10, 10)]


def test_the_file_is_data(tmp_path):
    truth = Listed([[(1, 10, 10, 60, 60), (2, 110, 10, 150, 90)], [(3, 20, 20, 90, 90)]])
    crowd = [SimulatedWorker(f"w{n}", 0.9, 0.9, looseness=0.02) for n in range(5)]
    file = combine(simulate(crowd, truth, "segment"), truth)
    (tmp_path / "annotations").mkdir()
    file.save(tmp_path / "annotations/instances_crowd.json")
    for image in file.images.values():
        picture(tmp_path / "crowd" / image["file_name"], 100, 200)
    data = wb.load_data("coco", "crowd", tmp_path)
    assert data.classes == truth.classes
    for index in range(2):
        found, true = data.target(index), truth.target(index)
        assert found["labels"].tolist() == true["labels"].tolist()
        assert (found["boxes"] - true["boxes"]).abs().max() < 5


def test_what_does_not_fit_is_named():
    with pytest.raises(DataError, match="rule is 'most'; expected"):
        combine(DRAWN, DATA, rule="most")
    with pytest.raises(DataError, match="rule is 0"):
        combine(DRAWN, DATA, rule=0)
    with pytest.raises(DataError, match="stage 'verify' finds no objects"):
        combine(DRAWN, DATA, stage="verify")
    with pytest.raises(DataError, match="no image 9 in listed all"):
        combine([draw("a", 1, 1, 9, 9, image=9)], DATA)
    with pytest.raises(DataError, match="no class 'cow'"):
        combine([draw("a", 1, 1, 9, 9, category="cow")], DATA)
