"""Optimisers and learning rates as pure functions of the step, so that a resumed run is exact.

One-cycle follows Smith & Topin 2018 as in `torch.optim.lr_scheduler.OneCycleLR` (cosine, from 1/25 of the top down
to 1/250,000 of it), without its cycling of the momentum. Weight decay is kept off biases and norm weights.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from workbench.training.recipe_sections import OptimizerSpec, ScheduleSpec

ONE_CYCLE_START = 1 / 25  #: learning rate at step 0 over that at the top
ONE_CYCLE_END = ONE_CYCLE_START * 1e-4  #: at the last step over that at the top


def learning_rate(step: int, *, steps: int, lr: float, schedule: ScheduleSpec) -> float:
    """Learning rate of one step (0 .. steps-1) of a stage whose base (one-cycle: top) rate is `lr`."""
    if schedule.kind == "one-cycle":
        factor = _one_cycle(step, steps, schedule.peak)
    elif schedule.kind == "step":
        milestones = sorted(in_steps(mark, steps) for mark in schedule.milestones)
        factor = schedule.gamma ** bisect_right(milestones, step)
    else:
        factor = 1.0
    return lr * factor * _warmup(step, in_steps(schedule.warmup, steps), schedule.warmup_factor)


def in_steps(value: float, steps: int) -> int:
    """A number of steps, or a fraction (< 1) of `steps`."""
    return round(value * steps) if value < 1 else round(value)


def _warmup(step: int, warmup: int, factor: float) -> float:
    return 1.0 if step >= warmup else factor + (1 - factor) * step / warmup


def _one_cycle(step: int, steps: int, peak: float) -> float:
    top, last = peak * steps - 1, steps - 1
    if step <= top:
        return _cosine(ONE_CYCLE_START, 1.0, step / top if top > 0 else 1.0)
    return _cosine(1.0, ONE_CYCLE_END, (step - top) / (last - top) if last > top else 1.0)


def _cosine(start: float, end: float, fraction: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * fraction))


def build_optimizer(
    parameters: Iterable[nn.Parameter],
    spec: OptimizerSpec,
    *,
    lr: float,
    hardener: Iterable[nn.Parameter] = (),
    hardener_factor: float = 1.0,
) -> Optimizer:
    """AdamW or SGD; weight decay acts only on parameters of two or more dimensions.

    Args:
        parameters: of the detector.
        lr: learning rate of the detector.
        hardener: parameters of the hardener.
        hardener_factor: their rate is so many times that of the others at every step. For AdamW this is the only
            way to make one player slower: the scale of a loss makes no difference to it.
    """
    groups = [*_groups(parameters, spec, 1.0), *_groups(hardener, spec, hardener_factor)]
    if spec.kind == "adamw":
        optimizer: Optimizer = torch.optim.AdamW(groups, lr=lr, betas=(spec.momentum, 0.999), fused=True)
    else:
        optimizer = torch.optim.SGD(groups, lr=lr, momentum=spec.momentum, fused=True)
    set_learning_rate(optimizer, lr)
    return optimizer


def _groups(parameters: Iterable[nn.Parameter], spec: OptimizerSpec, factor: float) -> list[dict[str, Any]]:
    parameters = [parameter for parameter in parameters if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": spec.weight_decay, "factor": factor},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0, "factor": factor},
    ]
    return [group for group in groups if group["params"]]


def set_learning_rate(optimizer: Optimizer, lr: float) -> None:
    """Give each parameter group this learning rate times its own factor."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["factor"]


def gradient_norm(parameters: Iterable[nn.Parameter], *, clip: float | None) -> Tensor:
    """Scale gradients to norm `clip` at most; returns their norm before (scalar)."""
    return nn.utils.clip_grad_norm_(list(parameters), math.inf if clip is None else clip, foreach=True)


class RunningMean:
    """Exponential running mean of a module's state (Polyak averaging with decay).

    Starts fast, so that the first weights are forgotten: decay of update t is min(decay, (1 + t) / (10 + t)).
    What is not a parameter (BatchNorm statistics) is copied; extra state, which need not be tensors, is left alone.
    """

    def __init__(self, module: nn.Module, *, decay: float):
        self.decay, self.updates = decay, 0
        self.state = _copy(module)

    @classmethod
    def restored(cls, module: nn.Module, saved: dict[str, Any], *, decay: float) -> RunningMean:
        """As it was when `saved` was taken by `saveable`."""
        mean = cls(module, decay=decay)
        mean.updates, mean.state = saved["updates"], saved["state"]
        return mean

    def saveable(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"updates": self.updates, "state": self.state}

    @contextmanager
    def in_place_of(self, module: nn.Module) -> Iterator[None]:
        """Lend the mean to the module; its own state is back afterwards, bit by bit."""
        own = _copy(module)
        module.load_state_dict(module.state_dict() | self.state)
        try:
            yield
        finally:
            module.load_state_dict(module.state_dict() | own)

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Take one step towards the module's present state."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        present = module.state_dict()
        learned = [name for name, _ in module.named_parameters()]
        torch._foreach_lerp_([self.state[n] for n in learned], [present[n] for n in learned], 1 - decay)
        for name in self.state.keys() - set(learned):
            self.state[name].copy_(present[name])


def _copy(module: nn.Module) -> dict[str, Tensor]:
    """A copy of the parameters and buffers of a module's state, without extra state (`get_extra_state`)."""
    state = module.state_dict().items()
    return {name: value.detach().clone() for name, value in state if not name.endswith("_extra_state")}
