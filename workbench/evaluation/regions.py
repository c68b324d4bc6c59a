"""What detectors say of given boxes: the class of objects clean and occluded, p(object) of regions beside them.

AP under occluders mixes what a detector sees with what its proposals, thresholds and suppression make of it. Here it
is asked about boxes that are given, so that two detectors are compared on the same boxes of the same pixels: of the
true ones, whether it still knows the class; of untouched regions of the clean image, whether it thinks that there is
an object. The latter shows a hardening that leaks: one that changes the features of objects alone in training can
teach that changed means object, and then regions that nobody changed are given less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from workbench.data import Dataset
from workbench.data.drawing.cut_outs import Occluder
from workbench.detectors.base import Detector, ScoresBoxes
from workbench.detectors.class_map import own_names
from workbench.detectors.load import DetectorLike
from workbench.errors import DataError
from workbench.evaluation.audit import OCCLUDERS
from workbench.evaluation.auditing.asking import move, named
from workbench.evaluation.auditing.conditions import make_conditions, make_kinds
from workbench.evaluation.auditing.occluding import Occluding, cut_outs_of
from workbench.evaluation.auditing.parts import all_parts
from workbench.evaluation.auditing.reports import beginning
from workbench.evaluation.auditing.scoring import LooksPart, Scorer, Wanted
from workbench.evaluation.auditing.tables import Regions, joined, joined_objects
from workbench.evaluation.counting.classes import in_classes_of
from workbench.evaluation.region_report import RegionReport
from workbench.options import Count, Factor, Number, Share, check_value

HIDDEN = (0.1, 0.3, 0.5)


def score_regions(
    detector: DetectorLike | Mapping[str, DetectorLike],
    data: Dataset,
    *,
    classes: Mapping[str, str] | None = None,
    kinds: Sequence[str | Path | Occluder] = OCCLUDERS,
    fractions: Sequence[float] = HIDDEN,
    places: Sequence[str] = ("random",),
    regions: Number = 8,
    least_size: Factor = 16,
    most_hidden: Share = 0.2,
    batch_size: Count = 8,
    device: torch.device | str | None = None,
    folder: str | PathLike[str] | None = None,
    seed: Number = 0,
    progress: bool = True,
) -> RegionReport:
    """Ask detectors about given boxes: the class at the true boxes under occluders, and p(object) of regions.

    Occluders are those of `audit`, laid over all objects of an image at once, each with exactly a fraction of it
    hidden. As it stands each image is shown 13 times: clean, and under 4 kinds of occluders with 3 fractions each.

    Args:
        detector: one that can score boxes (`score_boxes`): with RoIs, a RetinaNet, some of others; or several by the
            names to show, which are asked about the same boxes.
        data: images with boxes. Classes are compared by name; objects of one that a detector does not know are set
            aside.
        classes: which classes of detectors have another name in the data: their name → the data's.
        kinds: of occluders, as for `audit`; () for the clean images alone.
        fractions: of an object's pixels that are hidden, above 0 and below 1.
        places: where occluders lie, as for `audit`.
        regions: how many regions of each image are asked about for each range of IoU with the nearest object: 0 to
            0.1, to 0.3, to 0.5, and to 1. They are drawn around and beside the objects; where the data have proposals
            (`with_proposals`), they are the best of those.
        least_size: pixels; objects and regions with smaller boxes (the root of their area) are set aside.
        most_hidden: objects of which more is known to be hidden before are set aside.
        batch_size: images at a time.
        device: where to run; None leaves detectors where they are. They are moved back afterwards.
        folder: where what was found out on each image is kept, as for `audit`: what was stopped goes on from there.
        seed: of all that is drawn.
        progress: show a bar.

    Returns:
        A report: `.summary`, `.accuracy()`, `.objectness()`, `.differences()`, `.frame()`, `.save(path)`.

    Raises:
        DataError: names the argument or image that is wrong.
        WorkbenchError: a detector cannot score boxes.

    Example:
        >>> data = wb.load_data("digit-scenes", split="test", length=6)
        >>> few = {"kinds": ("grey",), "fractions": (0.4,), "progress": False}
        >>> report = wb.score_regions("digit-scenes/faster-rcnn", data, **few)
        >>> clean, patched = report.accuracy()["accuracy"]
        >>> bool(clean > patched)
        True
        >>> report.objectness()["p_object"].is_monotonic_increasing  # the nearer to an object, the higher
        True
    """
    settings = {"seed": seed, "regions": regions, "least_size": least_size, "most_hidden": most_hidden}
    for name, value in (settings | {"batch_size": batch_size}).items():
        check_value(name, score_regions, name, value, error=DataError)
    chosen = make_kinds(kinds)
    conditions = make_conditions(chosen, fractions, places, (), (), ())
    if data.task != "detection" or not len(data):
        raise DataError(f"{data.name} {data.split} has no images with boxes to ask a detector about")
    detectors = _in_classes_of(data, named(detector, ScoresBoxes), classes or {})
    cut_outs = cut_outs_of(data, seed) if any(kind.from_data for kind in chosen) else []
    occluding = Occluding(chosen, cut_outs, data.classes, seed)
    scorer = Scorer(detectors, data, conditions, occluding, Wanted(least_size, most_hidden, regions, batch_size))
    plan = {"kinds": [kind.name for kind in chosen], "classes": classes or {}, "settings": settings}
    with ExitStack() as moved:
        for one in detectors.values():
            move(one, device, moved)
        parts = all_parts(scorer, LooksPart, plan, folder, title="regions", progress=progress)
    return _report(scorer, parts, settings)


def _in_classes_of(
    data: Dataset, detectors: Mapping[str, ScoresBoxes], names: Mapping[str, str]
) -> dict[str, Detector]:
    """Detectors with the labels of the data; each takes of `names` what it knows."""
    ours: Any = detectors  # a detector that can be asked about boxes has classes
    own = own_names([one.classes for one in ours.values()], names)
    pairs = zip(ours.items(), own, strict=True)
    return {name: in_classes_of(data, one, theirs, losses=False) for (name, one), theirs in pairs}


def _report(scorer: Scorer, parts: Sequence[LooksPart], settings: Mapping[str, float]) -> RegionReport:
    """All parts together."""
    asked = beginning(scorer, parts, "there are no objects to ask about ({}); lower least_size")
    audited, looks = joined_objects([part.audited for part in parts], [part.looks for part in parts])
    regions = joined(Regions, [part.regions for part in parts])
    return RegionReport(**asked, settings=dict(settings), audited=audited, looks=looks, regions=regions)
