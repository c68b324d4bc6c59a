"""Ensembles: what is merged, what goes, and that they are scored like any detector."""

import pytest
import torch
from torch import nn

from workbench.data import load_data
from workbench.detectors.base import Detector
from workbench.detectors.ensemble import Ensemble
from workbench.errors import DataError
from workbench.evaluation import evaluate
from workbench.types import Detections

IMAGE = torch.zeros(3, 40, 40)


class Fixed(Detector):
    """Finds the same rows (x1, y1, x2, y2, label, score) in every image."""

    def __init__(self, rows, classes=("one", "two"), needs_proposals=False, masks=False):
        super().__init__()
        self.rows = torch.tensor(rows, dtype=torch.float32).reshape(-1, 6)
        self.classes, self.needs_proposals, self.masks = tuple(classes), needs_proposals, masks
        self.weight = nn.Parameter(torch.zeros(()))
        self.given = None

    def detect(self, images, proposals=None):
        self.given = proposals
        masks = torch.ones(len(self.rows), 40, 40, dtype=torch.bool) if self.masks else None
        one = Detections(self.rows[:, :4], self.rows[:, 4].long(), self.rows[:, 5], masks)
        return [one for _ in images]

    def score_boxes(self, images, boxes):
        return [torch.full((len(some), 3), float(self.rows[0, 5])) for some in boxes]


A = Fixed([(0, 0, 10, 10, 1, 0.9), (20, 20, 30, 30, 2, 0.3)])
B = Fixed([(0, 0, 10, 9, 1, 0.8), (0, 0, 10, 10, 2, 0.7), (20, 20, 30, 30, 2, 0.4)])


def test_of_two_that_overlap_in_one_class_the_better_stays():
    found = Ensemble([A, B]).detect([IMAGE, IMAGE])
    assert len(found) == 2
    assert found[1].scores.tolist() == pytest.approx([0.9, 0.7, 0.4])  # 0.8 and 0.3 had a better one over them
    assert found[1].labels.tolist() == [1, 2, 2]
    assert Ensemble([A, B], nms_iou=0.95).detect([IMAGE])[0].scores.tolist() == pytest.approx([0.9, 0.8, 0.7, 0.4])
    assert len(Ensemble([A, B], max_detections=2).detect([IMAGE])[0]) == 2


def test_the_order_of_the_members_does_not_matter():
    first, second = (Ensemble(members).detect([IMAGE])[0] for members in ([A, B], [B, A]))
    assert torch.equal(first.boxes, second.boxes)
    assert torch.equal(first.scores, second.scores)


def test_masks_stay_where_all_have_them():
    masked = Fixed([(0, 0, 10, 10, 1, 0.9)], masks=True)
    assert Ensemble([masked, masked]).detect([IMAGE])[0].masks.shape == (1, 40, 40)
    assert Ensemble([masked, A]).detect([IMAGE])[0].masks is None


def test_extras_stay_where_all_have_them_in_one_shape():
    class Adding(Fixed):
        def __init__(self, rows, **extras):
            super().__init__(rows)
            self.extras = extras

        def detect(self, images, proposals=None):
            found = super().detect(images)
            for one in found:
                one.extras.update(self.extras)
            return found

    low, high = [(0, 0, 10, 10, 1, 0.3)], [(20, 20, 30, 30, 2, 0.9)]
    first = Adding(low, shape=torch.tensor([1.0]), own=torch.zeros(1), size=torch.zeros(1, 2))
    second = Adding(high, shape=torch.tensor([2.0]), size=torch.zeros(1, 3))
    (found,) = Ensemble([first, second]).detect([IMAGE])
    assert found.extras.keys() == {"shape"}
    assert found.extras["shape"].tolist() == [2.0, 1.0], "in the order of the detections"


def test_proposals_go_to_those_that_need_them():
    asks, plain = Fixed([(0, 0, 10, 10, 1, 0.9)], needs_proposals=True), Fixed([(0, 0, 10, 10, 1, 0.9)])
    both = Ensemble([asks, plain])
    assert both.needs_proposals
    boxes = [torch.zeros(1, 4)]
    both.detect([IMAGE], boxes)
    assert asks.given is boxes
    assert plain.given is None
    assert not Ensemble([plain]).needs_proposals


def test_scores_of_boxes_are_the_mean():
    scores = Ensemble([A, B]).score_boxes([IMAGE], [torch.zeros(2, 4)])
    assert scores[0].tolist() == [pytest.approx([0.85] * 3)] * 2


def test_members_must_fit_together():
    with pytest.raises(DataError, match=r"detector 1 of the ensemble knows the classes one, three.*relabel\("):
        Ensemble([A, Fixed([], classes=("one", "three"))])
    with pytest.raises(DataError, match="at least one"):
        Ensemble([])
    with pytest.raises(DataError, match="nms_iou is 0"):
        Ensemble([A], nms_iou=0)


def test_it_is_evaluated_like_any_detector():
    data = load_data("digit-scenes", "test", length=4)
    target = data.target(0)
    pairs = zip(target["boxes"].tolist(), target["labels"].tolist(), strict=True)
    rows = [(*box, label, 0.9) for box, label in pairs]
    members = [Fixed(rows[::2], data.classes), Fixed(rows[1::2], data.classes)]
    alone = evaluate(members[0], data.subset([0]), progress=False)
    both = evaluate(Ensemble(members), data.subset([0]), progress=False)
    assert both.summary["AP"] == pytest.approx(1)
    assert alone.summary["AP"] < 1
