"""Random masks: counted by hand, against OpenCV, and the same whatever the batches."""

from __future__ import annotations

from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.analysis.explaining.grid_masks import FILLS, GridMasks, Masking, ground
from workbench.errors import DataError


def some(masks: GridMasks, count: int) -> torch.Tensor:
    return masks.batch(islice(masks.drawn(), count))


def test_one_mask_by_hand():
    """One row of two cells, 1 and 0, over 4 × 8 pixels: enlarged to 12 columns they fall over 6 of them."""
    masks = GridMasks((4, 8), (1, 2), 0.5, 0)
    assert masks.cell == (4, 4)
    cells, shifts = torch.tensor([[[1, 0]]] * 2), torch.tensor([[0, 0], [3, 2]])
    first, second = masks.enlarged(cells, shifts)
    row = torch.tensor([1, 1, 1, 11 / 12, 9 / 12, 7 / 12, 5 / 12, 3 / 12, 1 / 12, 0, 0, 0])
    torch.testing.assert_close(first, row[:8].expand(4, 8))
    torch.testing.assert_close(second, row[2:10].expand(4, 8))


@pytest.mark.parametrize(("size", "cells"), [((32, 48), (4, 4)), ((50, 33), (16, 16)), ((20, 57), (7, 3))])
def test_masks_are_those_of_opencv(size, cells):
    """As public code of D-RISE makes them: cells resized by INTER_LINEAR and cut out at the shift."""
    cv2 = pytest.importorskip("cv2")
    masks = GridMasks(size, cells, 0.4, 3)
    drawn = list(islice(masks.drawn(), 8))
    for (grid, shift), ours in zip(drawn, masks.batch(drawn), strict=True):
        larger = tuple((n + 1) * c for n, c in zip(cells, masks.cell, strict=True))
        large = cv2.resize(grid.float().numpy(), larger[::-1], interpolation=cv2.INTER_LINEAR)
        top, left = shift.tolist()
        theirs = torch.from_numpy(large[top : top + size[0], left : left + size[1]])
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_a_series_is_the_same_for_the_same_seed_however_it_is_cut():
    masks = GridMasks((24, 24), (4, 4), 0.5, 7)
    whole = some(masks, 300)  # more than are drawn at once
    series = masks.drawn()
    parts = [masks.batch(islice(series, count)) for count in (1, 250, 49)]
    assert torch.equal(torch.cat(parts), whole)
    assert not torch.equal(some(GridMasks((24, 24), (4, 4), 0.5, 8), 300), whole)


@settings(max_examples=10)
@given(keep=st.sampled_from([0.2, 0.5, 0.8]), side=st.integers(9, 40))
def test_every_pixel_is_seen_with_the_chance_of_a_cell(keep, side):
    """Of 600 masks of 3 × 3 cells; a pixel's mean has a standard deviation of 0.02."""
    mean = some(GridMasks((side, side + 5), (3, 3), keep, 0), 600).mean(dim=0)
    assert (mean - keep).abs().max() < 0.1
    assert abs(float(mean.mean()) - keep) < 0.03


@pytest.mark.parametrize(("cells", "keep"), [((0, 4), 0.5), ((4, 4), 0.0), ((4, 4), 1.0)])
def test_what_makes_no_mask(cells, keep):
    with pytest.raises(DataError, match="expected whole numbers from 1"):
        GridMasks((24, 24), cells, keep, 0)


def test_what_is_seen_where_an_image_is_masked():
    image = torch.zeros(3, 20, 40, dtype=torch.uint8)
    image[0, :, 20:] = 200
    assert ground(image, "black").abs().max() == 0
    assert ground(image, "mean")[:, 3, 3].tolist() == [100, 0, 0]
    blurred = ground(image, "blur")
    torch.testing.assert_close(blurred[0].mean(), torch.tensor(100.0), atol=1e-3, rtol=0)  # nothing is lost
    assert blurred[0, 10, [0, 19, 20, 39]].tolist() == pytest.approx([0, 80.3, 119.7, 200], abs=0.5)  # 200 Φ(±0.25)
    assert (blurred[0] - blurred[0, :1]).abs().max() < 1e-3  # rows are alike
    assert FILLS == ("black", "mean", "blur")
    with pytest.raises(DataError, match="'pink' does not exist; choose from black"):
        ground(image, "pink")


@pytest.mark.parametrize("fill", FILLS)
def test_masking_is_a_mixture_rounded_to_whole_values(fill):
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (3, 10, 12), generator=generator, dtype=torch.uint8)
    masks = torch.rand(5, 10, 12, generator=generator)
    under = Masking(image, fill)
    shown = under(masks).clone()
    mixed = ground(image, fill) * (1 - masks[:, None]) + image * masks[:, None]
    assert shown.dtype == torch.uint8
    assert (shown.float() - mixed).abs().max() <= 0.5 + 1e-3
    assert torch.equal(under(masks[:2]), shown[:2])  # a smaller batch
    assert torch.equal(under(torch.ones(1, 10, 12))[0], image)
