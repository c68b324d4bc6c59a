"""Recall of listed objects: cases worked by hand, and the loop of the published program."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import DataError
from workbench.evaluation import evaluate, evaluate_detections, evaluate_occluded_coco
from workbench.types import Detections

SIZE = (20, 20)


def filled(boxes) -> torch.Tensor:
    """Masks that fill boxes."""
    masks = torch.zeros(len(boxes), *SIZE, dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[y1:y2, x1:x2] = True
    return masks


@pytest.fixture(scope="session")
def listed(in_memory, target):
    """Data from rows (x1, y1, x2, y2, label, occluded, separated) of each image."""

    def build(images):
        targets = []
        for rows in images:
            flags = {name: torch.tensor([bool(row[place]) for row in rows], dtype=torch.bool)
                     for place, name in ((5, "occluded"), (6, "separated"))}  # fmt: skip
            one = target([row[:5] for row in rows], occlusion=[0.5] * len(rows), masks=filled([r[:4] for r in rows]))
            targets.append(one | flags)
        return in_memory(targets, size=SIZE)

    return build


def masked(rows) -> Detections:
    """Detections whose masks fill boxes (x1, y1, x2, y2, label, score)."""
    table = torch.tensor([list(row) for row in rows], dtype=torch.float64).reshape(-1, 6)
    masks = filled([row[:4] for row in rows])
    return Detections(table[:, :4].float(), table[:, 4].long(), table[:, 5], masks)


A, B, C = (0, 0, 10, 8), (10, 0, 20, 8), (0, 10, 8, 20)


def test_by_hand(listed):
    """Three occluded objects and one separated one; the first is found by 8 of 10 columns, the others are not.

    The second is found by another class and with too low a score; the third's mask has 7 of 10 rows (IoU 0.7).
    """
    data = listed([[(*A, 1, 1, 0), (*B, 1, 1, 1)], [(*C, 2, 1, 0), (*A, 2, 0, 0)]])
    answers = [
        masked([(0, 0, 8, 8, 1, 0.5), (*B, 2, 0.9), (*B, 1, 0.29)]),
        masked([(0, 10, 8, 17, 2, 0.9), (*A, 2, 0.9)]),
    ]
    result = evaluate_occluded_coco(answers, data)
    assert result.summary == {"recall_occluded@0.75": 1 / 3, "recall_separated@0.75": 0}
    assert result.counts() == {"recall_occluded@0.75": 3, "recall_separated@0.75": 1}
    assert result.listed["score"].tolist() == pytest.approx([0.5, 0.29, 0.29, -np.inf])
    assert result.frame().to_numpy().tolist() == [
        ["occluded", 0.5, pytest.approx(1 / 3)], ["occluded", 0.29, pytest.approx(2 / 3)], ["separated", 0.29, 1],
    ]  # fmt: skip
    assert evaluate_occluded_coco(answers, data, score=0.1, iou=0.7).summary == {
        "recall_occluded@0.7": 1, "recall_separated@0.7": 1,
    }  # fmt: skip
    assert "recall of masks, IoU ≥ 0.75, detections of score ≥ 0.3" in result.note


def test_one_detection_may_find_several_objects(listed):
    data = listed([[(*A, 1, 1, 0), (0, 0, 10, 9, 1, 1, 0)]])
    assert evaluate_occluded_coco([masked([(*A, 1, 0.3)])], data).summary["recall_occluded@0.75"] == 1


def test_boxes_have_figures_of_their_own(listed, found):
    data = listed([[(*A, 1, 1, 0)], [(*B, 1, 0, 1)]])
    result = evaluate_occluded_coco([found([(*A, 1, 0.9)]), found([])], data)
    assert result.summary == {"box_recall_occluded@0.75": 1, "box_recall_separated@0.75": 0}
    assert "published figures compare masks" in result.note
    nothing = evaluate_occluded_coco([found([]), found([])], data)
    assert nothing.frame().empty
    assert nothing.summary["box_recall_occluded@0.75"] == 0


def test_evaluate_compares_masks_where_a_detector_has_them(listed, oracle, monkeypatch):
    data = listed([[(*A, 1, 1, 0)], [(*B, 1, 0, 1)]])
    data.benchmark = "occluded-coco"
    answers = [masked([(*A, 1, 0.9)]), masked([])]
    detector = oracle(answers)
    monkeypatch.setattr(type(detector), "mask_key", "masks")
    summary = evaluate(detector, data, progress=False).summary
    assert summary["recall_occluded@0.75"] == 1
    assert summary["mask_AP50"] == pytest.approx(0.5, abs=0.01)
    assert evaluate_detections(answers, data, iou_type="segm").summary["recall_separated@0.75"] == 0
    result = evaluate_detections(answers, data, iou_type="segm")
    assert evaluate_occluded_coco(result, data).summary["recall_occluded@0.75"] == 1
    table = evaluate_occluded_coco(result, data).table()
    assert table["n"].tolist() == [1, 1]


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1))
def test_as_by_the_programs_loop(listed, seed):
    random = np.random.default_rng(seed)

    def boxes(number):
        low = random.integers(0, 8, (number, 2))
        return np.concatenate([low, low + random.integers(6, 10, (number, 2))], axis=1).tolist()

    truth = [[(*box, int(random.integers(1, 3)), random.random() < 0.6, random.random() < 0.4)
              for box in boxes(random.integers(0, 4))] for _ in range(3)]  # fmt: skip
    answers = [[(*box, int(random.integers(1, 3)), random.integers(1, 10) / 10)
                for box in boxes(random.integers(0, 7))] for _ in range(3)]  # fmt: skip
    summary = evaluate_occluded_coco([masked(rows) for rows in answers], listed(truth)).summary
    for place, name in ((5, "occluded"), (6, "separated")):
        hits = [any(row[4] == thing[4] and row[5] >= 0.3 and iou(row, thing) >= 0.75 for row in ours)
                for theirs, ours in zip(truth, answers, strict=True) for thing in theirs if thing[place]]  # fmt: skip
        expected = sum(hits) / len(hits) if hits else np.nan
        assert summary[f"recall_{name}@0.75"] == pytest.approx(expected, nan_ok=True)


def iou(a, b):
    one, two = filled([a[:4]])[0], filled([b[:4]])[0]
    return int((one & two).sum()) / int((one | two).sum())


def test_data_without_lists_or_masks_are_refused(in_memory, target, found, listed):
    plain = in_memory([target([(*A, 1)])], size=SIZE)
    with pytest.raises(DataError, match=r'no target\["occluded"\] and target\["separated"\].*"occluded-coco"'):
        evaluate_occluded_coco([found([])], plain)
    flagged = in_memory([target([(*A, 1)]) | {"occluded": torch.tensor([True])}], size=SIZE)
    with pytest.raises(DataError, match="there are no masks, which the measure of occluded-coco compares"):
        evaluate_occluded_coco([masked([(*A, 1, 0.9)])], flagged)
    with pytest.raises(DataError, match="expected a data set with images"):
        evaluate_occluded_coco([], in_memory([]))
    with pytest.raises(DataError, match=r"occluded-coco\.iou is 2"):
        evaluate_occluded_coco([found([])], listed([[(*A, 1, 1, 0)]]), iou=2)
