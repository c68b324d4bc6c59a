"""Data sets by name: `load_data("digit-scenes", split="test")`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any

from workbench.errors import DataError
from workbench.lazy import on_demand
from workbench.options import check_options
from workbench.registry import DATASETS

if TYPE_CHECKING:
    from workbench.data.dataset import Dataset
    from workbench.data.doctor import Problem, Report, check_anchors, check_data

__all__ = [
    "Dataset",
    "Problem",
    "Report",
    "check_anchors",
    "check_data",
    "load_data",
]

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

    Args:
        name: such as "digit-scenes", "coco" or "caltech101"; `DATASETS.names()` of `workbench.registry` lists them.
        split: which part of it.
        root: the folder that holds it; data sets that are made from pixels of installed packages need none.
        options: see the class or function of the data set; labelled images also take occlusion={...}, see
            `pairs.OcclusionPlan`.

    Returns:
        The data set: `data[i]` is an image uint8 [3, H, W] and its target.

    Raises:
        DataError: an unknown name, split or option, and data that cannot be read.

    Example:
        >>> data = wb.load_data("digit-scenes", split="test")
        >>> data
        DigitScenes('digit-scenes', split='test': 500 images, 10 classes)
        >>> image, target = data[7]
        >>> tuple(image.shape), len(target["boxes"])
        ((3, 128, 128), 5)
    """
    made, kind = DATASETS.find(name), DATASETS.class_of(name)
    arguments: dict[str, Any] = {"split": split}
    if "root" in inspect.signature(made).parameters:
        arguments["root"] = root
    elif root is not None:
        raise DataError(f"{name} is made from pixels inside installed packages: leave root out")
    plan = options.pop("occlusion", None) if kind.takes_occlusion_plan else None
    data = DATASETS.build({**options, "kind": name}, **arguments)
    return data if plan is None else _with_occlusion(data, plan)


def check_loading(name: str, options: Mapping[str, Any], *, key: str = "data") -> None:
    """Raise a DataError unless `load_data` takes these options; nothing is read.

    Args:
        name: of the data set.
        options: as for `load_data`.
        key: of the recipe that they stand under, as `name` and `options`.
    """
    DATASETS.find(name, f"{key}.name")
    own, place = dict(options), f"{key}.options"
    if DATASETS.class_of(name).takes_occlusion_plan and (plan := own.pop("occlusion", None)) is not None:
        _checked_plan(plan, f"{place}.occlusion")
    DATASETS.check({**own, "kind": name}, place=place)
    for where, section in DATASETS.class_of(name).described(own).items():
        checked = _checked_section(section, f"{place}.{where}")
        check_loading(checked["name"], checked.get("options", {}), key=f"{place}.{where}")


def load_section(section: Mapping[str, Any], split: str, *, place: str) -> Dataset:
    """The data set that a section of a recipe describes, such as one of the sources of `mixed`.

    Args:
        section: {"name": ..., "split", "root", "options"}, arguments of `load_data`.
        split: of a section that says none.
        place: of the section, for messages.

    Raises:
        DataError: the section has other keys or no name; or see `load_data`.
    """
    return _load(**{"split": split} | _checked_section(section, place))


def _load(
    *, name: str, split: str = "train", root: str | PathLike[str] | None = None, options: dict[str, Any] | None = None
) -> Dataset:
    return load_data(name, split, root, **(options or {}))


def _checked_section(section: Mapping[str, Any], place: str) -> dict[str, Any]:
    checked = check_options(place, _load, section, error=DataError)
    if "name" not in checked:
        raise DataError(f"{place}.name is missing: which data set is it?")
    return checked


def _with_occlusion(clean: Dataset, plan: object) -> Dataset:
    """Labelled images, and what a plan (options of `pairs.OcclusionPlan`) makes of them for their split."""
    from workbench.data.pairs import OcclusionPlan, test_data, training_data

    made = OcclusionPlan(**_checked_plan(plan, "occlusion"))
    return training_data(clean, made) if clean.split == "train" else test_data(clean, made)


def _checked_plan(plan: object, place: str) -> dict[str, Any]:
    from workbench.data.pairs import OcclusionPlan

    return check_options(place, OcclusionPlan, plan, error=DataError)
