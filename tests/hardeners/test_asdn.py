"""ASDN: its labels, samples and losses on numbers worked by hand, and that it learns what it should."""

from __future__ import annotations

import pytest
import torch
from cell_world import CHANNELS, batch_of, head_layout, learned_head, world
from small_detectors import FASTER_RCNN
from stages import stage
from torch.nn import functional as F

from workbench.detectors import build_detector
from workbench.detectors.layers.head_score import TwoLayerScore
from workbench.errors import WorkbenchError
from workbench.hardeners import ASDN, build_hardener
from workbench.hardeners.layers.heat_map import HeatNet, mask_entropy
from workbench.hardeners.layers.window_search import hardest_windows
from workbench.types import HeadLayout, RoIBatch, Score


@pytest.fixture(scope="module")
def head():
    return learned_head()


@pytest.mark.parametrize("preset", ["paper", "released"])
def test_after_pretraining_its_top_cells_are_those_of_the_worst_window(head, preset):
    torch.manual_seed(0)
    asdn = build_hardener({"kind": "asdn", "preset": preset})
    asdn.bind_head(head_layout(head))
    if preset == "released":
        asdn.net = HeatNet(CHANNELS, width=32)  # the same, but quick
    asdn.begin_stage(stage("hardener"))
    optimizer = torch.optim.Adam(asdn.parameters(), 3e-3)
    losses = []
    for step in range(100 if preset == "paper" else 60):
        optimizer.zero_grad()
        loss = asdn(batch_of(head, *world(48, 100 + step))).adversary_loss
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]
    features, labels = world(200, 7)  # never seen
    features, labels = features[labels > 0], labels[labels > 0]
    worst = hardest_windows(TwoLayerScore(*head), features, labels, stride=asdn.stride).flatten(1).float()
    with torch.no_grad():
        top = asdn.heat(features).flatten(1).topk(4, dim=1).indices
    found = float(worst.gather(1, top).mean())
    assert found > 5 * 4 / 49, f"chance is {4 / 49:.2f}"
    asdn(batch_of(head, features, labels))
    assert asdn.health["window_found"] == pytest.approx(found, abs=1e-6)
    assert asdn.health["hardened"] == 0


@pytest.mark.parametrize(
    ("asdn", "cells", "count", "pool"),
    [(ASDN.paper(), 36, 13, 21), (ASDN.released(), 49, 15, 20), (ASDN.paper(), 49, 18, 29)],
)
def test_cells_dropped_and_the_pool_they_are_from(asdn, cells, count, pool):
    side = int(cells**0.5)
    asdn.bind_head(HeadLayout(2, side))
    batch = RoIBatch(
        torch.rand(300, 2, side, side), torch.ones(300, dtype=torch.long), torch.zeros(300, dtype=torch.long),
        Score(lambda f: torch.zeros(len(f), 2)), torch.Generator().manual_seed(0),
    )  # fmt: skip
    heat = torch.arange(cells).float().expand(300, -1)
    asdn.net.forward = lambda features: heat[: len(features)]
    dropped = asdn(batch).mask.flatten(1) == 0
    assert (dropped.sum(1) == count).all()
    assert torch.equal(torch.where(dropped.any(0))[0], torch.arange(cells - pool, cells))
    share = dropped.float().mean(0)[-pool:]
    torch.testing.assert_close(share, torch.full((pool,), count / pool), atol=0.12, rtol=0)


def joint(asdn: ASDN, drops: list[float], logits: float = 0.3) -> tuple[float, dict[str, float]]:
    """The joint loss where masks lower the true class's probability by `drops`; four more RoIs are background."""
    count = len(drops)
    asdn.bind_head(HeadLayout(1, 6))
    asdn.net.forward = lambda features: torch.full((len(features), 36), logits)
    before = torch.full((count,), 0.9)
    after = before - torch.tensor(drops)

    def score(features: torch.Tensor) -> torch.Tensor:
        p = torch.cat([before, after])
        return torch.stack([(1 - p).log(), p.log()], dim=1)

    labels = torch.cat([torch.ones(count), torch.zeros(4)]).long()
    batch = RoIBatch(
        torch.rand(count + 4, 1, 6, 6), labels, torch.zeros_like(labels), Score(score), torch.Generator()
    )
    return float(asdn(batch).adversary_loss), asdn.health


