"""TensorBoard: `tensorboard --logdir runs` shows all runs, each by its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.errors import RunError
from workbench.registry import LOGGERS
from workbench.training.loggers.base import Logger, figures


@LOGGERS.register("tensorboard")
class TensorBoardLogger(Logger):
    """Scalars such as `train/loss` in `tensorboard/` of the run's folder.

    A resume purges the steps that it makes again; TensorBoard then shows those that came last.
    """

    def __init__(self, folder: Path, recipe: Mapping[str, Any], after_step: int, logged_step: int):
        super().__init__(folder, recipe, after_step, logged_step)
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise RunError("it needs tensorboard: pip install 'occlusion-workbench[tensorboard]'") from None
        self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=after_step + 1 if logged_step else None)

    def write(self, row: Mapping[str, Any]) -> None:
        """Add its figures; they are on the disk when this returns, as the row of `metrics.jsonl` is."""
        for name, value in figures(row).items():
            self.writer.add_scalar(name, value, row["step"], walltime=row["time"])
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()
