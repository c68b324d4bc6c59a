"""Learning rates against torch's schedulers and by hand, weight decay, clipping, the running mean."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from workbench.training.recipe_sections import OptimizerSpec, ScheduleSpec
from workbench.training.stepping.optimisation import (
    RunningMean,
    build_optimizer,
    gradient_norm,
    in_steps,
    learning_rate,
    set_learning_rate,
)


def rates(steps: int, lr: float = 1.0, **schedule: object) -> list[float]:
    spec = ScheduleSpec(**schedule)
    return [learning_rate(step, steps=steps, lr=lr, schedule=spec) for step in range(steps)]


@pytest.mark.parametrize(("steps", "peak"), [(100, 0.3), (37, 0.1), (10, 0.5)])
def test_one_cycle_is_torchs(steps, peak):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.02, total_steps=steps, pct_start=peak, cycle_momentum=False
    )
    theirs = []
    for _ in range(steps):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates(steps, 0.02, kind="one-cycle", peak=peak) == pytest.approx(theirs, rel=1e-9)


def test_steps_drop_at_milestones_given_as_steps_or_fractions():
    expected = [1.0] * 6 + [0.1] * 2 + [0.01] * 2
    assert rates(10, kind="step", milestones=[6, 8]) == pytest.approx(expected)
    assert rates(10, kind="step", milestones=[0.8, 0.6]) == pytest.approx(expected)
    assert rates(10, kind="step", milestones=[6], gamma=0.5)[-1] == 0.5


def test_warm_up_rises_linearly_from_its_factor():
    assert rates(6, kind="constant", warmup=4, warmup_factor=0.2) == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    assert rates(10, kind="constant", warmup=0.2, warmup_factor=0.5) == pytest.approx([0.5, 0.75] + [1.0] * 8)


@given(
    steps=st.integers(1, 300),
    kind=st.sampled_from(["one-cycle", "step", "constant"]),
    peak=st.floats(0.01, 0.99),
    warmup=st.floats(0, 50),
    milestones=st.lists(st.floats(0.01, 400), max_size=3),
)
def test_rates_stay_between_zero_and_the_base(steps, kind, peak, warmup, milestones):
    values = rates(steps, 0.1, kind=kind, peak=peak, warmup=warmup, milestones=milestones)
    assert all(0 < value <= 0.1 * (1 + 1e-12) for value in values)


def test_in_steps():
    assert [in_steps(value, 200) for value in (0.0, 0.25, 1, 30)] == [0, 50, 1, 30]


@pytest.mark.parametrize(("kind", "expected"), [("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)])
def test_weight_decay_spares_biases_norms_and_what_is_frozen(kind, expected):
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))
    module[2].weight.requires_grad_(False)
    optimizer = build_optimizer(module.parameters(), OptimizerSpec(kind=kind, weight_decay=0.1), lr=0.5)
    assert isinstance(optimizer, expected)
    decayed, spared = optimizer.param_groups
    assert decayed["params"] == [module[0].weight]
    assert (decayed["weight_decay"], spared["weight_decay"], spared["lr"]) == (0.1, 0.0, 0.5)
    assert [p.shape for p in spared["params"]] == [(4,), (4,), (4,), (2,)]
    set_learning_rate(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]


def test_the_hardener_has_its_own_rate():
    detector, hardener = nn.Linear(2, 1), nn.Linear(1, 1, bias=False)
    optimizer = build_optimizer(
        detector.parameters(), OptimizerSpec(kind="sgd"), lr=0.5, hardener=hardener.parameters(), hardener_factor=0.1
    )
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.5, pytest.approx(0.05)]
    set_learning_rate(optimizer, 1.0)
    assert [group["lr"] for group in optimizer.param_groups] == [1.0, 1.0, pytest.approx(0.1)]
    again = build_optimizer(detector.parameters(), OptimizerSpec(kind="sgd"), lr=1.0, hardener=hardener.parameters())
    again.load_state_dict(optimizer.state_dict())  # as a resumed run does
    set_learning_rate(again, 2.0)
    assert [group["lr"] for group in again.param_groups] == [2.0, 2.0, pytest.approx(0.2)]


def test_gradients_are_clipped_to_a_norm_and_their_norm_is_told():
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([3.0, 4.0])
    assert float(gradient_norm([parameter], clip=None)) == 5.0
    assert parameter.grad.tolist() == [3.0, 4.0]
    assert float(gradient_norm([parameter], clip=1.0)) == 5.0
    assert parameter.grad.tolist() == pytest.approx([0.6, 0.8], rel=1e-5)


def test_running_mean_by_hand():
    module = nn.BatchNorm1d(1)
    mean = RunningMean(module, decay=0.15)
    with torch.no_grad():
        module.weight.fill_(2.0)
        module.running_mean.fill_(5.0)
    mean.update(module)  # decay min(0.15, 1 / 10)
    assert mean.state["weight"].item() == pytest.approx(0.1 * 1 + 0.9 * 2)
    assert mean.state["running_mean"].item() == 5.0
    mean.update(module)  # decay min(0.15, 2 / 11)
    assert mean.state["weight"].item() == pytest.approx(0.15 * 1.9 + 0.85 * 2)


def test_running_mean_is_lent_and_the_modules_own_state_comes_back():
    module = nn.Linear(2, 2)
    own = {name: value.clone() for name, value in module.state_dict().items()}
    mean = RunningMean(module, decay=0.5)
    mean.state["weight"].fill_(7.0)
    seen = []

    def fail_while_lent():
        with mean.in_place_of(module):
            seen.append(module.weight[0, 0].item())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_while_lent()
    assert seen == [7.0]
    assert all(torch.equal(value, own[name]) for name, value in module.state_dict().items())


def test_running_mean_goes_on_where_it_was_saved():
    module = nn.Linear(2, 1)
    whole, saved = RunningMean(module, decay=0.9), RunningMean(module, decay=0.9)
    with torch.no_grad():
        module.weight.add_(1.0)
    whole.update(module)
    saved.update(module)
    resumed = RunningMean.restored(module, saved.saveable(), decay=0.9)
    with torch.no_grad():
        module.weight.mul_(3.0)
    whole.update(module)
    resumed.update(module)
    assert torch.equal(whole.state["weight"], resumed.state["weight"])


class Remembering(nn.Linear):
    """A module with state that is no tensor, and not always of one size."""

    words: tuple[str, ...] = ()

    def get_extra_state(self) -> dict:
        return {"words": self.words}

    def set_extra_state(self, state: dict) -> None:
        self.words = state["words"]


def test_running_mean_leaves_extra_state_alone():
    module = nn.Sequential(Remembering(2, 1))
    mean = RunningMean(module, decay=0.5)
    module[0].words = ("now", "more")
    with torch.no_grad():
        module[0].weight.add_(1.0)
    mean.update(module)
    with mean.in_place_of(module):
        assert module[0].words == ("now", "more")
    assert module[0].words == ("now", "more")
    assert mean.state.keys() == {"0.weight", "0.bias"}


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_fused_optimisers_agree_with_the_plain_ones_whatever_the_memory_format(kind):
    torch.manual_seed(0)
    fused, plain = (nn.Conv2d(5, 7, 3).to(memory_format=torch.channels_last) for _ in range(2))
    plain.load_state_dict(fused.state_dict())
    spec = OptimizerSpec(kind=kind, weight_decay=0.1)
    ours = build_optimizer(fused.parameters(), spec, lr=0.01)
    theirs = build_optimizer(plain.parameters(), spec, lr=0.01)
    for group in theirs.param_groups:
        group["fused"] = False
    for _ in range(5):
        x = torch.randn(2, 5, 8, 8)
        for net, optimizer in ((fused, ours), (plain, theirs)):
            optimizer.zero_grad()
            net(x).square().mean().backward()
            optimizer.step()
    torch.testing.assert_close(fused.weight, plain.weight, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(fused.bias, plain.bias, atol=1e-6, rtol=1e-5)
