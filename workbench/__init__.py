"""Occlusion Workbench: train and examine detectors that survive occlusion.

The public names; each is imported when it is first used, so that `python -m workbench --help` stays quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.lazy import on_demand

if TYPE_CHECKING:
    from workbench.analysis.explain import explain
    from workbench.data import load_data
    from workbench.data.reading.images import read_image
    from workbench.detectors import load_detector
    from workbench.detectors.wrap import wrap
    from workbench.evaluation import audit, detect_all, evaluate, score_regions, statistics
    from workbench.plugins import plug_in
    from workbench.proposals import with_proposals
    from workbench.training import (
        Recipe,
        Run,
        TrainingImages,
        compare,
        doctor,
        launch,
        list_runs,
        loguniform,
        sweep,
        uniform,
    )

__all__ = [
    "Recipe", "Run", "TrainingImages", "audit", "compare", "detect_all", "doctor", "evaluate", "explain", "launch",
    "list_runs", "load_data", "load_detector", "loguniform", "plug_in", "read_image", "score_regions", "statistics",
    "sweep", "uniform", "with_proposals", "wrap",
]  # fmt: skip

__getattr__, __dir__ = on_demand(
    __name__,
    {
        "load_data": "workbench.data",
        "load_detector": "workbench.detectors",
        "wrap": "workbench.detectors.wrap",
        "plug_in": "workbench.plugins",
        "read_image": "workbench.data.reading.images",
        "with_proposals": "workbench.proposals",
        "explain": "workbench.analysis.explain",
        "audit": "workbench.evaluation",
        "detect_all": "workbench.evaluation",
        "evaluate": "workbench.evaluation",
        "score_regions": "workbench.evaluation",
        "statistics": "workbench.evaluation",
        "Recipe": "workbench.training",
        "Run": "workbench.training",
        "TrainingImages": "workbench.training",
        "compare": "workbench.training",
        "doctor": "workbench.training",
        "launch": "workbench.training",
        "list_runs": "workbench.training",
        "loguniform": "workbench.training",
        "sweep": "workbench.training",
        "uniform": "workbench.training",
    },
)
