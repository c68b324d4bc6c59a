"""What is true of a target once pixels are hidden: by hand, and to the pixel for whatever is hidden."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.data.dataset import make_target
from workbench.hiders import Hider, Scene, after_hiding, build_hiders
from workbench.types import learnable

HEIGHT, WIDTH = 12, 16


def pixels(rows: slice, columns: slice, size: tuple[int, int] = (HEIGHT, WIDTH)) -> torch.Tensor:
    mask = torch.zeros(size, dtype=torch.bool)
    mask[rows, columns] = True
    return mask


def scene_target(**more):
    """A whole object of 4 x 6 pixels, and one of 4 x 8 of which the right half is hidden already."""
    first, second = pixels(slice(2, 6), slice(1, 7)), pixels(slice(7, 11), slice(4, 12))
    seen = second & ~pixels(slice(0, 12), slice(8, 16))
    return make_target(
        image_id=3,
        size=(HEIGHT, WIDTH),
        boxes=torch.tensor([[1.0, 2, 7, 6], [4, 7, 12, 11]]),
        labels=torch.tensor([1, 2]),
        area=torch.tensor([24.0, 16]),
        occlusion=torch.tensor([0.0, 0.5]),
        masks=torch.stack([first, seen]),
        masks_amodal=torch.stack([first, second]),
        boxes_visible=torch.tensor([[1.0, 2, 7, 6], [4, 7, 8, 11]]),
        **more,
    )


def test_by_hand_where_all_pixels_are_known():
    """The left column of the first object, and the lower two rows of the second one."""
    hidden = pixels(slice(0, 6), slice(0, 2)) | pixels(slice(9, 12), slice(0, 16))
    before = scene_target()
    kept = copy.deepcopy(dict(before))
    after = after_hiding(before, hidden)
    assert after["occlusion"].tolist() == [pytest.approx(4 / 24), pytest.approx(24 / 32)]
    assert after["area"].tolist() == [20, 8]
    assert after["masks"].sum((1, 2)).tolist() == [20, 8]
    assert torch.equal(after["masks_amodal"], before["masks_amodal"])
    assert after["boxes"].tolist() == before["boxes"].tolist()
    assert after["boxes_visible"].tolist() == [[2, 2, 7, 6], [4, 7, 8, 9]]
    assert int(after["mask_occluder"].sum()) == 16 + 4 + 8, "what hid before, and what hides of either now"
    assert not after["ignored"].any()
    for key, value in kept.items():  # the target that was given is as it was
        assert torch.equal(torch.as_tensor(before[key]), torch.as_tensor(value)), key


def test_boxes_around_what_is_left():
    hidden = pixels(slice(0, 6), slice(0, 2))
    assert after_hiding(scene_target(), hidden, boxes="visible")["boxes"].tolist() == [[2, 2, 7, 6], [4, 7, 12, 11]]


@pytest.mark.parametrize(("columns", "ignored"), [(4, False), (5, True), (6, True)])
def test_too_little_left_is_ignored_and_never_background(columns, ignored):
    """Of 24 pixels 8, 4 or none are left; to half a pixel 0.2 of 24 must be."""
    after = after_hiding(scene_target(), pixels(slice(0, 6), slice(1, 1 + columns)), least_visible=0.2)
    assert after["ignored"].tolist() == [ignored, False]
    assert learnable(after).tolist() == [not ignored, True]


def test_half_a_pixel_is_no_matter():
    """0.7 of 24 are 16.8; hiding 17 leaves 7 where 7.2 are wanted."""
    one = pixels(slice(2, 6), slice(1, 5)) | pixels(slice(2, 3), slice(5, 6))
    assert not after_hiding(scene_target(), one, least_visible=0.3)["ignored"].any()
    assert after_hiding(scene_target(), one | pixels(slice(3, 4), slice(5, 6)), least_visible=0.3)["ignored"][0]


def test_what_was_hidden_too_much_before_is_learned_unless_it_is_touched():
    target = scene_target()
    assert not after_hiding(target, pixels(slice(0, 6), slice(0, 2)), least_visible=0.6)["ignored"].any()
    assert after_hiding(target, pixels(slice(7, 8), slice(0, 16)), least_visible=0.6)["ignored"].tolist() == [
        False,
        True,
    ]


def test_masks_without_whole_ones():
    """As COCO has them: half of the second one is known to be hidden, nothing of the first one."""
    target = scene_target()
    del target["masks_amodal"], target["mask_occluder"]
    target["occlusion"] = torch.tensor([torch.nan, 0.5])
    after = after_hiding(target, pixels(slice(0, 12), slice(0, 5)))
    assert after["occlusion"].tolist() == [pytest.approx(16 / 24), pytest.approx(1 - 12 / 32)]
    assert "mask_occluder" not in after, "what hides by itself is not known, so none of it is claimed"


def test_boxes_alone_count_each_pixel_once():
    """The left half twice, and then the upper half: three quarters."""
    target = {"boxes": torch.tensor([[2.0, 2, 10, 10]]), "labels": torch.tensor([1])}
    left, top = pixels(slice(0, 12), slice(0, 6)), pixels(slice(0, 6), slice(0, 16))
    once = after_hiding(target, left)
    twice = after_hiding(once, left)
    assert once["occlusion"].tolist() == twice["occlusion"].tolist() == [0.5]
    assert after_hiding(twice, top)["occlusion"].tolist() == [0.75]
    assert set(once) == {"boxes", "labels", "mask_hidden", "occlusion", "ignored"}


def test_boxes_of_visible_parts_are_what_is_hidden_of():
    target = {
        "boxes": torch.tensor([[0.0, 0, 8, 8]]),
        "boxes_visible": torch.tensor([[0.0, 0, 8, 4]]),
        "labels": torch.tensor([1]),
        "occlusion": torch.tensor([0.5]),
    }
    after = after_hiding(target, pixels(slice(0, 12), slice(0, 4)))
    assert after["occlusion"].tolist() == [0.75]
    assert after["boxes_visible"].tolist() == [[4, 0, 8, 4]]
    assert after["boxes"].tolist() == [[0, 0, 8, 8]]


def test_faces_become_occluded_ones():
    target = scene_target(more={"face_type": torch.tensor([2, 2])})
    assert after_hiding(target, pixels(slice(0, 6), slice(0, 2)))["face_type"].tolist() == [1, 2]
    assert after_hiding(target, pixels(slice(2, 3), slice(1, 2)))["face_type"].tolist() == [2, 2], "less than 5 %"


def test_images_without_objects():
    target = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)}
    after = after_hiding(target, pixels(slice(0, 6), slice(0, 2)))
    assert int(after["mask_hidden"].sum()) == 12
    assert len(after["labels"]) == 0


@st.composite
def objects(draw):
    """Up to four objects of random pixels, hidden in part by each other, and what is hidden one after another."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    size, number = (draw(st.integers(3, 14)), draw(st.integers(3, 14))), draw(st.integers(1, 4))
    whole = torch.from_numpy(rng.random((number, *size)) < rng.uniform(0.05, 0.9))
    whole[:, 0, 0] = True  # each has a pixel
    owner = torch.from_numpy(rng.integers(0, number + 1, size))
    seen = whole & (owner == torch.arange(1, number + 1)[:, None, None])
    hidden = [torch.from_numpy(rng.random(size) < rng.uniform(0, 0.7)) for _ in range(3)]
    return whole, seen, hidden, rng.uniform(0, 1)


