"""CrowdHuman in its own lines, with what is odd in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from folders import picture

from workbench.data import check_data, load_data
from workbench.errors import DataError
from workbench.training.stepping.batches import flip_horizontally

FIRST, SECOND = "273271,1a0d6", "283992,e.5"  # names with a comma and a dot, without endings
#: Reaches out to the left; half of it is seen.
CUT = {"tag": "person", "fbox": [-5, 5, 20, 30], "vbox": [0, 5, 15, 20], "hbox": [2, 5, 6, 6],
       "extra": {"box_id": 0, "occ": 1}, "head_attr": {"ignore": 0, "unsure": 0, "occ": 0}}  # fmt: skip
WHOLE = {"tag": "person", "fbox": [30, 2, 8, 20], "vbox": [30, 2, 8, 20], "hbox": [31, 2, 4, 4]}
IGNORED = {"tag": "person", "fbox": [40, 4, 8, 20], "vbox": [40, 4, 8, 10], "hbox": [0, 0, 0, 0],
           "extra": {"ignore": 1}, "head_attr": {"ignore": 1}}  # fmt: skip
REGION = {"tag": "mask", "fbox": [50, 0, 20, 12], "vbox": [50, 0, 20, 12], "hbox": [50, 0, 20, 12],
          "extra": {"ignore": 1}, "head_attr": {}}  # fmt: skip
RECORDS = [{"ID": FIRST, "gtboxes": [CUT, WHOLE, IGNORED, REGION]}, {"ID": SECOND, "gtboxes": []}]


def write(root: Path, records: list[Any] | str = RECORDS, split: str = "val", images: str = "Images") -> Path:
    """A folder of two images of 40 x 60 pixels."""
    for name in (FIRST, SECOND):
        picture(root / images / f"{name}.jpg", 40, 60)
    text = records if isinstance(records, str) else "".join(f"{json.dumps(record)}\n" for record in records)
    (root / f"annotation_{split}.odgt").write_text(text, encoding="utf-8")
    return root


def changed(**boxes: Any) -> list[Any]:
    """The records, of which the first box is another one."""
    return [{"ID": FIRST, "gtboxes": [CUT | boxes]}, RECORDS[1]]


def test_a_tiny_set_by_hand(tmp_path: Path) -> None:
    data = load_data("crowdhuman", "val", write(tmp_path))
    assert data.classes == ("person",)
    assert data.problems == ()
    assert [data.file_name(index) for index in (0, 1)] == [f"Images/{FIRST}.jpg", f"Images/{SECOND}.jpg"]
    image, target = data[0]
    assert image.shape == (3, 40, 60)
    assert target["boxes"].tolist() == [[0, 5, 15, 35], [30, 2, 38, 22], [40, 4, 48, 24], [50, 0, 60, 12]]
    assert target["boxes_full"][[0, 3]].tolist() == [[-5, 5, 15, 35], [50, 0, 70, 12]]
    assert target["boxes_visible"].tolist() == [[0, 5, 15, 25], [30, 2, 38, 22], [40, 4, 48, 14], [50, 0, 60, 12]]
    assert target["boxes_head"].tolist() == [[2, 5, 8, 11], [31, 2, 35, 6], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert target["labels"].tolist() == [1, 1, 1, 1]
    assert target["iscrowd"].tolist() == [False, False, True, True]
    assert target["occlusion"][:2].tolist() == [0.5, 0]  # 300 of 600 pixels, though 150 lie outside of the image
    assert target["occlusion"][2:].isnan().all()
    assert target["area"].tolist() == [450, 160, 160, 120]
    assert data.target(1)["boxes"].shape == (0, 4)
    assert "error" not in str(check_data(data))


def test_what_it_knows_goes_with_it(tmp_path: Path) -> None:
    data = load_data("crowdhuman", "val", write(tmp_path))
    target = flip_horizontally(*data[0])[1]
    assert target["boxes_full"][0].tolist() == [45, 5, 65, 35]
    assert target["boxes_head"][0].tolist() == [52, 5, 58, 11]
    entry = data.export_coco()["annotations"][0]
    assert entry["bbox"] == [0, 5, 15, 30]
    assert entry["bbox_full"] == [-5, 5, 20, 30]
    assert entry["bbox_visible"] == [0, 5, 15, 20]
    assert (entry["occlusion"], entry["iscrowd"]) == (0.5, 0)


def test_parts_of_people(tmp_path: Path) -> None:
    write(tmp_path)
    visible = load_data("crowdhuman", "val", tmp_path, part="visible").target(0)
    assert visible["boxes"][0].tolist() == [0, 5, 15, 25]
    assert visible["occlusion"][0] == 0.5
    assert load_data("crowdhuman", "val", tmp_path, part="visible").annotation_version == "of visible parts"
    head = load_data("crowdhuman", "val", tmp_path, part="head").target(0)
    assert head["boxes"].tolist() == [[2, 5, 8, 11], [31, 2, 35, 6], [50, 0, 60, 12]]  # one ignored head is nowhere
    assert head["iscrowd"].tolist() == [False, False, True]
    assert head["occlusion"].isnan().all()
    assert head["boxes_full"][0].tolist() == [-5, 5, 15, 35]


@pytest.mark.parametrize(
    "images", ["CrowdHuman_train01/Images", "CrowdHuman_train03", "train/Images", "images/train"]
)
def test_pictures_where_archives_unpack_to(tmp_path: Path, images: str) -> None:
    write(tmp_path, split="train", images=images)
    (tmp_path / "Images").mkdir(exist_ok=True)  # of another split
    data = load_data("crowdhuman", root=tmp_path)
    assert data.path(0) == tmp_path / images / f"{FIRST}.jpg"


def test_a_byte_order_mark_windows_lines_and_empty_ones(tmp_path: Path) -> None:
    text = "\ufeff" + "\r\n\r\n".join(map(json.dumps, RECORDS)) + "\r\n"
    assert len(load_data("crowdhuman", "val", write(tmp_path, text))) == 2


@pytest.mark.parametrize(
    ("records", "words"),
    [
        (changed(fbox=[1, 2, 3]), r"line 1: box 1 of 273271,1a0d6: its fbox is \[1, 2, 3\], not four finite numbers"),
        (changed(vbox=[0, 0, 1e400, 1]), "its vbox is .*inf.*not four finite numbers"),
        (changed(fbox=[0, 0, 1e12, 1]), "its fbox is .*not four finite numbers"),
        (changed(hbox=None), None),  # nobody asks for the head
        (changed(extra=[1]), "its tag is no text, or its extra or head_attr is no object"),
        (changed(tag=7), "its tag is no text"),
        ([{"ID": 3, "gtboxes": []}, RECORDS[1]], "line 1: its ID is 3, not the name of an image"),
        ([{"ID": FIRST}, RECORDS[1]], "line 1: '273271,1a0d6' has no list gtboxes"),
        ([*RECORDS, RECORDS[0]], "line 3: the ID '273271,1a0d6' occurs twice"),
        ([RECORDS[0], {"ID": "gone", "gtboxes": []}], "line 2: there is no image gone in"),
        ([RECORDS[0], {"ID": "../secret", "gtboxes": []}], r"line 2: file name '\.\./secret' leads out of"),
    ],
)
def test_wrong_entries_are_named_and_can_be_left_out(tmp_path: Path, records: list[Any], words: str | None) -> None:
    write(tmp_path, records)
    if words is None:
        words = "its hbox is None"
        records[0]["gtboxes"][0]["head_attr"] = {"ignore": 1}
        assert len(load_data("crowdhuman", "val", write(tmp_path / "fine", records)).target(0)["labels"]) == 1
    with pytest.raises(DataError, match=words):
        load_data("crowdhuman", "val", tmp_path)
    data = load_data("crowdhuman", "val", tmp_path, strict=False)
    assert [problem.level for problem in data.problems] == ["error"]
    assert len(data) in (1, 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1, 2]", r"odgt: line 1: this is a list; expected a JSON object with ID and gtboxes"),
        ('{"ID": "a"', "odgt: line 1: this is not JSON"),
        (json.dumps(RECORDS[0]) + "\n\x00", "odgt: line 2: this is not JSON"),
    ],
)
def test_files_of_something_else_are_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_data("crowdhuman", "val", write(tmp_path, text), strict=False)


def test_unknown_tags_are_ignored_regions_and_empty_people_are_left_out(tmp_path: Path) -> None:
    odd = {**WHOLE, "tag": "dog"}
    boxes = [CUT, odd, {**WHOLE, "fbox": [3, 3, -4, 5]}, {**REGION, "fbox": [3, 3, 0, 5]}]
    data = load_data("crowdhuman", "val", write(tmp_path, [{"ID": FIRST, "gtboxes": boxes}, RECORDS[1]]))
    assert [str(problem).partition(": ")[2].partition(": ")[2] for problem in data.problems] == [
        f"line 1: box 2 of {FIRST}: its tag is 'dog', expected person or mask. "
        "It counts as a region that is ignored.",
        f"line 1: person 3 of {FIRST}: its box 3 3 -4 5 (x, y, width, height) is empty. It is left out.",
    ]
    assert data.target(0)["iscrowd"].tolist() == [False, True]


def test_endless_lines_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.data.reading.crowdhuman_lines.LONGEST", 2**10)
    with pytest.raises(DataError, match="line 1: it is longer than"):
        load_data("crowdhuman", "val", write(tmp_path, '{"ID": "' + "a" * 2000))


def test_missing_parts_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no annotation_val\.odgt"):
        load_data("crowdhuman", "val", tmp_path)
    (tmp_path / "annotation_val.odgt").write_text("")
    with pytest.raises(DataError, match="holds no Images, nor CrowdHuman_val/Images"):
        load_data("crowdhuman", "val", tmp_path)
    with pytest.raises(
        DataError, match=r"split 'test' does not exist; crowdhuman has train, val; the annotations of"
    ):
        load_data("crowdhuman", "test", tmp_path)
    with pytest.raises(DataError, match=r"crowdhuman\.part is 'arm'; expected 'full', 'visible' or 'head'"):
        load_data("crowdhuman", "val", tmp_path, part="arm")
