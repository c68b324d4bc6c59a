"""Detections that cannot be scored are refused by image; mix-ups are named."""

import re

import pytest
import torch

from workbench.errors import DataError
from workbench.evaluation import evaluate_detections
from workbench.types import Detections

BOX = (10, 20, 40, 80)


def grid_scene(target, found):
    """Twelve images with one object each, found exactly; away from the corner, so that formats differ."""
    boxes = [(30 + i, 40 + i, 60 + i, 80 + i) for i in range(12)]
    labels = [i % 3 + 1 for i in range(12)]
    targets = [target([(*box, label)]) for box, label in zip(boxes, labels, strict=True)]
    answers = [found([(*box, label, 0.9)]) for box, label in zip(boxes, labels, strict=True)]
    return targets, answers


def change(answers, boxes=lambda b: b, labels=lambda values: values):
    return [Detections(boxes(found.boxes), labels(found.labels), found.scores) for found in answers]


def test_the_number_of_detections_must_be_that_of_images(in_memory, target, found):
    data = in_memory([target([(*BOX, 1)])] * 3)
    with pytest.raises(DataError, match=r"2 detections for the 3 images of toy test.*one.*per image"):
        evaluate_detections([found([])] * 2, data)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Detections(torch.zeros(2, 5), torch.ones(2).long(), torch.ones(2)), r"boxes have shape \[2, 5\]"),
        (
            Detections(torch.zeros(2, 4), torch.ones(1).long(), torch.ones(2)),
            r"labels have shape \[1\].*\[2\]",
        ),
        (
            Detections(torch.zeros(2, 4), torch.ones(2).long(), torch.ones(2, 1)),
            r"scores have shape \[2, 1\]",
        ),
        (Detections(torch.zeros(1, 4), torch.ones(1), torch.ones(1)), "labels are torch.float32"),
        (Detections(torch.full((1, 4), torch.inf), torch.ones(1).long(), torch.ones(1)), "box 0 is"),
        (
            Detections(torch.zeros(2, 4), torch.ones(2).long(), torch.tensor([0.5, torch.nan])),
            "score 1 is nan.*diverged",
        ),
        (Detections(torch.zeros(1, 4), torch.zeros(1).long(), torch.ones(1)), r"label 0 .*1\.\.2.*add 1"),
        (
            Detections(torch.zeros(1, 4), torch.full((1,), 3), torch.ones(1)),
            r"label 3 .*1\.\.2.*other classes",
        ),
    ],
)
def test_the_image_and_the_problem_are_named(broken, message, in_memory, target, found):
    data = in_memory([target([(*BOX, 1)])] * 3)
    with pytest.raises(DataError, match=r"Detections of image 1 \(toy/test image 1\): " + message):
        evaluate_detections([found([]), broken, found([])], data)


def test_masks_must_be_there_and_fit(in_memory, target, found):
    masks = torch.zeros(1, 100, 100, dtype=torch.bool)
    data = in_memory([target([(*BOX, 1)], masks=masks)])
    with pytest.raises(DataError, match=r"image 0 .*no masks.*bbox"):
        evaluate_detections([found([(*BOX, 1, 0.9)])], data, iou_type="segm")
    small = found([(*BOX, 1, 0.9)])
    small.masks = masks[:, :50]
    with pytest.raises(DataError, match=r"masks have shape \[1, 50, 100\], expected .* \[1, 100, 100\]"):
        evaluate_detections([small], data, iou_type="segm")


def test_good_detections_raise_no_suspicion(in_memory, target, found):
    targets, answers = grid_scene(target, found)
    assert evaluate_detections(answers, in_memory(targets, "abc")).warnings == []


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        (lambda b: torch.cat([b[:, :2], b[:, 2:] - b[:, :2]], 1), "overlap 0 of 12.* 12 when .*xywh"),
        (lambda b: torch.cat([b[:, :2], b[:, :2] + b[:, 2:]], 1), "12 when .*corners to which x and y were added"),
        (lambda b: torch.cat([(b[:, :2] + b[:, 2:]) / 2, b[:, 2:] - b[:, :2]], 1), "centre x, centre y"),
        (lambda b: b / 100, "fractions of the image size"),
        (lambda b: b[:, [1, 0, 3, 2]], "y1, x1, y2, x2"),
        (lambda b: b + 1000, "No detection overlaps any of 12 objects"),
        (lambda b: b[:, [2, 3, 0, 1]] + 5, "100% of the boxes have x2 < x1"),
    ],
)
def test_a_mix_up_of_boxes_is_named(boxes, message, in_memory, target, found):
    targets, answers = grid_scene(target, found)
    result = evaluate_detections(change(answers, boxes), in_memory(targets, "abc"))
    assert result.summary["AP"] < 0.2
    (warning,) = result.warnings
    assert re.search(message, warning)


