"""VOC folders: boxes from 1, parts and owners, class lists, other people's sets, and wrong files."""

from pathlib import Path

import pytest
import torch
from folders import voc_object, voc_xml, write_voc
from torchvision.datasets import VOCDetection

from workbench.data import load_data
from workbench.data.voc import CLASSES
from workbench.errors import DataError

DOG = voc_object("dog", 1, 1, 60, 40)
PERSON = voc_object("person", 11, 6, 20, 25, difficult=1, part=True)


def load(root: Path, **options):
    return load_data("voc", root=root, split="train", **options)


def test_a_tiny_set_by_hand(tmp_path: Path) -> None:
    data = load(write_voc(tmp_path, {"000012": voc_xml(DOG, PERSON), "000005": voc_xml()}))
    image, target = data[0]
    assert image.shape == (3, 40, 60)
    assert data.classes == CLASSES
    assert target["boxes"].tolist() == [[0, 0, 60, 40], [10, 5, 20, 25]]  # 1-based and inclusive before
    assert target["labels"].tolist() == [12, 15]  # the part and the owner have names, too
    assert target["difficult"].tolist() == [False, True]
    assert target["iscrowd"].tolist() == [False, False]
    assert target["area"].tolist() == [2400, 200]
    assert target["occlusion"].isnan().all()
    assert data.target(1)["boxes"].shape == (0, 4)
    assert [data.target(index)["image_id"] for index in (0, 1)] == [1, 2]
    assert data.ids == ["000012", "000005"]  # in the order of the list
    assert data.file_name(1) == "000005.jpg"


@pytest.mark.parametrize("place", [".", "VOC2007", "VOC2012", "VOCdevkit/VOC2007"])
def test_where_the_folder_may_lie(tmp_path: Path, place: str) -> None:
    write_voc(tmp_path / place, {"a": voc_xml(DOG)})
    assert len(load(tmp_path)) == 1


@pytest.mark.parametrize(("place", "year"), [("VOC2007", 2007), ("VOC2012", 2012), ("mine", 2007)])
def test_whose_rules_hold(tmp_path: Path, monkeypatch, place: str, year: int) -> None:
    write_voc(tmp_path / place, {"a": voc_xml(DOG)})
    monkeypatch.chdir(tmp_path / place)
    for root in (tmp_path / place, "."):
        assert load(root).voc_year == load(root).subset([0]).voc_year == year


def test_two_years_need_a_choice(tmp_path: Path) -> None:
    write_voc(tmp_path / "VOC2007", {"a": voc_xml(DOG)})
    write_voc(tmp_path / "VOC2012", {"a": voc_xml(DOG), "b": voc_xml(DOG)})
    with pytest.raises(DataError, match=r"VOC2007, VOC2012; say which by year="):
        load(tmp_path)
    assert len(load(tmp_path, year=2012)) == 2
    with pytest.raises(DataError, match="holds no VOC2010"):
        load(tmp_path, year=2010)


def test_names_of_other_sets(tmp_path: Path) -> None:
    masked, bare = voc_object("with_mask", 1, 1, 9, 9), voc_object("bare", 2, 2, 9, 9)
    write_voc(tmp_path, {"b": voc_xml(bare)}, split="test")
    write_voc(tmp_path, {"a": voc_xml(masked, masked)})
    assert load(tmp_path).classes == ("bare", "with_mask")  # the same in every split
    assert load(tmp_path).target(0)["labels"].tolist() == [2, 2]
    merged = load(tmp_path, merge={"with_mask": "face", "bare": "face"})
    assert merged.classes == ("face",)
    single = load(tmp_path, single_class="face")
    assert single.classes == ("face",)
    assert single.target(0)["labels"].tolist() == [1, 1]
    chosen = load_data("voc", "test", tmp_path, classes=["with_mask"])
    assert chosen.classes == ("with_mask",)
    assert len(chosen.target(0)["labels"]) == 0


def test_masked_faces_are_told_apart_within_one_class(tmp_path: Path) -> None:
    names = ("with_mask", "bare", "wrongly", "with_mask")
    write_voc(tmp_path, {"a": voc_xml(*(voc_object(name, 1, 1, 9, 9 + n) for n, name in enumerate(names)))})
    data = load(tmp_path, single_class="face", masked=["with_mask", "wrongly"])
    assert data.classes == ("face",)
    assert data.subset([0]).target(0)["face_type"].tolist() == [1, 2, 1, 1]
    chosen = load(tmp_path, classes=["bare", "with_mask"], masked=["with_mask", "mask"])
    assert chosen.target(0)["face_type"].tolist() == [1, 2, 1]
    assert "masked has 'mask', which no object is called here" in str(chosen.problems[0])
    assert "face_type" not in load(tmp_path).target(0)


