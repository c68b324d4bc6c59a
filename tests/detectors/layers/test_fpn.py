"""The feature pyramid and what is left of it with each of the thesis's switches (Tables 4.1 to 4.3)."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from small_detectors import BACKBONE, FASTER_RCNN
from torch import nn
from torch.nn import functional as F
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from workbench.data import load_data
from workbench.detectors import build_detector, save_detector
from workbench.detectors.layers.fpn import SwitchedFPN
from workbench.errors import RecipeError, WorkbenchError
from workbench.evaluation import evaluate
from workbench.evaluation.evaluate import detect_batch
from workbench.evaluation.proposal_recall import ProposalRecall, proposal_recall
from workbench.proposals import with_proposals
from workbench.training import Run
from workbench.training.recipe import Recipe
from workbench.training.trainer import train

CLASSES = ("one", "two")
WIDTHS, CHANNELS = (3, 4, 5), 6
ROWS = {
    "c3": ({"pyramid": False, "stage": 3}, 1),
    "c4": ({"pyramid": False}, 1),
    "no top-down": ({"pyramid": {"top_down": False}}, 3),
    "no lateral": ({"pyramid": {"lateral": False}}, 3),
    "finest": ({"pyramid": {"finest": True}}, 1),
    "finest, no lateral": ({"pyramid": {"finest": True, "lateral": False}}, 1),
}


def config(row: str, kind: str = "faster-rcnn") -> dict:
    change = dict(ROWS[row][0])
    backbone = BACKBONE | ({"stage": change.pop("stage")} if "stage" in change else {})
    made = FASTER_RCNN | change | {"kind": kind, "backbone": backbone}
    return {key: value for key, value in made.items() if kind == "faster-rcnn" or key != "rpn"}


@pytest.fixture
def maps() -> OrderedDict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    sizes = ((9, 14), (5, 7), (3, 4))
    made = [torch.rand(2, c, h, w, generator=generator) for c, (h, w) in zip(WIDTHS, sizes, strict=True)]
    return OrderedDict((str(level), one) for level, one in enumerate(made))


def network(**switches) -> tuple[FeaturePyramidNetwork, SwitchedFPN]:
    """torchvision's FPN, and ours with as many of its weights as it has."""
    torch.manual_seed(0)
    peer = FeaturePyramidNetwork(list(WIDTHS), CHANNELS, LastLevelMaxPool())
    ours = SwitchedFPN(WIDTHS, CHANNELS, None if switches.get("finest") else LastLevelMaxPool(), **switches)
    state = peer.state_dict()
    ours.load_state_dict({name: state[name] for name in ours.state_dict()})
    return peer, ours


def test_all_of_it_is_torchvisions(maps):
    peer, ours = network()
    got = ours(maps)
    for name, value in peer(maps).items():
        assert torch.equal(got[name], value)


def test_the_finest_level_is_that_of_the_whole(maps):
    peer, ours = network(finest=True)
    (got,) = ours(maps).values()
    assert torch.equal(got, peer(maps)["0"])


def test_without_top_down_every_level_is_by_itself(maps):
    peer, ours = network(top_down=False)
    got = ours(maps)
    for level, (name, one) in enumerate(maps.items()):
        assert torch.equal(got[name], peer.layer_blocks[level](peer.inner_blocks[level](one)))
    assert torch.equal(got["pool"], got["2"][:, :, ::2, ::2])


def test_without_lateral_only_the_last_map_counts(maps):
    peer, ours = network(lateral=False)
    last = peer.inner_blocks[2](maps["2"])
    second = F.interpolate(last, size=(5, 7), mode="nearest")
    third = F.interpolate(second, size=(9, 14), mode="nearest")
    for name, merged in (("0", third), ("1", second), ("2", last)):
        assert torch.equal(ours(maps)[name], peer.layer_blocks[int(name)](merged))
    other = OrderedDict(maps, **{"0": maps["0"] + 1})
    assert torch.equal(ours(other)["0"], ours(maps)["0"])


