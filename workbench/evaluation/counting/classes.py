"""Detectors whose classes are not those of the data: seen through these, refused, or remarked on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from workbench.detectors.base import Detector
from workbench.detectors.class_map import ClassMap, Relabelled, few, lacking_note
from workbench.errors import DataError
from workbench.evaluation.counting.tables import Objects

if TYPE_CHECKING:
    from workbench.data import Dataset


def check_classes(detector: Detector, data: Dataset, names: Mapping[str, str] | None) -> None:
    """See that a detector of whole images has the classes of the data: one left out would be another of the image.

    Raises:
        DataError: they differ, or `names` says that they do.
    """
    ours, theirs = tuple(detector.classes), tuple(data.classes)
    if ours != theirs or names:
        raise DataError(
            f"The detector knows the classes {few(ours)}, {data.name} {data.split} has {few(theirs)}. "
            "Evaluate on data with the same classes in the same order (coco, voc and image-folder: classes=)."
        )


def in_classes_of(data: Dataset, detector: Detector, names: Mapping[str, str] | None, *, losses: bool) -> Detector:
    """The detector with the labels of the data; itself where it has the same classes in the same order.

    Args:
        data: whose classes count.
        detector: of objects.
        names: its name → the data's, where they differ.
        losses: whether its losses are wanted as well.

    Raises:
        DataError: no class in common, a name that is not known, or losses on data with other classes.
    """
    found = ClassMap.between(detector.classes, data.classes, names)
    if found.same:
        return detector
    if losses:
        raise DataError(
            f"The detector knows the classes {few(found.ours)}, {data.name} {data.split} has {few(found.theirs)}: "
            "it has losses only on data with the same classes in the same order. Leave losses out."
        )
    return Relabelled(detector, found)


def class_notes(detector: Detector, data: Dataset, objects: Objects) -> list[str]:
    """What to know of a result where the detector lacks classes of the data."""
    if not isinstance(detector, Relabelled):
        return []
    numbers = {name: int((objects.labels == label).sum()) for label, name in enumerate(data.classes, start=1)}
    lacking = {name: numbers[name] for name in detector.map.lacking if numbers[name]}
    note = lacking_note(lacking, detector.map.ours)
    return [] if note is None else [note]
