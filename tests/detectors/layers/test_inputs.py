"""What detectors are given: lists of images, objects that count, and what is wrong with them."""

from __future__ import annotations

import pytest
import torch
from small_detectors import BACKBONE, FASTER_RCNN, RETINANET

from workbench.detectors import Detector, build_detector
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


@pytest.fixture(scope="module", params=[FASTER_RCNN, RETINANET, {"kind": "classifier", "backbone": BACKBONE}])
def detector(request: pytest.FixtureRequest) -> Detector:
    return build_detector(request.param, ("a", "b", "c"))


@pytest.mark.parametrize("given", [None, 3, (image for image in [IMAGE])])
def test_what_is_no_list_of_images_is_said(detector: Detector, given: object) -> None:
    for ask in (
        detector.detect,
        lambda images: detector.losses(images, []),
        lambda images: detector.proposals(images, 3),
    ):
        with pytest.raises(DataError, match=r"expected a list of images, got .* \((NoneType|int|generator)\)"):
            ask(given)


def test_a_batch_without_images_has_no_detections_and_no_losses(detector: Detector) -> None:
    assert detector.detect([]) == []
    with pytest.raises(DataError, match="no images; expected at least one"):
        detector.losses([], [])


def test_targets_that_are_none_are_said(detector: Detector) -> None:
    with pytest.raises(DataError, match=r"expected a list of targets, got None"):
        detector.losses([IMAGE], None)
    with pytest.raises(DataError, match="1 images came with 2 targets"):
        detector.losses([IMAGE], [{}, {}])
    with pytest.raises(DataError, match="target 1 of the batch is a NoneType; expected a dict"):
        detector.losses([IMAGE] * 2, [target_of([[1.0, 2, 30, 24]], [1], label=1), None])


@pytest.mark.parametrize("kind", [FASTER_RCNN, RETINANET])
def test_boxes_that_are_asked_about_come_one_set_for_each_image(kind: dict) -> None:
    detector = build_detector(kind, ("a", "b", "c"))
    with pytest.raises(DataError, match="2 images came with 1 boxes"):
        detector.score_boxes([IMAGE] * 2, [torch.zeros(1, 4)])
    with pytest.raises(DataError, match="expected a list of boxes, got None"):
        detector.score_boxes([IMAGE], None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boxes": [[1, 2, 3, 4]]}, r'image 0: target\["boxes"\] is a list; expected a tensor \[N, 4\]'),
        ({"labels": None}, r'target\["labels"\] is a NoneType; expected a tensor \[N\]'),
        ({"boxes": torch.zeros(1, 5)}, r"boxes have shape \(1, 5\) and labels \(1,\); expected \[N, 4\]"),
        ({"labels": torch.ones(2)}, r"boxes have shape \(1, 4\) and labels \(2,\)"),
        ({"labels": torch.tensor(1)}, r"labels \(\)"),
        ({"labels": torch.zeros(0)}, r"boxes have shape \(1, 4\) and labels \(0,\)"),
    ],
)
def test_targets_of_another_form_are_said(change: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        training_targets([target_of([[1.0, 2, 3, 4]], [1]) | change], [IMAGE], 3, CPU)


def test_no_objects_may_be_an_empty_tensor_of_any_form() -> None:
    (truth,) = training_targets([{"boxes": torch.zeros(0), "labels": torch.zeros(0)}], [IMAGE], 3, CPU)
    assert truth["boxes"].shape == (0, 4)