@pytest.mark.parametrize("row", ROWS)
def test_every_row_learns_with_all_its_parameters_and_detects(row):
    torch.manual_seed(0)
    detector = build_detector(config(row), CLASSES)
    image = torch.rand(3, 64, 96)
    target = {"boxes": torch.tensor([[10.0, 10, 40, 50]]), "labels": torch.tensor([2])}
    detector.losses([image], [target], torch.Generator().manual_seed(0)).total.backward()
    assert [name for name, p in detector.named_parameters() if p.grad is None] == []
    maps = detector.backbone(torch.rand(1, 3, 64, 96))
    assert len(maps) == ROWS[row][1]
    assert len(detector.detect([image])) == 1
    strides = detector.roi_heads.pool.strides
    assert [64 // one.shape[2] for one in maps] == list(strides)
    sizes = {sizes for level in detector.rpn.anchor_generator.sizes for sizes in level}
    assert sizes == {16, 24, 32, 48, 64, 96}, "every variant has the anchors of all levels"


@pytest.mark.parametrize("row", ["c4", "finest", "no lateral"])
def test_fast_rcnn_has_the_switches_too(row):
    detector = build_detector(config(row, "fast-rcnn"), CLASSES)
    given = [torch.tensor([[5.0, 5, 40, 40], [10, 10, 60, 60]])]
    assert len(detector.detect([torch.rand(3, 64, 96)], given)) == 1


@pytest.mark.parametrize(
    ("change", "anchors", "stride"),
    [
        ({"pyramid": False}, 47, 16),
        ({"pyramid": False, "backbone": {"name": "resnet50", "stage": 5}}, 12, 32),
        ({}, 200, None),
        ({"pyramid": {"finest": True}}, 750, 4),
    ],
)
def test_as_many_anchors_as_table_4_1_says(change, anchors, stride):
    """Thousands of anchors on an image of 800 x 1000 pixels; computed from shapes alone."""
    options = {"kind": "faster-rcnn", "backbone": {"name": "resnet50"}} | change
    with torch.device("meta"):
        detector = build_detector(options, CLASSES, pretrained=False)
        cells = [one.shape[2] * one.shape[3] for one in detector.backbone(torch.zeros(1, 3, 800, 1000))]
    per_cell = detector.rpn.anchor_generator.num_anchors_per_location()
    assert round(sum(c * n for c, n in zip(cells, per_cell, strict=True)) / 1000) == anchors
    if stride is not None:
        assert detector.roi_heads.pool.strides == (stride,)
        assert detector.rpn.anchor_generator.sizes == ((32, 64, 128, 256, 512),)


def test_batch_norm_behind_the_convolutions():
    made = build_detector(FASTER_RCNN | {"pyramid": {"norm": "batch"}}, CLASSES)
    norms = [name for name, m in made.backbone.fpn.named_modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 6
    assert made.backbone.fpn.inner_blocks[0][0].bias is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pyramid": {"top_down": False, "lateral": False}}, "neither top_down nor lateral"),
        ({"pyramid": {"finest": True, "top_down": False}}, "pyramid: false and backbone.stage: 2"),
        ({"pyramid": {"topdown": False}}, r"detector\.pyramid\.topdown does not exist"),
        ({"pyramid": {"norm": "group"}}, r"pyramid\.norm 'group' does not exist; choose 'batch' or null"),
        ({"pyramid": False, "backbone": {"name": "small", "stage": 5}}, "stage is 5; 3 widths end at C4"),
        ({"pyramid": False, "backbone": {"name": "small", "stage": 1}}, r"backbone\.stage is 1; expected at least 2"),
        ({"pyramid": False, "backbone": {"name": "resnet18", "stage": 5}, "head": {"kind": "conv5"}}, "conv5 needs"),
        ({"pyramid": {"finest": True}, "backbone": {"name": "vgg16"}}, "vgg16 gives a single map"),
        ({"backbone": {"name": "small", "stage": 3}}, "stage"),
    ],
)
def test_what_makes_no_sense_is_refused(change, message):
    with pytest.raises(RecipeError, match=message), torch.device("meta"):
        build_detector(FASTER_RCNN | change, CLASSES)


