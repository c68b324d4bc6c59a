"""DropBlock: torchvision's masks and features number for number, and the schedule of the paper."""

from __future__ import annotations

import pytest
import torch
from torchvision.ops import drop_block2d

from workbench.errors import RecipeError
from workbench.hardeners import Chain, DropBlock
from workbench.hardeners.drop_block import block_mask
from workbench.types import RoIBatch, Score


def batch(rois: int = 6, channels: int = 5, size: tuple[int, int] = (7, 7), seed: int = 0) -> RoIBatch:
    features = torch.rand(rois, channels, *size, generator=torch.Generator().manual_seed(9))
    labels = torch.arange(rois) % 2
    generator = torch.Generator().manual_seed(seed)
    return RoIBatch(features, labels, torch.zeros_like(labels), Score(lambda maps: maps.mean((2, 3))), generator)


@pytest.mark.parametrize("block", [1, 3, 5, 7])
@pytest.mark.parametrize("size", [(7, 7), (9, 14)])
def test_features_are_torchvisions(block, size):
    """For the same numbers of the generator; `randperm`, which chooses RoIs, is drawn before."""
    given = batch(size=size)
    hardened = DropBlock(keep=0.8, block=block)(given).features
    generator = torch.manual_seed(0)
    torch.randperm(len(given.features), generator=generator)
    assert torch.equal(hardened, drop_block2d(given.features, 0.2, block))


def test_an_even_map_smaller_than_the_block():
    """torchvision refuses it; here the block is the largest odd one that fits."""
    mask = block_mask((2, 3, 4, 6), 0.5, 7, torch.Generator().manual_seed(0))
    assert mask.shape == (2, 3, 4, 6)
    assert 0 < float(mask.mean()) < 1


def test_dropped_cells_are_blocks():
    mask = block_mask((50, 4, 9, 9), 0.95, 3, torch.Generator().manual_seed(0))
    whole = torch.nn.functional.conv2d(1 - mask.flatten(0, 1)[:, None], torch.ones(1, 1, 3, 3), padding=0) == 9
    spread = torch.nn.functional.max_pool2d(torch.nn.functional.pad(whole.float(), [1] * 4), 3, stride=1, padding=1)
    assert torch.equal(spread, 1 - mask.flatten(0, 1)[:, None]), (
        "each dropped cell is in a whole block of dropped ones"
    )
    assert 0.93 < float(mask.mean()) < 0.97


def test_the_schedule_falls_linearly_from_one():
    hardener = DropBlock(keep=0.8, ramp=0.5, normalise=False)
    shares = []
    for progress in (0.0, 0.125, 0.25, 0.5, 1.0):
        hardener.begin_step(progress)
        assert hardener.health == {"keep": pytest.approx(1 - 0.2 * min(1, progress / 0.5))}
        shares.append(float(hardener(batch(rois=300)).mask.mean()))
    assert shares[0] == 1
    assert shares == sorted(shares, reverse=True)[:3] + shares[3:]
    assert shares[1:] == pytest.approx([0.95, 0.9, 0.8, 0.8], abs=0.025), "blocks overlap"
    assert DropBlock(ramp=0.0).kept == 0.9
    fixed = DropBlock(keep=0.7, ramp=0.0)
    fixed.begin_step(0.0)
    assert fixed.kept == 0.7


def test_a_chain_passes_the_step_on():
    inner = DropBlock()
    Chain(inner, DropBlock()).begin_step(0.25)
    assert inner.progress == 0.25


def test_the_sum_stays_about_the_same():
    given = batch(rois=400)
    normalised, plain = (DropBlock(keep=0.7, normalise=scaled)(given).features for scaled in (True, False))
    assert float(normalised.sum() / given.features.sum()) == pytest.approx(1.0, abs=0.02)
    assert float(plain.sum() / given.features.sum()) == pytest.approx(0.7, abs=0.06)


def test_channels_have_blocks_of_their_own_or_all_the_same():
    own, same = (DropBlock(keep=0.7, per_channel=each, normalise=False)(batch()).mask for each in (True, False))
    assert own.shape == (6, 5, 7, 7)
    assert same.shape == (6, 1, 7, 7)
    assert not torch.equal(own[:, 0], own[:, 1])


def test_some_of_the_rois():
    mask = DropBlock(keep=0.5, foreground_only=True, normalise=False)(batch(rois=8)).mask
    assert (mask[0::2] == 1).all()
    assert (mask[1::2] == 0).flatten(1).any(1).all()
    few = DropBlock(keep=0.3, share=0.25, normalise=False)(batch(rois=8)).mask
    assert int((few == 0).flatten(1).any(1).sum()) == 2


def test_an_even_block_is_refused():
    with pytest.raises(RecipeError, match=r"hardener\.block is 4; expected an odd number of cells"):
        DropBlock(block=4)
