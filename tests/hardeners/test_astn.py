"""ASTN: rotation by hand and against four loops, and that the adversary learns to hide objects."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stages import stage
from torch.nn import functional as F

from workbench.detectors import build_detector
from workbench.errors import RecipeError
from workbench.hardeners import ASTN
from workbench.hardeners.astn import rotate
from workbench.types import HeadLayout, RoIBatch, Score


def test_no_angle_changes_nothing():
    features = torch.rand(3, 8, 7, 7)
    torch.testing.assert_close(rotate(features, torch.zeros(3, 4)), features, atol=1e-5, rtol=0)


def test_a_quarter_turn_is_counter_clockwise():
    features = torch.rand(2, 3, 6, 6)
    turned = rotate(features, torch.full((2, 1), math.pi / 2))
    torch.testing.assert_close(turned, torch.rot90(features, 1, (2, 3)), atol=1e-5, rtol=0)


def test_each_block_has_its_own_angle():
    features = torch.rand(2, 8, 5, 5)
    angles = torch.tensor([[0.0, math.pi / 2, math.pi, 0.0], [math.pi, 0.0, 0.0, -math.pi / 2]])
    turned = rotate(features, angles)
    for roi in range(2):
        for block in range(4):
            part = slice(2 * block, 2 * block + 2)
            quarters = round(float(angles[roi, block]) / (math.pi / 2))
            expected = torch.rot90(features[roi, part], quarters, (1, 2))
            torch.testing.assert_close(turned[roi, part], expected, atol=1e-5, rtol=0)


def test_cells_of_maps_that_are_not_square_move_as_in_the_picture():
    """A half turn of a point at (2, 3) of 5 x 9 cells; and a quarter turn of a neighbour of the middle."""
    features = torch.zeros(1, 1, 5, 9)
    features[0, 0, 2, 5] = 1.0  # one cell to the right of the middle
    turned = rotate(features, torch.tensor([[math.pi / 2]]))
    assert torch.nonzero(turned[0, 0] > 0.5).tolist() == [[1, 4]], "one cell above it"


def loops(features: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """One grid_sample per block; sines from one call, as they depend on where a vector register ends."""
    cosines, sines = angles.cos().t(), angles.sin().t()
    parts = []
    for block, cosine, sine in zip(features.chunk(angles.shape[1], dim=1), cosines, sines, strict=True):
        zero = torch.zeros_like(sine)
        rows = [cosine, -sine, zero, sine, cosine, zero]
        grid = F.affine_grid(torch.stack(rows, dim=1).view(-1, 2, 3), list(block.shape), align_corners=False)
        parts.append(F.grid_sample(block, grid, padding_mode="zeros", align_corners=False))
    return torch.cat(parts, dim=1)


@settings(max_examples=15, deadline=None)
@given(rois=st.integers(1, 6), each=st.integers(1, 5), blocks=st.sampled_from([1, 2, 4]), seed=st.integers(0, 99))
def test_one_sampling_is_bit_equal_to_one_per_block(rois, each, blocks, seed):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(rois, each * blocks, 7, 7, generator=generator)
    angles = torch.randn(rois, blocks, generator=generator)
    assert torch.equal(rotate(features, angles), loops(features, angles))
    live = features.to(memory_format=torch.channels_last)
    assert torch.equal(rotate(live, angles), loops(features, angles))


def test_gradients_are_those_of_differences():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 4, 5, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    angles = (0.1 * torch.randn(2, 4, generator=generator, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(rotate, (features, angles), eps=1e-7)


def adversary(**options: float) -> ASTN:
    torch.manual_seed(0)
    astn = ASTN(**options)
    astn.bind_head(HeadLayout(8, 7))
    return astn


def test_it_begins_with_small_angles_that_differ():
    angles = adversary().angles(torch.rand(50, 8, 7, 7)).detach()
    assert angles.shape == (50, 4)
    assert 0 < float(angles.abs().max()) < math.radians(3)
    assert len(angles.mean(0).round(decimals=4).unique()) == 4


def test_angles_stay_within_the_limit():
    astn = adversary()
    with torch.no_grad():
        astn.net.out.bias.copy_(torch.tensor([50.0, -50.0, 1e4, 0.0]))
    angles = astn.angles(torch.rand(5, 8, 7, 7)).detach()
    assert float(angles.abs().max()) <= math.radians(10) + 1e-6
    torch.testing.assert_close(angles[0, :2], torch.tensor([1.0, -1.0]) * math.radians(10))


def upright(features: torch.Tensor) -> torch.Tensor:
    """Logits of a head that knows an object by a vertical bar in each block of two channels."""
    bar = features[:, :, :, 3].mean(dim=(1, 2)) - features[:, :, :, [1, 5]].mean(dim=(1, 2, 3))
    return torch.stack([torch.zeros_like(bar), 4 * bar], dim=1)


def bars(rois: int = 24) -> RoIBatch:
    generator = torch.Generator().manual_seed(0)
    features = 0.1 * torch.rand(rois, 8, 7, 7, generator=generator)
    features[:, :, :, 3] += 1.0
    labels = torch.ones(rois, dtype=torch.long)
    return RoIBatch(features, labels, torch.zeros_like(labels), Score(upright), generator)


def test_it_learns_to_pass_objects_for_background():
    astn, batch = adversary(), bars()
    optimizer = torch.optim.Adam(astn.parameters(), 1e-2)
    first = batch.score.true_class(astn(batch).features, batch.labels).mean()
    assert astn.health["angles_at_limit"] == 0
    assert astn.health["angle_5"] == 1, "it begins with angles of nearly 0"
    for _ in range(40):
        optimizer.zero_grad()
        astn(batch).adversary_loss.backward()
        optimizer.step()
    last = batch.score.true_class(astn(batch).features, batch.labels).mean()
    limit = batch.score.true_class(rotate(batch.features, torch.full((24, 4), math.radians(10))), batch.labels).mean()
    assert last < first - 0.8 * (first - limit)
    assert astn.health["angles_at_limit"] > 0.9, "this world is won by turning as far as one may"
    assert astn.health["hardened"] == 1
    bins = [astn.health[f"angle_{number}"] for number in range(1, 10)]
    assert sum(bins) == pytest.approx(1)
    assert bins[0] + bins[8] > 0.9


def test_its_loss_is_cross_entropy_with_background():
    astn, batch = adversary(), bars()
    hardened = astn(batch)
    expected = F.cross_entropy(upright(hardened.features), torch.zeros_like(batch.labels))
    torch.testing.assert_close(hardened.adversary_loss.detach(), expected)
    twice = adversary(weight=2.0)(batch).adversary_loss
    torch.testing.assert_close(twice.detach(), 2 * expected)


def test_it_can_sit_out_a_stage_for_adversaries():
    astn, batch = adversary(pretrain=False), bars()
    astn.begin_stage(stage("hardener"))
    hardened = astn(batch)
    assert hardened.adversary_loss is None
    assert torch.equal(hardened.features, batch.features)
    assert astn.health == {}
    astn.begin_stage(stage("both"))
    assert astn(batch).adversary_loss is not None


def test_a_decision_can_be_replayed():
    astn, batch = adversary(), bars(6)
    decision = astn.decide(batch)
    assert decision.angles.shape == (6, 4)
    assert not decision.angles.requires_grad
    assert torch.equal(decision.apply(batch.features), astn(batch).features)
    still = dataclasses.replace(decision, angles=torch.zeros(6, 4), rows=None)
    torch.testing.assert_close(still.apply(batch.features), batch.features, atol=1e-5, rtol=0)


def test_channels_must_divide():
    with pytest.raises(RecipeError, match=r"blocks is 4, but the features have 6 channels"):
        ASTN().bind_head(HeadLayout(6, 7))


def test_in_a_detector_with_a_convolutional_head():
    config = {
        "kind": "faster-rcnn",
        "backbone": {"name": "resnet18"},
        "pyramid": False,
        "head": {"kind": "conv5"},
        "min_size": 96,
        "rpn": {"train_proposals": [30, 20], "test_proposals": [30, 20]},
        "roi": {"samples": 8},
    }
    torch.manual_seed(0)
    detector = build_detector(config, ("a", "b"), ASTN())
    target = {"boxes": torch.tensor([[10.0, 10, 60, 60]]), "labels": torch.tensor([2])}
    losses = detector.losses([torch.rand(3, 96, 128)], [target], torch.Generator().manual_seed(0))
    losses["adversary"].backward()
    assert all(p.grad is not None for p in detector.hardener.parameters())
    assert all(p.grad is None for name, p in detector.named_parameters() if not name.startswith("hardener."))
