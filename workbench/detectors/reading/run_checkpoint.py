"""A checkpoint of a run, `checkpoints/step-*.pt`, as a detector: weights alone, and nothing in it is executed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from workbench.errors import WeightsError
from workbench.files import is_as_written


def is_checkpoint(path: Path) -> bool:
    """Whether a file is called as checkpoints are."""
    return path.suffix == ".pt" and path.stem.startswith("step-")


def read_checkpoint(path: Path) -> tuple[dict, list[str], dict[str, Tensor]]:
    """Configuration, classes and weights (their running mean, where one was kept); the hardener stays behind.

    Earlier checkpoints do not hold the configuration; it is then in the recipe of the run's folder.

    Raises:
        WeightsError: it is damaged, or no checkpoint, or what it is of cannot be found.
    """
    try:
        with open(path, "rb") as file:
            if is_as_written(file) is False:
                raise ValueError("it is damaged: its checksum is another")
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
        own, mean, classes = state["detector"], state["ema"], list(state["classes"])
        weights = own if mean is None else mean["state"]
        kept = {name: value for name, value in weights.items() if not name.startswith("hardener.")}
        config = state.get("config")
    except Exception as error:  # the parsers raise errors of many kinds for damaged bytes
        said = error.strerror if isinstance(error, OSError) else error
        raise WeightsError(f"{path} is no checkpoint that can be read: {said or type(error).__name__}") from error
    return config or _from_recipe(path), classes, kept


def _from_recipe(path: Path) -> dict:
    """The detector's section of the run's recipe."""
    recipe = path.parent.parent / "recipe.yaml"
    try:
        if not recipe.is_file():  # nor a pipe, which would be waited for
            raise OSError("it is no file")
        section = yaml.safe_load(recipe.read_text(encoding="utf-8"))["detector"]
        if not isinstance(section, dict):
            raise ValueError("its detector is no section")
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        what = f"{path} does not say what detector it is of, and neither does {recipe} ({error})"
        raise WeightsError(f"{what}; leave a checkpoint in the folder of its run") from error
    return section
