"""Experiment trackers with the calls of Weights & Biases: `init`, `log`, `finish`.

They may send rows over the network, and cannot take one back: what a resumed run makes again was sent before, and is
left out.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from workbench.errors import RunError
from workbench.registry import LOGGERS
from workbench.training.loggers.base import Logger, figures

PROJECT = "occlusion-workbench"


class Tracker(Logger):
    """What both have in common: the run is called as its folder, and its recipe is the configuration."""

    def __init__(self, folder: Path, recipe: Mapping[str, Any], after_step: int, logged_step: int, **begin: Any):
        super().__init__(folder, recipe, after_step, logged_step)
        try:
            self.service: Any = import_module(self.kind)
        except ImportError:
            raise RunError(f"it needs {self.kind}: pip install {self.kind}") from None
        self.service.init(name=folder.name, config=dict(recipe), resume="allow", **begin)

    def write(self, row: Mapping[str, Any]) -> None:
        """Send its figures, unless an earlier process of the run did."""
        if row["step"] > self.logged_step:
            self.service.log(figures(row), step=row["step"])

    def close(self) -> None:
        self.service.finish()


@LOGGERS.register("wandb")
class WandbLogger(Tracker):
    """Weights & Biases, if `wandb` is installed.

    Args:
        folder, recipe, after_step, logged_step: as `Logger`.
        project: which the run belongs to.
        mode: "offline" keeps it in the run's folder, for `wandb sync`; None: as wandb is set up.
    """

    def __init__(
        self,
        folder: Path,
        recipe: Mapping[str, Any],
        after_step: int,
        logged_step: int,
        *,
        project: str = PROJECT,
        mode: str | None = None,
    ):
        own = hashlib.sha256(os.path.realpath(folder).encode()).hexdigest()[:16]  # the same when it is resumed
        begin = {"project": project, "mode": mode, "id": own, "dir": str(folder)}
        super().__init__(folder, recipe, after_step, logged_step, **begin)


@LOGGERS.register("trackio")
class TrackioLogger(Tracker):
    """Trackio, which keeps runs on this machine, if `trackio` is installed.

    Args:
        folder, recipe, after_step, logged_step: as `Logger`.
        project: which the run belongs to.
    """

    def __init__(
        self,
        folder: Path,
        recipe: Mapping[str, Any],
        after_step: int,
        logged_step: int,
        *,
        project: str = PROJECT,
    ):
        super().__init__(folder, recipe, after_step, logged_step, project=project)
