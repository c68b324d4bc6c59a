"""Which proposal reaches which object, by hand."""

import numpy as np
import torch

from workbench.evaluation.counting.reach import GROUPS, Reached, members_of, ranks_of
from workbench.evaluation.counting.tables import gather_objects
from workbench.types import Proposals

LEFT, RIGHT, BOTH = [0.0, 0, 10, 10], [10.0, 0, 20, 10], [0.0, 0, 16, 10]


def objects(boxes, **extra):
    boxes = torch.tensor(boxes).reshape(-1, 4)
    return gather_objects([{"boxes": boxes, "labels": torch.ones(len(boxes)), **extra}], [(30, 30)])


def ranks(proposals, boxes, members):
    return ranks_of(Proposals.ranked(torch.tensor(proposals)), objects(boxes), np.array(members))


def test_each_takes_the_free_object_that_it_overlaps_most():
    # BOTH overlaps the left one by 100 / 160 = 0.625 and the right one by 60 / 200 = 0.3.
    found = ranks([BOTH, LEFT, RIGHT], [LEFT, RIGHT], [[True, True]])[0]
    assert found[0].tolist() == [1, 3], "IoU 0.5: the first proposal has the left one"
    assert found[3].tolist() == [2, 3], "IoU 0.65: it reaches nothing"


def test_objects_of_other_groups_are_not_in_the_way():
    twins = [LEFT, LEFT]
    assert ranks([LEFT], twins, [[True, True], [True, False], [False, True], [False, False]])[:, 0].tolist() == [
        [0, 1], [1, 0], [0, 1], [0, 0],
    ]  # fmt: skip


def test_nothing_reaches_nothing():
    assert ranks(np.zeros((0, 4), np.float32), [LEFT], [[True]]).tolist() == [[[0]] * 10]
    assert ranks([LEFT], np.zeros((0, 4), np.float32), np.zeros((1, 0), bool)).shape == (1, 10, 0)


def test_groups_are_sizes_and_levels_of_occlusion():
    """Areas 32² and 96² count for both neighbours, as COCO's do; crowds count for none."""
    sides = torch.tensor([10.0, 32, 96, 97, 20])
    boxes = torch.stack([0 * sides, 0 * sides, sides, sides], dim=1).tolist()
    extra = {"iscrowd": torch.tensor([0, 0, 0, 0, 1]), "occlusion": torch.tensor([0.0, 0.05, 0.2, float("nan"), 0.9])}
    groups = dict(zip(GROUPS, members_of(objects(boxes, **extra)), strict=True))
    known = {name: np.flatnonzero(member).tolist() for name, member in groups.items()}
    assert known == {
        "all": [0, 1, 2, 3], "small": [0, 1], "medium": [1, 2], "large": [2, 3],
        "< 5 %": [0], "5–20 %": [1], "20–40 %": [2], "40–60 %": [], "≥ 60 %": [], "occluded": [2],
    }  # fmt: skip


def test_counts_and_means_by_hand():
    """Two images with two and one objects, of which the best three proposals reach one each."""
    members = np.array([[True, True, True], [True, False, False]])
    found = np.array([[[1, 0, 3]], [[2, 0, 0]]], np.int32)
    reached = Reached(2, np.array([0, 0, 1]), members, found)
    assert reached.counts().tolist() == [3, 1]
    assert reached.by_number(4).tolist() == [[[1, 1, 2, 2]], [[0, 1, 1, 1]]]
    assert reached.within(2)[:, 0].tolist() == [[True, False, False], [True, False, False]]
    values = np.array([[1.0, 0, 0.5], [1, 9, 9]])
    assert reached.means(values).tolist() == [[0.5, 1]], "what a group does not have does not count"
    weighted = reached.means(values, np.array([[2.0, 0], [0, 2]]))
    assert weighted[:, 0].tolist() == [0.5, 0.5]
    assert np.isnan(weighted[1, 1]), "none of its objects is drawn"
