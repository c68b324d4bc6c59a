"""Random colours: pixel for pixel torchvision's for the same draw, and draws of its kind."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from workbench.training.recipe_sections import PhotometricSpec
from workbench.training.stepping.colour import Distortion, draw_distortion

IMAGE = torch.randint(0, 256, (3, 24, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.mark.parametrize("seed", range(8))
def test_images_are_torchvisions(seed):
    transform = v2.RandomPhotometricDistort(p=0.7)
    torch.manual_seed(seed)
    theirs = transform(IMAGE)
    torch.manual_seed(seed)
    drawn = transform.make_params([IMAGE])
    order = drawn["channel_permutation"]
    factors = {name: drawn[f"{name}_factor"] for name in ("brightness", "contrast", "saturation", "hue")}
    channels = None if order is None else tuple(order.tolist())
    mine = Distortion(**factors, contrast_first=drawn["contrast_before"], channels=channels)
    assert torch.equal(mine.apply(IMAGE), theirs)


def test_draws_are_of_the_same_kind():
    """How often each part is done, and within which range."""
    rng, spec = np.random.default_rng(0), PhotometricSpec()
    drawn = [draw_distortion(spec, rng) for _ in range(600)]
    for name in ("brightness", "contrast", "saturation", "hue"):
        values = np.array([value for one in drawn if (value := getattr(one, name)) is not None])
        low, high = getattr(v2.RandomPhotometricDistort(), name)
        assert 250 < len(values) < 350
        assert low <= values.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < values.max() <= high
    assert 250 < sum(one.contrast_first for one in drawn) < 350
    assert len({one.channels for one in drawn}) == 7, "None and all orders of three channels"


def test_a_chance_of_one_does_everything():
    one = draw_distortion(PhotometricSpec(chance=1.0), np.random.default_rng(0))
    assert None not in (one.brightness, one.contrast, one.saturation, one.hue, one.channels)
