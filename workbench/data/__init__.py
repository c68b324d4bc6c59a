"""Data sets by name: `load_data("digit-scenes", split="test")`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from os import PathLike
from typing import TYPE_CHECKING, Any

from workbench.errors import DataError, did_you_mean
from workbench.lazy import on_demand

if TYPE_CHECKING:
    from workbench.data.dataset import Dataset
    from workbench.data.doctor import Problem, Report, check_anchors, check_data

__all__ = [
    "CLASSIFICATION",
    "DETECTION",
    "NAMES",
    "Dataset",
    "Problem",
    "Report",
    "check_anchors",
    "check_data",
    "load_data",
]

DETECTION = ("digit-scenes", "coco", "voc")
CLASSIFICATION = ("digits", "image-folder", "caltech101", "oxford102", "cub200", "ar", "imagenet")
NAMES = (*DETECTION, *CLASSIFICATION)

__getattr__, __dir__ = on_demand(
    __name__,
    {
        "Dataset": "workbench.data.dataset",
        "Problem": "workbench.data.reading.problems",
        "Report": "workbench.data.reading.problems",
        "check_anchors": "workbench.data.doctor",
        "check_data": "workbench.data.doctor",
    },
)


def load_data(name: str, split: str = "train", root: str | PathLike[str] | None = None, **options: Any) -> Dataset:
    """A data set by name.

    name: one of `NAMES`. root: the folder it lies in; "digit-scenes" and "digits" need none. options: see
    the class or function of the data set; labelled images also take occlusion={...}, see `pairs.OcclusionPlan`.
    Raises DataError for an unknown name, split or option, and for data that cannot be read.
    """
    if name not in NAMES:
        raise DataError(f"there is no data set {name!r}{did_you_mean(name, NAMES)}")
    if name in ("digit-scenes", "digits"):
        if root is not None:
            raise DataError(f"{name} is made from pixels inside installed packages: leave root out")
        arguments: tuple[Any, ...] = (split,)
    else:
        arguments = (root, split)
    if name in CLASSIFICATION and name != "ar":
        return _with_occlusion(_home(name), name, arguments, options)
    return _build(_home(name), name, *arguments, **options)


def _home(name: str) -> Callable[..., Dataset]:
    """What builds the data set `name`."""
    module, attribute = {
        "digit-scenes": ("digit_scenes", "DigitScenes"),
        "coco": ("coco", "Coco"),
        "voc": ("voc", "Voc"),
        "digits": ("digits", "Digits"),
        "ar": ("ar", "ArFaces"),
    }.get(name, ("class_folders", name.replace("-", "_")))
    return getattr(import_module(f"workbench.data.{module}"), attribute)


def _with_occlusion(
    build: Callable[..., Dataset], name: str, arguments: tuple[Any, ...], options: dict[str, Any]
) -> Dataset:
    """Labelled images, and what `options["occlusion"]` (of `pairs.OcclusionPlan`) makes of them for their split."""
    plan = options.pop("occlusion", None)
    clean = _build(build, name, *arguments, **options)
    if plan is None:
        return clean
    from workbench.data.pairs import OcclusionPlan, test_data, training_data

    if not isinstance(plan, Mapping):
        raise DataError(f"{name}: occlusion is {plan!r}; expected options of workbench.data.pairs.OcclusionPlan")
    made = _build(OcclusionPlan, "occlusion", **plan)
    return training_data(clean, made) if arguments[-1] == "train" else test_data(clean, made)


def _build(kind: Callable[..., Any], name: str, *arguments: Any, **options: Any) -> Any:
    """`kind(*arguments, **options)`, with an unknown option named in a DataError."""
    parameters = inspect.signature(kind).parameters
    known = [key for key, value in parameters.items() if value.kind == value.KEYWORD_ONLY]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise DataError(f"{name} has no option {', '.join(unknown)}; it has {', '.join(known)}")
    return kind(*arguments, **options)
