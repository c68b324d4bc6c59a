"""Copy-paste by hand, on images of a few pixels, and against the rules of torchvision's reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.ops import masks_to_boxes

from workbench import load_data
from workbench.data.dataset import make_target
from workbench.hiders import CopyPaste, Scene

DARK, LIGHT = (torch.full((3, 12, 16), value, dtype=torch.uint8) for value in (10, 200))


def one(rows: slice, columns: slice, label: int, hidden: int = 0, size=(12, 16), **more):
    """A target of one object, the first `hidden` columns of which something hides."""
    whole = torch.zeros(1, *size, dtype=torch.bool)
    whole[:, rows, columns] = True
    seen = whole.clone()
    seen[..., columns.start : columns.start + hidden] = False
    box = torch.tensor([[columns.start, rows.start, columns.stop, rows.stop]])
    return make_target(
        image_id=label, size=size, boxes=box, labels=torch.tensor([label]), area=seen.flatten(1).sum(1),
        occlusion=1 - seen.sum() / whole.sum().reshape(1), masks=seen, masks_amodal=whole,
        boxes_visible=masks_to_boxes(seen) + torch.tensor([0.0, 0, 1, 1]), **more,
    )  # fmt: skip


def paste(target, other, seed: int = 0, images=(DARK, LIGHT), **options):
    scene = Scene(np.random.default_rng(seed), others=[(images[1], other)])
    return CopyPaste(**{"chance": 1.0} | options).hide(images[0], target, scene)


def test_by_hand():
    """A 4 x 5 object over the lower right of another; a column of the pasted one was hidden in its image."""
    target, other = one(slice(2, 6), slice(2, 6), 1), one(slice(4, 8), slice(4, 9), 2, hidden=1)
    image, after = paste(target, other)
    pasted = torch.zeros(12, 16, dtype=torch.bool)
    pasted[4:8, 5:9] = True
    assert torch.equal(image, torch.where(pasted, LIGHT, DARK))
    assert after["labels"].tolist() == [1, 2]
    assert after["boxes"].tolist() == [[2, 2, 6, 6], [4, 4, 9, 8]]
    assert after["boxes_visible"].tolist() == [[2, 2, 6, 6], [5, 4, 9, 8]]
    assert after["occlusion"].tolist() == [2 / 16, pytest.approx(0.2)]
    assert after["area"].tolist() == [14, 16]
    assert torch.equal(after["masks"][1].as_subclass(torch.Tensor), pasted)
    assert int(after["mask_occluder"].sum()) == 2 + 4, "what hides the first, and the column that nothing shows"
    assert after["image_id"] == 1


def test_as_occluders_only():
    target, other = one(slice(2, 6), slice(2, 6), 1), one(slice(4, 8), slice(4, 8), 2)
    with_targets, alone = paste(target, other), paste(target, other, targets=False)
    assert torch.equal(with_targets[0], alone[0])
    assert alone[1]["labels"].tolist() == [1]
    assert alone[1]["occlusion"].tolist() == [4 / 16]


def test_what_is_covered_too_much_is_ignored():
    target = one(slice(2, 6), slice(2, 6), 1)
    _, after = paste(target, one(slice(2, 6), slice(3, 9), 2))
    assert after["ignored"].tolist() == [False, False], "a quarter is left"
    _, after = paste(target, one(slice(1, 7), slice(1, 9), 2))
    assert after["ignored"].tolist() == [True, False]
    assert after["occlusion"].tolist() == [1.0, 0.0]


def test_boxes_can_be_drawn_anew():
    _, after = paste(one(slice(2, 6), slice(2, 6), 1), one(slice(0, 12), slice(4, 8), 2), boxes="visible")
    assert after["boxes"].tolist() == [[2, 2, 4, 6], [4, 0, 8, 12]]


def test_images_of_other_sizes():
    """What lies outside is cut off, and what is left is what there is of the object; too little is not pasted."""
    large, size = torch.full((3, 30, 40), 200, dtype=torch.uint8), (30, 40)
    _, after = paste(
        one(slice(2, 6), slice(2, 6), 1), one(slice(6, 18), slice(8, 16), 2, size=size), images=(DARK, large)
    )
    assert after["boxes"].tolist() == [[2, 2, 6, 6], [8, 6, 16, 12]]
    assert after["masks"].shape == (2, 12, 16)
    assert after["occlusion"].tolist() == [0.0, 0.0]
    outside = one(slice(11, 21), slice(8, 16), 2, size=size)
    assert paste(one(slice(2, 6), slice(2, 6), 1), outside, images=(DARK, large))[0] is DARK


def test_anywhere_is_wholly_inside():
    places = set()
    for seed in range(12):
        image, after = paste(
            one(slice(2, 6), slice(2, 6), 1), one(slice(8, 12), slice(12, 16), 2), seed, place="anywhere"
        )
        assert int((image == 200).all(0).sum()) == int(after["masks"][1].sum()) == 16
        places.add(tuple(after["boxes"][1].tolist()))
    assert len(places) > 6


def test_over_objects_a_share_of_each_is_hidden():
    """The cut-out is scaled, and is no object of the image."""
    (image, target), other = (load_data("digit-scenes", split="test", occlusion_rate=0.0)[index] for index in (7, 8))
    scene = Scene(np.random.default_rng(0), others=[other])
    _, after = CopyPaste(chance=1.0, place="objects", share=1.0, most=1, fraction=(0.25, 0.25)).hide(
        image, target, scene
    )
    own = target["masks_amodal"].flatten(1).sum(1)
    row = int((after["occlusion"] * own).argmax())
    assert round(float(after["occlusion"][row] * own[row])) == int(0.25 * own[row] + 0.5)
    assert len(after["labels"]) == len(target["labels"])


def test_crowds_difficult_ignored_and_unknown_masks_are_not_cut_out():
    target = one(slice(2, 6), slice(2, 6), 1)
    for flags in ({"iscrowd": torch.tensor([True])}, {"difficult": torch.tensor([True])}):
        assert paste(target, one(slice(4, 8), slice(4, 8), 2, **flags))[0] is DARK
    hidden = one(slice(4, 8), slice(4, 8), 2)
    assert paste(target, hidden | {"ignored": torch.tensor([True])})[0] is DARK
    assert paste(target, hidden | {"masks": torch.zeros(1, 12, 16, dtype=torch.bool)})[0] is DARK
    assert paste(target, {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)})[0] is DARK


def test_columns_that_one_of_them_lacks():
    """What is not known of pasted objects is unknown, and what only they have is left out."""
    target = one(slice(2, 6), slice(2, 6), 1, more={"face_type": torch.tensor([2]), "size": torch.tensor([1.5])})
    _, after = paste(target, one(slice(8, 12), slice(8, 12), 2, more={"colour": torch.tensor([3])}))
    assert after["face_type"].tolist() == [2, 0]
    assert after["size"].isnan().tolist() == [False, True]
    assert "colour" not in after
    bare = {
        "boxes": torch.zeros(0, 4),
        "labels": torch.zeros(0, dtype=torch.long),
        "masks": torch.zeros(0, 12, 16).bool(),
    }
    _, after = paste(bare, one(slice(8, 12), slice(8, 12), 2))
    assert after["labels"].tolist() == [2]
    assert after["masks"].shape == (1, 12, 16)


def test_a_random_subset_of_at_most_so_many():
    (image, target), other = (load_data("digit-scenes", split="test")[index] for index in (7, 9))
    counts = []
    for seed in range(30):
        scene = Scene(np.random.default_rng(seed), others=[other])
        counts.append(len(CopyPaste(chance=1.0).hide(image, target, scene)[1]["labels"]) - len(target["labels"]))
        few = CopyPaste(chance=1.0, most=1).hide(image, target, scene)[1]
        assert len(few["labels"]) == len(target["labels"]) + 1
    assert min(counts) == 1
    assert 1.3 < np.mean(counts) < len(other[1]["labels"])


def test_masks_as_torchvisions_reference_has_them():
    """Its rules: paste by the union of the chosen masks, take it out of the others, boxes around what is left."""
    for seed in range(5):
        (image, target), (other, theirs) = (load_data("digit-scenes", split="val")[seed + step] for step in (0, 1))
        scene = Scene(np.random.default_rng(seed), others=[(other, theirs)])
        changed, after = CopyPaste(chance=1.0, share=1.0, boxes="visible", least_visible=0.0).hide(
            image, target, scene
        )
        union = theirs["masks"].any(0)
        assert torch.equal(changed, torch.where(union, other, image).as_subclass(torch.Tensor))
        left = target["masks"].as_subclass(torch.Tensor) & ~union
        rows = {tuple(mask.flatten().nonzero()[:, 0].tolist()) for mask in theirs["masks"]}
        number = len(left)
        assert torch.equal(after["masks"][:number].as_subclass(torch.Tensor), left)
        assert {tuple(mask.flatten().nonzero()[:, 0].tolist()) for mask in after["masks"][number:]} == rows
        cut = (left != target["masks"]).flatten(1).any(1) & left.flatten(1).any(1)
        expected = masks_to_boxes(left[cut]) + torch.tensor([0.0, 0, 1, 1])
        assert ((after["boxes"][:number][cut] - expected).abs() < 1).all()


def test_data_without_masks_are_an_obstacle():
    assert list(CopyPaste().obstacles(load_data("digit-scenes", length=2))) == []
    data = load_data("digits")
    (said,) = CopyPaste().obstacles(data)
    assert said == "digits has no masks to cut objects out by; use data with masks (coco: options.masks true)"


def test_alone_in_a_batch_nothing_happens():
    scene = Scene(np.random.default_rng(0))
    assert CopyPaste(chance=1.0).hide(DARK, one(slice(2, 6), slice(2, 6), 1), scene)[0] is DARK


@pytest.mark.parametrize("chance", [0.0, 0.3])
def test_chance_is_of_images(chance):
    target, other = one(slice(2, 6), slice(2, 6), 1), one(slice(4, 8), slice(4, 8), 2)
    changed = [paste(target, other, seed, chance=chance)[0] is not DARK for seed in range(200)]
    assert abs(np.mean(changed) - chance) < 0.1
