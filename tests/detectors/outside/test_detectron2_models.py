"""Predictors of detectron2, by a stand-in with what they document: colours, thresholds, masks."""

from __future__ import annotations

import pytest
import torch
from outside_stand_ins import BOX, DefaultPredictor

from workbench import wrap

RED = torch.zeros(3, 24, 32, dtype=torch.uint8)
RED[0] = 204


def test_blue_comes_first_and_instances_are_read():
    detector = wrap(DefaultPredictor(threshold=0.05))
    (found,) = detector.detect([RED])
    assert detector.classes == ("person", "lamp")
    assert found.labels.tolist() == [2, 1]
    assert found.scores.tolist() == pytest.approx([0.8, 0.1])
    assert found.boxes.tolist() == [list(BOX)] * 2
    assert int(found.masks[0].sum()) == 16 * 16
    assert detector.mask_key == "masks"
    assert detector.notes == ()


def test_a_demos_threshold_is_said_and_can_be_changed_for_the_detector_alone():
    predictor = DefaultPredictor(threshold=0.7, masks=False)
    as_it_is, lower = wrap(predictor), wrap(predictor, score_threshold=0.0)
    assert len(as_it_is.detect([RED])[0]) == 1
    assert "below 0.7, which lowers AP; wrap(..., score_threshold=0.05)" in as_it_is.notes[0]
    assert len(lower.detect([RED])[0]) == 2
    assert lower.notes == ()
    assert predictor.model.roi_heads.box_predictor.test_score_thresh == 0.7
    assert lower.mask_key is None
