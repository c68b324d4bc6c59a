"""DeepMask's trunk: which maps it gives, and how it pads."""

import pytest
import torch
from torch import nn

from workbench.detectors.layers.mask_trunk import build_mask_trunk
from workbench.errors import RecipeError


@pytest.mark.parametrize(
    ("backbone", "pools", "widths"),
    [
        ({"name": "resnet50"}, 4, (1024, 512, 256, 64)),
        ({"name": "resnet50"}, 3, (512, 256, 64)),
        ({"name": "resnet18"}, 4, (256, 128, 64, 64)),
        ({"name": "vgg16"}, 4, (512, 512, 256, 128)),
        ({"name": "small", "widths": [8, 12, 16], "stem": 4}, 4, (16, 12, 8, 4)),
        ({"name": "small", "widths": [8, 12, 16], "stem": 4}, 3, (12, 8, 4)),
    ],
)
def test_maps_before_each_halving(backbone, pools, widths):
    trunk = build_mask_trunk(backbone, pools).eval()
    with torch.no_grad():
        maps = trunk(torch.rand(1, 3, 64, 96))
    assert trunk.widths == widths
    assert trunk.stride == 2**pools
    expected = [(1, width, 64 // 2 ** (pools - i), 96 // 2 ** (pools - i)) for i, width in enumerate(widths)]
    assert [tuple(one.shape) for one in maps] == expected


def test_maps_are_the_last_of_their_size():
    trunk = build_mask_trunk({"name": "resnet18"}, 3).eval()
    image, body = torch.rand(1, 3, 64, 64), trunk.body
    with torch.no_grad():
        stem = body.relu(body.bn1(body.conv1(image)))
        first = body.layer1(body.maxpool(stem))
        for ours, expected in zip(trunk(image), (body.layer2(first), first, stem), strict=True):
            torch.testing.assert_close(ours, expected)


def test_convolutions_reflect():
    trunk = build_mask_trunk({"name": "resnet18"}, 3)
    padded = [part for part in trunk.modules() if isinstance(part, nn.Conv2d) and any(part.padding)]
    assert padded
    assert {part.padding_mode for part in padded} == {"reflect"}
    with torch.no_grad():  # a constant image stays constant up to its edges
        for one in trunk.eval()(torch.full((1, 3, 64, 64), 0.3)):
            torch.testing.assert_close(one, one[..., 2:3, 2:3].expand_as(one), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(("name", "pools"), [("vgg16", 3), ("resnet50", 6), ("small", 1)])
def test_strides_that_a_network_does_not_reach(name, pools):
    with pytest.raises(RecipeError, match=rf"detector.pools is {pools}; {name} halves its maps"):
        build_mask_trunk({"name": name}, pools)
