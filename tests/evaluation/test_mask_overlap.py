"""Overlap of masks on correct boxes, by hand: who is correct, what overlaps, and what the box would reach."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from listed_data import Listed
from torchvision import tv_tensors

import workbench as wb
from workbench.detectors import ShapeMasks
from workbench.errors import DataError
from workbench.evaluation import mask_overlap
from workbench.types import Detections

CAT, DOG = 1, 2
NAN = float("nan")


class Halves(Listed):
    """Every object fills the upper half of its box; amodally all of it."""

    def target(self, index):
        target = super().target(index)
        number = len(target["labels"])
        masks = torch.zeros(2, number, 100, 200, dtype=torch.bool)
        for row, (x1, y1, x2, y2) in enumerate(target["boxes"].int().tolist()):
            masks[0, row, y1 : (y1 + y2) // 2, x1:x2] = masks[1, row, y1:y2, x1:x2] = True
        return target | {"masks": tv_tensors.Mask(masks[0]), "masks_amodal": tv_tensors.Mask(masks[1])}


DATA = Halves([
    [(CAT, 0, 0, 40, 40, 0.0, 0), (CAT, 60, 0, 100, 40, 0.5, 0), (DOG, 120, 0, 160, 40, NAN, 0)],
    [(CAT, 0, 0, 40, 40, 0.0, 0), (CAT, 100, 0, 200, 100, 0.0, 1)],
])  # fmt: skip


def found(*rows: tuple) -> Detections:
    """Detections (label, score, box, box of the pixels of the mask)."""
    masks = torch.zeros(len(rows), 100, 200, dtype=torch.bool)
    for mask, (_, _, _, (x1, y1, x2, y2)) in zip(masks, rows, strict=True):
        mask[y1:y2, x1:x2] = True
    boxes = torch.tensor([row[2] for row in rows], dtype=torch.float32).reshape(-1, 4)
    labels = torch.tensor([row[0] for row in rows], dtype=torch.long)
    return Detections(boxes, labels, torch.tensor([float(row[1]) for row in rows]), masks)


FOUND = [
    found(
        (CAT, 0.9, (0, 0, 40, 40), (0, 0, 40, 10)),  # half of the first cat's mask
        (CAT, 0.8, (0, 0, 40, 39), (0, 0, 40, 20)),  # again, with a better mask: the object is taken
        (CAT, 0.7, (60, 0, 100, 40), (60, 0, 100, 40)),  # twice the second cat's mask
        (CAT, 0.6, (120, 0, 160, 40), (120, 0, 160, 20)),  # of another class
        (DOG, 0.5, (120, 0, 160, 19), (120, 0, 160, 20)),  # a box that overlaps by less than one half
    ),
    found(
        (CAT, 0.9, (0, 0, 40, 32), (0, 0, 40, 20)),  # IoU 0.8 of boxes, and all of the mask
        (CAT, 0.8, (100, 0, 200, 100), (100, 0, 200, 50)),  # the crowd
    ),
]


def test_overlap_by_hand():
    overlap = mask_overlap(FOUND, DATA, progress=False)
    table = overlap.frame()
    assert table[["image", "object", "class"]].values.tolist() == [[0, 0, "cat"], [0, 1, "cat"], [1, 3, "cat"]]
    assert table["overlap"].tolist() == pytest.approx([0.5, 0.5, 1.0])
    assert table["box"].tolist() == pytest.approx([1, 1, 0.8])
    assert table["filled"].tolist() == pytest.approx([0.5, 0.5, 800 / 1280])
    by_class = overlap.by_class
    assert by_class["n"].tolist() == [3, 0, 0]
    assert by_class["objects"].tolist() == [3, 1, 0]
    assert by_class["overlap"].tolist() == pytest.approx([2 / 3, NAN, NAN], nan_ok=True)
    assert by_class.loc["cat", "low"] < 2 / 3 < by_class.loc["cat", "high"]
    assert overlap.mean == pytest.approx(2 / 3)
    assert overlap.filled == pytest.approx((0.5 + 0.5 + 0.625) / 3)
    levels = overlap.by_occlusion
    assert levels["n"].tolist() == [2, 0, 0, 1, 0]
    assert levels["overlap"].tolist() == pytest.approx([0.75, NAN, NAN, 0.5, NAN], nan_ok=True)
    assert "3 of 4 objects have a correct box" in repr(overlap)


def test_amodal_masks():
    overlap = mask_overlap(FOUND, DATA, iou_type="segm-amodal", progress=False)
    assert overlap.frame()["overlap"].tolist() == pytest.approx([0.25, 1.0, 0.5])
    assert "amodal masks" in overlap._repr_html_()


def test_results_and_detectors_give_the_same():
    data = wb.load_data("digit-scenes", "test", length=6)
    detector = ShapeMasks.learn(wb.load_data("digit-scenes", length=40), progress=False).on(
        "digit-scenes/faster-rcnn"
    )
    of_detector = mask_overlap(detector, data, progress=False)
    of_list = mask_overlap(detector.detect([image for image, _ in data]), data, progress=False)
    of_result = mask_overlap(wb.evaluate(detector, data, progress=False), data, progress=False)
    for other in (of_list, of_result):
        np.testing.assert_allclose(other.frame()["overlap"], of_detector.frame()["overlap"])
    assert of_detector.mean > of_detector.filled


def test_what_has_no_masks_is_said():
    with pytest.raises(DataError, match=r'there is no target\["masks"\]'):
        mask_overlap(FOUND, Listed(DATA.objects), progress=False)
    bare = [Detections(one.boxes, one.labels, one.scores) for one in FOUND]
    with pytest.raises(DataError, match="some detections have no masks"):
        mask_overlap(bare, DATA, progress=False)
    with pytest.raises(DataError, match="1 entries came for 2 images"):
        mask_overlap(FOUND[:1], DATA, progress=False)
    scenes = wb.load_data("digit-scenes", "test", length=1)
    with pytest.raises(DataError, match="the detections have no masks"):
        mask_overlap("digit-scenes/faster-rcnn", scenes, progress=False)
    with pytest.raises(DataError, match="iou_type is 'bbox'"):
        mask_overlap(FOUND, DATA, iou_type="bbox")


def test_nothing_right():
    none = mask_overlap([found(), found()], DATA, progress=False)
    assert np.isnan(none.mean)
    assert none.by_class["n"].sum() == 0
