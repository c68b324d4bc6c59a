"""Hiders that ask the detector: what it is asked, what that leaves alone, and whole runs that resume bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_detector import TinyData, TinyDetector, tiny_recipe

from workbench import Run, load_data, load_detector
from workbench.errors import RunError, WorkbenchError
from workbench.hiders import build_hiders
from workbench.training.recipe import Recipe
from workbench.training.recording import checkpoint
from workbench.training.stepping.placement import ByLosses, ByScores, Placement, judge_of
from workbench.training.trainer import train

HIDE = [
    {"kind": "paste", "occluders": "grey", "share": 1.0},
    {"kind": "adversarial-placement", "chance": 0.5, "grid": 2},
]


@pytest.fixture(scope="module")
def digits():
    """The shipped detector, and scenes without occluders."""
    data = load_data("digit-scenes", split="test", occlusion_rate=0.0)
    return load_detector("digit-scenes/faster-rcnn"), [data[index] for index in range(4)]


def test_by_scores_it_is_one_minus_the_probability_of_the_true_class(digits):
    detector, samples = digits
    rows = torch.tensor([0])
    found = judge_of(detector, most=3)(samples, rows)
    assert isinstance(judge_of(detector), ByScores)
    expected = []
    for image, target in samples:
        (scores,) = detector.score_boxes([image], [target["boxes"][:1]])
        expected.append(1 - float(scores[0, target["labels"][0]]))
    torch.testing.assert_close(found, torch.tensor(expected)[:, None], atol=1e-5, rtol=1e-4)


def test_by_losses_all_images_are_drawn_alike():
    """Random sizes and RoIs would else decide: the same image is as bad each time."""
    torch.manual_seed(0)
    detector, data = TinyDetector(("dark", "bright")), TinyData()
    judge = judge_of(detector, seed=4)
    assert isinstance(judge, ByLosses)
    samples = [data[0], data[1], data[0]]
    found = judge(samples, torch.tensor([0, 0]))
    assert detector.training
    assert not found.requires_grad
    detector.eval()
    assert found.shape == (3, 2)
    assert found[0, 0] == found[2, 0] == found[0, 1]
    assert found[0, 0] != found[1, 0]
    alone = detector.losses(*zip(data[0], strict=True), torch.Generator().manual_seed(4))
    assert float(found[0, 0]) == pytest.approx(float(alone.total.detach()))


def test_what_can_do_neither_is_refused():
    with pytest.raises(
        WorkbenchError, match=r"object can neither score given boxes nor has it losses, and augment\.hide"
    ):
        judge_of(object())


def test_the_step_itself_is_left_alone(digits):
    """Modes, gradients, weights and the generators of the step are as before; only images are others."""
    detector, samples = digits
    detector.train()
    state = {name: value.clone() for name, value in detector.state_dict().items()}
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    placement = Placement(build_hiders(HIDE[1]), detector, load_data("digit-scenes", length=2), seed=0, most=4)
    images, targets = placement(*map(list, zip(*samples, strict=True)), step=7, progress=0.5)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(part.training for part in detector.modules())
    assert all(parameter.grad is None for parameter in detector.parameters())
    assert all(torch.equal(value, state[name]) for name, value in detector.state_dict().items())
    changed = [not torch.equal(image, old) for image, (old, _) in zip(images, samples, strict=True)]
    assert sum(changed) == 2
    assert [bool((target["occlusion"] > 0).any()) for target in targets] == changed
    assert placement.health["adversarial-placement/placed"] == 2
    assert placement.health["adversarial-placement/worsened"] > 0
    again, _ = placement(*map(list, zip(*samples, strict=True)), step=7, progress=0.5)
    assert all(torch.equal(image, other) for image, other in zip(images, again, strict=True))
    other, _ = placement(*map(list, zip(*samples, strict=True)), step=8, progress=0.5)
    assert not all(torch.equal(image, one) for image, one in zip(images, other, strict=True))


def test_the_worst_place_is_worse_than_a_random_one(digits):
    """For the detector that chose it: its probability of the true class, over a dozen objects."""
    detector, samples = digits
    fall = {"adversarial-placement": [], "paste": []}
    options = {"occluders": "grey", "fraction": [0.3, 0.3], "chance": 1.0}
    hiders = {
        "adversarial-placement": build_hiders({"kind": "adversarial-placement", **options}),
        "paste": build_hiders({"kind": "paste", "share": 1.0, "most": 1, **options}),
    }
    for name, (hider,) in hiders.items():
        for step in range(3):
            place = Placement([hider], detector, load_data("digit-scenes", length=2), seed=1)
            images, targets = place(*map(list, zip(*samples, strict=True)), step=step, progress=1.0)
            for image, target in zip(images, targets, strict=True):
                row = int(target["occlusion"].argmax())
                (scores,) = detector.score_boxes([image], [target["boxes"][row : row + 1]])
                fall[name].append(1 - float(scores[0, target["labels"][row]]))
    assert np.mean(fall["adversarial-placement"]) > np.mean(fall["paste"]) + 0.1


def weights(folder: Path) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in load_file(folder / "detector.safetensors").items()}


def recipe(**changes) -> Recipe:
    """Ten steps of the tiny detector, whose 12 x 16 images have one object of 56 pixels."""
    short = {"stages.0.steps": 10, "checkpoint_every": 1, "keep": None, "log_every": 1}
    return tiny_recipe({"augment.hide": HIDE, **short, **changes})


def test_a_run_resumed_at_any_step_ends_with_the_same_bits(tmp_path):
    whole = tmp_path / "whole"
    assert train(recipe(), whole)
    for step in (1, 4, 9):
        folder = tmp_path / str(step)
        (folder / "checkpoints").mkdir(parents=True)
        recipe().save(folder / "recipe.yaml")
        file = checkpoint.checkpoint_path(whole, step)
        checkpoint.checkpoint_path(folder, step).write_bytes(file.read_bytes())
        assert train(recipe(), folder)
        assert weights(folder) == weights(whole), f"resumed at step {step}"
    assert train(recipe(workers=1), tmp_path / "workers")
    assert weights(tmp_path / "workers") == weights(whole)
    assert train(recipe(**{"augment.hide": HIDE[:1]}), tmp_path / "other")
    assert weights(tmp_path / "other") != weights(whole)
    metrics = Run.open(whole).metrics()
    assert metrics["hide/adversarial-placement/placed"].between(0, 2).all()
    assert metrics["hide/adversarial-placement/placed"].sum() > 4, "but for objects that are hidden enough already"


def test_faster_rcnn_learns_with_everything_hidden(tmp_path):
    """Twelve steps of four scenes, hidden by all that there is, and sizes and colours of their own."""
    kinds = ("copy-paste", "random-erasing", "hide-and-seek", "grid-mask", "paste", "adversarial-placement")
    changes = {
        "augment": {"photometric": {}, "scale_jitter": {"size": [128, 128], "range": [0.8, 1.2]},
                    "fixed_size": {"size": [128, 128]}, "hide": [{"kind": kind, "ramp": 0.5} for kind in kinds]},
        "hardener": {"kind": "drop-block"}, "data.options.length": 8, "batch_size": 4, "lr_batch_size": 4,
        "stages.0.steps": 12, "schedule.kind": "constant", "log_every": 1,
    }  # fmt: skip
    made = Recipe.load("digit-scenes/faster-rcnn").replace(changes, validation=None, test=None)
    assert train(made, tmp_path)
    metrics = Run.open(tmp_path).metrics()
    assert metrics["loss"].iloc[-3:].mean() < metrics["loss"].iloc[:3].mean() - 0.3
    assert metrics["hardener/keep"].iloc[0] == 1
    assert metrics["hardener/keep"].is_monotonic_decreasing


def test_what_cannot_work_is_said_before_the_first_step(tmp_path):
    """Masks that are not there, and a file that is missing."""
    for hide, why in (
        ({"kind": "copy-paste"}, "has no masks"),
        ({"kind": "paste", "occluders": "./no.png"}, r"no\.png"),
    ):
        with pytest.raises(RunError, match=rf"nothing was trained: augment\.hide: {hide['kind']}: .*{why}"):
            train(recipe(**{"augment.hide": hide}), tmp_path / hide["kind"])
