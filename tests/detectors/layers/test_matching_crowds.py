"""Proposals in crowds: background as in torchvision, or left out by COCO's measure as in Detectron."""

from __future__ import annotations

import pytest
import torch
from pycocotools import mask as coco_mask
from small_detectors import FASTER_RCNN

from workbench.detectors import build_detector
from workbench.detectors.layers.inputs import training_targets
from workbench.detectors.layers.matching import share_within
from workbench.errors import RecipeError

CROWD, SEEN = [16.0, 16, 66, 66], [70.0, 70, 110, 110]
IMAGE = torch.zeros(3, 128, 128, dtype=torch.uint8)


def target(**flags):
    plain = {"boxes": torch.tensor([CROWD, SEEN]), "labels": torch.ones(2, dtype=torch.long)}
    return plain | {name: torch.tensor(each) for name, each in flags.items()}


def learned(one):
    return training_targets([one], [IMAGE], 1, torch.device("cpu"))


def test_by_hand():
    """A box within, one by three quarters, one by half in each of two regions, one outside, one without area."""
    regions = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10]])
    boxes = torch.tensor([[2.0, 2, 4, 4], [4, 0, 12, 10], [5, 0, 25, 10], [40, 40, 50, 50], [1, 1, 1, 5]])
    assert share_within(boxes, regions).tolist() == [1.0, 0.75, 0.25, 0.0, 0.0]
    assert share_within(boxes, regions[:0]).tolist() == [0.0] * 5


def test_it_is_cocos_overlap_with_a_crowd():
    generator = torch.Generator().manual_seed(0)
    corners = 100 * torch.rand(40, 2, 2, generator=generator, dtype=torch.float64)
    boxes = torch.cat([corners.amin(1), corners.amax(1)], dim=1)
    sides = torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], dim=1).numpy()
    expected = coco_mask.iou(sides[:30], sides[30:], [1] * 10).max(axis=1)
    assert share_within(boxes[:30], boxes[30:]).tolist() == pytest.approx(expected.tolist(), abs=1e-12)


def test_targets_say_where_crowds_are_and_only_then():
    (found,) = learned(target(iscrowd=(True, False)))
    assert found["boxes"].tolist() == [SEEN]
    assert found["boxes_crowd"].tolist() == [CROWD]
    assert "boxes_crowd" not in learned(target(iscrowd=(False, False)))[0]
    assert "boxes_crowd" not in learned(target())[0]
    assert "boxes_crowd" not in learned(target(difficult=(True, False)))[0]
    thin = target(iscrowd=(True, False))
    thin["boxes"][0, 2] = thin["boxes"][0, 0]
    assert learned(thin)[0]["boxes_crowd"].tolist() == []


def test_they_are_resized_with_the_image():
    detector = build_detector(FASTER_RCNN | {"min_size": 256, "max_size": 256}, ("a",))
    _, (truth,) = detector.prepare_to_learn([IMAGE], [target(iscrowd=(True, False))])
    assert truth["boxes_crowd"].tolist() == [[32, 32, 132, 132]]


@pytest.mark.parametrize("mining", [None, {"kind": "ohem", "kept": 64}])
def test_which_proposals_are_left_out(mining):
    """Within the crowd, by 0.8 and by 0.6 of their area; on the object; on nothing. The object itself stays."""
    proposals = torch.tensor([[20.0, 20, 40, 40], [58, 20, 68, 40], [60, 20, 70, 40], SEEN, [0, 80, 30, 120]])
    truth = learned(target(iscrowd=(True, False)))

    def labels(share):
        roi = {"samples": 64, "positive_fraction": 0.5, "crowd_share": share} | ({"mining": mining} if mining else {})
        head = build_detector(FASTER_RCNN | {"roi": roi}, ("a",)).roi_heads
        found = head.sample([proposals], truth)
        rows = [proposals.tolist().index(box) for box in found.boxes[0].tolist()]
        return dict(zip(rows, found.labels[0].tolist(), strict=True)), len(rows)

    assert labels(None) == ({0: 0, 1: 0, 2: 0, 3: 1, 4: 0}, 6), "the object joins the proposals"
    assert labels(0.7) == ({2: 0, 3: 1, 4: 0}, 4)
    assert labels(0.5) == ({3: 1, 4: 0}, 3)


def test_a_proposal_on_an_object_in_a_crowd_is_left_out_too_and_the_object_is_not():
    inside = {"boxes": torch.tensor([CROWD, [20.0, 20, 40, 40]]), "labels": torch.ones(2, dtype=torch.long)}
    truth = learned(inside | {"iscrowd": torch.tensor([True, False])})
    head = build_detector(FASTER_RCNN | {"roi": {"crowd_share": 0.7}}, ("a",)).roi_heads
    found = head.sample([torch.tensor([[20.0, 20, 40, 41]])], truth)
    assert found.boxes[0].tolist() == [[20, 20, 40, 40]]
    assert found.labels[0].tolist() == [1]


def test_a_share_is_one():
    with pytest.raises(RecipeError, match=r"detector\.roi\.crowd_share"):
        build_detector(FASTER_RCNN | {"roi": {"crowd_share": 1.5}}, ("a",))
