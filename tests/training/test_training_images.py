"""The images of a training as a data set: bit by bit those that the training gets."""

from __future__ import annotations

import pytest
import torch

import workbench as wb
from workbench.errors import RecipeError
from workbench.hiders import build_hiders
from workbench.training.processes.world import World
from workbench.training.stepping.batches import step_loader
from workbench.training.stepping.placement import Placement

CHANGES = {
    "augment": {
        "flip": True,
        "scale_jitter": {"size": [100, 100], "range": [0.7, 1.3]},
        "hide": [{"kind": "copy-paste", "chance": 1.0}, {"kind": "grid-mask"},
                 {"kind": "adversarial-placement", "grid": 2}],
    },
    "data.options.length": 10, "batch_size": 4, "stages.0.steps": 8,
}  # fmt: skip


@pytest.fixture(scope="module")
def recipe():
    return wb.Recipe.load("digit-scenes/faster-rcnn").replace(CHANGES)


def test_they_are_those_of_the_training(recipe):
    """Ten images in batches of four: those of step 2 are of two epochs."""
    detector = wb.load_detector("digit-scenes/faster-rcnn")
    data = wb.load_data("digit-scenes", length=10)
    loader = step_loader(
        data, seed=recipe.seed, augment=recipe.augment, batch_size=4, first=0, last=8, steps=8,
        world=World(rank=0, size=1, device=torch.device("cpu"), threads=1), workers=0,
    )  # fmt: skip
    placement = Placement(build_hiders(recipe.augment.hide[2]), detector, data, seed=recipe.seed, most=4)
    stream = []
    for step, (images, targets) in enumerate(loader):
        images, targets = placement(images, targets, step=step, progress=step / 8)
        stream += zip(images, targets, strict=True)
    for epoch in (0, 1, 2):
        seen = wb.TrainingImages(recipe, epoch=epoch, detector=detector)
        for index in range(10):
            image, target = stream[10 * epoch + index]
            mine, truth = seen[index]
            assert torch.equal(mine, image.as_subclass(torch.Tensor))
            assert torch.equal(truth["boxes"], target["boxes"])
            assert torch.equal(truth["occlusion"], target["occlusion"])
            assert seen.size(index) == tuple(image.shape[-2:])
            assert seen.image_id(index) == truth["image_id"]


def test_the_last_epoch_is_shown_unless_another_is_said(recipe):
    assert wb.TrainingImages(recipe).epoch == 2
    assert wb.TrainingImages(recipe, epoch=0).epoch == 0
    for wrong in (-1, 4):
        with pytest.raises(RecipeError, match=rf"epoch {wrong} of .*: its 8 steps are 3\.2 epochs"):
            wb.TrainingImages(recipe, epoch=wrong)


def test_a_name_will_do_and_other_data():
    data = wb.load_data("digit-scenes", split="val", length=3)
    seen = wb.TrainingImages("digit-scenes/faster-rcnn+paste", data=data)
    assert len(seen) == 3
    assert {seen.image_id(index) for index in range(3)} == {0, 1, 2}
    assert seen.name == "digit-scenes as digit-scenes/faster-rcnn+paste sees it"
    assert seen.annotation_ids(0) is None
    assert max(float(target["occlusion"].max()) for _, target in seen) > 0


def test_without_a_detector_hiders_that_ask_it_do_nothing(recipe):
    plain = recipe.replace({"augment.hide": recipe.augment.hide[:2]})
    one, other = wb.TrainingImages(recipe, epoch=1), wb.TrainingImages(plain, epoch=1)
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(one, other, strict=True))


def test_occlusion_that_nobody_knows_is_unknown(tmp_path):
    """What would have to be estimated from masks is left out by a training; here it is NaN, for those who look."""
    data = wb.load_data("digit-scenes", split="val", length=2)

    class Bare(type(data)):
        def target(self, index):
            return {key: value for key, value in super().target(index).items() if key != "occlusion"}

    bare = Bare("val", length=2)
    seen = wb.TrainingImages("digit-scenes/faster-rcnn", data=bare)
    assert seen.target(0)["occlusion"].isnan().all()
