"""Stages: which steps belong to which, and which player learns in them."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from workbench.detectors import Detector
from workbench.detectors.layers.roi_head import RoIHead
from workbench.errors import RunError
from workbench.training.recipe import Recipe
from workbench.training.recipe_sections import Stage


class Span(NamedTuple):
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
    """Switch on gradients and training mode of the players that a stage trains; their parameters, by player.

    `learns` names the parameters that the detector was built to train (those of a frozen trunk are not among
    them). While only the hardener learns, the detector's BatchNorm keeps its statistics.
    """
    chosen: dict[str, list[nn.Parameter]] = {}
    for name, parameter in detector.named_parameters():
        player = "hardener" if name.startswith("hardener.") else "detector"
        parameter.requires_grad_(name in learns and stage.train in (player, "both"))
        if parameter.requires_grad:
            chosen.setdefault(player, []).append(parameter)
    if not chosen:
        raise RunError(f"a stage trains the {stage.train}, which has no parameters that learn")
    detector.train(stage.train != "hardener")
    for part in detector.modules():
        if isinstance(part, RoIHead):
            part.harder, part.stage_fraction = stage.harden, stage.positive_fraction
    if detector.hardener is not None:
        detector.hardener.train()
        detector.hardener.active = stage.harden
        detector.hardener.enter(stage.train)
    return chosen