@given(objects())
@settings(max_examples=60, deadline=None)
def test_occlusion_is_hidden_over_own_pixels_to_the_pixel(case):
    whole, seen, each, least = case
    own, size = whole.flatten(1).sum(1), tuple(whole.shape[1:])
    target = make_target(
        image_id=1,
        size=size,
        boxes=torch.tensor([[0.0, 0, size[1], size[0]]] * len(whole)),
        labels=torch.ones(len(whole)),
        area=seen.flatten(1).sum(1),
        occlusion=1 - seen.flatten(1).sum(1) / own,
        masks=seen,
        masks_amodal=whole,
    )
    covered = torch.zeros(size, dtype=torch.bool)
    for hidden in each:
        target, covered = after_hiding(target, hidden, least_visible=least), covered | hidden
        left = seen & ~covered
        count = left.flatten(1).sum(1)
        unknown = ~seen.flatten(1).any(1)  # hidden whole before: nothing can be done to it
        torch.testing.assert_close(target["occlusion"][~unknown], (own - count)[~unknown] / own[~unknown])
        assert torch.equal(target["masks"].as_subclass(torch.Tensor), left)
        assert torch.equal(target["area"][~unknown].long(), count[~unknown])
        assert torch.equal(target["mask_hidden"].as_subclass(torch.Tensor), covered)
        touched = (count < seen.flatten(1).sum(1)) & ~unknown
        ignored = target.get("ignored", torch.zeros_like(unknown))  # nothing was hidden so far
        assert ignored[touched & (count == 0)].all()
        assert not ignored[~touched & ~unknown].any()


def test_a_chance_rises_over_the_training():
    hider = build_hiders({"kind": "paste", "chance": 0.8, "ramp": 0.5})[0]
    assert [hider.chance_at(progress) for progress in (0.0, 0.25, 0.5, 1.0)] == [0, 0.4, 0.8, 0.8]
    assert build_hiders({"kind": "paste", "chance": 0.8})[0].chance_at(0.0) == 0.8


def test_one_of_ones_own_needs_only_to_hide():
    class Nothing(Hider):
        def hide(self, image, target, scene):
            return image, self.still_true(target, torch.zeros(image.shape[-2:], dtype=torch.bool))

    image = torch.zeros(3, HEIGHT, WIDTH, dtype=torch.uint8)
    (same, target), other = Nothing().hide_batch([(image, scene_target())] * 2, Scene(np.random.default_rng(0)))
    assert same is image
    assert target["occlusion"].tolist() == [0.0, 0.5]
    assert other[1] is not target
