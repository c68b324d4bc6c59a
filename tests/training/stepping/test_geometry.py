"""Sizes and places of training images: torchvision's for the same draw, and targets that stay true."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as V

from workbench import load_data
from workbench.rle import encode_masks
from workbench.training.recipe_sections import FixedSizeSpec, ScaleJitterSpec, ShortestSizeSpec
from workbench.training.stepping.geometry import fixed_size, flip_horizontally, jittered_size, resized, shortest_size
from workbench.types import Proposals


class Drawn:
    """A generator that gives what it is told to."""

    def __init__(self, *, factor: float = 1.0, place: int = 0):
        self.factor, self.place = factor, place

    def uniform(self, low, high):
        return low + (high - low) * self.factor

    def integers(self, number):
        return self.place


@pytest.fixture(scope="module")
def sample():
    return load_data("digit-scenes", split="test")[7]


def as_torchvision(sample):
    image, target = sample
    return image, {key: target[key] for key in ("boxes", "masks", "labels")}


@pytest.mark.parametrize("seed", range(6))
def test_scale_jitter_is_torchvisions(seed):
    """Whose size is width, height; of images that are not square."""
    image = tv_tensors.Image(torch.randint(0, 256, (3, 90, 140), dtype=torch.uint8))
    boxes = tv_tensors.BoundingBoxes(torch.tensor([[10.0, 20, 50, 80]]), format="XYXY", canvas_size=(90, 140))
    masks = tv_tensors.Mask(torch.rand(1, 90, 140) < 0.5)
    transform = v2.ScaleJitter(target_size=(200, 160), scale_range=(0.3, 1.7))
    torch.manual_seed(seed)
    theirs = transform(image, {"boxes": boxes, "masks": masks})
    torch.manual_seed(seed)
    factor = float(torch.rand(1))
    size = jittered_size((90, 140), ScaleJitterSpec(size=(160, 200), range=(0.3, 1.7)), Drawn(factor=factor))
    mine, target = resized(image, {"boxes": boxes, "masks": masks, "labels": torch.tensor([1])}, size)
    assert torch.equal(mine, theirs[0])
    torch.testing.assert_close(target["boxes"], theirs[1]["boxes"])
    assert torch.equal(target["masks"], theirs[1]["masks"])
    assert target["boxes"].canvas_size == size


@pytest.mark.parametrize(("longest", "place"), [(None, 0), (None, 1), (150, 1), (100, 0)])
def test_shortest_size_is_torchvisions(longest, place):
    image = tv_tensors.Image(torch.randint(0, 256, (3, 70, 110), dtype=torch.uint8))
    sizes = [60, 96]
    theirs = v2.RandomShortestSize(min_size=sizes[place], max_size=longest)(image)
    size = shortest_size((70, 110), ShortestSizeSpec(sizes=sizes, longest=longest), Drawn(place=place))
    assert size == tuple(theirs.shape[-2:])
    assert torch.equal(resized(image, {"labels": torch.zeros(0)}, size)[0], theirs)


@pytest.mark.parametrize("size", [(96, 96), (64, 200), (200, 80), (128, 128), (150, 170)])
@pytest.mark.parametrize("share", [0.0, 0.37, 1.0])
def test_fixed_size_is_that_of_torchvisions_reference(sample, size, share):
    """`FixedSizeCrop` of its references/detection: crop at one share of both offsets, then pad right and below."""
    image, target = as_torchvision(sample)
    top, left = (int(max(0, have - want) * share) for have, want in zip((128, 128), size, strict=True))
    height, width = min(128, size[0]), min(128, size[1])
    expected = V.pad(
        V.crop(image, top, left, height, width), [0, 0, size[1] - width, size[0] - height], fill=[1, 2, 3]
    )
    boxes = V.clamp_bounding_boxes(V.crop(target["boxes"], top, left, height, width))
    kept = (boxes[:, 2:] > boxes[:, :2]).all(1)
    mine, after = fixed_size(image, target, FixedSizeSpec(size=size, fill=(1, 2, 3)), share)
    assert torch.equal(mine, expected)
    assert torch.equal(after["boxes"].as_subclass(torch.Tensor), boxes[kept].as_subclass(torch.Tensor))
    assert torch.equal(after["labels"], target["labels"][kept])
    masks = V.pad(V.crop(target["masks"][kept], top, left, height, width), [0, 0, size[1] - width, size[0] - height])
    assert torch.equal(after["masks"].as_subclass(torch.Tensor), masks.as_subclass(torch.Tensor))


def test_what_is_known_of_objects_stays_true(sample):
    """To the pixel of the masks as they are then; cut off is not hidden."""
    image, target = sample
    for share in (0.0, 0.5, 1.0):
        for size in ((60, 60), (100, 90)):
            _, after = fixed_size(*resized(image, target, (144, 140)), FixedSizeSpec(size=size), share)
            own, seen = (after[key].flatten(1).sum(1) for key in ("masks_amodal", "masks"))
            known = own > 0
            torch.testing.assert_close(after["occlusion"][known], (own - seen)[known] / own[known])
            assert torch.equal(after["area"][seen > 0].long(), seen[seen > 0])
            assert after["ignored"][seen == 0].all() if (seen == 0).any() else True
            assert all(len(after[key]) == len(own) for key in ("boxes_visible", "iscrowd", "labels"))
            assert after["mask_occluder"].shape == size


def test_without_masks_a_cut_object_is_hidden_by_an_unknown_share():
    target = {
        "boxes": torch.tensor([[2.0, 2, 10, 10], [20, 20, 40, 40], [50, 50, 60, 60]]),
        "labels": torch.tensor([1, 2, 3]),
        "occlusion": torch.tensor([0.25, 0.5, 0.0]),
        "area": torch.tensor([64.0, 400, 100]),
        "proposals": Proposals.ranked(torch.tensor([[0.0, 0, 8, 8], [20, 20, 50, 50], [40, 40, 60, 60]])),
        "ellipses": torch.tensor([[5.0, 4, 0.1, 6, 6]] * 3),
    }
    _, after = fixed_size(torch.zeros(3, 64, 64, dtype=torch.uint8), target, FixedSizeSpec(size=(32, 32)), 0.0)
    assert after["labels"].tolist() == [1, 2], "the third is no object of the image"
    assert after["boxes"].tolist() == [[2, 2, 10, 10], [20, 20, 32, 32]]
    assert after["occlusion"][0] == 0.25
    assert after["occlusion"][1].isnan()
    assert after["area"].tolist() == [64, 144]
    assert after["proposals"].boxes.tolist() == [[0, 0, 8, 8], [20, 20, 32, 32]]
    _, after = resized(torch.zeros(3, 64, 64, dtype=torch.uint8), target, (32, 128))
    assert after["boxes"][0].tolist() == [4, 1, 20, 5]
    assert after["proposals"].boxes[1].tolist() == [40, 10, 100, 25]
    assert after["ellipses"][0].tolist() == pytest.approx([5, 4, 0.1, 12, 3])
    assert after["occlusion"].tolist() == [0.25, 0.5, 0.0]


def test_objects_of_which_nothing_is_shown_any_more_are_ignored():
    """In the part that is kept lies only what is hidden of it."""
    whole = torch.zeros(1, 20, 20, dtype=torch.bool)
    whole[:, 4:16, 4:16] = True
    seen = whole.clone()
    seen[..., :12] = False
    target = {"boxes": torch.tensor([[4.0, 4, 16, 16]]), "labels": torch.tensor([1]), "masks": seen,
              "masks_amodal": whole, "occlusion": torch.tensor([2 / 3])}  # fmt: skip
    _, after = fixed_size(torch.zeros(3, 20, 20, dtype=torch.uint8), target, FixedSizeSpec(size=(10, 10)), 0.0)
    assert after["ignored"].tolist() == [True]
    assert after["occlusion"].tolist() == [1.0]


def test_mirrored_twice_is_the_same_with_what_hides(sample):
    image, target = sample
    target = dict(target) | {"mask_hidden": torch.rand(128, 128) < 0.5, "ignored": torch.tensor([True] + [False] * 4)}
    once, flipped = flip_horizontally(image, target)
    assert torch.equal(flipped["mask_hidden"], target["mask_hidden"].flip(-1))
    again, back = flip_horizontally(once, flipped)
    assert torch.equal(again, image)
    assert torch.equal(back["mask_hidden"], target["mask_hidden"])


def test_proposals_without_masks_once_they_are_moved():
    masks = torch.zeros(1, 10, 10, dtype=torch.bool)
    masks[:, 2:5, 2:5] = True
    proposals = Proposals(torch.tensor([[2.0, 2, 5, 5]]), torch.tensor([1.0]), encode_masks(masks))
    assert proposals.resized((10, 10), (20, 30)).masks is None
    assert proposals.moved(1, 2, (20, 20)).boxes.tolist() == [[4, 3, 7, 6]]


def test_draws_cover_the_range():
    rng, spec = np.random.default_rng(0), ScaleJitterSpec(size=(100, 100), range=(0.5, 2.0))
    heights = [jittered_size((50, 100), spec, rng)[0] for _ in range(200)]
    assert 25 <= min(heights) < 30
    assert 95 < max(heights) <= 100