def test_splits_agree_where_one_has_a_name_that_is_not_of_voc(tmp_path: Path) -> None:
    write_voc(tmp_path, {"b": voc_xml(voc_object("drone", 2, 2, 9, 9), DOG)}, split="trainval")
    write_voc(tmp_path, {"a": voc_xml(DOG)}, split="test")
    classes = {load_data("voc", split=split, root=tmp_path).classes for split in ("trainval", "test")}
    assert classes == {("dog", "drone")}
    write_voc(tmp_path, {"c": voc_xml(voc_object("ant", 200, 200, 210, 210), DOG)}, split="val")  # ant lies outside
    classes = {load_data("voc", split=split, root=tmp_path, strict=False).classes for split in ("val", "test")}
    assert classes == {("ant", "dog", "drone")}


def test_corners_from_zero_give_no_box_outside(tmp_path: Path) -> None:
    data = load(write_voc(tmp_path, {"a": voc_xml(voc_object("face", 0, 0, 60, 40))}))
    assert data.target(0)["boxes"].tolist() == [[0, 0, 60, 40]]
    assert data.problems == ()


def test_boxes_at_the_edge(tmp_path: Path) -> None:
    far, empty = voc_object("dog", 30, 5, 66.5, 20), voc_object("dog", 30, 20, 25, 25)
    data = load(write_voc(tmp_path, {"a": voc_xml(DOG, far, empty, DOG, DOG, DOG)}))
    assert data.target(0)["boxes"][1].tolist() == [29, 4, 60, 20]
    assert len(data.target(0)["boxes"]) == 5
    reported = [str(problem) for problem in data.problems]
    assert len(reported) == 2
    assert "a.xml: object 2 (dog): bndbox 30 5 66.5 20 reaches 6.5 px outside" in reported[0]
    assert "object 3 (dog): bndbox 30 20 25 25 is empty" in reported[1]


def test_extents_in_place_of_corners_are_noticed(tmp_path: Path) -> None:
    boxes = [(30, 20, 12, 10), (10, 4, 20, 20), (40, 25, 15, 15), (35, 2, 11, 30)]
    write_voc(tmp_path, {"a": voc_xml(*(voc_object("dog", *box) for box in boxes))})
    with pytest.raises(DataError, match="look like x, y, width, height"):
        load(tmp_path)


def test_a_missing_size_is_taken_from_the_image(tmp_path: Path) -> None:
    assert load(write_voc(tmp_path, {"a": voc_xml(DOG, size=False)})).size(0) == (40, 60)


BOMB = """<?xml version="1.0"?><!DOCTYPE annotation [<!ENTITY a "{}">{}]><annotation>&z;</annotation>""".format(
    "boom" * 10, "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(25))
)
OUTSIDE = """<!DOCTYPE annotation [<!ENTITY x SYSTEM "file:///etc/hostname">]><annotation>&x;</annotation>"""


