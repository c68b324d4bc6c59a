"""GridMask: squares of a regular grid, of the stated share, wherever it begins and however it is turned."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from workbench.hiders import GridMask, Scene
from workbench.hiders.grid_mask import grid_squares


def test_by_hand():
    """Units of 4 pixels, of which the last 2 each way are hidden, from one pixel before the image on."""
    squares = grid_squares((6, 7), 4, 0.5, offset=(1.0, 0.0))
    column, row = torch.tensor([0, 1, 1, 0, 0, 1, 1]), torch.tensor([0, 0, 1, 1, 0, 0])
    assert torch.equal(squares, (row[:, None] * column).bool())


@pytest.mark.parametrize("keep", [0.4, 0.6, 0.75])
@pytest.mark.parametrize("degrees", [0.0, 30.0, 90.0])
def test_one_minus_keep_squared_is_hidden(keep, degrees):
    """Of whole units; at an angle of an image of many of them."""
    squares = grid_squares((400, 400), 20.0, keep, offset=(3.0, 7.0), angle=math.radians(degrees))
    assert float(squares.double().mean()) == pytest.approx((1 - keep) ** 2, abs=1e-9 if degrees in (0, 90) else 0.01)


def test_a_quarter_turn_is_the_grid_turned():
    plain, turned = grid_squares((40, 40), 10.0, 0.6), grid_squares((40, 40), 10.0, 0.6, angle=math.pi / 2)
    assert torch.equal(turned, plain.rot90(1)) or torch.equal(turned, plain.rot90(3))


def test_units_and_beginnings_are_drawn():
    image = torch.zeros(3, 64, 96, dtype=torch.uint8)
    target = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)}
    hider = GridMask(chance=1.0, cell=(0.25, 0.5), keep=0.5)
    masks = [hider.hide(image, target, Scene(np.random.default_rng(seed)))[1]["mask_hidden"] for seed in range(8)]
    shares = [float(mask.float().mean()) for mask in masks]
    assert 0.15 < min(shares) <= max(shares) < 0.35, "a quarter, but for what the edge cuts"
    assert len({mask.numpy().tobytes() for mask in masks}) == 8


def test_the_published_schedule():
    assert [GridMask().chance_at(epoch / 300) for epoch in (0, 120, 240, 300)] == [0, pytest.approx(0.4), 0.8, 0.8]
