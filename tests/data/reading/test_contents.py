"""What data sets hold, at a glance: counted by hand, without a look at a picture, and whatever they are called."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from folders import coco_content, voc_object, voc_xml, write_coco, write_voc
from listed_data import Listed

import workbench as wb
from workbench.data.dataset import Dataset
from workbench.data.reading.contents import GLANCE, ObjectsAtHand, joined, rows_of

HOSTILE = "<script>alert('x')</script>\n\"&"


def rows(page: str) -> list[list[str]]:
    """The text of every row of the tables."""
    return [
        [re.sub(r"<br>", " | ", cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", page)
    ]


def facts(data: Dataset) -> dict[str, str]:
    return {row[0]: row[1] for row in rows(data._repr_html_())}


def coco(root: Path, **options) -> Dataset:
    return wb.load_data("coco", root=root, split="train", **options)


def in_memory(labels: list[int], hidden: list[float], classes: tuple[str, ...]) -> Dataset:
    """A data set of as many images as objects, none of which can be opened."""

    class Known(Listed):
        def objects_at_hand(self, indices):
            return ObjectsAtHand(np.array(labels)[list(indices)], np.array(hidden)[list(indices)])

    data = Known([[]] * len(labels))
    data.classes = classes
    return data


def test_coco_by_hand(tmp_path):
    data = coco(write_coco(tmp_path, coco_content()))
    assert rows(data._repr_html_()) == [
        ["split", "train"],
        ["images", "2"],
        ["objects", "3"],
        ["classes", "2"],
        ["occlusion", "estimated from overlapping masks when asked for"],
        ["class", "objects"],
        ["person", "2"],
        ["dog", "1"],
    ]
    assert facts(data.subset([0]))["objects"] == "0"
    assert facts(data.subset([1, 1]))["objects"] == "6"
    assert facts(coco(tmp_path, classes=["dog"]))["objects"] == "1"
    assert facts(coco(tmp_path, masks=False))["occlusion"] == "unknown for all objects"


def test_occlusion_that_the_file_says(tmp_path):
    content = coco_content()
    for entry, hidden in zip(content["annotations"], (0.5, 0.2, None), strict=True):
        entry["occlusion"] = hidden
    shown = facts(coco(write_coco(tmp_path, content)))
    assert shown["occlusion"] == "of 2 objects: 35 % hidden on average, 100 % by 20 % or more"


def test_pictures_are_not_opened_and_may_be_broken(tmp_path):
    data = coco(write_coco(tmp_path, coco_content()))
    for picture in (tmp_path / "train").iterdir():
        picture.write_bytes(b"no picture")
    assert facts(data)["objects"] == "3"


def test_voc_by_hand(tmp_path):
    dog, cat = voc_object("dog", 1, 1, 60, 40), voc_object("cat", 11, 6, 20, 25)
    data = wb.load_data("voc", root=write_voc(tmp_path, {"1": voc_xml(dog, cat), "2": voc_xml(dog)}), split="train")
    shown = rows(data._repr_html_())
    assert ["dog", "2"] in shown
    assert ["cat", "1"] in shown
    assert ["8 more", "0"] in shown  # 12 of VOC's 20 have a row
    assert facts(data)["occlusion"] == "unknown"
    assert facts(data.subset([1]))["objects"] == "1"


def test_scenes_are_made_for_a_glance_only(monkeypatch):
    data = wb.load_data("digit-scenes", split="test", length=500)
    monkeypatch.setattr(type(data), "painted", lambda *_: pytest.fail("a scene was painted"))
    shown = facts(data)
    assert shown["images"] == "500"
    assert re.fullmatch(rf"\d+ in {GLANCE} images, evenly spaced", shown["objects"])
    assert len(data._layouts) == GLANCE
    few = wb.load_data("digit-scenes", split="test", length=5)
    targets = [few.target(index) for index in range(5)]
    assert facts(few)["objects"] == str(sum(len(target["labels"]) for target in targets))
    hidden = np.concatenate([target["occlusion"] for target in targets])
    assert np.allclose(few.objects_at_hand(range(5)).occlusion, hidden)
    assert facts(wb.load_data("digit-scenes", length=0))["objects"] == "0"


def test_mixed_data_and_views():
    source = {"name": "digit-scenes", "options": {"length": 3}}
    mixed = wb.load_data("mixed", sources={"a": source, "b": source | {"split": "val"}})
    parts = [wb.load_data("digit-scenes", split, length=3) for split in ("train", "val")]
    each = [part.target(index)["labels"].tolist() for part in parts for index in range(3)]
    assert mixed.objects_at_hand(range(6)).labels.tolist() == [label for labels in each for label in labels]
    assert mixed.subset([4, 5]).objects_at_hand([0]).labels.tolist() == each[4]
    noisy = wb.load_data("noisy-labels", of=source, wrong=1.0)
    assert noisy.objects_at_hand(range(3)) is None  # those of the clean data are not its own
    assert "objects" not in facts(noisy)
    assert facts(noisy)["classes"].startswith("10: 0, 1, 2")


def test_classifiers_images_by_class():
    data = wb.load_data("digits", split="train")
    assert data.class_counts().sum() == len(data)
    assert facts(data)["occlusion"].startswith("0 % hidden")


def test_of_a_target_that_is_unknown_at_once_none_is_asked():
    data = Listed([[(1, 0, 0, 5, 5)]] * 3)
    data.target = lambda index: pytest.fail("a target was made")
    assert facts(data) == {
        "split": "all", "images": "3", "classes": "3: cat, dog, cup", "occlusion": "unknown"
    }  # fmt: skip


def test_hostile_names():
    data = in_memory([1, 2, 2], [0.1, float("nan"), 0.3], (HOSTILE, "x" * 5000))
    data.name = data.split = data.benchmark = data.annotation_version = HOSTILE
    page = data._repr_html_()
    assert "<script" not in page
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt; &quot;&amp;" in page
    assert len(page) < 4000
    assert "of 2 objects: 20 % hidden on average, 50 % by 20 % or more" in page
    assert "\n" not in repr(data)
    data.name = "y" * 5000
    assert len(repr(data)) < 500
    data.objects_at_hand = lambda indices: None
    assert "<script" not in data._repr_html_()


def test_of_many_classes_the_most_frequent_are_shown():
    classes = tuple(f"class {number}" for number in range(100))
    shown = rows(in_memory([100, *range(1, 101)], [0.0] * 101, classes)._repr_html_())
    assert shown[shown.index(["class", "objects"]) + 1] == ["class 99", "2"]
    assert shown[-1] == ["88 more", "88"]


def test_data_that_are_incomplete_do_not_raise():
    class Bare(Dataset):
        pass

    assert "Bare, which cannot be shown: NotImplementedError" in Bare()._repr_html_()
    assert "cannot be shown" in repr(Bare())


def test_rows_of_images():
    starts = np.array([0, 2, 2, 5])
    assert rows_of(starts, range(3)).tolist() == [0, 1, 2, 3, 4]
    assert rows_of(starts, [1]).tolist() == []
    assert rows_of(starts, []).tolist() == []
    assert joined([ObjectsAtHand(np.array([1])), None]) is None