def test_fractions_are_named_however_few_they_are(in_memory, target, found):
    data = in_memory([target([(*BOX, 1)])])
    result = evaluate_detections([found([(0.1, 0.2, 0.4, 0.8, 1, 0.9)])], data)
    assert result.warnings == ["The boxes look like fractions of the image; multiply them by width and height."]


def test_width_and_height_that_are_exchanged_are_named(in_memory, target, found):
    """Images of 100 × 200; boxes were fractions, and x was multiplied by the height, y by the width."""
    targets, answers = grid_scene(target, found)
    swapped = change(answers, lambda b: b * torch.tensor([0.5, 2.0, 0.5, 2.0]))
    result = evaluate_detections(swapped, in_memory(targets, "abc", (100, 200)))
    (warning,) = result.warnings
    assert "12 when they are read with width and height exchanged; a target size is (height, width)" in warning


def test_a_threshold_that_lowers_ap_is_named(in_memory, target, found):
    """Of many detections none scores lower than 0.3; with one that does, there is no threshold there."""
    rows = [(*BOX, 1, 0.3 + i / 400) for i in range(60)]
    data = in_memory([target([(*BOX, 1)])] * 2)
    (warning,) = evaluate_detections([found(rows)] * 2, data).warnings
    assert "No detection scores below 0.3. If a threshold leaves out less likely ones, it lowers AP: 0.05" in warning
    assert evaluate_detections([found([*rows, (*BOX, 1, 0.02)])] * 2, data).warnings == []


def test_a_shift_is_named_where_every_class_is_found_with_some_score(in_memory, target, found):
    boxes = [(30 + i, 40 + i, 60 + i, 80 + i) for i in range(36)]
    true = [i % 2 + 2 for i in range(36)]
    shifted = [
        found([(*box, label, 0.9 if label == own - 1 else 0.1) for label in (1, 2, 3)])
        for box, own in zip(boxes, true, strict=True)
    ]
    data = in_memory([target([(*box, label)]) for box, label in zip(boxes, true, strict=True)], "abc")
    assert any("if 1 is added to every label" in one for one in evaluate_detections(shifted, data).warnings)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (lambda values: (values - 1).clamp(min=1), "if 1 is added to every label"),
        (lambda values: values + 1, "if 1 is taken from every label"),
        (lambda values: 5 - values, "does the detector number the classes"),
    ],
)
def test_a_mix_up_of_labels_is_named(labels, message, in_memory, target, found):
    boxes = [(30 + i, 40 + i, 60 + i, 80 + i) for i in range(36)]
    true = [i % 3 + 1 for i in range(36)]
    if "added" in message:
        true = [i % 2 + 2 for i in range(36)]  # classes 2 and 3, so that a label 0 does not betray itself
    targets = [target([(*box, label)]) for box, label in zip(boxes, true, strict=True)]
    answers = [found([(*box, label, 0.9)]) for box, label in zip(boxes, true, strict=True)]
    result = evaluate_detections(change(answers, labels=labels), in_memory(targets, "abcd"))
    assert result.summary["AP"] < 0.5
    (warning,) = result.warnings
    assert message.lower() in warning.lower()


def test_scores_beyond_1_are_said(in_memory, target, found):
    answers = [found([(*BOX, 1, 0.5), (*BOX, 1, 93.0)])]
    (warning,) = evaluate_detections(answers, in_memory([target([(*BOX, 1)])])).warnings
    assert warning.startswith("Scores run from 0.5 to 93, not within 0..1")


def test_nothing_found_and_nothing_to_find_are_said(in_memory, target, found):
    empty = evaluate_detections([found([])], in_memory([target([(*BOX, 1)])]))
    assert "found nothing on any image" in empty.warnings[0]
    assert empty.summary["AP"] == 0.0
    nothing = evaluate_detections([found([(*BOX, 1, 0.9)])], in_memory([target([])]))
    assert "no objects" in nothing.warnings[0]
