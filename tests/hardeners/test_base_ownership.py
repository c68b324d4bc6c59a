"""Who gets which gradient, and which numbers a method sees, whatever a method of one's own does inside."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from stages import stage
from torch import nn
from torch.nn import functional as F

from workbench.hardeners import ASDN, ASTN, Chain, Decision, Hardener, MaskDecision, RandomDropout
from workbench.types import HeadLayout, RoIBatch, Score

ROIS, CHANNELS, SIZE = 12, 4, 5


class Own(Hardener):
    """An adversary that leaves the graph of its mask in what it decides."""

    def __init__(self):
        super().__init__()
        self.net = nn.Conv2d(CHANNELS, 1, 1)

    def heat(self, features):
        return torch.sigmoid(self.net(features))

    def decide(self, batch):
        heat = self.heat(batch.features)
        loss = batch.score.true_class(batch.features * heat, batch.labels).mean()
        return self.decision(heat, loss)

    def decision(self, heat, loss):
        return MaskDecision(heat, adversary_loss=loss)


class OfRows(Own):
    """The same for some RoIs."""

    def decision(self, heat, loss):
        return MaskDecision(heat[::2], torch.arange(0, ROIS, 2), adversary_loss=loss)


@dataclass(frozen=True, eq=False)
class Painted(Decision):
    """A decision that asks its hardener again when it is applied."""

    hardener: Own

    def apply(self, features):
        return features * self.hardener.heat(features) + self.hardener.net.bias


class Late(Own):
    def decision(self, heat, loss):
        return Painted(self, adversary_loss=loss)


class Hidden(Own):
    """A decision that is no dataclass and keeps its tensors where nobody looks."""

    def decision(self, heat, loss):
        class Closed(Decision):
            def apply(self, features):
                return features * heat

        return Closed(adversary_loss=loss)


class Chained(Chain):
    def __init__(self):
        super().__init__(Own(), OfRows())


def batch_of(features: torch.Tensor) -> RoIBatch:
    torch.manual_seed(7)
    weight = torch.randn(3, CHANNELS * SIZE**2)
    labels = torch.arange(ROIS) % 3
    score = Score(lambda some: some.flatten(1) @ weight.to(some.dtype).T)
    return RoIBatch(features, labels, torch.arange(ROIS) % 2, score, torch.Generator().manual_seed(0))


def gradients(module: nn.Module) -> list[torch.Tensor | None]:
    return [None if one.grad is None else one.grad.clone() for one in module.parameters()]


@pytest.mark.parametrize("method", [Own, OfRows, Late, Hidden, Chained], ids=lambda method: method.__name__)
def test_an_adversary_of_ones_own_gets_its_own_gradient_only(method):
    torch.manual_seed(0)
    hardener, trunk, head = method(), nn.Conv2d(CHANNELS, CHANNELS, 1), nn.Linear(CHANNELS * SIZE**2, 3)
    inputs = torch.rand(ROIS, CHANNELS, SIZE, SIZE)

    def losses():
        hardened = hardener(batch_of(trunk(inputs)))
        return F.cross_entropy(head(hardened.features.flatten(1)), torch.arange(ROIS) % 3), hardened.adversary_loss

    detector_loss, adversary_loss = losses()
    adversary_loss.backward()
    alone = gradients(hardener)
    assert all(one is not None for one in alone)
    assert gradients(trunk) == gradients(head) == [None, None]
    hardener.zero_grad()
    detector_loss.backward()
    of_detector = gradients(trunk)
    assert all(one is not None and one.abs().sum() > 0 for one in of_detector)
    assert not any(one.grad is not None and one.grad.any() for one in hardener.parameters())
    trunk.zero_grad()
    sum(losses()).backward()
    for together, one in zip(gradients(hardener), alone, strict=True):
        torch.testing.assert_close(together, one)
    for together, one in zip(gradients(trunk), of_detector, strict=True):
        torch.testing.assert_close(together, one)


def test_the_gradient_of_the_features_is_that_of_what_was_done():
    """Twice, as a graph may be kept; and where nothing asks for one, there is none."""
    hardener, features = Own(), torch.rand(ROIS, CHANNELS, SIZE, SIZE, requires_grad=True)
    hardened = hardener(batch_of(features))
    for _ in range(2):
        (grad,) = torch.autograd.grad(hardened.features.sum(), features, retain_graph=True)
        torch.testing.assert_close(grad, hardened.mask.expand_as(features))
    assert not hardened.mask.requires_grad
    assert not hardener(batch_of(features.detach())).features.requires_grad


class WritesFloats(Hardener):
    """Fills a mask of its own type in place, which half precision features would not fit."""

    seen: torch.dtype

    def decide(self, batch):
        self.seen = batch.features.dtype
        mask = torch.ones(len(batch.features), 1, SIZE, SIZE)
        mask[::2] = batch.features[::2].mean(dim=1, keepdim=True)
        scores = batch.score(batch.features)
        assert scores.dtype == torch.float32
        return MaskDecision(mask)


def test_a_method_of_ones_own_sees_float32_in_training_of_bfloat16():
    hardener, features = WritesFloats(), torch.rand(ROIS, CHANNELS, SIZE, SIZE)
    with torch.autocast("cpu", torch.bfloat16):
        half = features.bfloat16().requires_grad_()
        hardened = hardener(batch_of(half))
        assert torch.is_autocast_enabled("cpu")
    assert hardener.seen == torch.float32
    assert hardened.features.dtype == torch.bfloat16
    hardened.features.float().sum().backward()
    assert half.grad.dtype == torch.bfloat16
    torch.testing.assert_close(hardened.features.float(), hardener(batch_of(features)).features, atol=0.02, rtol=0.02)


@pytest.mark.parametrize("method", [ASDN, lambda **options: ASTN(limit=60, **options)], ids=["asdn", "astn"])
@pytest.mark.parametrize("train", ["both", "detector"])
def test_background_is_hardened_where_it_is_asked_for(method, train):
    """So that a mask or a turn says nothing of the label; the adversary learns from objects all the same."""

    def of(share):
        torch.manual_seed(0)
        hardener = method(background_share=share, clean_images=1)
        hardener.bind_head(HeadLayout(CHANNELS, SIZE))
        hardener.begin_stage(stage(train))
        hardened = hardener(batch)
        changed = (hardened.features != batch.features).flatten(1).any(1)
        return changed, hardened.adversary_loss, hardener.health

    batch = batch_of(torch.rand(ROIS, CHANNELS, SIZE, SIZE, generator=torch.Generator().manual_seed(1)))
    background, first = batch.labels == 0, batch.image_index == 0
    plain, loss, health = of(0.0)
    assert not plain[background].any()
    assert plain[~background & ~first].all()
    for share, count in ((0.5, 1), (1.0, 2)):
        batch = batch_of(batch.features)  # draws anew
        changed, with_others, its_health = of(share)
        assert int(changed[background].sum()) == count
        assert not changed[first].any()
        assert torch.equal(changed[~background], plain[~background])
        assert its_health == health
        if train == "both":
            torch.testing.assert_close(with_others, loss)


def test_what_a_method_says_of_its_precision():
    assert not Hardener.mixed
    assert RandomDropout.mixed


@pytest.mark.parametrize("by_network", [False, True])
def test_a_decision_may_put_something_else_in_the_place_of_the_features(by_network):
    """Then the detector below learns nothing from them, by a gradient of zero."""

    class Replaced(Own):
        def decision(self, heat, loss):
            class Other(Decision):
                def apply(self, features):
                    return heat.expand_as(features) if by_network else torch.ones_like(features)

            return Other(adversary_loss=loss)

    trunk = nn.Conv2d(CHANNELS, CHANNELS, 1)
    hardener = Replaced()
    hardened = hardener(batch_of(trunk(torch.rand(ROIS, CHANNELS, SIZE, SIZE))))
    hardened.features.sum().backward()
    assert not any(one.any() for one in gradients(trunk))
    assert gradients(hardener) == [None] * len(gradients(hardener))