def test_the_joint_loss_is_equation_1_on_the_masks_that_hurt():
    logit = 0.3
    one = 13 * F.softplus(torch.tensor(-logit)) + 23 * F.softplus(torch.tensor(logit))  # of one RoI, 13 cells dropped
    loss, health = joint(ASDN.paper(), [0.5, 0.05, 0.2, -0.1, 0.09])
    assert loss == pytest.approx(float(one), rel=1e-5), "the mean over the two masks that pass"
    assert health["masks_passed"] == pytest.approx(0.4)
    assert health["hardened"] == 1
    released = ASDN.released(drop=13 / 36, pool=21 / 36)
    loss, _ = joint(released, [0.5, 0.05, 0.2, -0.1, 0.09])
    assert loss == pytest.approx(0.0025 * 2 * float(one) / (9 * 36), rel=1e-5), "over the cells of all nine RoIs"


def test_no_mask_that_hurts_is_a_loss_of_zero_with_a_graph():
    loss, health = joint(ASDN.paper(), [0.05, 0.0])
    assert (loss, health["masks_passed"]) == (0.0, 0.0)


def test_joint_training_moves_the_heat_towards_masks_that_hurt(head):
    """From random weights: cells under the object's strong part become hotter than the others."""
    torch.manual_seed(0)
    asdn = ASDN(drop=0.2, pool=1.0)
    asdn.bind_head(head_layout(head))
    asdn.begin_stage(stage("both"))
    optimizer = torch.optim.Adam(asdn.parameters(), 2e-3)
    for step in range(80):
        optimizer.zero_grad()
        asdn(batch_of(head, *world(64, 200 + step))).adversary_loss.backward()
        optimizer.step()
    features, labels = world(100, 7)
    features, labels = features[labels > 0], labels[labels > 0]
    strong = (features.amax(1) > 0.9).flatten(1)
    with torch.no_grad():
        heat = asdn.heat(features).flatten(1)
    assert heat[strong].mean() > 1.3 * heat[~strong].mean()


def test_the_head_is_copied_once_when_it_first_learns(head):
    asdn = ASDN()
    asdn.bind_head(head_layout(head))
    parameters = {name for name, _ in asdn.named_parameters()}
    assert parameters == {f"net.{fc}.{part}" for fc in ("fc6", "fc7", "out") for part in ("weight", "bias")}
    asdn.begin_stage(stage("detector"))
    assert not torch.equal(asdn.net.fc6.weight, head[0].fc6.weight)
    asdn.begin_stage(stage("hardener"))
    assert torch.equal(asdn.net.fc6.weight, head[0].fc6.weight)
    assert torch.equal(asdn.net.fc7.bias, head[0].fc7.bias)
    with torch.no_grad():
        asdn.net.fc6.weight.add_(1)
    again = ASDN()
    again.bind_head(head_layout(head))
    again.load_state_dict(asdn.state_dict())
    again.begin_stage(stage("both"))  # as a resumed run does
    assert torch.equal(again.net.fc6.weight, head[0].fc6.weight + 1)


def test_without_linear_layers_it_has_its_own():
    asdn = ASDN()
    asdn.bind_head(HeadLayout(4, 14))
    assert asdn.net.fc6.in_features == 4 * 49
    assert asdn.heat(torch.rand(3, 4, 14, 14)).shape == (3, 14, 14)


def test_mask_entropy():
    same = torch.zeros(10, 9)
    same[:, :3] = 1
    assert float(mask_entropy(same)) == pytest.approx(0, abs=1e-6)
    apart = torch.eye(9).repeat(2, 1)
    assert float(mask_entropy(apart)) == pytest.approx(1)
    assert torch.isfinite(mask_entropy(torch.zeros(3, 9)))


def test_without_a_network_it_says_how_to_get_one(head):
    with pytest.raises(WorkbenchError, match="give it to build_detector"):
        ASDN()(batch_of(head, *world(8, 0)))


@pytest.mark.parametrize(
    "hardener",
    [
        {"kind": "asdn"},
        {"kind": "asdn", "preset": "released"},
        {"kind": "astn"},
        [{"kind": "asdn"}, {"kind": "astn"}],
    ],
)
def test_its_loss_is_real_in_a_detector_with_a_pyramid(hardener):
    """Users of the released code saw `loss_asdn = 0`."""
    torch.manual_seed(0)
    detector = build_detector(FASTER_RCNN, ("a", "b", "c"), build_hardener(hardener))
    images = [torch.rand(3, 96, 128) for _ in range(2)]
    target = {"boxes": torch.tensor([[10.0, 10, 60, 60]]), "labels": torch.tensor([2])}
    detector.hardener.begin_stage(stage("hardener"))
    losses = detector.losses(images, [target, target], torch.Generator().manual_seed(0))
    losses.total.backward()
    assert float(losses["adversary"].detach()) > 0.1
    for name, parameter in detector.hardener.named_parameters():
        assert float(parameter.grad.abs().sum()) > 0, name
    assert not any("roi_heads" in name for name in detector.hardener.state_dict()), "the head's weights stay its own"
