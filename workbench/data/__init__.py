"""Data sets by name: `load_data("digit-scenes", split="test")`."""

from __future__ import annotations

import inspect
from os import PathLike
from typing import TYPE_CHECKING, Any

from workbench.errors import DataError, did_you_mean
from workbench.lazy import on_demand

if TYPE_CHECKING:
    from workbench.data.checks import Problem, Report, check_anchors, check_data
    from workbench.data.dataset import Dataset

__all__ = ["NAMES", "Dataset", "Problem", "Report", "check_anchors", "check_data", "load_data"]

NAMES = ("digit-scenes", "coco", "voc")

__getattr__, __dir__ = on_demand(
    __name__,
    {
        "Dataset": "workbench.data.dataset",
        "Problem": "workbench.data.problems",
        "Report": "workbench.data.problems",
        "check_anchors": "workbench.data.checks",
        "check_data": "workbench.data.checks",
    },
)


def load_data(
    name: str, split: str = "train", root: str | PathLike[str] | None = None, **options: Any
) -> Dataset:
    """A data set by name.

    name: one of `NAMES`. root: the folder it lies in; "digit-scenes" needs none. options: see the class of
    the data set. Raises DataError for an unknown name, split or option, and for data that cannot be read.
    """
    if name not in NAMES:
        raise DataError(f"there is no data set {name!r}{did_you_mean(name, NAMES)}")
    if name == "digit-scenes":
        if root is not None:
            raise DataError("digit-scenes is made from pixels inside installed packages: leave root out")
        from workbench.data.scenes import DigitScenes

        return _build(DigitScenes, name, split, **options)
    if name == "coco":
        from workbench.data.coco import Coco

        return _build(Coco, name, root, split, **options)
    from workbench.data.voc import Voc

    return _build(Voc, name, root, split, **options)


def _build(kind: type[Dataset], name: str, *arguments: Any, **options: Any) -> Dataset:
    """`kind(*arguments, **options)`, with an unknown option named in a DataError."""
    parameters = inspect.signature(kind).parameters
    known = [key for key, value in parameters.items() if value.kind == value.KEYWORD_ONLY]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise DataError(f"{name} has no option {', '.join(unknown)}; it has {', '.join(known)}")
    return kind(*arguments, **options)
