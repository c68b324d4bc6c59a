"""Whose answers are about the same thing: crosses on objects and beside them, outlines, crowds; by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from listed_data import Listed
from torchvision import tv_tensors

from workbench.annotation import Action
from workbench.annotation.counting.claims import gather_claims, near_each_other
from workbench.errors import DataError

CAT, DOG = 1, 2
#: Two cats, of which the small one lies within the large one's box, a dog, and a crowd of cats at the right.
ROOM = Listed(
    [[(CAT, 0, 0, 100, 100), (CAT, 40, 40, 60, 60), (DOG, 110, 0, 150, 50), (CAT, 160, 0, 200, 100, 0.0, 1)]]
)


def spot(worker: str, x: float, y: float, category: str = "cat") -> Action:
    return Action(worker, 0.0, "spot", 1, category=category, value={"point": [x, y]})


def draw(worker: str, *box: float, category: str = "cat", time: float = 0.0, **value) -> Action:
    x1, y1, x2, y2 = box
    value["bbox"] = [x1, y1, x2 - x1, y2 - y1]
    return Action(worker, time, "segment", 1, item=f"{worker} {box}", category=category, value=value)


def described(claims) -> list[tuple]:
    """Of each claim the worker, the item, and whether the item is there."""
    return [(claims.workers[one.worker], one.item, bool(claims.true[one.item])) for one in claims.claims]


def test_crosses_belong_to_the_smallest_free_object():
    crosses = [
        spot("a", 50, 50),  # in both: the small one
        spot("a", 51, 51),  # in both, the small one is taken: the large one
        spot("a", 52, 52),  # a third on two cats adds nothing
        spot("a", 10, 10),  # the large one once more
        spot("a", 150, 80),  # on nothing
        spot("a", 180, 50),  # in the crowd
        spot("b", 55, 45),
        spot("b", 156, 82),  # on nothing, near to that of a
    ]
    claims = gather_claims(crosses, "spot", ROOM)
    assert described(claims) == [("a", 1, True), ("a", 0, True), ("b", 1, True), ("a", 2, False), ("b", 2, False)]
    assert claims.votes.toarray().tolist() == [[1, 1, 1], [0, 1, 1]]
    apart = gather_claims(crosses, "spot", ROOM, near=5)
    assert described(apart)[-2:] == [("a", 2, False), ("b", 3, False)]


def test_crosses_belong_to_masks_where_these_are_known():
    class Drawn(Listed):
        def target(self, index):
            target = super().target(index)
            masks = torch.zeros(len(target["labels"]), 100, 200, dtype=torch.bool)
            masks[0, :30] = True  # the large cat is a stripe at the top; of the others the masks are unknown
            return target | {"masks": tv_tensors.Mask(masks)}

    claims = gather_claims([spot("a", 5, 80), spot("a", 150, 10), spot("a", 50, 50)], "spot", Drawn(ROOM.objects))
    assert described(claims) == [("a", 0, True), ("a", 1, True), ("a", 2, False)]


def test_an_unknown_truth_groups_crosses_by_distance():
    first, second, third = spot("a", 0, 0), spot("b", 10, 0), spot("c", 17, 0)
    assert near_each_other([first, second, third], 12) == [[first, second, third]]  # 17 is 12 from the mean of 5
    assert near_each_other([first, second, third], 11) == [[first, second], [third]]
    assert near_each_other([first, spot("a", 1, 0)], 12) == [[first], [spot("a", 1, 0)]]
    claims = gather_claims([first, second, third, spot("c", 90, 90, "dog")], "spot")
    assert claims.true is None
    assert claims.num_items == 2
    assert claims.looked.toarray().tolist() == [[1, 0], [1, 0], [1, 1]]  # c alone looked for dogs


def test_outlines_belong_to_what_they_overlap_best_whatever_the_class():
    drawn = [
        draw("a", 0, 0, 100, 80),  # IoU 0.8 with the large cat
        draw("a", 0, 0, 100, 100, category="dog"),  # 1.0, so that the other one is of nothing
        draw("b", 110, 0, 150, 25, category="dog"),  # 0.5 with the dog
        draw("b", 110, 0, 150, 24, category="dog"),
        draw("b", 160, 0, 200, 40),  # in the crowd
        draw(
            "c", 1, 0, 101, 80
        ),  # like that of a, which is of nothing; but c has no other, and it is 0.78 of the cat
    ]
    claims = gather_claims(drawn, "segment", ROOM)
    found = {(claims.workers[one.worker], one.action.value["bbox"][3]): one for one in claims.claims}
    assert {key: (one.item, bool(claims.true[one.item])) for key, one in found.items()} == {
        ("a", 100): (0, True), ("b", 25): (2, True), ("c", 80): (0, True),
        ("a", 80): (3, False), ("b", 24): (4, False),
    }  # fmt: skip
    assert found["a", 100].wrong_class
    assert not found["b", 25].wrong_class
    assert found["b", 25].overlap == pytest.approx(0.5)
    assert found["b", 25].stretch == pytest.approx((0, 0, -0.5))  # its top is on the edge of the image
    assert found["c", 80].stretch == pytest.approx((0.01, 0.01, -0.2))


def test_outlines_are_compared_by_masks_where_all_have_one():
    class Drawn(Listed):
        def target(self, index):
            masks = torch.zeros(1, 100, 200, dtype=torch.bool)
            masks[0, :50, :100] = True
            return super().target(index) | {"masks": tv_tensors.Mask(masks)}

    data = Drawn([[(CAT, 0, 0, 100, 100)]])
    half = [[0, 0, 100, 0, 100, 50, 0, 50]]
    polygon = draw("a", 0, 0, 100, 100, segmentation=half)
    assert gather_claims([polygon], "segment", data).claims[0].overlap == pytest.approx(1.0)
    both = gather_claims([polygon, draw("b", 0, 0, 100, 100)], "segment", data)  # b has none: boxes are compared
    assert [one.overlap for one in both.claims] == [1.0, 1.0]
    other = draw("a", 0, 0, 100, 100, segmentation=[[0, 50, 100, 50, 100, 100, 0, 100]])
    assert described(gather_claims([other], "segment", data)) == [("a", 1, False)]
    with pytest.raises(DataError, match=r"a segment of 'a' in image 1: .*polygon"):
        gather_claims([draw("a", 0, 0, 9, 9, segmentation=[["x"]])], "segment", data)


def test_votes_are_claims_that_a_segment_is_bad():
    votes = [Action(w, 0, "verify", 1, item=s, value={"bad": b}) for w, s, b in (("a", "s", True), ("a", "t", False))]
    claims = gather_claims(votes, "verify", {"t"})
    assert claims.units == ((1, "s"), (1, "t"))
    assert claims.true.tolist() == [False, True]
    assert claims.votes.toarray().tolist() == [[1, 0]]


def test_what_does_not_fit_is_named():
    named = Action("a", 1, "label", 1, category="cat")
    with pytest.raises(DataError, match="there is no action of stage 'spot'"):
        gather_claims([named], "spot")
    with pytest.raises(DataError, match="nothing can be counted of stage 'collect'"):
        gather_claims([named], "collect")
    with pytest.raises(DataError, match="there is no image 9 in listed all"):
        gather_claims([Action("a", 1, "label", 9, category="cat")], "label", ROOM)
    with pytest.raises(DataError, match="there is no class 'cow' in listed"):
        gather_claims([Action("a", 1, "label", 1, category="cow")], "label", ROOM)
    with pytest.raises(DataError, match="the truth of 'label' is a set; expected data with objects"):
        gather_claims([named], "label", {"s"})
    with pytest.raises(DataError, match="iou and near are 0 and 16"):
        gather_claims([named], "label", iou=0)


def test_images_go_by_id_or_by_file_name():
    by_name = Action("a", 1, "label", "000000.png", category="cat")
    claims = gather_claims([by_name], "label", ROOM)
    assert described(claims) == [("a", 0, True)]


def test_without_anybody_who_claims_anything():
    claims = gather_claims([Action("a", 1, "label", 1, kind="done")], "label", ROOM)
    assert claims.votes.shape == (1, 2)
    assert claims.votes.nnz == 0
    assert np.array_equal(claims.true, [True, True])  # a cat and a dog
