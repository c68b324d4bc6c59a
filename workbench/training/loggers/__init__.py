"""Where a run's metrics go beside `metrics.jsonl`: `loggers: [csv, tensorboard, {kind: wandb, project: mine}]`."""

from workbench.training.loggers.base import Logger

__all__ = ["Logger"]
