"""Losses on sigmoid logits: by hand, against double-precision autograd, and against torchvision."""

from __future__ import annotations

import math
import re

import pytest
import torch
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from workbench.errors import RecipeError
from workbench.losses import anchor_losses, build_anchor_loss, focal, focal_loss, prior_bias
from workbench.losses.focal import CrossEntropy, Focal, FocalStar, Hinge

LOSSES = [
    Focal(),
    Focal(gamma=0.5, alpha=0.5),
    Focal(gamma=5.0, alpha=None),
    CrossEntropy(),
    CrossEntropy(alpha=0.75),
    FocalStar(),
    FocalStar(gamma=4.0, beta=0.0, alpha=0.3),
    Hinge(),
    Focal(tau=0.01),
]


def in_double(logits: torch.Tensor, labels: torch.Tensor, loss: focal.AnchorLoss) -> torch.Tensor:
    """Loss of each anchor from a dense target, by the thesis's formulas in p_gt."""
    present = F.one_hot(labels.clamp(min=0), logits.shape[1] + 1)[:, 1:].bool()
    turned = torch.where(present, logits, -logits)
    log_p = F.logsigmoid(turned)
    if loss.tau:
        log_p = log_p.clamp(min=math.log(loss.tau))
    if isinstance(loss, Focal):
        each = -((1 - log_p.exp()) ** loss.gamma) * log_p
    elif isinstance(loss, FocalStar):
        each = -F.logsigmoid(loss.gamma * turned + loss.beta) / loss.gamma
    elif isinstance(loss, Hinge):
        each = torch.relu(loss.margin - turned)
    else:
        each = -log_p
    weight = torch.where(present, *(torch.tensor(value, dtype=torch.double) for value in loss.weights))
    return (weight * each).sum(dim=1) * (labels >= 0)


@pytest.fixture
def anchors():
    generator = torch.Generator().manual_seed(0)
    logits = 8 * torch.randn(3000, 7, generator=generator, dtype=torch.double)
    labels = torch.randint(-1, 8, (3000,), generator=generator)
    weights = torch.rand(3000, generator=generator, dtype=torch.double)
    return logits, labels, weights


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_values_and_gradients_are_those_of_double_precision(loss, dtype, anchors, monkeypatch):
    logits, labels, weights = anchors
    monkeypatch.setattr(focal, "CACHED", 999)  # several blocks, none of them even
    given = logits.to(dtype).requires_grad_()
    total = focal_loss(given, labels, loss, weights=weights.float())
    total.backward()
    leaf = given.detach().double().requires_grad_()
    exact = (in_double(leaf, labels, loss) * weights.float().double()).sum()
    exact.backward()
    torch.testing.assert_close(total.detach().double(), exact.detach(), rtol=1e-6, atol=0)
    rounding = 2.0**-8 if dtype is torch.bfloat16 else 0.0  # of the gradient itself, when it is stored
    assert given.grad.dtype is dtype
    torch.testing.assert_close(given.grad.double(), leaf.grad, atol=1e-6, rtol=rounding)


def test_one_anchor_by_hand():
    """p = 0.9 and 0.2, the first class is present: 0.25 · 0.1² · -log 0.9 + 0.75 · 0.2² · -log 0.8."""
    logits = torch.tensor([[math.log(9), -math.log(4)]])
    expected = 0.25 * 0.01 * -math.log(0.9) + 0.75 * 0.04 * -math.log(0.8)
    assert focal_loss(logits, torch.tensor([1])).item() == pytest.approx(expected, rel=1e-6)
    expected = -math.log(0.9) - math.log(0.8)
    assert focal_loss(logits, torch.tensor([1]), CrossEntropy()).item() == pytest.approx(expected, rel=1e-6)


def test_the_thesis_s_own_numbers():
    """Sec. 5.3.2: with gamma 2, p_gt = 0.9 costs 100 times less than CE, and 0.968 a thousand times less."""
    for probability, factor in ((0.9, 100), (0.968, 1000)):
        logit = torch.tensor([[math.log(probability / (1 - probability))]])
        present = torch.tensor([1])
        discounted = anchor_losses(logit, present, Focal(alpha=None))
        plain = anchor_losses(logit, present, CrossEntropy())
        assert (plain / discounted).item() == pytest.approx(factor, rel=0.03)


