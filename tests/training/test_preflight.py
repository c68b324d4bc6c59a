"""The doctor for recipes: each known trap is reported, and a sound recipe is left in peace."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_detector import CLASSES, TinyData, TinyDetector, tiny_recipe

from workbench.data import load_data
from workbench.data.digit_scenes import DigitScenes
from workbench.data.reading.problems import Report
from workbench.errors import DataError, RecipeError
from workbench.training import preflight as preflight
from workbench.training.preflight import doctor
from workbench.training.recipe import Recipe
from workbench.training.stepping.batches import load_spec


@pytest.fixture(autouse=True)
def tiny_data(monkeypatch):
    """Data by split; `absent` cannot be loaded, `letters` has other classes."""

    def load(spec):
        if spec.split == "absent":
            raise DataError("no such folder")
        data = TinyData(split=spec.split, **spec.options)
        data.classes = ("a", "b") if spec.split == "letters" else CLASSES
        return data

    monkeypatch.setattr(preflight, "load_spec", load)


def reported(overrides: dict) -> dict[str, tuple[str, str]]:
    """place → (level, what) of all problems but the anchors'."""
    problems = doctor(tiny_recipe(overrides)).problems
    return {p.where: (p.level, p.what) for p in problems if "anchors" not in p.where}


def test_a_sound_recipe_passes():
    report = doctor(tiny_recipe({"stages.0.lr": 1e-3, "test": {"name": "tiny"}, "validation": {"name": "tiny"}}))
    assert isinstance(report, Report)
    assert [str(problem) for problem in report.problems] == []


def test_the_learning_rate_of_eight_gpus_on_two_images():
    eight = {"optimizer.kind": "sgd", "schedule": {"kind": "step", "warmup": 100}, "stages.0.lr": 0.02}
    scaled = eight | {"lr_batch_size": 16, "batch_size": 2}
    assert "stages.0.lr" not in reported(scaled)
    level, what = reported(eight | {"lr_batch_size": 2, "batch_size": 2})["stages.0.lr"]
    assert level == "warning"
    assert "learning rate 0.02 for 2 images" in what
    assert "8 times the highest usual one" in what
    assert reported(eight | {"lr_batch_size": 1, "batch_size": 2, "stages.0.lr": 0.08})["stages.0.lr"][0] == "error"


@pytest.mark.parametrize(
    ("overrides", "where", "level", "what"),
    [
        ({"stages.0.lr": 0.01}, "stages.0.lr", "warning", "5 times the highest usual one of adamw"),
        ({"optimizer.kind": "sgd", "schedule.kind": "constant"}, "schedule.warmup", "warning", "full learning rate"),
        ({"test": {"name": "tiny", "split": "train"}}, "test.split", "error", "tested on its training data"),
        ({"validation": {"name": "tiny", "split": "test"}, "test": {"name": "tiny"}}, "validation.split", "warning",
         "choices made on the test data"),
        ({"data.split": "absent"}, "data", "error", "no such folder"),
        ({"test": {"name": "tiny", "split": "absent"}}, "test", "error", "no such folder"),
        ({"test": {"name": "tiny", "split": "letters"}}, "test", "error", "other classes than the training data"),
        ({"data.split": "absent", "test": {"name": "tiny", "split": "absent"}}, "data, test", "error",
         "no such folder"),
        ({"start": "digit-scenes/fastr-rcnn"}, "start", "error", "did you mean 'digit-scenes/faster-rcnn'?"),
        ({"data.options.length": 0}, "data", "error", "there are no images"),
        ({"data.options.length": 1000}, "stages", "warning", "see 8% of the 1000 images"),
        ({"data.options.length": 3}, "batch_size", "warning", "holds images twice: there are 3"),
        ({"test": {"name": "tiny", "split": "letters"}}, "test", "error", "only one of them has a, b"),
        ({"schedule": {"kind": "step", "warmup": 40}, "stages.0.steps": 40}, "schedule.warmup", "warning",
         "all 40 steps are warm-up"),
        ({"device": "cuda:77"}, "device", "error", "is not there"),
        ({"processes": 4, "threads": 1000}, "processes", "warning", "4 processes of 1000 threads"),
    ],
)  # fmt: skip
def test_traps_are_reported(overrides, where, level, what):
    found = reported(overrides)
    assert found[where][0] == level
    assert what in found[where][1]


SMALL = {"kind": "faster-rcnn", "backbone": {"name": "small", "widths": [8, 8]}, "min_size": None, "channels": 8}


def real(detector: dict, **changes) -> list[str]:
    """What the doctor says of a recipe on digit scenes, as text."""
    base = Recipe.load("digit-scenes/faster-rcnn").replace({"data.options.length": 30, "validation": None, **changes})
    return [str(problem) for problem in doctor(base.replace({"detector": detector, "test": None})).problems]


@pytest.fixture
def scenes(monkeypatch):
    monkeypatch.setattr(preflight, "load_spec", load_spec)


