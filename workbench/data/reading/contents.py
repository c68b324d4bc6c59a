"""What data hold, at a glance: as much as is known without a look at any image or annotation file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from workbench.cards import card, clip, table

if TYPE_CHECKING:
    from workbench.data.dataset import Dataset

GLANCE = 20  #: images whose objects are made for a glance, where those of all would take long
MOST_CLASSES = 12  #: rows of the table of classes
MOST_NAMES = 8  #: names of classes in a row of text
HIDDEN = 0.2  #: hidden fraction from which on evaluation calls an object occluded


class ObjectsAtHand(NamedTuple):
    """The objects of some images, as far as they are in memory already."""

    labels: np.ndarray  #: [N] int64 in 1..K
    occlusion: np.ndarray | None = None  #: [N] hidden fraction in 0..1, NaN where it is unknown; None: of all


def rows_of(starts: np.ndarray, indices: Sequence[int]) -> np.ndarray:
    """Rows [N] of the objects of some images in a table, given where those of each image begin [I + 1].

    Example:
        >>> rows_of(np.array([0, 2, 2, 5]), [2, 0]).tolist()
        [2, 3, 4, 0, 1]
    """
    chosen = np.asarray(indices, dtype=np.int64)
    first, counts = starts[chosen], starts[chosen + 1] - starts[chosen]
    return np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())


def joined(parts: list[ObjectsAtHand | None]) -> ObjectsAtHand | None:
    """Those of several data sets; None where one does not say."""
    labels, occlusion = [], []
    for part in parts:
        if part is None:
            return None
        labels.append(part.labels)
        occlusion.append(np.full(len(part.labels), np.nan) if part.occlusion is None else part.occlusion)
    return ObjectsAtHand(np.concatenate(labels), np.concatenate(occlusion))


def contents(data: Dataset) -> str:
    """A card as HTML: images, objects, classes, occlusion where it is known."""
    from workbench.data.dataset import evenly_spaced  # late, as that module shows itself by this one

    number = len(data)
    facts: dict[str, object] = {"split": data.split, "images": f"{number:,}"}
    looked: Sequence[int] = range(number)
    found = data.objects_at_hand(looked)
    if found is None:
        looked = evenly_spaced(number, GLANCE)
        found = data.objects_at_hand(looked)
    some = "" if found is None or len(looked) == number else f"{len(looked)} images"
    if found is not None:
        facts["objects"] = f"{len(found.labels):,}" + (f" in {some}, evenly spaced" if some else "")
    facts["classes"] = f"{len(data.classes):,}"
    if found is None:
        facts["classes"] = f"{len(data.classes):,}: {_few(data.classes)}"
    if not data.annotated:
        facts["annotations"] = "kept by others"
    facts["occlusion"] = _occlusion(data, None if found is None else found.occlusion)
    for name, value in (("annotations of", data.annotation_version), ("benchmark", data.benchmark)):
        if value:
            facts[name] = value
    if data.problems:
        facts["problems"] = f"{len(data.problems):,} in the annotations; wb.doctor(data) lists them"
    shown = card(f"{clip(data.name)}: {type(data).__name__}", facts)
    return shown if found is None else shown + _class_table(data.classes, found.labels, some)


def _class_table(classes: tuple[str, ...], labels: np.ndarray, some: str) -> str:
    counts = np.bincount(labels, minlength=len(classes) + 1)[1 : len(classes) + 1]
    most = np.argsort(-counts, kind="stable")[:MOST_CLASSES].tolist()
    rows = [(classes[k], int(counts[k])) for k in most]
    if len(classes) > MOST_CLASSES:
        rows.append((f"{len(classes) - MOST_CLASSES:,} more", int(counts.sum() - counts[most].sum())))
    return table(f"in {some}" if some else "", ("class", "objects"), rows)


def _occlusion(data: Dataset, hidden: np.ndarray | None) -> str:
    known = np.zeros(0) if hidden is None else hidden[~np.isnan(hidden)]
    if len(known):
        some = "" if hidden is None or len(known) == len(hidden) else f"of {len(known):,} objects: "
        estimate = ", an estimate" if data.occlusion_is_estimate else ""
        share = 100 * np.mean(known.astype(np.float32) >= np.float32(HIDDEN))
        return f"{some}{100 * known.mean():.0f} % hidden on average, {share:.0f} % by 20 % or more{estimate}"
    if data.occlusion_is_estimate:
        return "estimated from overlapping masks when asked for"
    return "unknown" if hidden is None or not len(hidden) else "unknown for all objects"


def _few(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
    return ", ".join(clip(name, 40) for name in names[:MOST_NAMES]) + more
