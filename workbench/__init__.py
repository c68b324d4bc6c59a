"""Occlusion Workbench: train and examine detectors that survive occlusion.

The public names; each is imported when it is first used, so that `python -m workbench --help` stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.data import load_data
    from workbench.detectors import load_detector
    from workbench.detectors.proposals import with_proposals
    from workbench.evaluation import evaluate
    from workbench.training import Recipe, Run, compare, doctor, launch

_HOME = {
    "load_data": "workbench.data",
    "load_detector": "workbench.detectors",
    "with_proposals": "workbench.detectors.proposals",
    "evaluate": "workbench.evaluation",
    "Recipe": "workbench.training",
    "Run": "workbench.training",
    "compare": "workbench.training",
    "doctor": "workbench.training",
    "launch": "workbench.training",
}

__all__ = ["Recipe", "Run", "compare", "doctor", "evaluate", "launch", "load_data", "load_detector", "with_proposals"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'workbench' has no attribute {name!r}; it offers {__all__}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
