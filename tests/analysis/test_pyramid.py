"""Pyramids looked at: maps, the level of each box and anchors against objects, by hand and against the detectors."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F
from torchvision.models.detection._utils import Matcher
from torchvision.models.detection.image_list import ImageList
from torchvision.ops.poolers import LevelMapper

from workbench.analysis.pyramid import (
    BEST_ONLY,
    LEFT_OUT,
    MATCHED,
    MISSED,
    exact_level,
    look,
    object_table,
    pyramid_steps,
)
from workbench.data import load_data
from workbench.detectors import build_detector
from workbench.detectors.base import Detector
from workbench.errors import DataError, WorkbenchError
from workbench.types import Target

SMALL = {"name": "small", "widths": [8, 8, 8], "blocks": 1, "stem": 8}
FORMS = {
    "pyramid": ({}, ["P2", "P3", "P4"], ["C2", "C3", "C4"]),
    "no top-down": ({"pyramid": {"top_down": False}}, ["P2", "P3", "P4"], ["C2", "C3", "C4"]),
    "no lateral": ({"pyramid": {"lateral": False}}, ["P2", "P3", "P4"], ["C2", "C3", "C4"]),
    "finest": ({"pyramid": {"finest": True}}, ["P2"], ["C2", "C3", "C4"]),
    "C3": ({"pyramid": False, "backbone": SMALL | {"stage": 3}}, ["C3"], ["C2", "C3"]),
    "C4": ({"pyramid": False}, ["C4"], ["C2", "C3", "C4"]),
    "masks": ({"kind": "mask-rcnn", "mask": {"layers": [8], "width": 8}}, ["P2", "P3", "P4"], ["C2", "C3", "C4"]),
    "retinanet": ({"kind": "retinanet"}, ["P3", "P4", "P5", "P6"], ["C2", "C3", "C4"]),
    "proposals": ({"kind": "rpn"}, ["P2", "P3", "P4"], ["C2", "C3", "C4"]),
}


def build(**options):
    torch.manual_seed(0)
    config = {"kind": "faster-rcnn", "backbone": SMALL, "channels": 8, "min_size": None, **options}
    if config.get("pyramid") is False:
        del config["channels"]
    if config["kind"] == "faster-rcnn":
        config |= {"head": {"kind": "two-fc", "width": 16}}
    return build_detector(config, tuple("0123456789")).eval()


@pytest.fixture(scope="module")
def scene():
    return load_data("digit-scenes", split="test", length=8)[7]


@pytest.fixture(scope="module")
def view(scene):
    return look(build(canonical_size=32), scene[0])


@pytest.mark.parametrize("form", FORMS)
def test_levels_of_every_form(form, scene):
    options, names, body = FORMS[form]
    detector = build(**options)
    seen = look(detector, scene[0])
    assert [level.name for level in seen.levels] == names
    assert [level.name for level in seen.body] == body
    assert [level.stride for level in seen.levels] == [2 ** int(name[1]) for name in names]
    assert [level.energy.shape[0] * level.stride for level in seen.levels] == [128] * len(names)
    assert torch.equal(seen.anchors, detector.anchors_for(128, 128))
    assert torch.bincount(seen.anchor_levels).tolist() == [level.num_anchors for level in seen.levels]
    levels = seen.box_levels(scene[1]["boxes"]).levels
    assert ((levels >= 0) & (levels < len(names))).all()
    assert len(object_table(seen, scene[1], detector.classes)) == len(levels)
    assert not detector.backbone.body._forward_hooks


def test_energy_is_the_root_mean_square_and_padding_is_known(scene):
    """100 × 130 pixels are padded to 128 × 160."""
    detector, image = build(), scene[0][:, :100].repeat(1, 1, 2)[:, :, :130]
    seen = look(detector, image)
    batch, _ = detector.transform([image.float() / 255])
    with torch.no_grad():
        maps = detector.backbone(batch.tensors)
    for level, features in zip(seen.levels, maps, strict=True):
        assert torch.allclose(level.energy, features[0].norm(dim=0) / math.sqrt(8), atol=1e-5)
        assert level.covers == (128, 160)
    assert seen.levels[0].energy.shape == (32, 40)


def test_the_equation_by_hand():
    """√(wh) of 224, half, double, and 224 / √2, which is halfway between levels 3 and 4."""
    sides = torch.tensor([224.0, 112, 448, 224 / math.sqrt(2)])
    assert exact_level(sides).tolist() == pytest.approx([4, 3, 5, 3.5], abs=1e-5)
    assert exact_level(torch.tensor([28.0]), 112).tolist() == pytest.approx([2])


def test_box_levels_by_hand(view):
    """Canonical size 32: sides 7.9, 16, 31 and 100 are on levels 1.98 (so P2), 3, 3.95 and 5.6 (so P4)."""
    boxes = torch.tensor([[0.0, 0, 7.9, 7.9], [0, 0, 32, 8], [10, 10, 41, 41], [0, 0, 100, 100]])
    where = view.box_levels(boxes)
    assert where.sides.tolist() == pytest.approx([7.9, 16, 31, 100])
    assert where.exact.tolist() == pytest.approx([1.982, 3, 3.954, 5.644], abs=1e-3)
    assert [view.levels[level].name for level in where.levels] == ["P2", "P3", "P3", "P4"]


def test_box_levels_are_those_of_torchvision(view):
    corners = torch.rand(500, 2, generator=torch.Generator().manual_seed(0)) * 60
    boxes = torch.cat([corners, corners + 1 + corners.flip(0).exp2().clamp(max=60)], dim=1)
    want = LevelMapper(2, 4, canonical_scale=32)([boxes])
    assert want.unique().tolist() == [0, 1, 2]
    assert torch.equal(view.box_levels(boxes).levels, want)


def test_sizes_are_those_of_the_networks_input(scene):
    small = look(build(min_size=64, max_size=64), scene[0])
    assert (small.image_size, small.input_size) == ((128, 128), (64, 64))
    assert small.levels[0].energy.shape == (16, 16)
    assert small.levels[0].covers == (128, 128)
    assert small.box_levels(torch.tensor([[0.0, 0, 40, 40]])).sides.tolist() == [20]
    assert small.match(scene[1]).boxes.max() > 128, "anchors are in pixels of the image"


def test_without_rois_the_best_anchor_decides(scene):
    seen = look(build(kind="retinanet"), scene[0])
    rows = torch.tensor([5, len(seen.anchors) - 1])
    where = seen.box_levels(seen.anchors[rows])
    assert torch.equal(where.levels, seen.anchor_levels[rows])
    assert where.exact.isnan().all()


def test_match_by_hand(view):
    """The second object has its best anchor at IoU 0.5; the fourth shares it, and the other fits it better."""
    anchors = torch.tensor([[0.0, 0, 10, 10], [0, 0, 20, 10], [50, 50, 70, 70], [90, 90, 99, 99]])
    seen = replace(view, anchors=anchors, anchor_levels=torch.tensor([0, 0, 1, 2]))
    boxes = torch.tensor([[0.0, 0, 10, 10], [50, 50, 70, 60], [90, 90, 99, 99], [50, 50, 70, 55]])
    crowd = torch.tensor([False, False, True, False])
    match = seen.match(Target(boxes=boxes, labels=torch.ones(4, dtype=torch.long), iscrowd=crowd))
    assert match.states.tolist() == [1, -1, 1, 0]
    assert match.objects.tolist() == [0, 0, 1, -1]
    assert match.best_iou.tolist() == pytest.approx([1, 0.5, math.nan, 0.25], nan_ok=True)
    assert match.best_level.tolist() == [0, 1, -1, 1]
    assert match.kinds == (MATCHED, BEST_ONLY, LEFT_OUT, MISSED)
    assert match.counts().tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert match.counts(-1).tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert (match.positive_iou, match.negative_iou) == (0.7, 0.3)


def test_match_is_what_training_learns_from(scene):
    image, target = scene
    detector = build(kind="retinanet")
    labels = detector.anchor_scores([image], [target])[0].labels
    match = look(detector, image).match(target)
    assert {-1, 0, 1} == set(match.states.tolist())
    assert torch.equal(match.states, labels.sign())
    positive = match.states > 0
    assert torch.equal(target["labels"][match.objects[positive]], labels[positive])


def test_an_image_without_objects(view):
    nothing = Target(boxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    match = view.match(nothing)
    assert (match.kinds, match.states.any().item(), match.counts().shape) == ((), False, (0, 3))
    assert len(object_table(view, nothing, ("a",))) == 0


def test_table_of_objects(view, scene):
    table = object_table(view, scene[1], tuple("0123456789"))
    assert table.index.tolist() == [1, 2, 3, 4, 5]
    assert table["class"].tolist() == [str(label - 1) for label in scene[1]["labels"].tolist()]
    match = view.match(scene[1])
    assert table[["anchors P2", "anchors P3", "anchors P4"]].to_numpy().tolist() == match.counts().tolist()
    assert table["anchors say"].tolist() == list(match.kinds)


def test_detectors_without_anchors_are_refused(scene):
    fast = build_detector({"kind": "fast-rcnn", "backbone": SMALL, "min_size": None}, ("a",))
    with pytest.raises(
        WorkbenchError,
        match="FastRCNN has no anchors on maps; choose one of aofd, faster-rcnn, mask-rcnn, retinanet, rpn",
    ):
        look(fast, scene[0])


def test_steps_of_a_pyramid_by_hand(scene):
    """M_k = conv1(C_k) + M_{k+1} enlarged, P_k = conv3(M_k), with the network's own weights."""
    detector, image = build(), scene[0]
    steps = pyramid_steps(detector, image)
    fpn = detector.backbone.fpn
    assert [one.shape for one in steps.body] == [(8, 32, 32), (8, 16, 16), (8, 8, 8)]
    with torch.no_grad():
        above = 0
        for level in (2, 1, 0):
            lateral = fpn.inner_blocks[level](steps.body[level][None])[0]
            assert torch.allclose(steps.lateral[level], lateral, atol=1e-5)
            merged = lateral + above
            assert torch.allclose(steps.merged[level], merged, atol=1e-5)
            assert torch.allclose(steps.levels[level], fpn.layer_blocks[level](merged[None])[0], atol=1e-5)
            above = merged.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
    blocks = [detector.backbone.body, *fpn.inner_blocks, *fpn.layer_blocks]
    assert not any(block._forward_hooks for block in blocks)


