"""Models of ultralytics, by a stand-in with what they document: results, colours, thresholds, masks."""

from __future__ import annotations

import pytest
import torch
from outside_stand_ins import BOX, YOLO

from workbench import wrap

BLUE = torch.zeros(3, 24, 32, dtype=torch.uint8)
BLUE[2] = 204


def test_blue_comes_first_and_little_is_left_out():
    model = YOLO()
    detector = wrap(model)
    (found,) = detector.detect([BLUE])
    assert detector.classes == ("person", "lamp")
    assert model.seen[0][3, 3].tolist() == [204, 0, 0]
    assert model.asked["conf"] == 0.001
    assert found.labels.tolist() == [2, 1]
    assert found.scores.tolist() == pytest.approx([0.8, 0.01])
    assert found.boxes.tolist() == [list(BOX)] * 2
    assert detector.notes == ()
    assert detector.mask_key is None


def test_a_usual_threshold_is_said_to_ruin_the_ap():
    detector = wrap(YOLO(), score_threshold=0.25, nms_iou=0.5, max_detections=10)
    assert len(detector.detect([BLUE])[0]) == 1
    assert detector.family.settings == {"conf": 0.25, "iou": 0.5, "max_det": 10}
    assert "below 0.25, which lowers AP" in detector.notes[0]


def test_masks_come_in_the_size_of_the_image():
    detector = wrap(YOLO("segment"), {"lamp": "light"})
    (found,) = detector.detect([BLUE])
    assert found.masks.shape == (2, 24, 32)
    assert int(found.masks[0].sum()) == 16 * 16
    assert detector.mask_key == "masks"
    assert detector.classes == ("person", "light")


def test_its_train_is_never_called():
    """It starts a training there; modules are put into evaluation mode by it."""
    detector = wrap(YOLO())
    detector.eval()
    detector.to("cpu").detect([BLUE])
    with pytest.raises(AssertionError, match="a training was started"):
        YOLO().eval()
