"""The masks of AOFD on a head whose every number is known, and an occlusion map worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from colour_detector import ColourDetector
from red_detector import BOX, RedDetector, red_cells
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.image_list import ImageList

from workbench.analysis.occlusion_masks import found_occlusion, roi_masks
from workbench.detectors.branches.occlusion import OcclusionBranch
from workbench.detectors.layers.branches import HoldsBranches
from workbench.detectors.layers.proposing import SeesMaps
from workbench.errors import DataError
from workbench.hardeners import Chain, MaskGenerator, RandomDropout


class HidesRed(nn.Module):
    """A generator's network that wants to hide the reddest cells most."""

    def forward(self, features: Tensor) -> Tensor:
        return -features[:, 0].flatten(1)


class Branched(HoldsBranches[OcclusionBranch], SeesMaps, RedDetector):
    """The same with an occlusion branch, which finds a cell occluded where it is redder than one half."""

    def __init__(self, hardener: nn.Module | None = None):
        super().__init__(hardener)
        self.add_branch(OcclusionBranch(2, (4,), stride=4, layers=[]))
        with torch.no_grad():
            self.occlusion_head[0].weight.copy_(torch.tensor([[0.0, 0.0], [20.0, 0.0]])[..., None, None])
            self.occlusion_head[0].bias.copy_(torch.tensor([0.0, -10.0]))

    def prepare(self, images) -> ImageList:
        return ImageList(torch.stack([image[:2].float() / 255 for image in images]), [(24, 32)] * len(images))

    def maps(self, batch) -> list[Tensor]:
        return [F.avg_pool2d(batch.tensors, 4)]


@pytest.fixture
def image():
    return red_cells()


def generator() -> MaskGenerator:
    made = MaskGenerator()
    made.net = HidesRed()
    return made


def score(red: float) -> float:
    return math.exp(red) / (math.exp(red) + 2)


def test_every_strategy_by_hand(image):
    """The generator hides the reddest cell, the halves hide none, both or one of the two."""
    seen = roi_masks(Branched(Chain(RandomDropout(), generator())), image, BOX, 1, area=1 / 36)
    left = {"left half": 1.4, "right half": 0.0, "top half": 0.4, "bottom half": 1.0}
    reds = {"untouched": 1.4, "generator": 0.4, **left}
    assert {name: seen.scores[name] for name in reds} == pytest.approx({name: score(reds[name]) for name in reds})
    assert list(seen.scores) == [*reds, "random half"]
    assert seen.masks["generator"][2, 3] == 0
    assert {name: int(mask.sum()) for name, mask in seen.masks.items()} == {
        "generator": 35, **dict.fromkeys(left, 18), "random half": 18,
    }  # fmt: skip
    assert float(seen.map[2, 3]) == pytest.approx(1 / (1 + math.e))
    assert seen.edges["generator"] == 1
    # Of 18 cells of the left half 10 on its sides have 5 masked neighbours, 4 corners have 3.
    assert seen.edges["left half"] == pytest.approx((10 * 3 / 8 + 4 * 5 / 8) / 18)
    assert float(seen.probabilities[1]) == pytest.approx(score(1.4))


def test_the_random_half_is_the_same_until_another_is_drawn(image):
    first, second = (roi_masks(Branched(), image, BOX, 1).masks["random half"] for _ in range(2))
    other = roi_masks(Branched(), image, BOX, 1, generator=torch.Generator().manual_seed(1)).masks["random half"]
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_without_a_generator_the_fixed_masks_remain_and_the_class_is_guessed(image):
    seen = roi_masks(Branched(RandomDropout()), image, BOX)
    assert (seen.map, seen.label) == (None, 1)
    assert list(seen.masks) == ["left half", "right half", "top half", "bottom half", "random half"]


@pytest.mark.parametrize(("change", "said"), [({"area": 1.5}, "area is 1.5"), ({"label": 3}, "label 3 is outside")])
def test_what_does_not_exist_is_named(image, change, said):
    with pytest.raises(DataError, match=said):
        roi_masks(Branched(), image, BOX, **change)


def stripe(left: int) -> Tensor:
    """Four columns of 24 × 32 pixels."""
    pixels = torch.zeros(24, 32, dtype=torch.bool)
    pixels[:, left : left + 4] = True
    return pixels


def test_found_and_true_occlusion_by_hand():
    """A box of 20 px is enlarged to 26 and cut off at 0: 23 rows. Of 4 found and 4 true columns 2 are the same."""
    image = (255 * stripe(12)).byte().expand(3, -1, -1)
    box = torch.tensor([0.0, 0.0, 20.0, 20.0])
    seen = found_occlusion(Branched(), image, box, {"mask_occluder": stripe(14)})
    assert seen.box.tolist() == [0, 0, 23, 23]
    expected = stripe(12)
    expected[23:] = False
    assert torch.equal(seen.found, expected)
    assert int(seen.truth.sum()) == 4 * 23
    assert seen.iou == pytest.approx(1 / 3)
    assert float(seen.chance[20, 30]) == pytest.approx(1 / (1 + math.exp(10)))
    assert found_occlusion(Branched(), image, box, {}).iou is None
    clean = torch.zeros(24, 32, dtype=torch.bool)
    nothing = found_occlusion(Branched(), torch.zeros_like(image), box, {"mask_occluder": clean})
    assert nothing.iou is None, "nothing is found where nothing is"


def test_a_detector_without_the_branch_finds_nothing():
    assert found_occlusion(ColourDetector(), torch.zeros(3, 24, 32), BOX) is None
