"""Networks on windows: at chosen places they give what the convolutions give there."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from workbench.detectors.layers.mask_windows import MaskWindows
from workbench.detectors.layers.window_head import WindowHead

WINDOWS = MaskWindows((4, 8), sizes=(5, 7), finest_scale=32.0, padding=1.25)


@pytest.fixture
def head() -> WindowHead:
    torch.manual_seed(0)
    made = WindowHead(6, (5, 7), width=16, mask_size=3)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return made


@pytest.fixture(params=[torch.contiguous_format, torch.channels_last])
def maps(request) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    made = [torch.randn(2, 6, *shape, generator=generator) for shape in ((9, 12), (4, 6))]
    return [one.contiguous(memory_format=request.param).requires_grad_() for one in made]


def everywhere(head: WindowHead, maps: list[torch.Tensor]) -> torch.Tensor:
    """Masks [B, P, 3, 3] at all places by convolutions."""
    dense = [mlp.mask(F.relu(mlp.hidden(level))) for level in maps for mlp in head.mlps]  # [B, 9, h, w] each
    return torch.cat([each.flatten(2) for each in dense], dim=2).transpose(1, 2).unflatten(2, (3, 3))


def test_chosen_places_have_the_numbers_of_all(head, maps):
    """All places of both images, edges and corners too, in any order; masks at some only."""
    places, scores = WINDOWS.places(maps), head(maps)
    assert scores.shape == (2, len(places.row))
    order = torch.randperm(scores.numel(), generator=torch.Generator().manual_seed(2))
    image, place = order // scores.shape[1], order % scores.shape[1]
    masked = torch.rand(len(order), generator=torch.Generator().manual_seed(3)) < 0.3
    found, masks = head.at(maps, image, places.take(place), masked)
    torch.testing.assert_close(found, scores[image, place], atol=1e-4, rtol=1e-4)
    wanted = everywhere(head, maps)[image[masked], place[masked]]
    torch.testing.assert_close(masks, wanted, atol=1e-4, rtol=1e-4)
    assert len(head.at(maps, image[:7], places.take(place[:7]))[1]) == 7


def test_a_window_is_all_that_is_seen(head, maps):
    """The middle place of the finest level, of 7 x 7 cells, computed from these cells alone."""
    places = WINDOWS.places(maps)
    chosen = torch.where((places.level == 0) & (places.window == 1) & (places.row == 4) & (places.column == 6))[0]
    vector = F.relu(F.conv2d(maps[0][1:, :, 1:8, 3:10], head.mlps[1].hidden.weight, head.mlps[1].hidden.bias))
    score, mask = head.at(maps, torch.tensor([1]), places.take(chosen))
    torch.testing.assert_close(score, head.mlps[1].score(vector).flatten(), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(mask.flatten(), head.mlps[1].mask(vector).flatten(), atol=1e-4, rtol=1e-4)


def test_gradients_are_those_of_the_convolutions(head, maps):
    """Places that overlap, and one that is chosen twice."""
    places = WINDOWS.places(maps)
    image, place = torch.tensor([0, 0, 1, 1, 1]), torch.tensor([0, 1, 130, 130, 250])
    learning = [*maps, *head.parameters()]
    scores, masks = head.at(maps, image, places.take(place))
    ours = torch.autograd.grad(scores.sum() + masks.square().sum(), learning)
    dense = head(maps)[image, place].sum() + everywhere(head, maps)[image, place].square().sum()
    for got, want in zip(ours, torch.autograd.grad(dense, learning), strict=True):
        torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-4)


def test_no_place_gives_nothing_and_no_gradient(head, maps):
    none = torch.zeros(0, dtype=torch.long)
    scores, masks = head.at(maps, none, WINDOWS.places(maps).take(none))
    assert (scores.shape, masks.shape) == ((0,), (0, 3, 3))
    (scores.sum() + masks.sum()).backward()
    assert all(not parameter.grad.any() for parameter in head.parameters())
