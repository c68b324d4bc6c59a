"""What would stop a run is found before its first step; what only may be unwise is not in the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from small_detectors import FASTER_RCNN
from tiny_detector import CLASSES, TinyData, TinyDetector, tiny_recipe

import workbench as wb
from workbench.detectors import build_detector
from workbench.errors import DataError, RunError
from workbench.training.stepping.obstacles import obstacles, other_classes, rehearse
from workbench.training.trainer import train


def test_how_classes_differ() -> None:
    assert other_classes(("a", "b"), ("b", "a")) == "2 and 2, they are in another order"
    assert other_classes(("a", "b"), ("a",)) == "2 and 1, only one of them has b"
    assert other_classes(list("abcdef"), ["x"]) == "6 and 1, only one of them has a, b, c, d, ..."


def test_nothing_stands_in_the_way_of_good_data() -> None:
    seen = []
    rehearse(
        TinyDetector(CLASSES),
        {"data": TinyData(), "test": TinyData("test")},
        evaluate=lambda data: seen.append(len(data)),
    )
    assert seen == [2]


@pytest.mark.parametrize("part", ["data", "validation", "test"])
def test_data_without_images_are_named(part: str) -> None:
    loaded = {"data": TinyData(), part: TinyData(length=0)}
    (problem, *_) = obstacles(TinyDetector(CLASSES), loaded)
    assert (problem.where, problem.what) == (part, "there are no images")


def test_what_the_evaluation_would_meet_is_said_with_its_part() -> None:
    def fail(_: object) -> None:
        raise DataError("image 3 is strange.")

    with pytest.raises(RunError, match=r"nothing was trained: validation: image 3 is strange\. It would stop"):
        rehearse(TinyDetector(CLASSES), {"data": TinyData(), "validation": TinyData()}, evaluate=fail)


def test_an_image_that_cannot_be_read_is_found_before_the_first_step(tmp_path: Path) -> None:
    for name in ("ant", "bee"):
        (tmp_path / "train" / name).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (16, 16)).save(tmp_path / "train" / name / f"{number}.png")
    (tmp_path / "train" / "bee" / "2.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    data = wb.load_data("image-folder", "train", tmp_path, size=16)
    (problem,) = obstacles(TinyDetector(CLASSES), {"data": data})
    assert "2.png" in f"{problem.where}: {problem.what}"


def test_missing_files_are_found_among_all_images(tmp_path: Path) -> None:
    """Also beyond the few that are decoded: the 70th and the 71st of 100."""
    names = [f"{number}.png" for number in range(100)]
    (tmp_path / "train").mkdir()
    for name in names:
        Image.new("RGB", (16, 16)).save(tmp_path / "train" / name)
    (tmp_path / "train" / "70.png").unlink()
    (tmp_path / "train" / "71.png").write_bytes(b"")
    images = [{"id": i, "file_name": name, "height": 16, "width": 16} for i, name in enumerate(names)]
    boxes = [{"id": i, "image_id": i, "category_id": 1, "bbox": [2, 2, 9, 9]} for i in range(100)]
    content = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "ant"}]}
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_train.json").write_text(json.dumps(content))
    data = wb.load_data("coco", root=tmp_path)
    (problem,) = obstacles(TinyDetector(("ant",)), {"data": data})
    assert (problem.level, problem.where) == ("error", str(tmp_path / "train" / "70.png"))
    assert problem.what == "2 of 100 images are not there, or empty files"


def test_what_may_be_meant_is_not_in_the_way(tmp_path: Path) -> None:
    """Such as a learning rate that is far too high, or a test on the training data."""
    recipe = tiny_recipe({"stages.0.steps": 1, "stages.0.lr": 1.0}, test={"name": "tiny", "split": "train"})
    assert not wb.doctor(recipe).ok
    assert train(recipe, tmp_path)


def test_a_branch_that_nothing_teaches_is_said_and_looked_for_in_every_source() -> None:
    branch = {"kind": "occlusion", "layers": [4]}
    detector = build_detector(FASTER_RCNN | {"branches": [branch]}, ("dark", "bright"))
    (problem,) = obstacles(detector, {"data": TinyData()})
    assert problem.level == "warning"
    assert 'learns from target["mask_occluder"], which none of 10 images has' in problem.what
