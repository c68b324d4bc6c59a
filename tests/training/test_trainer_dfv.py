"""Whole runs of a classifier with DFV augmentation: exact resumption, records, comparisons, refused recipes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import workbench as wb
from workbench.data import load_data
from workbench.errors import RecipeError, RunError
from workbench.hardeners import DFVAugmentation
from workbench.training.recipe import Recipe
from workbench.training.recipe_sections import AffineSpec, AugmentSpec, CropSpec
from workbench.training.recording import checkpoint
from workbench.training.run import Run
from workbench.training.stepping import batches, training
from workbench.training.stepping.augment import build_changes, cropped, erased, moved
from workbench.training.stepping.batches import TrainingView
from workbench.training.trainer import train

PLAN = {"pair_classes": 2, "pair_images": 2, "random_places": 1}
SPLIT = {"name": "digits", "options": {"occlusion": PLAN}}
BASE = {
    "name": "tiny-dfv",
    "data": {**SPLIT, "split": "train"},  # 200 images, see `small_training_data`
    "test": {**SPLIT, "split": "test", "limit": 26},
    "detector": {"kind": "classifier", "backbone": {"name": "small", "widths": [8, 12], "stem": 8}},
    "hardener": {"kind": "dfv"},
    "stages": [{"steps": 3, "lr": 0.01, "harden": False}, {"steps": 12, "lr": 0.01}],
    "batch_size": 40, "lr_batch_size": 40, "log_every": 1, "checkpoint_every": 1, "keep": None,
    "precision": "float32", "device": "cpu", "threads": 1, "augment": {"affine": {}},
}  # fmt: skip


@pytest.fixture(autouse=True)
def small_training_data(monkeypatch):
    """The 200 digits of val with pairs, in place of the 1,200 of train."""
    from workbench.data.digits import Digits
    from workbench.data.pairs import OcclusionPlan, training_data

    def load(name: str, split: str = "train", root: str | None = None, **options: object):
        if split == "train":
            return training_data(Digits("val"), OcclusionPlan(**options["occlusion"]))
        return load_data(name, split=split, root=root, **options)

    monkeypatch.setattr(batches, "load_data", load)


def recipe_of(changes: dict | None = None) -> Recipe:
    return Recipe.from_dict(BASE).replace(changes)


def weights(folder: Path) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in load_file(folder / "detector.safetensors").items()}


def test_a_run_resumed_at_any_step_ends_with_the_same_bits(tmp_path) -> None:
    """An epoch is five steps, so that checkpoints lie within epochs, at their starts and at a stage's end."""
    whole = tmp_path / "whole"
    assert train(recipe_of(), whole)
    for step in (2, 3, 5, 7, 10, 14):
        folder = tmp_path / str(step)
        (folder / "checkpoints").mkdir(parents=True)
        recipe_of().save(folder / "recipe.yaml")
        file = checkpoint.checkpoint_path(whole, step)
        checkpoint.checkpoint_path(folder, step).write_bytes(file.read_bytes())
        assert train(recipe_of(), folder)
        assert weights(folder) == weights(whole), f"resumed at step {step}"


def test_the_bank_is_of_the_epochs_start(tmp_path, monkeypatch) -> None:
    steps: list[int] = []
    banks: list[torch.Tensor] = []
    original = DFVAugmentation.begin_epoch

    def watched(self, differences):
        original(self, differences)
        banks.append(self.bank)

    begin = training.Training._begin_epoch
    monkeypatch.setattr(DFVAugmentation, "begin_epoch", watched)
    monkeypatch.setattr(training.Training, "_begin_epoch", lambda self: (steps.append(self.step), begin(self))[0])
    train(recipe_of(), tmp_path)
    assert steps == [0, 3, 5, 10], "epochs of five steps, and the stage that begins at step 3"
    assert len(banks) == 3, "not while a stage runs without it"
    assert not torch.equal(banks[0], banks[1])
    detector = Run.open(tmp_path).detector(10)
    pairs = batches.load_data("digits", split="train", occlusion=PLAN).pairs
    torch.testing.assert_close(detector.differences(pairs), banks[-1], atol=1e-6, rtol=1e-5)


def test_a_hardener_comes_back_with_its_bank(tmp_path) -> None:
    train(recipe_of({"stages.1.steps": 3}), tmp_path)
    file = checkpoint.checkpoint_path(tmp_path, 5)
    bank = checkpoint.load_checkpoint(file)["detector"]["hardener._extra_state"]["bank"]
    run = Run.open(tmp_path)
    for detector in (run.detector(5, hardener=True), run.detector(file, hardener=True)):
        assert torch.equal(detector.hardener.bank, bank)
    assert run.detector(2, hardener=True).hardener.bank is None, "it was not active yet"


def test_what_a_run_leaves(tmp_path) -> None:
    seen: list[dict] = []
    train(
        recipe_of({"validation": {**SPLIT, "split": "test", "limit": 13, "every": 8}}),
        tmp_path,
        progress=seen.append,
    )
    run = Run.open(tmp_path)
    rows = run.metrics()
    hardened = rows[(rows["kind"] == "train") & (rows["step"] > 3)]
    assert (hardened["hardener/pairs"] == 2 * 2 * 12).all()
    assert rows[rows["kind"] == "val"]["accuracy_clean"].between(0, 1).all()
    assert run.result.summary == pytest.approx(json.loads((tmp_path / "done.json").read_text())["result"])
    assert "accuracy_20_centre" in run.result.summary
    assert isinstance(run.detector(hardener=True).hardener, DFVAugmentation)
    again = wb.evaluate(
        run.detector(), load_data("digits", split="test", occlusion=PLAN).subset(range(26)), progress=False
    )
    assert again.summary == run.result.summary