def test_torchvision_gives_the_same():
    generator = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(500, 20, generator=generator)
    labels = torch.randint(0, 21, (500,), generator=generator)
    for alpha, gamma in ((0.25, 2.0), (0.6, 1.5)):
        mine, theirs = (logits.clone().requires_grad_() for _ in range(2))
        a = focal_loss(mine, labels, Focal(gamma=gamma, alpha=alpha))
        target = F.one_hot(labels, 21)[:, 1:].float()
        b = sigmoid_focal_loss(theirs, target, alpha=alpha, gamma=gamma, reduction="sum")
        torch.testing.assert_close(a, b, rtol=1e-5, atol=0)
        a.backward()
        b.backward()
        torch.testing.assert_close(mine.grad, theirs.grad, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_extreme_logits_stay_finite(loss, dtype):
    logits = torch.tensor([[1e4, -1e4], [-1e4, 1e4], [0.0, 90.0], [-90.0, 0.0]], dtype=dtype).requires_grad_()
    total = focal_loss(logits, torch.tensor([1, 1, 0, 2]), loss)
    total.backward()
    assert torch.isfinite(total)
    assert torch.isfinite(logits.grad).all()


def test_small_losses_keep_their_digits():
    """The logarithm of 1 - p, in float32, would be wrong by 1.3 % at p = 1e-6, for millions of anchors."""
    cost = anchor_losses(torch.full((1, 1), math.log(1e-6)), torch.tensor([0]), CrossEntropy())
    assert cost.item() == pytest.approx(1e-6, rel=1e-5)


def test_ignored_anchors_and_weights_of_zero_count_nothing():
    logits = torch.randn(4, 3).requires_grad_()
    labels = torch.tensor([-1, 0, 2, 1])
    focal_loss(logits, labels, weights=torch.tensor([1.0, 1, 1, 0])).backward()
    assert logits.grad[[0, 3]].abs().max() == 0
    assert (logits.grad[[1, 2]] != 0).all()
    assert anchor_losses(logits, labels)[0] == 0


def test_levels_of_images_with_one_weight_each():
    """[B, n, K] with weights [B, 1]: the sum over images of weight times sum; a factor goes through."""
    logits = torch.randn(2, 5, 3, dtype=torch.double).requires_grad_()
    labels = torch.randint(0, 4, (2, 5))
    weights = torch.tensor([[0.5], [2.0]])
    whole = focal_loss(logits, labels, weights=weights)
    parts = [weights[i, 0] * anchor_losses(logits[i], labels[i]).sum() for i in range(2)]
    torch.testing.assert_close(whole.detach(), sum(parts), check_dtype=False)
    assert torch.autograd.gradcheck(lambda x: 3 * focal_loss(x, labels, weights=weights), logits)


def test_no_anchors():
    logits = torch.zeros(0, 5).requires_grad_()
    total = focal_loss(logits, torch.zeros(0, dtype=torch.long))
    total.backward()
    assert total.item() == 0


def test_clipped_probabilities_have_no_gradient():
    logits = torch.tensor([[5.0, -5.0]]).requires_grad_()
    total = focal_loss(logits, torch.tensor([2]), CrossEntropy(tau=0.01))
    total.backward()
    assert total.item() == pytest.approx(-2 * math.log(0.01), rel=1e-5)
    assert logits.grad.tolist() == [[0.0, 0.0]]


def test_the_prior_is_what_every_class_begins_at():
    assert torch.sigmoid(torch.tensor(prior_bias(0.01))).item() == pytest.approx(0.01)
    assert prior_bias(0.5) == 0
    with pytest.raises(RecipeError, match="prior is 1"):
        prior_bias(1)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"kind": "focl"}, "loss.kind 'focl' does not exist (did you mean 'focal'?); choose one of"),
        ({"gama": 2}, "gama"),
        ({"gamma": -1}, "loss.gamma is -1"),
        ({"alpha": 1.5}, "loss.alpha is 1.5"),
        ({"kind": "focal-star", "gamma": 0}, "loss.gamma is 0"),
        ({"kind": "cross-entropy", "tau": 1}, "loss.tau is 1"),
    ],
)
def test_bad_configurations_say_what_exists(config, message):
    with pytest.raises(RecipeError, match=re.escape(message)):
        build_anchor_loss(config)


def test_configurations():
    assert build_anchor_loss(None) == Focal(gamma=2.0, alpha=0.25)
    assert build_anchor_loss({"kind": "cross-entropy", "alpha": 0.75}) == CrossEntropy(alpha=0.75)
    assert build_anchor_loss({"kind": "hinge", "margin": 2}) == Hinge(margin=2)


def test_a_loss_in_words():
    assert str(Focal()) == "focal, γ = 2, α = 0.25"
    assert str(CrossEntropy()) == "cross-entropy"
    assert str(FocalStar(tau=0.01)) == "focal-star, γ = 2, β = 1, τ = 0.01"
    assert str(Hinge(alpha=0.5)) == "hinge, margin = 1, α = 0.5"
