"""Random erasing: rectangles as drawn, where they may lie, and the same colours as torchvision's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as V

from workbench.hiders import RandomErasing, Scene
from workbench.hiders.layers.fills import filled
from workbench.hiders.layers.rectangles import random_rectangle

IMAGE = torch.randint(0, 256, (3, 40, 60), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def target(*boxes, **more):
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32),
        "labels": torch.ones(len(boxes), dtype=torch.long),
        **more,
    }


def hide(seed: int = 0, boxes=((5, 5, 25, 35), (30, 10, 50, 30)), **options):
    scene = Scene(np.random.default_rng(seed), mean=torch.tensor([1, 2, 3], dtype=torch.uint8))
    return RandomErasing(**{"chance": 1.0} | options).hide(IMAGE, target(*boxes), scene)


def test_a_rectangle_of_the_stated_share_in_the_image():
    for seed in range(20):
        _, after = hide(seed, where="image", area=(0.1, 0.2))
        hidden = after["mask_hidden"]
        rows, columns = hidden.any(1).nonzero(), hidden.any(0).nonzero()
        assert int(hidden.sum()) == int(rows[-1] - rows[0] + 1) * int(columns[-1] - columns[0] + 1)
        assert 0.08 < float(hidden.float().mean()) < 0.22, "but for whole pixels"


def test_one_in_the_box_of_each_object():
    for seed in range(10):
        _, after = hide(seed, where="objects", area=(0.25, 0.25), aspect=(1.0, 1.0))
        hidden = after["mask_hidden"]
        assert int(hidden[5:35, 5:25].sum()) == 12 * 12, "0.25 of 20 x 30 is 150 pixels, 12.2 a side"
        assert int(hidden[10:30, 30:50].sum()) == 10 * 10
        assert int(hidden.sum()) == 244
        assert after["occlusion"].tolist() == [pytest.approx(144 / 600), pytest.approx(0.25)]


def test_both_is_one_more():
    shares = [
        float(hide(seed, where="both", area=(0.25, 0.25))[1]["mask_hidden"].float().mean()) for seed in range(10)
    ]
    assert min(shares) >= 0.2


def test_chance_is_of_each_rectangle():
    """Of 400 objects about 100, and not all or none of an image."""
    hidden = torch.stack(
        [hide(seed, where="objects", chance=0.25)[1].get("occlusion", torch.zeros(2)) for seed in range(200)]
    )
    drawn = hidden.nan_to_num() > 0
    assert 70 < int(drawn.sum()) < 130
    assert (drawn[:, 0] ^ drawn[:, 1]).any()


def test_crowds_are_left_alone():
    given = target((5, 5, 25, 35), iscrowd=torch.tensor([True]))
    assert RandomErasing(chance=1.0, where="objects").hide(IMAGE, given, Scene(np.random.default_rng(0)))[0] is IMAGE


@pytest.mark.parametrize(("fill", "value"), [("black", [0, 0, 0]), ("grey", [128] * 3), ("mean", [1, 2, 3])])
def test_colours_are_those_of_torchvision(fill, value):
    mean, rng = torch.tensor([1, 2, 3], dtype=torch.uint8), np.random.default_rng(3)
    top, left, rows, columns = random_rectangle(40, 60, (0.1, 0.2), (0.5, 2.0), rng)
    hidden = torch.zeros(40, 60, dtype=torch.bool)
    hidden[top : top + rows, left : left + columns] = True
    theirs = V.erase(IMAGE, top, left, rows, columns, torch.tensor(value, dtype=torch.uint8)[:, None, None])
    assert torch.equal(filled(IMAGE, hidden, fill, mean, rng), theirs)


def test_noise_is_all_values():
    noise = filled(IMAGE, torch.ones(40, 60, dtype=torch.bool), "noise", IMAGE[:, 0, 0], np.random.default_rng(0))
    assert 120 < float(noise.float().mean()) < 135
    assert (int(noise.min()), int(noise.max())) == (0, 255)


def test_rectangles_are_distributed_as_torchvisions():
    """Means of area, of the logarithm of the ratio and of the place over 1,500 draws each."""
    theirs = v2.RandomErasing(p=1.0, scale=(0.02, 0.33), ratio=(0.3, 3.3))
    torch.manual_seed(0)
    drawn = [theirs.make_params([torch.zeros(3, 200, 200)]) for _ in range(1500)]
    rng = np.random.default_rng(0)
    ours = [random_rectangle(200, 200, (0.02, 0.33), (0.3, 3.3), rng) for _ in range(1500)]
    mine = np.array([one for one in ours if one is not None], float)
    peer = np.array([[one["i"], one["j"], one["h"], one["w"]] for one in drawn], float)
    for values in (
        lambda box: box[:, 2] * box[:, 3] / 200**2,
        lambda box: np.log(box[:, 3] / box[:, 2]),
        lambda box: box[:, 0],
    ):
        spread = np.hypot(values(mine).std(), values(peer).std()) / 1500**0.5
        assert abs(values(mine).mean() - values(peer).mean()) < 4 * spread