def test_the_classical_run_is_another_one(tmp_path) -> None:
    for name, change in {"plain": {"hardener": None}, "none": {"hardener.alpha": 0.0}, "full": {}}.items():
        train(recipe_of(change), tmp_path / name)
    assert weights(tmp_path / "plain") == weights(tmp_path / "none"), "alpha 0 is the classical training"
    assert weights(tmp_path / "plain") != weights(tmp_path / "full")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data.options": {}}, "hardener: dfv needs pairs"),
        ({"data.split": "val"}, "'val' with occlusion is made for tests"),
        ({"data.options": {}, "hardener": None, "augment.paste": 0.5}, "augment.paste needs pairs"),
        ({"hardener": {"kind": "random-dropout"}}, "a classifier has one vector per image"),
        ({"hardener": [{"kind": "dfv"}, {"kind": "asdn"}]}, "a classifier has one vector per image"),
        ({"data.name": "digit-scenes", "data.options": {}}, "digit-scenes has objects"),
        ({"detector": {"kind": "retinanet"}, "hardener": None}, "digits has images of one class"),
        ({"detector": {"kind": "fast-rcnn", "backbone": {"name": "small"}},
          "data.name": "voc", "data.options": {}, "test": None, "augment": {}},
             "maps of RoIs"),
        ({"stages.1.train": "hardener"}, "it has no parameters"),
        ({"hardener.alpha": 2}, "alpha is 2"),
        ({"detector.kind": "dfv-decoder"}, "start: a dfv-decoder"),
    ],
)  # fmt: skip
def test_recipes_that_make_no_sense_are_refused_with_the_reason(change: dict, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe_of(change)


def test_boxes_do_not_follow_affine_changes() -> None:
    detector = Recipe.load("digit-scenes/faster-rcnn")
    with pytest.raises(RecipeError, match=r"augment\.affine: boxes would not follow"):
        detector.replace({"augment.affine": {}})


def test_pasting_lays_patterns_of_the_pairs_and_leaves_occluded_images_alone() -> None:
    data = load_data("digits", occlusion={**PLAN, "training_set": "F", "pair_patterns": "20C"})
    view = TrainingView(data, seed=0, augment=AugmentSpec(paste=1.0))
    shares = [float((view[0, i][0] != data.image(i)).any(0).float().mean()) for i in range(20)]
    assert max(shares) <= 0.2 + 1e-3
    assert np.mean(shares) > 0.15
    occluded = len(data) - 1
    assert torch.equal(view[0, occluded][0], data.image(occluded))
    assert torch.equal(view[0, 3][0], view[0, 3][0])
    assert any(not torch.equal(view[0, i][0], view[1, i][0]) for i in range(5)), "another pattern in another epoch"
    with pytest.raises(RunError, match="have no patterns"):
        build_changes(AugmentSpec(paste=0.5), load_data("digits"))


def test_changes_keep_the_size_and_follow_the_generator() -> None:
    image = load_data("digits", split="val").image(0)
    for change in (
        lambda rng: moved(image, AffineSpec(), rng),
        lambda rng: cropped(image, CropSpec(), rng, (32, 32)),
        lambda rng: erased(image, rng),
    ):
        first, again, other = (change(np.random.default_rng(seed)) for seed in (0, 0, 1))
        assert first.shape == image.shape
        assert first.dtype == torch.uint8
        assert torch.equal(first, again)
        assert not torch.equal(first, other)


def test_crops_are_cut_from_the_whole_file_and_have_the_size_of_the_data(tmp_path) -> None:
    """A file of 90 x 60 pixels, red but for a blue end that its central crop does not show."""
    pixels = np.full((60, 90, 3), (255, 0, 0), np.uint8)
    pixels[:, 80:] = (0, 0, 255)
    (tmp_path / "train" / "ant").mkdir(parents=True)
    Image.fromarray(pixels).save(tmp_path / "train" / "ant" / "0.png")
    data = load_data("image-folder", root=tmp_path, size=28, resize="crop")
    assert not (data.image(0)[2] > 0).any()
    view = TrainingView(data, seed=0, augment=AugmentSpec(crop=CropSpec(area=(0.5, 1.0))))
    shown = [view[epoch, 0][0] for epoch in range(20)]
    assert all(image.shape == (3, 28, 28) for image in shown)
    assert any((image[2] > 200).any() for image in shown)


def test_erasing_hides_a_rectangle_of_the_stated_size() -> None:
    image = torch.zeros(3, 64, 64, dtype=torch.uint8)
    for seed in range(30):
        changed = (erased(image, np.random.default_rng(seed)) > 0).any(0)
        rows, columns = changed.any(1).nonzero(), changed.any(0).nonzero()
        area = int(rows[-1] - rows[0] + 1) * int(columns[-1] - columns[0] + 1) / 64**2
        assert 0.01 < area < 0.36


def test_no_change_is_the_image() -> None:
    data = load_data("digits", split="val")
    assert build_changes(AugmentSpec(flip=True), data) is None
    still = AffineSpec(degrees=0, shift=0, scale=(1.0, 1.0))
    assert torch.equal(moved(data.image(1), still, np.random.default_rng(0)), data.image(1))
