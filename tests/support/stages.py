"""Stages of a training for tests: who learns, and what else a recipe could say."""

from __future__ import annotations

from typing import Any

from workbench.training.recipe_sections import Stage


def stage(train: str = "detector", **options: Any) -> Stage:
    """A stage of one step."""
    return Stage(**{"steps": 1, "lr": 1.0, "train": train} | options)
