"""From the plain values of a recipe to the branches of a detector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.detectors.layers.branches import HoldsBranches, ImageBranch
from workbench.registry import BRANCHES

Branches = Sequence[str | dict[str, Any]]  #: the kind of each branch, or a section with its options


def add_branches(
    detector: HoldsBranches[ImageBranch], branches: Branches | None, channels: int, strides: Sequence[int]
) -> None:
    """Give a detector the branches that a recipe names.

    Args:
        branches: of each branch the kind, or {"kind": ..., and its options}.
        channels: C of the maps.
        strides: of the maps, fine to coarse, in pixels of the network's input.

    Raises:
        RecipeError: a kind or option that does not exist or does not fit the maps.
    """
    for number, config in enumerate(branches or ()):
        place = f"detector.branches.{number}"
        detector.add_branch(BRANCHES.build(config, channels, tuple(strides), place=place))