def test_a_proposal_network_by_itself(tmp_path):
    """It learns and proposes as the first stage of the whole detector does, which is what it is evaluated by."""
    torch.manual_seed(0)
    whole = build_detector(FASTER_RCNN | {"pyramid": {"top_down": False}}, CLASSES).eval()
    kept = {key: FASTER_RCNN[key] for key in ("backbone", "channels", "min_size", "rpn")}
    alone = build_detector(kept | {"kind": "rpn", "pyramid": {"top_down": False}}, CLASSES).eval()
    state = {name: value for name, value in whole.state_dict().items() if not name.startswith("roi_heads.")}
    alone.load_state_dict(state)
    data = load_data("digit-scenes", split="train", length=2, size=64)
    images, targets = zip(*(data[i] for i in range(2)), strict=True)
    targets = [dict(target, labels=torch.ones_like(target["labels"])) for target in targets]
    for mine, theirs in zip(alone.proposals(images, 15), whole.proposals(images, 15), strict=True):
        assert torch.equal(mine.boxes, theirs.boxes)
        assert torch.equal(mine.scores, theirs.scores)
        assert len(mine) <= 15
    mine, theirs = (one.losses(images, targets, torch.Generator().manual_seed(1)) for one in (alone, whole))
    assert set(mine) == {"objectness", "rpn_box"}
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    mine.total.backward()
    assert all(p.grad is not None for p in alone.parameters())
    with pytest.raises(WorkbenchError, match=r"ProposalNetwork gives no detections; choose one of .*faster-rcnn"):
        detect_batch(alone, list(zip(images, targets, strict=True)))
    source = {"name": save_detector(alone, tmp_path / "a.safetensors"), "cache": tmp_path}
    given = with_proposals(data, kind="detector", **source, top=1000)
    result = evaluate(alone, data, batch_size=1, progress=False)
    assert result.summary == pytest.approx(proposal_recall(given).summary, nan_ok=True)
    assert 0 < result.summary["AR1k"] <= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test": {"name": "digits"}}, "test.name: digits has images of one class"),
        ({"hardener": {"kind": "random-dropout"}}, "rpn has no RoIs"),
        ({"detector.head": {"width": 3}}, "detector.head is not an option of rpn"),
    ],
)
def test_what_a_recipe_cannot_ask_of_a_proposal_network(change, message):
    plain = {
        "data": {"name": "digit-scenes"},
        "detector": {"kind": "rpn", "backbone": {"name": "small"}, "min_size": None},
        "stages": [{"steps": 10, "lr": 0.02}],
    }
    with pytest.raises(RecipeError, match=message):
        Recipe.from_dict(plain).replace(change)


def test_a_recipe_of_a_proposal_network_has_a_test(tmp_path):
    """It is validated and tested by recall, in metrics, log and result."""
    stages = [{"steps": 2, "lr": 0.02}]
    scenes = {"name": "digit-scenes", "options": {"size": 64}}
    parts = {"data": scenes, "validation": {**scenes, "split": "val", "limit": 2}}
    recipe = Recipe.from_dict(
        {**parts, "test": {**scenes, "limit": 3}, "stages": stages, "batch_size": 2, "device": "cpu",
         "detector": {"kind": "rpn", "backbone": BACKBONE, "channels": 16, "min_size": None}}
    )  # fmt: skip
    assert train(recipe, tmp_path)
    run = Run.open(tmp_path)
    result = run.result
    assert isinstance(result, ProposalRecall)
    assert (result.num_images, result.split) == (3, "test")
    again = evaluate(run, load_data("digit-scenes", split="test", size=64).subset(range(3)), progress=False)
    assert result.summary == pytest.approx(again.summary, nan_ok=True)
    row = run.metrics().query("kind == 'val'").iloc[-1]
    assert 0 < row["AUC"] <= row["AR1k"] <= 1
    assert row["loss"] == pytest.approx(row["loss/objectness"] + row["loss/rpn_box"])
    assert f"AUC {row['AUC']:.4g}" in run.log(20)


DIGITS = [name for name in Recipe.shipped() if name.startswith("fpn/digits")]


@pytest.mark.parametrize("name", DIGITS)
def test_the_small_ablations_differ_in_what_they_say_only(name):
    base, recipe = Recipe.load("digit-scenes/faster-rcnn"), Recipe.load(name)
    assert recipe.steps == Recipe.load("fpn/digits").steps
    same = recipe.replace({"detector": base.detector, "stages.0.steps": base.steps})
    assert same.fingerprint() == base.fingerprint()
    keys = {**base.detector, **recipe.detector}
    changed = {key for key in keys if base.detector.get(key) != recipe.detector.get(key)}
    assert changed <= {"pyramid", "backbone", "channels", "anchor_sizes", "rpn"}
    assert bool(changed) == (name != "fpn/digits")
    sizes = [sorted(size for level in one.detector["anchor_sizes"] for size in level) for one in (base, recipe)]
    assert sizes[0] == sizes[1], "all have the same anchors"
