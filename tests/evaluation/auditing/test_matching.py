"""What detections say of objects, by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from workbench.evaluation.auditing.matching import Matched, match_image
from workbench.evaluation.auditing.objects import AuditedImage, audited_image
from workbench.types import Detections, Target

ALL = 0b1111111111  #: of ten thresholds
Found = tuple[float, float, float, float, int, float]  #: x1, y1, x2, y2, label, score


def audited(*objects: tuple[float, float, float, float, int], crowd: Sequence[int] = ()) -> AuditedImage:
    target = Target(
        boxes=torch.tensor([box for *box, _ in objects], dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor([label for *_, label in objects], dtype=torch.int64),
        iscrowd=torch.tensor([place in crowd for place in range(len(objects))]),
    )
    known = np.array([False, True, True])
    limits = {"least_size": 0.0, "most_hidden": 1.0, "most": 0.5}
    return audited_image(target, (100, 100), index=0, known=known, **limits)


def matched(image: AuditedImage, *found: Found, rows: Sequence[int] | None = None, **options) -> Matched:
    detections = Detections(
        torch.tensor([one[:4] for one in found], dtype=torch.float32).reshape(-1, 4),
        torch.tensor([one[4] for one in found], dtype=torch.int64),
        torch.tensor([one[5] for one in found], dtype=torch.float32),
    )
    rows = image.audited.tolist() if rows is None else rows
    usual = {"threshold": 0, "nms_iou": 0.5, "pasted": np.zeros((0, 4))}
    return match_image(detections, image, rows, np.arange(3), **usual | options)


def values(result: Matched, name: str) -> list[float]:
    return [round(float(value), 3) for value in result.outcomes[name]]


def test_an_object_that_is_found_has_the_score_and_iou_of_the_best_match() -> None:
    image = audited((0, 0, 10, 10, 1))
    result = matched(image, (0, 0, 10, 10, 1, 0.4), (0, 0, 10, 8, 1, 0.9))
    assert values(result, "score") == [0.9]
    assert values(result, "iou") == [0.8]
    # best first: 0.8 is right up to IoU 0.80, where the exact one takes over
    assert [int(bits) for bits in result.right] == [0b0001111111, 0b1110000000]
    assert [int(bits) for bits in result.spared] == [0, 0]
    assert result.scores.tolist() == pytest.approx([0.9, 0.4])


def test_another_class_in_its_place() -> None:
    image = audited((0, 0, 10, 10, 1), (50, 50, 60, 60, 2))
    result = matched(image, (0, 0, 10, 9, 2, 0.7), (50, 50, 60, 60, 2, 0.8))
    assert values(result, "other_score")[0] == 0.7
    assert result.outcomes["other_label"].tolist() == [2, 0]
    assert np.isnan(result.outcomes["score"][0])
    # what is right about another object is no confusion
    close = audited((0, 0, 10, 10, 1), (0, 0, 10, 9, 2))
    assert np.isnan(matched(close, (0, 0, 10, 9, 2, 0.7)).outcomes["other_score"][0])


def test_a_box_that_is_too_far_off() -> None:
    image = audited((0, 0, 10, 10, 1))
    result = matched(image, (0, 0, 10, 4, 1, 0.6), (0, 0, 1, 5, 1, 0.9))
    assert values(result, "near_score") == [0.6], "IoU 0.4; the other one's is 0.05"
    assert values(result, "near_iou") == [0.4]
    strict = matched(image, (0, 0, 10, 7, 1, 0.6), threshold=5)
    assert values(strict, "near_iou") == [0.7], "found from IoU 0.75 on"
    assert np.isnan(strict.outcomes["score"][0])


def test_a_neighbour_whose_detection_stands_in_its_place() -> None:
    """Boxes of 10 × 10, 2 pixels apart, overlap by IoU 80 / 120 = 0.667."""
    image = audited((0, 0, 10, 10, 1), (2, 0, 12, 10, 1))
    result = matched(image, (0, 0, 10, 10, 1, 0.9))
    assert values(result, "score")[0] == 0.9
    assert values(result, "rival_score")[1] == 0.9
    assert np.isnan(result.outcomes["near_score"][1]), "it is right about the other object"
    assert np.isnan(matched(image, (0, 0, 10, 10, 1, 0.9), nms_iou=0.7).outcomes["rival_score"][1])


def test_objects_that_do_not_count_spare_their_detections() -> None:
    image = audited((0, 0, 10, 10, 1), (50, 50, 60, 60, 2), (70, 0, 99, 40, 1), crowd=(2,))
    found = ((0, 0, 10, 10, 1, 0.9), (50, 50, 60, 60, 2, 0.8), (72, 5, 80, 20, 1, 0.7), (0, 80, 9, 90, 1, 0.6))
    result = matched(image, *found, rows=[0])
    assert [int(bits) for bits in result.right] == [ALL, 0, 0, 0]
    assert [int(bits) for bits in result.spared] == [0, ALL, ALL, 0], "of another round, in a crowd; nothing there"
    assert len(result.outcomes["score"]) == 1


def test_a_pasted_cut_out_may_be_found_and_is_no_confusion() -> None:
    image = audited((0, 0, 10, 10, 1))
    pasted = np.array([[0.0, 0, 10, 9]])
    result = matched(image, (0, 0, 10, 9, 2, 0.7), (0, 40, 10, 50, 2, 0.6), pasted=pasted)
    assert [int(bits) for bits in result.spared] == [ALL, 0]
    assert np.isnan(result.outcomes["other_score"][0])
    own = matched(image, (0, 0, 10, 10, 1, 0.7), pasted=pasted)
    assert int(own.right[0]) == ALL, "what is right stays right"


def test_classes_that_the_data_do_not_know_are_left_out() -> None:
    image = audited((0, 0, 10, 10, 1))
    found = Detections(torch.tensor([[0.0, 0, 10, 10]] * 2), torch.tensor([1, 2]), torch.tensor([0.9, 0.8]))
    labels = np.array([0, 0, 1])  # the detector's second class is the data's first
    result = match_image(found, image, [0], labels, threshold=0, nms_iou=0.5, pasted=np.zeros((0, 4)))
    assert result.labels.tolist() == [1]
    assert values(result, "score") == [0.8]


def test_no_objects_and_no_detections() -> None:
    nothing = matched(audited(), (0, 0, 10, 10, 1, 0.9))
    assert nothing.right.tolist() == [0]
    assert nothing.outcomes["score"].tolist() == []
    missed = matched(audited((0, 0, 10, 10, 1)))
    assert np.isnan(missed.outcomes["score"]).all()
    assert missed.outcomes["other_label"].tolist() == [0]


def test_only_the_best_100_of_a_class_count() -> None:
    many = [(0, 0, 10, 10, 1, 0.9 - 0.001 * i) for i in range(120)]
    result = matched(audited((0, 0, 10, 10, 1)), *many, (0, 0, 10, 10, 2, 0.1))
    assert len(result.labels) == 101
