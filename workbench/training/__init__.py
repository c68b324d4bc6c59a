"""Recipes, and runs that train them: start, follow, stop, resume, compare. What needs torch is imported when used."""

from typing import TYPE_CHECKING

from workbench.lazy import on_demand
from workbench.training.compare import compare
from workbench.training.launch import launch
from workbench.training.recipe import Recipe
from workbench.training.run import Run

if TYPE_CHECKING:
    from workbench.training.comparison import Comparison, t_interval
    from workbench.training.preflight import doctor
    from workbench.training.training_images import TrainingImages

__all__ = ["Comparison", "Recipe", "Run", "TrainingImages", "compare", "doctor", "launch", "t_interval"]

__getattr__, __dir__ = on_demand(
    __name__,
    {
        "Comparison": "workbench.training.comparison",
        "TrainingImages": "workbench.training.training_images",
        "doctor": "workbench.training.preflight",
        "t_interval": "workbench.training.comparison",
    },
)
