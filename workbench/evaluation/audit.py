"""How robust a detector is: real images under occluders and corruptions, one seed, one table.

Occluders are laid over all objects of an image at once so that exactly a fraction of each is hidden, each leaving the
pixels of the other objects free; objects that share too many pixels take turns (`auditing/objects.py`). So a detector
sees an image once for each condition, whatever the number of its objects, and AP is counted as usual.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np
import torch

from workbench.data import Dataset
from workbench.data.drawing.cut_outs import Occluder
from workbench.detectors.base import Detects
from workbench.detectors.load import DetectorLike
from workbench.errors import DataError
from workbench.evaluation.audit_report import AuditReport
from workbench.evaluation.auditing.asking import move, named
from workbench.evaluation.auditing.conditions import make_conditions, make_kinds
from workbench.evaluation.auditing.examining import Examiner, Limits
from workbench.evaluation.auditing.gathering import ImagePart
from workbench.evaluation.auditing.occluding import Occluding, cut_outs_of
from workbench.evaluation.auditing.parts import all_parts
from workbench.evaluation.auditing.pictures import first_lost_pictures
from workbench.evaluation.auditing.reports import beginning
from workbench.evaluation.auditing.tables import Answers, joined, joined_objects
from workbench.evaluation.counting.matching import THRESHOLDS
from workbench.options import Count, Factor, Number, Overlap, Share, check_value

FRACTIONS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
OCCLUDERS = ("grey", "texture", "cut-outs", "leaves")
EVERYWHERE = ("random", "centre", "top", "bottom", "left", "right")
CORRUPTED = ("gaussian-noise", "defocus-blur", "contrast", "jpeg")


def audit(
    detector: DetectorLike | Mapping[str, DetectorLike],
    data: Dataset,
    *,
    classes: Mapping[str, str] | None = None,
    kinds: Sequence[str | Path | Occluder] = OCCLUDERS,
    fractions: Sequence[float] = FRACTIONS,
    places: Sequence[str] = EVERYWHERE,
    search: Sequence[float] = (0.5,),
    budget: Count = 9,
    corruptions: Sequence[str] = CORRUPTED,
    severities: Sequence[int] = (1, 2, 3, 4, 5),
    score: Share | None = None,
    iou: Overlap = 0.5,
    nms_iou: Overlap = 0.5,
    least_size: Factor = 16,
    most_hidden: Share = 0.2,
    batch_size: Count = 8,
    device: torch.device | str | None = None,
    folder: str | PathLike[str] | None = None,
    seed: Number = 0,
    progress: bool = True,
) -> AuditReport:
    """Find out what a detector loses when objects are hidden, and images noisy, blurred, faded or compressed.

    As it stands each image is shown 94 times: clean, under 4 kinds of occluders at random places and the first kind
    at 5 more with 7 fractions each, 10 times for the worst place, and under 4 corruptions in 5 severities. Every
    detector is shown the same images.

    Args:
        detector: what `evaluate` takes, or several by the names to show.
        data: images with boxes. Classes are compared by name; objects of one that a detector does not know are set
            aside, and detections of classes that the data do not know are left out.
        classes: which classes of detectors have another name in the data: their name → the data's.
        kinds: of occluders: "grey", "noise", "brick", "grass", "gravel", "texture" (one of these three), "fence",
            "leaves", "cut-outs" (other objects of the data, of classes that the image has none of; without masks the
            shipped ones), shipped cut-outs such as "cup", PNG files with alpha, folders of them, `Occluder`s.
        fractions: of an object's pixels that are hidden, above 0 and below 1.
        places: of `hiding.PLACES`. The first kind that has a place lies at each of them, the others at the first one;
            fences and leaves lie all over an object.
        search: fractions for which the worst place of that first kind is searched for each object and detector.
        budget: how many places the search tries: the centre, the sides, the corners, then random ones.
        corruptions: of `CORRUPTIONS`, those of COCO-C.
        severities: of them, 1 to 5.
        score: from which a detection counts; None: for each detector the one of its best F1 on the clean images.
        iou: from which on an object is found, one of 0.50, 0.55 … 0.95.
        nms_iou: of the detectors' non-maximum suppression, by which objects are counted as lost to it.
        least_size: pixels; objects with smaller boxes (the root of their area) are set aside.
        most_hidden: objects of which more is known to be hidden before are set aside.
        batch_size: images at a time.
        device: where to run; None leaves detectors where they are. They are moved back afterwards.
        folder: where what was found out on each image is kept as soon as it is done. An audit that was stopped goes
            on from there when it is asked for again.
        seed: of all that is drawn.
        progress: show a bar.

    Raises:
        DataError: names the argument, file or image that is wrong.
        WorkbenchError: something gives no detections.

    Example:
        >>> data = wb.load_data("digit-scenes", split="test", length=3)
        >>> few = {"kinds": ("grey",), "fractions": (0.3, 0.6), "places": ("random",), "search": ()}
        >>> report = wb.audit("digit-scenes/faster-rcnn", data, **few, corruptions=(), progress=False)
        >>> recall = report.recall().set_index("hidden")["recall"]
        >>> bool(recall[0.6] < recall[0.0])
        True
    """
    shares = {"score": score, "iou": iou, "nms_iou": nms_iou, "most_hidden": most_hidden}
    settings = shares | {"least_size": least_size, "budget": budget, "seed": seed}
    for name, value in (settings | {"batch_size": batch_size}).items():
        check_value(name, audit, name, value, error=DataError)
    limits = Limits(least_size, most_hidden, _threshold(iou), nms_iou, budget, batch_size)
    chosen = make_kinds(kinds)
    conditions = make_conditions(chosen, fractions, places, search, corruptions, severities)
    if data.task != "detection" or not len(data):
        raise DataError(f"{data.name} {data.split} has no images with boxes to audit a detector on")
    detectors = named(detector, Detects)
    cut_outs = cut_outs_of(data, seed) if any(kind.from_data for kind in chosen) else []
    occluding = Occluding(chosen, cut_outs, data.classes, seed)
    examiner = Examiner(detectors, data, conditions, occluding, limits, classes)
    plan = {
        "kinds": [kind.name for kind in chosen],
        "classes": [labels.tolist() for labels in examiner.maps],
        "settings": {name: value for name, value in settings.items() if name != "score"},  # that is asked afterwards
    }
    with ExitStack() as moved:
        for one in detectors.values():
            move(one, device, moved)
        parts = all_parts(examiner, ImagePart, plan, folder, title="audit", progress=progress)
    report = _report(examiner, parts, settings)
    return replace(report, pictures=first_lost_pictures(report, examiner))


def _threshold(iou: float) -> int:
    """The number of the IoU threshold."""
    nearest = int(np.abs(THRESHOLDS - iou).argmin())
    if abs(THRESHOLDS[nearest] - iou) > 1e-6:
        raise DataError(f"iou is {iou!r}; expected one of {', '.join(f'{one:.2f}' for one in THRESHOLDS)}")
    return nearest


def _report(examiner: Examiner, parts: Sequence[ImagePart], settings: Mapping[str, float | None]) -> AuditReport:
    """All parts together."""
    none = "none of the objects can be audited ({}); lower least_size or raise most_hidden"
    asked = beginning(examiner, parts, none)
    audited, outcomes = joined_objects([part.audited for part in parts], [part.outcomes for part in parts])
    answers = joined(Answers, [part.answers for part in parts])
    return AuditReport(**asked, settings=dict(settings), audited=audited, outcomes=outcomes, answers=answers)
