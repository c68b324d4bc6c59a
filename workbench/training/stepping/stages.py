"""Stages: which steps belong to which, and which player learns in them."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn

from workbench.detectors import Detector
from workbench.errors import RunError
from workbench.training.recipe import Recipe
from workbench.training.recipe_sections import Stage


@dataclass(frozen=True)
class Span:
    """A stage with its place in the run: steps first .. last-1."""

    index: int
    stage: Stage
    first: int
    last: int


def spans(recipe: Recipe) -> list[Span]:
    """The stages of a recipe with their steps."""
    found, first = [], 0
    for index, stage in enumerate(recipe.stages):
        found.append(Span(index, stage, first, first + stage.steps))
        first += stage.steps
    return found


def select_players(detector: Detector, stage: Stage, learns: set[str]) -> dict[str, list[nn.Parameter]]:
    """Let the detector begin a stage, with gradients for the players that it trains; their parameters, by player.

    `learns` names the parameters that the detector was built to train (those of a frozen trunk are not among
    them). Where a stage lets only some of them learn, BatchNorm of the others keeps its statistics.
    """
    chosen: dict[str, list[nn.Parameter]] = {}
    for name, parameter in detector.named_parameters():
        player = "hardener" if name.startswith("hardener.") else "detector"
        wanted = player == "hardener" or any(fnmatchcase(name, pattern) for pattern in stage.learns or ("*",))
        parameter.requires_grad_(name in learns and stage.train in (player, "both") and wanted)
        if parameter.requires_grad:
            chosen.setdefault(player, []).append(parameter)
    if not chosen:
        raise RunError(f"a stage trains the {stage.train}, which has no parameters that learn")
    detector.begin_stage(stage)
    for part in detector.modules() if stage.learns else ():
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and not any(p.requires_grad for p in part.parameters()):
            part.eval()
    return chosen
