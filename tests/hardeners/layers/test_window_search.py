"""The exhaustive search: windows worked by hand, and the quick way against every window in turn."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead

from workbench import types
from workbench.detectors.layers.head_score import TwoLayerScore
from workbench.hardeners import HardDropout
from workbench.hardeners.layers.window_search import hardest_windows, window_losses, windows
from workbench.types import RoIBatch, Score


def corners(cells: torch.Tensor) -> list[tuple[int, int]]:
    """Top left cell of each window."""
    return [tuple(torch.nonzero(window)[0].tolist()) for window in cells]


@pytest.mark.parametrize(
    ("size", "stride", "count", "side"),
    [(6, 1, 25, 2), (7, 1, 36, 2), (7, 2, 16, 2), (14, 1, 100, 5), (1, 1, 1, 1)],
)
def test_number_and_size_of_windows(size, stride, count, side):
    cells = windows(size, size, stride=stride)
    assert cells.shape == (count, size, size)
    assert (cells.flatten(1).sum(1) == side**2).all()
    assert len(set(corners(cells))) == count


def test_the_last_released_window_is_shifted_back_to_fit():
    assert corners(windows(7, 7, stride=2))[:5] == [(0, 0), (0, 2), (0, 4), (0, 5), (2, 0)]


def test_a_window_is_a_square():
    assert windows(3, 4, side=2)[1].int().tolist() == [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]


def two_layers(channels: int, size: int, width: int, seed: int = 0) -> TwoLayerScore:
    torch.manual_seed(seed)
    return TwoLayerScore(TwoMLPHead(channels * size**2, width), FastRCNNPredictor(width, 5))


@settings(max_examples=15, deadline=None)
@given(
    rois=st.integers(1, 9),
    channels=st.integers(1, 6),
    size=st.integers(1, 7),
    stride=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_partial_products_equal_a_pass_for_every_window(rois, channels, size, stride, seed):
    score = two_layers(channels, size, 12, seed)
    features = torch.randn(rois, channels, size, size)
    cells = windows(size, size, stride=stride)
    ours, every = score.without_cells(features, cells), Score.without_cells(score, features, cells)
    torch.testing.assert_close(ours, every, atol=1e-5, rtol=1e-5)
    one = int(torch.randint(len(cells), ()))
    torch.testing.assert_close(ours[:, one], score(features * ~cells[one]), atol=1e-5, rtol=1e-5)


def test_the_worst_window_is_the_same():
    score = two_layers(8, 7, 64)
    features, labels = torch.randn(64, 8, 7, 7), torch.randint(0, 5, (64,))
    every = Score(score)  # knows no short cut
    assert torch.equal(hardest_windows(score, features, labels), hardest_windows(every, features, labels))


def test_bounded_memory_changes_nothing(monkeypatch):
    score = two_layers(4, 6, 16)
    features, cells = torch.randn(10, 4, 6, 6), windows(6, 6)
    whole = score.without_cells(features, cells), Score.without_cells(score, features, cells)
    monkeypatch.setattr(types, "CHUNK_BYTES", 1)
    parts = score.without_cells(features, cells), Score.without_cells(score, features, cells)
    for a, b in zip(whole, parts, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-6)


def test_losses_by_hand():
    """The logit of class 1 is the sum of the map, that of background 0: a window's loss is log(1 + exp(-rest))."""
    features = torch.arange(16.0).view(1, 1, 4, 4) / 40
    score = Score(lambda f: torch.stack([torch.zeros(len(f)), f.sum(dim=(1, 2, 3))], dim=1))
    cells = windows(4, 4, side=2)
    losses = window_losses(score, features, torch.tensor([1]), cells)
    taken = torch.stack([features[0, 0][window].sum() for window in cells])
    torch.testing.assert_close(losses[0], F.softplus(-(features.sum() - taken)))
    assert int(losses.argmax()) == 8, "the window at the lower right takes most"
    background = window_losses(score, features, torch.tensor([0]), cells)
    assert int(background.argmax()) == 0, "for background what speaks for the object is best left in"


def test_hard_dropout_drops_what_the_head_needs():
    """Each RoI's class is given by one cell alone."""
    features = torch.zeros(6, 1, 7, 7)
    place = [(0, 0), (3, 3), (6, 6), (0, 6), (2, 5), (4, 1)]
    for roi, (y, x) in enumerate(place):
        features[roi, 0, y, x] = 5.0
    score = Score(lambda f: torch.stack([torch.zeros(len(f)), f.sum(dim=(1, 2, 3))], dim=1))
    labels, index = torch.tensor([1, 1, 1, 1, 1, 0]), torch.tensor([1, 1, 1, 1, 0, 1])
    hardened = HardDropout()(RoIBatch(features, labels, index, score, torch.Generator()))
    assert hardened.features.flatten(1).sum(1).tolist() == [0, 0, 0, 0, 5, 5], "a spared image, and background"
    assert ((hardened.mask == 0).flatten(1).sum(1)).tolist() == [4, 4, 4, 4, 0, 0]
    assert hardened.adversary_loss is None
