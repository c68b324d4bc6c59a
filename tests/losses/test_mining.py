"""OHEM on boxes worked by hand."""

from __future__ import annotations

import pytest
import torch

from workbench.errors import RecipeError
from workbench.losses import OHEM, build_mining

BOXES = torch.tensor(
    [[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30], [20, 20, 30, 30], [50, 50, 60, 60], [50, 50, 60, 55]]
)
LOSSES = torch.tensor([1.0, 2.0, 0.5, 0.4, 0.1, 3.0])
LABELS = torch.tensor([1, 0, 2, 0, 0, 0])


def test_of_neighbours_the_hardest_is_kept():
    """The first two overlap by 0.9, the next two fully, the last two by 0.5."""
    assert OHEM(kept=9)(BOXES, LABELS, LOSSES).tolist() == [1, 2, 4, 5]
    assert OHEM(kept=9, nms_iou=0.45)(BOXES, LABELS, LOSSES).tolist() == [1, 2, 5]


def test_the_hardest_are_kept_whatever_their_label():
    assert OHEM(kept=2)(BOXES, LABELS, LOSSES).tolist() == [1, 5], "two of background: there is no quota"


def test_per_label_neighbours_of_another_label_stay():
    assert OHEM(kept=9, per_label=True)(BOXES, LABELS, LOSSES).tolist() == [0, 1, 2, 3, 4, 5]
    assert OHEM(kept=9, per_label=True)(BOXES, LABELS * 0, LOSSES).tolist() == [1, 2, 4, 5]


def test_no_rois():
    assert len(OHEM()(BOXES[:0], LABELS[:0], LOSSES[:0])) == 0


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"kind": "easy"}, "kind 'easy' does not exist"),
        ({"kind": "ohem", "keep": 3}, "keep"),
        ({"kind": "ohem", "kept": 0}, "kept is 0"),
        ({"kind": "ohem", "nms_iou": 0}, "nms_iou is 0"),
    ],
)
def test_bad_configurations_say_what_exists(config, message):
    with pytest.raises(RecipeError, match=message):
        build_mining(config)
    assert build_mining(None) is None
