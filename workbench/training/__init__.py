"""Recipes, and runs that train them: start, follow, stop, resume, compare."""

from workbench.training.compare import compare
from workbench.training.comparison import Comparison, t_interval
from workbench.training.launch import launch
from workbench.training.preflight import doctor
from workbench.training.recipe import Recipe
from workbench.training.run import Progress, Run

__all__ = ["Comparison", "Progress", "Recipe", "Run", "compare", "doctor", "launch", "t_interval"]
