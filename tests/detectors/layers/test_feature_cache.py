"""Maps of a frozen trunk are computed once per image and are those of the trunk."""

from __future__ import annotations

import pytest
import torch

from workbench.detectors import build_detector
from workbench.detectors.layers.feature_cache import FeatureCache
from workbench.errors import RecipeError

C4 = {
    "kind": "faster-rcnn",
    "backbone": {"name": "resnet18", "frozen_stages": 4, "cache": True},
    "pyramid": False,
    "min_size": None,
    "head": {"width": 16},
    "anchor_sizes": [[32]],
}


class Trunk:
    """A convolution of stride 16 that counts the images it sees."""

    def __init__(self):
        torch.manual_seed(0)
        self.conv, self.images = torch.nn.Conv2d(3, 5, 31, stride=16, padding=15, bias=False), 0

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        self.images += len(images)
        return self.conv(images)


def padded(image: torch.Tensor, height: int, width: int) -> torch.Tensor:
    batch = torch.zeros(3, height, width)
    batch[:, : image.shape[1], : image.shape[2]] = image
    return batch


def test_an_image_is_computed_once_whatever_its_batch():
    trunk, cache = Trunk(), FeatureCache(stride=16)
    first, second = torch.rand(3, 50, 70), torch.rand(3, 64, 64)
    maps = cache(trunk, torch.stack([padded(first, 64, 96), padded(second, 64, 96)]))
    again = cache(trunk, torch.stack([padded(second, 128, 128), padded(first, 128, 128)]))
    assert trunk.images == len(cache) == 2
    assert torch.equal(maps[0, :, :4, :5], again[1, :, :4, :5])
    assert torch.equal(maps[1, :, :4, :4], again[0, :, :4, :4])
    assert again.shape == (2, 5, 8, 8)
    assert again[0, :, 4:].abs().max() == 0, "the margin stays empty"
    with torch.no_grad():
        torch.testing.assert_close(maps[1, :, :, :4], trunk.conv(second[None])[0])
    cache(trunk, torch.stack([padded(first.flip(-1), 64, 96)]))
    assert trunk.images == 3, "a mirrored image is another image"


def test_what_does_not_fit_is_computed_each_time():
    trunk, cache = Trunk(), FeatureCache(stride=16, max_bytes=5 * 16 * 4)  # one map of 4 × 4 cells
    images = torch.rand(2, 3, 64, 64)
    assert torch.equal(cache(trunk, images), cache(trunk, images))
    assert (len(cache), trunk.images) == (1, 3)


def test_a_black_image():
    assert FeatureCache(stride=16)(Trunk(), torch.zeros(1, 3, 32, 32)).abs().max() == 0


def test_losses_are_those_without_the_cache():
    torch.manual_seed(0)
    cached = build_detector(C4, ("a", "b"))
    plain = build_detector(C4 | {"backbone": {"name": "resnet18", "frozen_stages": 4}}, ("a", "b"))
    plain.load_state_dict(cached.state_dict())
    images = [torch.rand(3, 96, 128), torch.rand(3, 96, 128)]
    targets = [{"boxes": torch.tensor([[10.0, 10, 60, 70]]), "labels": torch.tensor([1])} for _ in images]
    for _ in range(2):
        ours, theirs = (d.losses(images, targets, torch.Generator().manual_seed(1)) for d in (cached, plain))
        for name, value in theirs.items():
            torch.testing.assert_close(ours[name], value, rtol=1e-4, atol=1e-5)
    assert len(cached.backbone.cache) == 2
    cached.detect([torch.rand(3, 64, 64)])
    assert len(cached.backbone.cache) == 2, "only training remembers"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pyramid": True}, "pyramid: false"),
        ({"backbone": {"name": "resnet18", "cache": True}}, "trunk learns"),
        ({"backbone": {"name": "resnet18", "frozen_stages": 4, "norm": "batch", "cache": True}}, "trunk learns"),
    ],
)
def test_a_trunk_that_cannot_be_remembered_is_refused(change, message):
    with pytest.raises(RecipeError, match=message):
        build_detector({**C4, "anchor_sizes": None} | change, ("a",))
