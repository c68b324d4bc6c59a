"""Occluders in image space."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.data.drawing import occluders
from workbench.data.drawing.occluders import FILLS, Shapes, paste, patch_shapes, strip_shapes, texture
from workbench.errors import DataError


def shapes(**values: float) -> Shapes:
    defaults = {"x": 10, "y": 10, "half_length": 4, "half_width": 2, "angle": 0}
    defaults |= {"round": 0, "bars": 1, "period": 1, **values}
    return Shapes(**{key: np.array([value]) for key, value in defaults.items()})


@pytest.mark.parametrize("name", FILLS)
def test_textures_repeat_for_the_same_generator(name: str) -> None:
    first, second = (texture(name, 9, 14, torch.Generator().manual_seed(3)) for _ in range(2))
    assert first.shape == (3, 9, 14)
    assert first.dtype == torch.uint8
    assert torch.equal(first, second)
    if name != "grey":
        assert not torch.equal(first, texture(name, 9, 14, torch.Generator().manual_seed(4)))
        assert texture(name, 60, 60).float().std() > 5
    assert texture(name, 700, 3).shape == (3, 700, 3)  # larger than the photograph


def test_a_rectangle_hides_the_pixels_whose_centres_lie_inside() -> None:
    image = torch.full((3, 6, 8), 7, dtype=torch.uint8)
    pasted, mask = paste(image, (1.6, 2, 4.4, 3.6), "grey")
    expected = torch.zeros(6, 8, dtype=torch.bool)
    expected[2:4, 2:4] = True  # centres 2.5 and 3.5 each way; 1.5 and 4.5 lie outside
    assert torch.equal(mask, expected)
    assert (pasted[:, mask] == 128).all()
    assert (pasted[:, ~mask] == 7).all()
    assert (image == 7).all()


def test_an_ellipse_covers_a_quarter_of_pi_of_its_box() -> None:
    _, mask = paste(torch.zeros(3, 200, 200, dtype=torch.uint8), (20, 40, 180, 140), outline="ellipse")
    assert mask.sum().item() == pytest.approx(math.pi / 4 * 160 * 100, rel=0.01)


def test_the_pattern_moves_with_the_box() -> None:
    image = torch.zeros(3, 40, 40, dtype=torch.uint8)
    first, _ = paste(image, (3, 4, 15, 14), "noise")
    second, _ = paste(image, (20, 21, 32, 31), "noise")
    assert torch.equal(first[:, 4:14, 3:15], second[:, 21:31, 20:32])


@given(st.lists(st.floats(-50, 90), min_size=4, max_size=4), st.sampled_from(occluders.OUTLINES))
@settings(max_examples=60, deadline=None)
def test_any_box_is_allowed_and_only_hidden_pixels_change(box: list[float], outline: str) -> None:
    image = torch.arange(3 * 20 * 30).reshape(3, 20, 30).to(torch.uint8)
    pasted, mask = paste(image, box, "gravel", outline=outline)
    assert pasted.shape == image.shape
    assert pasted.dtype == torch.uint8
    assert torch.equal(pasted[:, ~mask], image[:, ~mask])
    if mask.any():
        rows, columns = mask.nonzero(as_tuple=True)
        assert columns.min() + 0.5 >= box[0]
        assert columns.max() + 0.5 <= box[2]
        assert rows.min() + 0.5 >= box[1]
        assert rows.max() + 0.5 <= box[3]


def test_unknown_names_are_refused() -> None:
    with pytest.raises(DataError, match="brick, grass, gravel, grey, noise"):
        texture("lava", 3, 3)
    with pytest.raises(DataError, match="1 × 1"):
        texture("brick", 0, 3)
    with pytest.raises(DataError, match="rectangle, ellipse"):
        paste(torch.zeros(3, 4, 4, dtype=torch.uint8), (0, 0, 2, 2), outline="star")


def test_shapes_by_hand() -> None:
    x, y = np.array([10.0, 13.9, 10, 13.5, 14.1]), np.array([10.0, 10, 11.9, 11.5, 10])
    assert shapes().inside(x, y).tolist() == [[True, True, True, True, False]]
    assert shapes(round=1).inside(x, y).tolist() == [[True, True, True, False, False]]
    turned = shapes(angle=math.pi / 2)  # length now runs down
    assert turned.inside(np.array([10.0, 13]), np.array([13.9, 10])).tolist() == [[True, False]]


def test_bars_lie_side_by_side() -> None:
    bars = shapes(half_length=50, half_width=1, bars=3, period=6)  # centres at 4, 10 and 16
    y = np.array([2.5, 3.5, 4.5, 6, 9.5, 13, 16.5, 17.5])
    assert bars.inside(np.full(8, 10.0), y).tolist() == [[False, True, True, False, True, False, True, False]]
    pair = shapes(half_length=50, half_width=1, bars=2, period=6)  # centres at 7 and 13
    assert pair.inside(np.full(4, 10.0), np.array([7.0, 10, 13, 19])).tolist() == [[True, False, True, False]]


@given(st.integers(0, 10_000), st.floats(0.06, 0.74), st.booleans())
@settings(max_examples=40, deadline=None)
def test_the_window_holds_the_whole_shape(seed: int, level: float, strips: bool) -> None:
    draw = strip_shapes if strips else patch_shapes
    shape = draw(np.random.default_rng(seed), np.array([20.0, 30, 60, 70]), level, 1)[0]
    centres = np.arange(100) + 0.5
    inside = shape.inside(centres[None, :], centres[:, None])[0]
    x1, y1, x2, y2 = shape.window((100, 100))
    within = np.zeros_like(inside)
    within[y1:y2, x1:x2] = True
    assert not (inside & ~within).any()