def test_steps_of_a_pyramid_with_levels_on_top(scene):
    steps = pyramid_steps(build(kind="retinanet"), scene[0])
    assert (len(steps.merged), len(steps.levels)) == (2, 4)


@pytest.mark.parametrize("form", ["no top-down", "no lateral", "finest", "C4"])
def test_steps_of_what_is_no_whole_pyramid(form, scene):
    with pytest.raises(DataError, match="FasterRCNN has no whole pyramid; expected top-down path and lateral"):
        pyramid_steps(build(**FORMS[form][0]), scene[0])


class Own(Detector):
    """A detector of one's own on two maps, with one anchor at every cell."""

    classes = ("a",)

    def prepare(self, images):
        batch = torch.stack(list(images)).float() / 255
        return ImageList(batch, [tuple(image.shape[-2:]) for image in images])

    def maps(self, batch):
        return [F.avg_pool2d(batch.tensors, stride) for stride in (4, 8)]

    def level_anchors(self, batch, maps):
        corners = [torch.cartesian_prod(*[torch.arange(n) for n in level.shape[-2:]]).flip(1) for level in maps]
        return [torch.cat([c, c + 1], dim=1).float() * s for c, s in zip(corners, (4, 8), strict=True)]

    def anchor_matcher(self):
        return Matcher(0.5, 0.4, allow_low_quality_matches=False)


def test_a_detector_of_ones_own_is_looked_at(scene):
    """By what it can do: it is no RetinaNet and has no region proposal network."""
    image = scene[0][:, :32, :64]
    view = look(Own(), image)
    assert [(level.name, level.num_anchors) for level in view.levels] == [("P2", 128), ("P3", 32)]
    assert view.body is view.levels
    boxes = torch.tensor([[8.0, 8, 16, 16], [4, 4, 8, 8]])
    assert view.box_levels(boxes).levels.tolist() == [1, 0]
    assert view.match({"boxes": boxes, "labels": torch.tensor([1, 1])}).kinds == (MATCHED, MATCHED)
    with pytest.raises(DataError, match="Own has no whole pyramid"):
        pyramid_steps(Own(), image)
