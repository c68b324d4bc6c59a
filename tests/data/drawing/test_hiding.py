"""Hiding an exact part of an object."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.data.drawing.cut_outs import Occluder, shipped
from workbench.data.drawing.diffuse import DIFFUSE
from workbench.data.drawing.hiding import KINDS, PLACES, hidden_count, hide, hide_each, lay, object_pixels
from workbench.errors import DataError

SIDES = {"top": (0, 0), "bottom": (0, 1), "left": (1, 0), "right": (1, 1)}  # axis of the image, and which end


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def block(size: tuple[int, int], x1: int, y1: int, x2: int, y2: int) -> np.ndarray:
    pixels = np.zeros(size, bool)
    pixels[y1:y2, x1:x2] = True
    return pixels


def under(laid, size: tuple[int, int]) -> np.ndarray:
    cover = np.zeros(size, bool)
    cover[laid.window] = laid.cover
    return cover


def test_the_pixels_of_a_box_are_those_whose_centres_lie_in_it() -> None:
    pixels = object_pixels((4, 5), (0.5, 1.4, 3.6, 9.0))
    assert np.array_equal(pixels, block((4, 5), 0, 1, 4, 4)), "0.5 is the first centre, 3.6 beyond the fourth"
    mask = block((4, 5), 2, 2, 3, 3)
    assert np.array_equal(object_pixels((4, 5), (0, 0, 5, 4), torch.from_numpy(mask)), mask)
    empty = np.zeros((4, 5), bool)
    assert object_pixels((4, 5), (0, 0, 5, 4), empty).all(), "a mask without a pixel is none"
    assert not object_pixels((4, 5), (7, 0, 9, 4)).any()


def test_counts_are_rounded_half_up() -> None:
    assert [hidden_count(10, share) for share in (0, 0.04, 0.05, 0.25, 0.35, 1)] == [0, 0, 1, 3, 4, 10]
    with pytest.raises(DataError, match=r"1\.5.*from 0 to 1"):
        hidden_count(10, 1.5)


@pytest.mark.parametrize("place", SIDES)
def test_from_a_side_by_hand(place: str) -> None:
    """10 × 10 pixels, 30 % of them: three whole rows or columns at that side, and the margin of 1 pixel around."""
    size = (20, 20)
    laid = hide(block(size, 5, 5, 15, 15), 0.3, "grey", place, rng=rng())
    axis, end = SIDES[place]
    first, last = ((4, 8), (12, 16))[end]
    along = (first, 4, last, 16) if axis else (4, first, 16, last)
    assert laid.hidden == 30
    assert np.array_equal(under(laid, size), block(size, *along))
    assert laid.box == along


def test_from_the_centre_and_from_a_point_by_hand() -> None:
    size = (10, 20)
    laid = hide(block(size, 0, 0, 20, 10), 0.25, "grey", "centre", rng=rng())
    assert np.array_equal(under(laid, size), block(size, 5, 2, 15, 7)), "twice as wide as high; the odd row is above"
    corner = hide(block(size, 0, 0, 20, 10), 0.25, "grey", (0.0, 1.0), rng=rng())
    assert np.array_equal(under(corner, size), block(size, 0, 5, 10, 10)), "a quarter, at the lower left"


def test_the_last_row_is_cut_where_the_count_says_so() -> None:
    size = (10, 10)
    laid = hide(block(size, 0, 0, 10, 10), 0.25, "grey", "top", rng=rng(), margin=0)
    assert np.array_equal(under(laid, size), block(size, 0, 0, 10, 2) | block(size, 0, 2, 5, 3))


def test_a_mask_counts_its_own_pixels_and_the_ground_between_is_covered_too() -> None:
    size = (8, 8)
    pixels = block(size, 0, 0, 1, 8) | block(size, 7, 0, 8, 8)  # two posts
    laid = hide(pixels, 0.5, "grey", "top", rng=rng(), margin=0)
    assert laid.hidden == 8
    assert np.array_equal(under(laid, size), block(size, 0, 0, 8, 4))


def test_what_is_kept_is_left_free_and_the_share_stays() -> None:
    size = (10, 10)
    keep = block(size, 0, 0, 10, 3)
    laid = hide(block(size, 0, 0, 10, 10), 0.5, "grey", "top", rng=rng(), keep=keep)
    assert np.array_equal(under(laid, size), block(size, 0, 3, 10, 8))
    with pytest.raises(DataError, match="80 of an object's 100 pixels are to be hidden, and 70 may be covered"):
        hide(block(size, 0, 0, 10, 10), 0.8, "grey", "top", rng=rng(), keep=keep)


def test_a_cut_out_lies_on_its_point_as_large_as_it_must_be() -> None:
    rgba = np.zeros((9, 9, 4), np.uint8)
    rgba[..., 0], rgba[..., 3] = 200, 255
    size = (60, 60)
    laid = hide(block(size, 20, 20, 40, 40), 0.25, Occluder("red", rgba), "centre", rng=rng())
    x1, y1, x2, y2 = laid.box
    assert laid.hidden == 100
    assert all(abs(side - expected) <= 1 for side, expected in zip((x1, y1, x2, y2), (25, 25, 35, 35), strict=True))
    corner = hide(block(size, 20, 20, 40, 40), 0.25, Occluder("red", rgba), (1.0, 0.0), rng=rng())
    assert [abs(side - at) <= 1 for side, at in zip(corner.box, (30, 10, 50, 30), strict=True)] == [True] * 4
    assert (lay(torch.zeros(3, *size, dtype=torch.uint8), laid)[0].numpy() == 200 * under(laid, size)).all()


@given(
    kind=st.sampled_from([*KINDS, "cat", "coin", "wheel"]),
    place=st.sampled_from([*PLACES, (0.1, 0.9), (1.0, 1.0)]),
    fraction=st.sampled_from([0.0, 0.1, 0.35, 0.5, 0.7, 0.99, 1.0]),
    seed=st.integers(0, 10**6),
    masked=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_the_hidden_share_is_exact_for_every_kind_and_place(kind, place, fraction, seed, masked) -> None:
    draw = rng(seed)
    size = tuple(draw.integers(12, 70, 2))
    x1, y1 = draw.integers(0, size[1] - 2), draw.integers(0, size[0] - 2)
    pixels = block(size, x1, y1, draw.integers(x1, size[1]) + 1, draw.integers(y1, size[0]) + 1)
    if masked:
        pixels &= draw.random(size) < 0.6
        pixels[y1, x1] = True
    keep = (draw.random(size) < 0.2) & ~pixels
    occluder = kind if kind in KINDS else shipped(kind)
    laid = hide(pixels, fraction, occluder, place, rng=rng(seed), keep=keep)
    cover = under(laid, size)
    count = int(np.floor(fraction * pixels.sum() + 0.5 + 1e-9))
    assert laid.hidden == count == int((cover & pixels).sum())
    assert not (cover & keep).any()
    image = torch.full((3, *size), 255, dtype=torch.uint8)
    hidden = lay(image, laid)
    assert (hidden[:, ~torch.from_numpy(cover)] == 255).all(), "all else stays as it is"
    assert torch.equal(hidden[:, cover], torch.from_numpy(laid.pixels[laid.cover].T))
    again = hide(pixels, fraction, occluder, place, rng=rng(seed), keep=keep)
    assert np.array_equal(again.cover, laid.cover)
    assert np.array_equal(again.pixels, laid.pixels)


@pytest.mark.parametrize("kind", [*KINDS, shipped("coin")], ids=str)
def test_several_shares_at_once_are_those_one_by_one(kind) -> None:
    pixels, shares = block((50, 60), 7, 9, 51, 42), (0.1, 0.5, 0.9)
    for at_once, share in zip(hide_each(pixels, shares, kind, "random", rng=rng(5)), shares, strict=True):
        alone = hide(pixels, share, kind, "random", rng=rng(5))
        assert at_once.hidden == alone.hidden
        assert at_once.window == alone.window
        assert np.array_equal(at_once.cover, alone.cover)
        assert np.array_equal(at_once.pixels, alone.pixels)


@pytest.mark.parametrize("kind", KINDS)
def test_a_larger_share_hides_all_that_a_smaller_one_hides(kind: str) -> None:
    pixels = block((50, 60), 7, 9, 51, 42)
    covers = [under(hide(pixels, share, kind, "random", rng=rng(3)), (50, 60)) & pixels for share in (0.1, 0.4, 0.7)]
    assert not (covers[0] & ~covers[1]).any()
    assert not (covers[1] & ~covers[2]).any()


@pytest.mark.parametrize("kind", DIFFUSE)
def test_diffuse_ones_hide_about_as_much_in_each_quarter(kind: str) -> None:
    pixels = block((80, 80), 0, 0, 80, 80)
    shares = []
    for seed in range(8):
        cover = under(hide(pixels, 0.4, kind, "top", rng=rng(seed)), (80, 80))
        shares.append([cover[y : y + 40, x : x + 40].mean() for y in (0, 40) for x in (0, 40)])
    assert np.abs(np.mean(shares, axis=0) - 0.4).max() < 0.1
    assert np.min(shares) > 0.15


def test_random_places_are_all_over_the_object() -> None:
    pixels = block((100, 100), 20, 20, 80, 80)
    boxes = np.array([hide(pixels, 0.05, "grey", "random", rng=rng(seed)).box for seed in range(60)])
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    assert middle.min() < 30
    assert middle.max() > 70
    assert np.abs(middle.mean(0) - 50).max() < 8


def test_bad_input_says_what_to_do() -> None:
    pixels = block((9, 9), 2, 2, 7, 7)
    for arguments, message in {
        ("gray",): "did you mean 'grey'",
        ("grey", "middle"): "place 'middle' does not exist",
        ("grey", (0.5, 1.2)): "each from 0 to 1",
    }.items():
        with pytest.raises(DataError, match=message):
            hide(pixels, 0.5, *arguments, rng=rng())
    with pytest.raises(DataError, match="without a pixel"):
        hide(np.zeros((4, 4), bool), 0.5, rng=rng())
