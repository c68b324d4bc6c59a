"""How a stage of the training comes to the parts of a detector, whatever they are called."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import nn

from workbench.types import TrainingStage


@runtime_checkable
class TakesStages(Protocol):
    """A module that does something else in another stage of the training."""

    def begin_stage(self, stage: TrainingStage) -> None:
        """Take up a stage, and let its own parts take it up."""
        ...


def begin_stage_of_parts(module: nn.Module, stage: TrainingStage) -> None:
    """Let the parts of a module take up a stage; those within such a part are its own concern."""
    for part in module.children():
        if isinstance(part, TakesStages):
            part.begin_stage(stage)
        else:
            begin_stage_of_parts(part, stage)
