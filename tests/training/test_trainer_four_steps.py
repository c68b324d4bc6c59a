"""Features shared by RPN and Fast R-CNN in the four steps of Ren et al., and stages in which some parts learn."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from small_detectors import FAST_RCNN, FASTER_RCNN

from workbench.errors import RecipeError
from workbench.training import Run
from workbench.training.recipe import Recipe
from workbench.training.trainer import train

DATA = {"name": "digit-scenes", "options": {"length": 4, "size": 64, "cache": True}}
RPN = {key: FASTER_RCNN[key] for key in ("backbone", "channels", "min_size", "rpn")} | {"kind": "rpn"}
STEP = {"optimizer": {"kind": "sgd"}, "schedule": {"kind": "constant"}, "batch_size": 2, "lr_batch_size": 2}


def recipe(name, detector, *stages, **more):
    return Recipe.from_dict(
        {"name": name, "data": DATA, "detector": detector, "stages": list(stages), **STEP, **more}
    )


def test_four_steps(tmp_path):
    """An RPN; Fast R-CNN on its proposals; a new RPN on the trunk of that, then the head on the same trunk."""
    once = {"steps": 2, "lr": 0.05}
    train(recipe("first", RPN, once), tmp_path / "rpn")
    file = str(tmp_path / "rpn" / "detector.safetensors")
    source = {"kind": "detector", "name": file, "top": 20, "cache": str(tmp_path / "proposals")}
    train(recipe("second", FAST_RCNN, once, data=DATA | {"proposals": source}), tmp_path / "fast")
    second = load_file(tmp_path / "fast" / "detector.safetensors")
    stages = once | {"learns": ["rpn.*"]}, once | {"learns": ["roi_heads.*"]}
    shared = recipe("shared", FASTER_RCNN, *stages, start=str(tmp_path / "fast"), keep=None, checkpoint_every=1)
    train(shared, tmp_path / "shared")
    run = Run.open(tmp_path / "shared")
    steps = {step: run.detector(step).state_dict() for step in (1, 2, 3, 4)}

    def same(part, one, other):
        found = {key: value for key, value in one.items() if key.startswith(part)}
        assert found
        return all(torch.equal(value, other[key]) for key, value in found.items())

    for state in steps.values():
        assert same("backbone.", state, second), "weights and the statistics of BatchNorm"
    for state in (steps[1], steps[2]):
        assert same("roi_heads.", state, second)
    assert not same("rpn.", steps[1], steps[2])
    assert same("rpn.", steps[2], steps[4])
    assert not same("roi_heads.", steps[3], second)
    assert not same("roi_heads.", steps[3], steps[4])
    (tmp_path / "again").mkdir()
    for half in (2, 3):  # stopped at the end of a stage, and within one
        folder = tmp_path / f"half-{half}"
        (folder / "checkpoints").mkdir(parents=True)
        for name in ("recipe.yaml", f"checkpoints/step-{half:08d}.pt"):
            (folder / name).write_bytes((tmp_path / "shared" / name).read_bytes())
        train(shared, folder)
        assert same("", steps[4], Run.open(folder).detector().state_dict())


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({"learns": ["rpm.*"]}, r"stages\.0\.learns: .* named 'rpm\.\*'; they begin with backbone\., .*rpn\."),
        ({"learns": []}, r"stages\.0\.learns: .*at least 1 item"),
        ({"learns": ["rpn.*"], "train": "hardener"}, r"stages\.0\.learns: only the hardener learns there"),
    ],
)
def test_what_cannot_learn_is_named_before_anything_is_trained(stage, message):
    with pytest.raises(RecipeError, match=message):
        recipe("wrong", FASTER_RCNN, {"steps": 1, "lr": 1.0} | stage, hardener={"kind": "asdn"})


def test_a_frozen_part_cannot_be_asked_to_learn():
    backbone = {"name": "resnet18", "frozen_stages": 2}
    with pytest.raises(RecipeError, match=r"no parameter that is not frozen is named 'backbone\.body\.layer1\.\*'"):
        recipe(
            "wrong",
            FASTER_RCNN | {"backbone": backbone},
            {"steps": 1, "lr": 1.0, "learns": ["backbone.body.layer1.*"]},
        )


def test_recipes_from_before_keep_their_fingerprint():
    plain = recipe("plain", FASTER_RCNN, {"steps": 1, "lr": 1.0})
    assert plain.fingerprint() == plain.replace({"stages.0.learns": None}).fingerprint()
    assert plain.fingerprint() != plain.replace({"stages.0.learns": ["rpn.*"]}).fingerprint()
