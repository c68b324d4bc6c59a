"""What detectors learn from: the objects that count, and what is wrong with them."""

from __future__ import annotations

import pytest
import torch

from workbench.detectors.layers.inputs import training_targets
from workbench.errors import DataError
from workbench.types import Target

CPU = torch.device("cpu")
IMAGE = torch.zeros(3, 32, 32)


def target_of(boxes: list[list[float]], labels: list[int], **more: object) -> Target:
    return {"boxes": torch.tensor(boxes).reshape(-1, 4), "labels": torch.tensor(labels), **more}  # type: ignore[return-value]


def test_objects_that_are_left_out_may_be_wrong() -> None:
    flags = {"iscrowd": torch.tensor([True, False, False]), "difficult": torch.tensor([False, False, True])}
    boxes = [[5.0, 5, 1, 1], [1, 2, 3, 4], [float("nan")] * 4]
    truth = training_targets([target_of(boxes, [0, 2, 9], **flags), target_of([], [])], [IMAGE] * 2, 3, CPU)
    assert [(one["boxes"].tolist(), one["labels"].tolist()) for one in truth] == [([[1, 2, 3, 4]], [2]), ([], [])]


def test_what_is_wrong_is_named_with_its_image() -> None:
    good = target_of([[1.0, 2, 3, 4]], [1], image_id=6)
    with pytest.raises(DataError, match=r"image 7, object 1: box \[3\.0, 2\.0, 3\.0, 4\.0\] is empty"):
        training_targets([good, target_of([[1.0, 2, 3, 4], [3, 2, 3, 4]], [1, 1], image_id=7)], [IMAGE] * 2, 3, CPU)
    with pytest.raises(DataError, match=r"image 1: labels \[0, 5\] are outside 1\.\.3"):
        training_targets([good, target_of([[1.0, 2, 3, 4]] * 4, [5, 0, 5, 3])], [IMAGE] * 2, 3, CPU)
