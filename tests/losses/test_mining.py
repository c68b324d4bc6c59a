"""OHEM on boxes worked by hand."""

from __future__ import annotations

import re

import pytest
import torch
from torchvision.ops import nms

from workbench.errors import RecipeError
from workbench.losses import OHEM, AnchorOHEM, build_anchor_mining, build_mining
from workbench.losses.mining import hardest

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
    with pytest.raises(RecipeError, match=re.escape(message)):
        build_mining(config)
    assert build_mining(None) is None


def test_looking_at_few_gives_what_looking_at_all_gives():
    generator = torch.Generator().manual_seed(0)
    corner = 60 * torch.rand(900, 2, generator=generator)
    boxes = torch.cat([corner, corner + 20], dim=1)
    losses = torch.rand(900, generator=generator)
    groups = torch.zeros(900, dtype=torch.long)
    survivors = nms(boxes, losses, 0.5)
    for kept in (1, 7, 30, 10_000):
        assert torch.equal(hardest(boxes, losses, groups, nms_iou=0.5, kept=kept), survivors[:kept])


def test_the_hardest_anchors_without_the_ignored_ones():
    labels = torch.tensor([1, -1, 2, 0, 0, 0])
    assert AnchorOHEM(kept=9)(BOXES, labels, LOSSES).tolist() == [0, 2, 4, 5], "the last two overlap by just 0.5"
    assert AnchorOHEM(kept=2, nms_iou=0.4)(BOXES, labels, LOSSES).tolist() == [0, 5]


def test_three_of_background_for_each_of_an_object():
    labels = torch.tensor([1, 0, 2, 0, 0, 0])
    mining = build_anchor_mining({"kind": "ohem-1:3", "kept": 4})
    assert mining(BOXES, labels, LOSSES).tolist() == [0, 1, 3, 5], "of the objects the harder; 3 of background"
    assert mining(BOXES, labels * 0, LOSSES).tolist() == [1, 2, 5], "no object: as if there was one"
    everything = AnchorOHEM(kept=100, negatives_per_positive=3)(BOXES, labels, LOSSES).tolist()
    assert everything == [0, 1, 2, 3, 4, 5], "objects are not suppressed by background"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"kind": "ohem-1:4"},
            "mining.kind 'ohem-1:4' does not exist (did you mean 'ohem-1:3'?); choose one of",
        ),
        ({"kind": "ohem", "per_label": True}, "per_label"),
        ({"kind": "ohem", "nms_iou": 2}, "mining.nms_iou is 2"),
        ({"kind": "ohem-1:3", "kept": 3}, "negatives_per_positive is 3"),
    ],
)
def test_bad_configurations_for_anchors_say_what_exists(config, message):
    with pytest.raises(RecipeError, match=re.escape(message)):
        build_anchor_mining(config)
    assert build_anchor_mining(None) is None
