"""Data sets by name: `load_data("digit-scenes", split="test")`."""

from __future__ import annotations

import inspect
from os import PathLike
from typing import Any

from workbench.data.checks import Problem, Report, check_anchors, check_data
from workbench.data.coco import Coco
from workbench.data.dataset import Dataset
from workbench.data.scenes import DigitScenes
from workbench.data.voc import Voc
from workbench.errors import DataError

__all__ = ["NAMES", "Dataset", "Problem", "Report", "check_anchors", "check_data", "load_data"]

NAMES = ("digit-scenes", "coco", "voc")


def load_data(
    name: str, split: str = "train", root: str | PathLike[str] | None = None, **options: Any
) -> Dataset:
    """A data set by name.

    name: one of `NAMES`. root: the folder it lies in; "digit-scenes" needs none. options: see the class of
    the data set. Raises DataError for an unknown name, split or option, and for data that cannot be read.
    """
    if name not in NAMES:
        raise DataError(f"data set {name!r} does not exist; there are {', '.join(NAMES)}")
    if name == "digit-scenes":
        if root is not None:
            raise DataError("digit-scenes is made from pixels inside installed packages: leave root out")
        return _build(DigitScenes, name, split, **options)
    return _build(Coco if name == "coco" else Voc, name, root, split, **options)


def _build(kind: type[Dataset], name: str, *arguments: Any, **options: Any) -> Dataset:
    """`kind(*arguments, **options)`, with an unknown option named in a DataError."""
    parameters = inspect.signature(kind).parameters
    known = [key for key, value in parameters.items() if value.kind == value.KEYWORD_ONLY]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise DataError(f"{name} has no option {', '.join(unknown)}; it has {', '.join(known)}")
    return kind(*arguments, **options)
