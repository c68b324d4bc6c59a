"""Mean shapes by hand: what is averaged, which one is pasted where, and any detector with them."""

from __future__ import annotations

import pytest
import torch
from bright_detector import BrightDetector
from listed_data import Listed
from torchvision import tv_tensors

import workbench as wb
from workbench.detectors import ShapeMasks, save_detector
from workbench.detectors.shape_masks import TENSORS
from workbench.errors import DataError, WeightsError
from workbench.types import Detections

CAT, DOG = 1, 2


class Shaped(Listed):
    """Cats fill the upper half of their boxes, or where these are wide the left half; dogs fill all; no cups."""

    def target(self, index):
        target = super().target(index)
        masks = torch.zeros(len(target["labels"]), 100, 200, dtype=torch.bool)
        for mask, label, box in zip(masks, target["labels"], target["boxes"].int().tolist(), strict=True):
            x1, y1, x2, y2 = box
            if label == CAT:
                wide = x2 - x1 > y2 - y1
                x2, y2 = ((x1 + x2) // 2, y2) if wide else (x2, (y1 + y2) // 2)
            mask[y1:y2, x1:x2] = True
        return target | {"masks": tv_tensors.Mask(masks)}


DATA = Shaped([
    [(CAT, 0, 0, 20, 40), (CAT, 30, 0, 50, 40), (CAT, 60, 0, 100, 20), (DOG, 110, 0, 150, 40)],
    [(CAT, 0, 0, 48, 24), (DOG, 110, 0, 130, 60), (CAT, 60, 0, 63, 40), (CAT, 0, 50, 99, 99, 0.0, 1)],
])  # fmt: skip


def learned(**options) -> ShapeMasks:
    return ShapeMasks.learn(DATA, **{"aspects": 2, "side": 8, "progress": False, **options})


def test_means_by_hand():
    shapes = learned()
    assert shapes.counts.tolist() == [[2, 2], [1, 1], [0, 0]]  # neither the thin cat nor the crowd
    tall, wide = torch.zeros(8, 8), torch.zeros(8, 8)
    tall[:4] = wide[:, :4] = 1
    assert torch.equal(shapes.means[0, 0], tall)
    assert torch.equal(shapes.means[0, 1], wide)
    assert torch.equal(shapes.means[1, 0], torch.ones(8, 8))
    assert shapes.ratios[0].tolist() == pytest.approx([0.5, 2.0])
    torch.testing.assert_close(shapes.overall, (2 * tall + 2 * wide + 2) / 6)
    one = learned(aspects=1)
    torch.testing.assert_close(one.means[0, 0], (tall + wide) / 2)


def test_the_shape_of_class_and_aspect_is_pasted():
    boxes = torch.tensor([[10.0, 10, 30, 50], [10, 10, 50, 30], [100, 10, 120, 50], [100, 50, 140, 90]])
    found = Detections(boxes, torch.tensor([CAT, CAT, DOG, 3]), torch.linspace(1, 0.5, 4), extras={"more": boxes})
    pasted = learned().paste(found, (100, 200))
    masks = pasted.masks
    hand = torch.zeros(3, 100, 200, dtype=torch.bool)
    hand[0, 10:30, 10:30] = hand[1, 10:30, 10:30] = hand[2, 10:50, 100:120] = True
    assert all((mask ^ own).sum() <= 0.06 * own.sum() for mask, own in zip(masks[:3], hand, strict=True))
    outside = masks.clone()
    for mask, box in zip(outside, boxes.int().tolist(), strict=True):
        mask[box[1] : box[3], box[0] : box[2]] = False
    assert outside.sum() <= 0.03 * masks.sum()  # bilinear edges
    corner = masks[3, 52:68, 102:118].float().mean()  # of all: what cats and dogs have, the upper left
    assert corner > 0.95
    assert not masks[3, 72:88, 122:138].any()
    assert pasted.extras["more"] is boxes
    assert torch.equal(pasted.boxes, boxes)
    assert len(learned().paste(found[:0], (100, 200)).masks) == 0


def test_classes_go_by_name():
    box = Detections(torch.tensor([[10.0, 10, 30, 50]]), torch.tensor([2]), torch.tensor([0.9]))
    as_dog = learned().paste(box, (100, 200)).masks[0]
    as_cat = learned().paste(box, (100, 200), classes=("cow", "cat")).masks[0]
    assert as_cat.sum() < 0.6 * as_dog.sum()


def test_the_best_threshold_is_that_of_the_highest_iou():
    class Odd(Shaped):
        """Of three cats two fill all, and one the upper half: a cell of the lower half has a mean of 2/3."""

        def target(self, index):
            target = super().target(index)
            for mask, box in zip(target["masks"][:2], target["boxes"].int().tolist(), strict=False):
                mask[box[1] : box[3], box[0] : box[2]] = True
            return target

    data = Odd([[(CAT, 0, 0, 20, 40), (CAT, 30, 0, 50, 40), (CAT, 60, 0, 80, 40)]])
    shapes = ShapeMasks.learn(data, aspects=1, side=8, threshold="best", progress=False)
    # Up to 2/3 all is kept: (1 + 1 + 1/2) / 3 = 5/6. Above, the upper half: (1/2 + 1/2 + 1) / 3 = 2/3.
    assert shapes.thresholds[0] <= 0.65
    assert shapes.thresholds[2] == 0.5  # of cups nobody knows
    assert learned(threshold=0.3).thresholds.tolist() == pytest.approx([0.3] * 3)


def test_only_so_many_and_amodal_ones():
    assert learned(most=1).counts.sum(1).tolist() == [1, 1, 0]
    scenes = wb.load_data("digit-scenes", "test", length=30)
    visible, amodal = (ShapeMasks.learn(scenes, learn=one, progress=False) for one in ("visible", "amodal"))
    assert amodal.means.mean() > visible.means.mean()
    assert "amodal masks" in repr(amodal)


def test_any_detector_with_shapes_is_a_detector_with_masks():
    detector = wb.wrap(BrightDetector(("cup", "dog", "cat"), [[10, 10, 30, 50], [60, 10, 100, 50]], [3, 2]))
    shaped = learned().on(detector)
    image = torch.full((3, 100, 200), 200, dtype=torch.uint8)
    found = shaped.detect([image])[0]
    assert found.masks.shape == (2, 100, 200)
    assert found.labels.tolist() == detector.detect([image])[0].labels.tolist() == [3, 2]
    assert shaped.classes == ("cup", "dog", "cat")
    assert shaped.mask_key == "masks"
    assert "Without a shape of their own are cup" in shaped.notes[-1]
    result = wb.evaluate(shaped, load_bright(), progress=False, iou_type="segm")
    assert result.summary["AP50"] > 0.9


def load_bright() -> Listed:
    class Bright(Shaped):
        def image(self, index):
            return torch.full((3, 100, 200), 200, dtype=torch.uint8)

    return Bright([[(CAT, 10, 10, 30, 50), (DOG, 60, 10, 100, 50)]])


@pytest.mark.parametrize("aspects", [1, 2])
def test_saved_and_loaded(tmp_path, aspects):
    shapes = learned(aspects=aspects, threshold="best")
    path = shapes.save(tmp_path / "new" / "shapes.safetensors")
    again = ShapeMasks.load(path)
    assert (again.classes, again.learned) == (shapes.classes, shapes.learned)
    assert all(torch.equal(getattr(again, name), getattr(shapes, name)) for name in TENSORS)
    content = bytearray(path.read_bytes())
    assert again.save(tmp_path / "again.safetensors").read_bytes() == content
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="is damaged"):
        ShapeMasks.load(path)
    detector = save_detector(wb.load_detector("digit-scenes/faster-rcnn"), tmp_path / "d.safetensors", half=True)
    with pytest.raises(WeightsError, match="holds no shapes"):
        ShapeMasks.load(detector)
    with pytest.raises(WeightsError, match="not a readable"):
        ShapeMasks.load(tmp_path / "none.safetensors")


def test_what_does_not_fit_is_named():
    with pytest.raises(DataError, match="no object has masks"):
        ShapeMasks.learn(Listed(DATA.objects), progress=False)
    with pytest.raises(DataError, match="threshold is 0"):
        learned(threshold=0)
    with pytest.raises(DataError, match="aspects, side, most, learn are 0"):
        learned(aspects=0)
    with pytest.raises(DataError, match="no class is the same"):
        learned().on("digit-scenes/faster-rcnn")
