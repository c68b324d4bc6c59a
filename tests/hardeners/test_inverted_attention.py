"""Inverted Attention on numbers worked by hand, and its closed-form gradient against autograd."""

from __future__ import annotations

import pytest
import torch
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead

from workbench.detectors.layers.roi_head import RoIHead, TwoLayerScore
from workbench.detectors.layers.roi_pool import RoIAlign
from workbench.hardeners.inverted_attention import (
    InvertedAttention,
    attention,
    attention_by_cell,
    combine,
    drop_sampled,
    drop_top,
    invert_spatial,
)
from workbench.types import RoIBatch, Score

GENERATOR = torch.Generator().manual_seed(0)
MAP = torch.tensor([[[9.0, 1.0, 5.0], [2.0, 8.0, 3.0], [4.0, 0.0, 7.0]]])


def test_attention_is_equation_1():
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # [1, 2, 1, 2]
    found = attention(features, torch.tensor([[10.0, -1.0]]))
    assert found.map.tolist() == [[[10 * 1 - 3, 10 * 2 - 4]]]


def test_soft_threshold_drops_the_top_third():
    kept = invert_spatial(MAP, "soft", GENERATOR, drop_cells=0.33)
    assert kept[0, 0].tolist() == [[0, 1, 1], [1, 0, 1], [1, 1, 0]]


def test_hard_threshold_drops_above_half_of_the_range():
    kept = invert_spatial(MAP, "hard", GENERATOR, threshold=0.5)  # 0.5 is 4.5 here
    assert kept[0, 0].tolist() == [[0, 1, 0], [1, 0, 1], [1, 1, 0]]


def test_overturn_is_one_minus_normalised_attention():
    kept = invert_spatial(MAP, "overturn", GENERATOR)
    torch.testing.assert_close(kept[0, 0], 1 - MAP[0] / 9)


@pytest.mark.parametrize("inversion", ["random", "sampled", "soft"])
def test_number_of_dropped_cells(inversion):
    maps = torch.randn(20, 7, 7, generator=GENERATOR)
    kept = invert_spatial(maps, inversion, GENERATOR, drop_cells=16 / 49)
    assert ((1 - kept).sum(dim=(1, 2, 3)) == 16).all()


def test_sampled_drops_only_among_the_top():
    values = torch.arange(10.0)[None].repeat(50, 1)
    kept = drop_sampled(values, 0.3, 0.5, GENERATOR)
    assert ((1 - kept).sum(1) == 3).all()
    assert (kept[:, :5] == 1).all(), "the lower half is never dropped"
    assert (kept[:, 5:].mean(0) > 0.1).all(), "each of the upper half is kept sometimes"
    assert (kept[:, 5:].mean(0) < 0.9).all(), "and dropped sometimes"


def test_both_orientations_follow_equation_4():
    spatial = torch.tensor([[[[0.0, 1.0]]]])
    weights = torch.tensor([[5.0, 1.0, 4.0]])
    mask = combine(spatial, weights, "both", 2 / 3)
    assert mask[0, :, 0].tolist() == [[0, 1], [1, 1], [0, 1]], "sensitive channels only, at sensitive cells only"
    channel = combine(spatial, weights, "channel", 2 / 3)
    assert channel[0, :, 0].tolist() == [[0, 0], [1, 1], [0, 0]]
    assert combine(spatial, weights, "spatial", 2 / 3).shape == (1, 1, 1, 2)


def test_ties_drop_exactly_as_many():
    assert (1 - drop_top(torch.zeros(3, 10), 0.8)).sum(1).tolist() == [8, 8, 8]


def make_head(channels: int = 6, size: int = 5) -> RoIHead:
    torch.manual_seed(0)
    return RoIHead(RoIAlign((4,)), TwoMLPHead(channels * size**2, 24), FastRCNNPredictor(24, 5))


def test_closed_form_equals_autograd():
    score = make_head().score()
    assert isinstance(score, TwoLayerScore)
    features = torch.randn(30, 6, 5, 5, generator=GENERATOR)
    labels = torch.randint(0, 5, (30,), generator=GENERATOR)
    torch.testing.assert_close(
        score.pooled_gradient(features, labels),
        Score.pooled_gradient(score, features, labels),
        atol=1e-7,
        rtol=1e-4,
    )


def test_closed_form_by_cell_equals_autograd():
    score = make_head().score()
    features = torch.randn(30, 6, 5, 5, generator=GENERATOR)
    labels = torch.randint(0, 5, (30,), generator=GENERATOR)
    expected = Score.gradient(score, features, labels)
    torch.testing.assert_close(score.gradient(features, labels), expected, atol=1e-7, rtol=1e-4)


