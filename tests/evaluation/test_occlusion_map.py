"""Occlusion maps against the truth, pixels counted by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import workbench as wb
from workbench.detectors import Detector
from workbench.errors import DataError
from workbench.evaluation import evaluate_occlusion_maps
from workbench.types import Detections


class Finds(Detector):
    """Two detections of each image: a sure one that says where it is hidden, and one that says everywhere."""

    classes = ("face",)

    def __init__(self, *boxes: tuple[int, int, int, int], knows: bool = True):
        super().__init__()
        self.boxes, self.knows, self.none = boxes, knows, nn.Parameter(torch.zeros(()))

    def detect(self, images, proposals=None):
        found = []
        for image, (left, top, right, bottom) in zip(images, self.boxes, strict=False):
            hidden = torch.zeros(2, *image.shape[-2:], dtype=torch.bool)
            hidden[0, top:bottom, left:right] = True
            hidden[1] = True
            extras = {"masks_occluder": hidden} if self.knows else {}
            boxes, labels, scores = torch.tensor([[0.0, 0, 9, 9]] * 2), torch.tensor([1, 1]), torch.tensor([0.9, 0.2])
            found.append(Detections(boxes, labels, scores, extras=extras))
        return found


@pytest.fixture
def data(in_memory, target):
    """Three images of 20 x 20 px: 4 x 4 px hidden, nothing hidden, and unknown."""
    targets = [target([(0, 0, 10, 10, 1)]) for _ in range(3)]
    made = in_memory(targets, classes=("face",))
    for one, place in zip(made.targets, (slice(2, 6), slice(0, 0)), strict=False):
        one["mask_occluder"] = torch.zeros(made.size(0), dtype=torch.bool)
        one["mask_occluder"][place, place] = True
    made.targets[2].pop("mask_occluder", None)
    return made


def test_pixels_by_hand(data):
    # Of 16 hidden pixels 8 are found, with 8 others; in the second image 4 are found where nothing is hidden.
    found = evaluate_occlusion_maps(Finds((4, 2, 8, 6), (0, 0, 2, 2)), data, progress=False)
    assert (found.both.tolist(), found.found.tolist(), found.true.tolist()) == ([8, 0], [16, 4], [16, 0])
    assert found.summary == {"IoU": 8 / 28, "precision": 8 / 20, "recall": 8 / 16}
    low, high = found.interval()
    assert low <= 8 / 28 <= high
    assert "2 images: IoU 0.286" in str(found)


def test_nothing_found_has_no_precision(data):
    found = evaluate_occlusion_maps(Finds((4, 2, 8, 6), (0, 0, 2, 2)), data, score=0.95, progress=False)
    assert found.summary["IoU"] == found.summary["recall"] == 0
    assert math.isnan(found.summary["precision"])


def test_what_lacks_maps_is_named(data, in_memory, target):
    with pytest.raises(DataError, match="gives no masks_occluder; choose one with an occlusion branch"):
        evaluate_occlusion_maps(Finds((0, 0, 2, 2), knows=False), data, progress=False)
    bare = in_memory([target([(0, 0, 10, 10, 1)])], classes=("face",))
    with pytest.raises(DataError, match=r'no image has target\["mask_occluder"\]'):
        evaluate_occlusion_maps(Finds((0, 0, 2, 2)), bare, progress=False)
    assert wb.load_data("face-scenes", length=1).target(0)["mask_occluder"].shape == (128, 128)