@pytest.mark.parametrize(
    ("xml", "words"),
    [
        (BOMB, "declares entities"),
        (OUTSIDE, "declares entities"),
        ("<annotation><object>", "not XML"),
        ("", "not XML"),
        ("<svg/>", "root is 'svg'"),
        ('<?xml version="1.0" encoding="klingon"?><annotation/>', "not XML"),
        (voc_xml(voc_object("", 1, 1, 9, 9)), "object 1: it has no name"),
        (voc_xml(DOG, voc_object("cat", 1, "nan", 9, 9)), "object 2 .cat.: its bndbox"),
        (voc_xml(voc_object("cat", 1, "", 9, 9)), "its bndbox"),
        (voc_xml(voc_object("cat", 1, "one", 9, 9)), "its bndbox"),
        (voc_xml("<object><name>cat</name></object>"), "its bndbox"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, xml: str, words: str) -> None:
    root = write_voc(tmp_path, {"fine": voc_xml(DOG), "bad": xml})
    with pytest.raises(DataError, match=words) as caught:
        load(root)
    assert "bad.xml" in str(caught.value)
    lenient = load(root, strict=False)
    assert len(lenient.problems) == 1
    assert len(lenient.target(0)["boxes"]) == 1


@pytest.mark.parametrize("identity", ["../../secret", "/etc/hostname", "..\\x"])
def test_ids_cannot_leave_the_folder(tmp_path: Path, identity: str) -> None:
    root = write_voc(tmp_path, {"a": voc_xml(DOG)})
    (root / "ImageSets" / "Main" / "train.txt").write_text(f"a\n{identity}\n")
    with pytest.raises(DataError, match="leads out"):
        load(root)
    with pytest.raises(DataError, match="leads out"):
        load_data("voc", "../train", root)


def test_lists(tmp_path: Path) -> None:
    root = write_voc(tmp_path, {"a": voc_xml(DOG)})
    with pytest.raises(DataError, match=r"no split 'val' \(known: train\)"):
        load_data("voc", "val", root)
    (root / "ImageSets" / "Main" / "train.txt").write_text("a 1\n\na -1\n")
    with pytest.raises(DataError, match="1 ids are listed twice"):
        load(root)
    (root / "ImageSets" / "Main" / "train.txt").write_text("missing\n")
    with pytest.raises(DataError, match=r"missing\.xml: this file cannot be read"):
        load(root)
    with pytest.raises(DataError, match="holds no Annotations, VOC2007 or VOC2012"):
        load(tmp_path / "ImageSets")


def test_agrees_with_torchvision_on_real_photographs(data_root: Path, tmp_path: Path) -> None:
    root = data_root / "voc2007-mini"
    (tmp_path / "VOCdevkit").symlink_to(root)  # torchvision wants this folder
    for split, number in (("trainval", 1200), ("test", 800)):
        data = load_data("voc", root=root, split=split)
        peer = VOCDetection(str(tmp_path), year="2007", image_set=split)
        assert len(data) == len(peer) == number
        assert data.problems == ()
        for index in range(0, number, 25):
            image, target = data[index]
            objects = peer[index][1]["annotation"]["object"]
            assert [CLASSES[label - 1] for label in target["labels"]] == [thing["name"] for thing in objects]
            assert target["difficult"].tolist() == [thing["difficult"] == "1" for thing in objects]
            corners = [[float(t["bndbox"][k]) for k in ("xmin", "ymin", "xmax", "ymax")] for t in objects]
            expected = torch.tensor(corners) - torch.tensor([1.0, 1, 0, 0])
            assert torch.equal(target["boxes"].as_subclass(torch.Tensor), expected)
            assert tuple(image.shape[-2:]) == data.size(index)


def test_real_faces(data_root: Path) -> None:
    data = load_data("voc", root=data_root / "faces-mini", split="test")
    assert data.classes == ("mask_weared_incorrect", "with_mask", "without_mask")
    assert data.problems == ()
    for index in range(len(data)):
        height, width = data.size(index)
        boxes = data.target(index)["boxes"].as_subclass(torch.Tensor)
        assert boxes.min() >= 0
        assert (boxes[:, 2] <= width).all()
        assert (boxes[:, 3] <= height).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()


@pytest.mark.parametrize(
    ("word", "difficult", "said"),
    [("True", True, False), (" yes ", True, False), ("1.0", True, False), ("-1", True, False), ("", False, False),
     ("false", False, False), ("Unspecified", False, True)],
)  # fmt: skip
def test_what_people_write_for_difficult(tmp_path: Path, word: str, difficult: bool, said: bool) -> None:
    xml = voc_xml(DOG).replace("<difficult>0<", f"<difficult>{word}<")
    data = load(write_voc(tmp_path, {"a": xml}), classes=["dog"])
    assert data.target(0)["difficult"].tolist() == [difficult]
    assert [problem.what for problem in data.problems] == ["difficult is 'unspecified', expected 0 or 1"] * said


def test_what_is_no_box_or_size_is_shown(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"object 1 \(dog\): its bndbox is .* no box: \['1,5', '1', '60', '40'\]"):
        load(write_voc(tmp_path, {"a": voc_xml(voc_object("dog", "1,5", 1, 60, 40))}))
    with pytest.raises(DataError, match=r"a\.xml: its size is 1000000 × 1000000; expected at most 89,478,485"):
        load(write_voc(tmp_path, {"a": voc_xml(DOG, height=10**6, width=10**6)}))


@pytest.mark.parametrize("name", ["Annotations", "JPEGImages", "ImageSets", "JPEGImages/a.jpg", "Annotations/a.xml"])
def test_links_out_are_followed_on_request(tmp_path: Path, name: str) -> None:
    root = write_voc(tmp_path / "set", {"a": voc_xml(DOG)})
    (root / name).rename(tmp_path / "elsewhere")
    (root / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="by a link; follow_links=True follows it"):
        load(root)[0]
    assert load(root, follow_links=True)[0][0].shape == (3, 40, 60)


def test_choices_that_no_object_has_are_said_and_counts_are_known(tmp_path: Path) -> None:
    root = write_voc(tmp_path, {"a": voc_xml(DOG, PERSON)})
    data = load(root, classes=["dog", "pet"], merge={"dgo": "pet"})
    assert data.class_counts().tolist() == [1, 0]
    [problem] = data.problems
    assert "merge has 'dgo', which no object is called here (did you mean 'dog'?)" in problem.what
    assert load(write_voc(tmp_path / "none", {"a": voc_xml()}), single_class="thing").classes == ("thing",)