def test_weights_that_are_not_there_are_told_before_the_training(scenes, tmp_path):
    (tmp_path / "w.pt").write_bytes(b"no weights")
    backbone = {"name": "resnet18", "weights": str(tmp_path / "nope.pt")}
    (found,) = [text for text in real({"kind": "faster-rcnn", "backbone": backbone}) if "error" in text]
    assert "there is no file of weights" in found
    backbone["weights"] = str(tmp_path / "w.pt")
    (found,) = [text for text in real({"kind": "faster-rcnn", "backbone": backbone}) if "error" in text]
    assert "w.pt" in found


def test_a_start_that_does_not_fit_is_reported(scenes, tmp_path):
    assert any("cannot be the start" in text for text in real(SMALL, start="digit-scenes/faster-rcnn"))
    (tmp_path / "photo.jpg").write_bytes(b"x")
    assert any("photo.jpg is not a readable" in text for text in real(SMALL, start=str(tmp_path / "photo.jpg")))


def test_a_detector_on_proposals_needs_them_in_the_test_too(scenes):
    recipe = Recipe.load("a-fast-rcnn/digits-fast-rcnn")
    given = {"kind": "detector", "name": "digit-scenes/faster-rcnn"}
    change = {"data.options.length": 20, "data.proposals": given, "validation": None, "test.proposals": None}
    found = {problem.where: problem.what for problem in doctor(recipe.replace(change)).problems}
    assert found["test.proposals"] == "the detector needs proposals, and these data have none"
    assert "data.proposals" not in found


def test_more_clean_images_than_the_batch_has(scenes):
    hardener = {"kind": "random-dropout", "clean_images": 99}
    assert any("all 16 images of a process's batch stay clean" in text for text in real(SMALL, hardener=hardener))


def test_it_says_how_many_files_it_decoded(scenes, monkeypatch):
    base = Recipe.load("digit-scenes/faster-rcnn").replace({"data.options.length": 30, "validation": None})
    assert "decoded" not in str(doctor(base))
    monkeypatch.setattr(DigitScenes, "path", lambda self, index: Path("a.jpg"))
    assert "(20 of 30 training images were decoded" in str(doctor(base))


def test_anchors_that_miss_the_objects(monkeypatch):
    monkeypatch.setattr(TinyDetector, "anchors_for", lambda *_: torch.tensor([[0.0, 0, 400, 400]]))
    (problem,) = [p for p in doctor(tiny_recipe()).problems if "anchors" in p.where]
    assert problem.level == "error"
    assert problem.where == "detector's anchors in images of 12 × 16 px"


def test_a_detector_of_masks_on_data_without(monkeypatch):
    monkeypatch.setattr(TinyDetector, "needs_labels", ("masks",))
    (problem,) = [p for p in doctor(tiny_recipe()).problems if p.where == "detector"]
    assert (problem.level, 'no target["masks"]' in problem.what) == ("error", True)


def test_anchors_need_not_fit_what_is_not_learned(monkeypatch):
    def target(self, index):
        known = plain(self, index)
        known["iscrowd"] = torch.ones(1, dtype=torch.bool)
        return known

    plain = TinyData.target
    monkeypatch.setattr(TinyData, "target", target)
    monkeypatch.setattr(TinyDetector, "anchors_for", lambda *_: torch.tensor([[0.0, 0, 400, 400]]))
    assert not [p for p in doctor(tiny_recipe()).problems if "anchors" in p.where]


def test_images_without_objects_are_reported(monkeypatch):
    def target(self, index):
        known = plain(self, index)
        return known if index else {**known, "boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}

    plain = TinyData.target
    monkeypatch.setattr(TinyData, "target", target)
    report = doctor(tiny_recipe())
    assert [p.what for p in report.problems if "no objects" in p.what]


def test_mirrored_digits():
    recipe = Recipe.load("digit-scenes/faster-rcnn").replace({"augment.flip": True})
    problems = list(preflight._length(recipe, load_data("digit-scenes", length=32)))
    assert [problem.where for problem in problems] == ["augment.flip"]


@pytest.mark.parametrize(
    ("kind", "stages", "what"),
    [
        ("asdn", [("detector", True)], "no stage trains the adversary"),
        ("astn", [("hardener", True), ("detector", False)], "no stage trains the detector on hardened features"),
        ("asdn", [("detector", False), ("both", True)], "without having been pre-trained"),
        ("asdn", [("hardener", True), ("both", True)], None),
        ("asdn", [("hardener", True), ("detector", True)], None),
        ("astn", [("both", True)], None),
        ("random-dropout", [("detector", True)], None),
    ],
)
def test_adversaries_that_would_do_nothing(kind, stages, what):
    recipe = Recipe.load("a-fast-rcnn/digits").replace(
        {
            "hardener": {"kind": kind},
            "stages": [{"train": train, "harden": harden, "steps": 5, "lr": 1e-3} for train, harden in stages],
        }
    )
    found = [problem.what for problem in preflight._hardener(recipe)]
    assert (what is None and not found) or (len(found) == 1 and what in found[0])


def test_the_doctor_of_data_and_of_nothing():
    assert doctor(TinyData()).ok
    with pytest.raises(RecipeError, match="a recipe or a data set, not a int"):
        doctor(3)
