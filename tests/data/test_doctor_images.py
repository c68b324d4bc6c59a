"""The doctor for images of one class each, on folders with one thing wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import workbench as wb
from workbench.data import load_data
from workbench.data.doctor_images import check_labelled_images, check_leaks
from workbench.training.recipe import Recipe

PLAN = {"pair_classes": 2, "pair_images": 1, "random_places": 0}


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two classes, four training and two test images each, all of them different."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("test", 2)):
        for name in ("ant", "bee"):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / split / name / f"{split}{number}.png")
    return tmp_path


def load(folder: Path, split: str = "train", **options: object):
    return load_data("image-folder", root=folder, split=split, size=24, **options)


def test_good_images_have_no_problems(folder) -> None:
    for data in (load(folder), load(folder, occlusion=PLAN), load(folder, "test", occlusion=PLAN)):
        report = wb.doctor(data)
        assert report.ok, str(report)
        assert not report.problems
    assert not list(check_leaks(load(folder, occlusion=PLAN), load(folder, "test", occlusion=PLAN)))


def test_an_unreadable_image_is_named(folder) -> None:
    (folder / "train" / "bee" / "train1.png").write_bytes(b"\x89PNG broken")
    report = wb.doctor(load(folder))
    assert not report.ok
    assert "bee/train1.png" in str(report)


def test_one_picture_in_several_files(folder) -> None:
    ant, bee = folder / "train" / "ant", folder / "train" / "bee"
    shutil.copy(ant / "train0.png", ant / "copy.png")
    [problem] = wb.doctor(load(folder)).problems
    assert problem.level == "warning"
    assert (problem.where, problem.what[:7]) == (str(ant / "copy.png"), "2 files")
    shutil.copy(ant / "train0.png", bee / "copy.png")
    [problem] = wb.doctor(load(folder)).problems
    assert problem.level == "error"
    assert "3 files of the classes ant, bee are one picture" in problem.what


def test_pictures_beside_the_folders_of_classes(folder) -> None:
    shutil.move(folder / "train" / "ant" / "train0.png", folder / "train" / "ant.png")
    (folder / "train" / "notes.txt").write_text("no picture")
    [problem] = wb.doctor(load(folder)).problems
    assert "1 pictures lie in no folder of a class and are left out, the first is ant.png" in problem.what


def test_empty_and_nearly_empty_classes(folder) -> None:
    (folder / "train" / "cow").mkdir()
    for number in range(1, 4):
        (folder / "train" / "ant" / f"train{number}.png").unlink()
    problems = {problem.level: str(problem) for problem in check_labelled_images(load(folder)).problems}
    assert "class cow: it has no images" in problems["error"]
    assert "class ant: it has 1 image" in problems["warning"]


def test_no_images_at_all(folder) -> None:
    assert not check_labelled_images(load(folder).chosen([])).ok


def test_test_images_among_the_training_images_or_pairs(folder) -> None:
    shutil.rmtree(folder / "test")
    (folder / "test").symlink_to(folder / "train")
    train, test = load(folder, occlusion=PLAN), load(folder, "test")
    counts = {problem.what.partition(";")[0] for problem in check_leaks(train, test)}
    assert counts == {
        "6 test images are also among the training images",
        "2 test images are also among the pairs of clean and occluded images",
    }
    exclusive = {**PLAN, "protocol": "exclusive", "left_out": ["bee"], "pair_classes": 1}
    found = list(check_leaks(load(folder, occlusion=exclusive), test))
    assert any("pairs of clean and occluded images" in problem.what for problem in found)


def recipe(folder: Path, changes: dict | None = None) -> Recipe:
    spec = {"name": "image-folder", "root": str(folder), "options": {"size": 24, "occlusion": PLAN}}
    return Recipe.from_dict(
        {
            "name": "mine", "data": spec, "test": spec | {"split": "test"},
            "detector": {"kind": "classifier", "backbone": {"name": "small"}}, "hardener": {"kind": "dfv"},
            "stages": [{"steps": 4, "lr": 1e-3, "harden": False}, {"steps": 4, "lr": 1e-3}], "batch_size": 4,
        }
    ).replace(changes)  # fmt: skip


def test_recipes(folder) -> None:
    assert wb.doctor(recipe(folder)).ok, str(wb.doctor(recipe(folder)))
    assert not wb.doctor(recipe(folder)).problems
    cold = wb.doctor(recipe(folder, {"stages.0.harden": True}))
    assert "learned nothing yet" in str(cold)
    (folder / "test" / "cow").mkdir()
    Image.new("RGB", (24, 24)).save(folder / "test" / "cow" / "x.png")
    report = wb.doctor(recipe(folder))
    assert not report.ok
    assert "other classes than the training data" in str(report)


def test_shipped_digits_are_well() -> None:
    report = wb.doctor(Recipe.load("dfv/digits-c-full"))
    assert report.ok, str(report)