def test_attention_by_cell_weights_each_cell_with_its_own_gradient():
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # [1, 2, 1, 2]
    found = attention_by_cell(features, torch.tensor([[[[10.0, -1.0]], [[0.0, 2.0]]]]))
    assert found.map.tolist() == [[[10.0, -2 + 8]]]
    assert found.weights.tolist() == [[4.5, 1.0]]


@pytest.mark.parametrize("cam", ["grad-cam", "hires-cam"])
def test_attention_of_the_prediction_knows_nothing_of_the_label(cam):
    masks = []
    for shift in (0, 1):
        labels = (torch.arange(12) + shift) % 5
        hardener = InvertedAttention(share=1.0, cam=cam, score_of="prediction")
        masks.append(hardener(batch_with(labels)).mask)
    assert torch.equal(*masks)
    of_label = [InvertedAttention(share=1.0, cam=cam)(batch_with((torch.arange(12) + s) % 5)).mask for s in (0, 1)]
    assert not torch.equal(*of_label)


def test_score_sees_later_changes_of_the_weights_and_trains_none():
    head = make_head()
    features = torch.randn(3, 6, 5, 5, generator=GENERATOR).requires_grad_()
    logits = head.score()(features)
    logits.sum().backward()
    assert features.grad is not None
    assert all(p.grad is None for p in head.parameters())


def batch_with(labels: torch.Tensor, seed: int = 0) -> RoIBatch:
    features = torch.rand(len(labels), 6, 5, 5, generator=torch.Generator().manual_seed(1))
    index = torch.zeros(len(labels), dtype=torch.long)
    return RoIBatch(features, labels, index, make_head().score(), torch.Generator().manual_seed(seed))


def masked_rows(hardener: InvertedAttention, batch: RoIBatch) -> torch.Tensor:
    return (hardener(batch).mask < 1).flatten(1).any(1)


def test_share_of_rois():
    labels = torch.cat([torch.ones(30, dtype=torch.long), torch.zeros(90, dtype=torch.long)])
    assert int(masked_rows(InvertedAttention(share=0.2), batch_with(labels)).sum()) == 24
    rows = masked_rows(InvertedAttention(share=1 / 6, background_share=1 / 18), batch_with(labels))
    assert (int(rows[:30].sum()), int(rows[30:].sum())) == (5, 5)


def test_hardest_are_those_whose_probability_falls_most():
    labels = torch.randint(0, 5, (40,), generator=GENERATOR)
    batch = batch_with(labels)
    every = InvertedAttention(share=1.0, orientation="spatial")(batch)
    before = batch.score.true_class(batch.features, labels)
    fall = before - batch.score.true_class(every.features, labels)
    chosen = masked_rows(InvertedAttention(share=0.25, orientation="spatial", selection="hardest"), batch)
    assert set(torch.where(chosen)[0].tolist()) <= set(fall.argsort(descending=True)[:10].tolist())
    assert int(chosen.sum()) == int((fall.sort(descending=True).values[:10] >= 0).sum())


def test_margin_can_leave_all_alone():
    hardener = InvertedAttention(share=1.0, selection="hardest", margin=0.999)
    hardened = hardener(batch_with(torch.ones(8, dtype=torch.long)))
    assert hardened.mask is None
    assert torch.equal(hardened.features, batch_with(torch.ones(8, dtype=torch.long)).features)


def test_presets():
    paper = InvertedAttention.paper()
    assert (paper.inversion, paper.orientation, paper.share, paper.selection) == ("soft", "both", 0.2, "random")
    assert (paper.drop_cells, paper.drop_channels) == (0.33, 0.8)
    released = InvertedAttention.released()
    assert (released.inversion, released.orientation, released.selection) == ("sampled", "spatial", "hardest")
    assert round(released.drop_cells * 49) == 16
    assert round(released.pool_cells * 49) == 25


def test_float32_means_float32(monkeypatch):
    """Also on CPUs that are quicker in bfloat16: the score is asked in the precision of the training."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    precisions = []

    def logits(features):
        precisions.append((features.dtype, torch.is_autocast_enabled("cpu")))
        return features.sum(dim=(2, 3))

    features, labels = torch.rand(6, 3, 4, 4), torch.arange(6) % 3
    batch = RoIBatch(features, labels, labels, Score(logits), torch.Generator().manual_seed(0))
    InvertedAttention(share=1.0)(batch)
    assert precisions == [(torch.float32, False)]
