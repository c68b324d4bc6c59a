"""Recipes, and runs that train them: start, follow, list, compare, sweep. What needs torch is imported when used."""

from typing import TYPE_CHECKING

from workbench.lazy import on_demand
from workbench.training.compare import compare
from workbench.training.launch import launch
from workbench.training.listing import list_runs
from workbench.training.recipe import Recipe
from workbench.training.run import Run
from workbench.training.space import loguniform, settings, uniform
from workbench.training.sweep import Sweep, sweep

if TYPE_CHECKING:
    from workbench.training.comparison import Comparison, t_interval
    from workbench.training.preflight import doctor
    from workbench.training.training_images import TrainingImages

__all__ = [
    "Comparison", "Recipe", "Run", "Sweep", "TrainingImages", "compare", "doctor", "launch", "list_runs",
    "loguniform", "settings", "sweep", "t_interval", "uniform",
]  # fmt: skip

__getattr__, __dir__ = on_demand(
    __name__,
    {
        "Comparison": "workbench.training.comparison",
        "TrainingImages": "workbench.training.training_images",
        "doctor": "workbench.training.preflight",
        "t_interval": "workbench.training.comparison",
    },
)
