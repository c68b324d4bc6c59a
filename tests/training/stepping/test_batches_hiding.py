"""What hides parts of images, as batches are made: by seed, epoch and image alone, by any number of workers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_detector import TinyData

from workbench import load_data
from workbench.hiders import CopyPaste, HideAndSeek
from workbench.training.processes.world import World
from workbench.training.recipe_sections import AugmentSpec
from workbench.training.stepping import batches
from workbench.training.stepping.batches import TrainingView, mean_colour, step_loader

ALL = {
    "flip": True,
    "photometric": {},
    "scale_jitter": {"size": [100, 120], "range": [0.6, 1.4]},
    "fixed_size": {"size": [100, 120]},
    "hide": [
        {"kind": "copy-paste", "chance": 1.0},
        {"kind": "random-erasing", "ramp": 0.5},
        {"kind": "hide-and-seek"},
    ],
}


@pytest.fixture(scope="module")
def data():
    return load_data("digit-scenes", split="train", length=10)


def same(first, other) -> bool:
    """Whether two lists of samples are equal in all that they hold."""
    for (image, target), (image_2, target_2) in zip(first, other, strict=True):
        if not torch.equal(image, image_2) or target.keys() != target_2.keys():
            return False
        for key, value in target.items():
            if not np.array_equal(np.asarray(value), np.asarray(target_2[key]), equal_nan=key == "occlusion"):
                return False
    return True


def loaded(data, workers: int, first: int = 0) -> list:
    loader = step_loader(
        data, seed=5, augment=AugmentSpec(**ALL), batch_size=4, first=first, last=5, steps=5,
        world=World(rank=0, size=1, device=torch.device("cpu"), threads=1), workers=workers,
    )  # fmt: skip
    return [list(zip(images, targets, strict=True)) for images, targets in loader]


def test_batches_are_the_same_by_any_number_of_workers_and_from_any_step_on(data):
    alone = loaded(data, 0)
    assert all(same(mine, theirs) for mine, theirs in zip(alone, loaded(data, 2), strict=True))
    assert all(same(mine, theirs) for mine, theirs in zip(alone[3:], loaded(data, 0, first=3), strict=True))
    assert not same(alone[0], alone[1])
    assert {tuple(image.shape) for batch in alone for image, _ in batch} == {(3, 100, 120)}


def test_every_kind_of_change_has_chance_of_its_own(data):
    """What one draws does not move what another draws."""
    plain = TrainingView(data, seed=1, augment=AugmentSpec(flip=True, hide=[{"kind": "grid-mask", "ramp": 0.0}]))
    more = TrainingView(
        data, seed=1, augment=AugmentSpec(flip=True, photometric={}, hide=[{"kind": "grid-mask", "ramp": 0.0}])
    )
    for index in range(4):
        first, other = plain[0, index][1].get("mask_hidden"), more[0, index][1].get("mask_hidden")
        assert (first is None and other is None) or torch.equal(first, other)


def test_objects_come_from_the_other_images_of_the_batch(data):
    view = TrainingView(data, seed=0, augment=AugmentSpec(hide=[{"kind": "copy-paste", "chance": 1.0, "share": 1.0}]))
    (_, first), (_, second) = view.__getitems__([(0, 1), (0, 2)])
    numbers = [len(data.target(index)["labels"]) for index in (1, 2)]
    assert len(first["labels"]) == len(second["labels"]) == sum(numbers), (
        "each has all of the other, as it was before"
    )
    assert len(view[0, 1][1]["labels"]) == numbers[0], "alone there is none"


def test_a_ramp_follows_the_place_in_the_whole_training(data, monkeypatch):
    """Of two epochs, the first image is seen at 0, the last one at nearly 1, and each later than the one before."""
    seen: list[tuple[int, float]] = []
    monkeypatch.setattr(HideAndSeek, "wants", lambda self, scene: seen.append(scene.progress) or False)
    view = TrainingView(data, seed=3, augment=AugmentSpec(hide=[{"kind": "hide-and-seek"}]), epochs=2.0)
    for epoch in range(2):
        for index in batches.epoch_order(3, epoch, len(data)):
            view[epoch, int(index)]
    assert seen == pytest.approx([place / 20 for place in range(20)])


def test_the_mean_colour_is_that_of_the_data():
    data = TinyData(length=6)
    means = torch.stack([data.image(index).double().mean((1, 2)) for index in range(6)])
    assert mean_colour(data).tolist() == means.mean(0).round().int().tolist()
    assert mean_colour(data.subset([])).tolist() == [128] * 3
    assert (
        TrainingView(data, seed=0, augment=AugmentSpec(hide=[{"kind": "hide-and-seek"}])).mean.tolist()
        == mean_colour(data).tolist()
    )
    view = TrainingView(data, seed=0, augment=AugmentSpec(hide=[{"kind": "hide-and-seek", "fill": "black"}]))
    assert view.mean.tolist() == [128] * 3, "nobody asks for it, so that no image is read"


def test_images_of_one_class_that_are_occluded_stay_so():
    plan = {"pair_classes": 2, "pair_images": 2, "random_places": 1, "training_set": "F"}
    data = load_data("digits", occlusion=plan)
    view = TrainingView(data, seed=0, augment=AugmentSpec(hide=[{"kind": "grid-mask", "chance": 1.0, "ramp": 0.0}]))
    occluded = len(data) - 1
    assert torch.equal(view[0, occluded][0], data.image(occluded))
    image, target = view[0, 3]
    assert not torch.equal(image, data.image(3))
    assert float(target["occlusion"][0]) == pytest.approx(float(target["mask_hidden"].float().mean()))
    assert target["label"] == data.target(3)["label"]


def test_no_hider_sees_a_stage_of_plain_training(data, monkeypatch, tmp_path):
    from tiny_detector import tiny_recipe

    from workbench.training.trainer import train

    hidden: list[float] = []
    monkeypatch.setattr(HideAndSeek, "wants", lambda self, scene: hidden.append(scene.progress) or False)
    stages = [{"steps": 2, "lr": 0.01, "harden": False}, {"steps": 3, "lr": 0.01}]
    assert train(tiny_recipe({"stages": stages, "augment.hide": {"kind": "hide-and-seek"}}), tmp_path)
    assert len(hidden) == 3 * 4
    assert min(hidden) == pytest.approx(2 / 5)


def test_copy_paste_is_for_detection():
    assert CopyPaste.tasks == ("detection",)
