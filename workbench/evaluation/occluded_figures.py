"""What an audit and scored regions say of a detector, as plain figures: further columns of a recipe's test.

A recipe's `test` asks for them by `audit: {...}` and `regions: {...}`, so that `compare` gives them means over seeds,
intervals and paired differences as it does AP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from workbench.data import Dataset
from workbench.detectors.load import DetectorLike
from workbench.errors import RecipeError
from workbench.evaluation.audit import CORRUPTED, EVERYWHERE, FRACTIONS, OCCLUDERS, audit
from workbench.evaluation.audit_report import AuditReport
from workbench.evaluation.auditing.conditions import make_conditions, make_kinds
from workbench.evaluation.regions import HIDDEN, score_regions
from workbench.options import Count, check_options, check_value

Options = Mapping[str, Any]

#: What a test audits unless it says otherwise: all kinds of occluders at random places, and no more.
AUDITED: dict[str, Any] = {"places": ("random",), "search": (), "corruptions": ()}
_GIVEN = ("detector", "data", "classes", "device", "folder", "progress")


def occluded_figures(
    detector: DetectorLike,
    data: Dataset,
    *,
    audited: Options | None = None,
    regions: Options | None = None,
    device: torch.device | str | None = None,
    progress: bool = False,
) -> dict[str, float]:
    """Figures of `audit` and of `score_regions` by name.

    Args:
        detector: what they take, but one only.
        data: images with boxes.
        audited: options of `audit`, and `limit`, only the first images; None: no audit. Unlike there, places are
            ("random",), and there is no search and no corruption unless they are asked for.
        regions: options of `score_regions`, and `limit`; None: regions are not scored.
        device: where to run.
        progress: show bars.

    Returns:
        `audit_recall_clean`, `audit_recall_50` (50 % hidden, all kinds of occluders together), `audit_recall_50_grey`
        (of each kind, where there are several), the same of `audit_AP`; `regions_accuracy_clean`,
        `regions_accuracy_50`, `regions_accuracy_50_grey`, `regions_p_object_0.3-0.5` (by IoU).

    Example:
        >>> data = wb.load_data("digit-scenes", split="test", length=6)
        >>> few = {"kinds": ["grey"], "fractions": [0.5]}
        >>> found = occluded_figures("digit-scenes/faster-rcnn", data, audited=few, regions=few)
        >>> found["audit_recall_50"] < found["audit_recall_clean"]
        True
        >>> found["regions_accuracy_50"] < found["regions_accuracy_clean"]
        True
    """
    figures: dict[str, float] = {}
    if audited is not None:
        some, options = _limited(data, AUDITED | dict(audited))
        report = audit(detector, some, device=device, progress=progress, **options)
        figures |= {f"audit_{name}": value for name, value in audit_figures(report).items()}
    if regions is not None:
        some, options = _limited(data, regions)
        scored = score_regions(detector, some, device=device, progress=progress, **options)
        first = scored.figures[scored.detectors[0]]
        figures |= {f"regions_{name}": value for name, value in first.items()}
    return figures


def _limited(data: Dataset, options: Options) -> tuple[Dataset, dict[str, Any]]:
    """The images that are looked at, and the options without their number."""
    rest = dict(options)
    limit = rest.pop("limit", None)
    return data if limit is None else data.subset(range(min(limit, len(data)))), rest


def audit_figures(report: AuditReport) -> dict[str, float]:
    """Recall and AP of the first detector of an audit by what is hidden, by name; see `occluded_figures`."""
    several = len(report.counted.kinds) > 1
    tables = {
        "recall": [report.recall(), *([report.recall("kind")] if several else [])],
        "AP": [report.average_precision(), *([report.average_precision(by_kind=True)] if several else [])],
    }
    figures = {}
    for measure, parts in tables.items():
        for table in parts:
            for row in table[table["detector"] == report.detectors[0]].to_dict("records"):
                kind = f"_{row['kind']}" if "kind" in row else ""
                if row["hidden"]:
                    figures[f"{measure}_{100 * row['hidden']:g}{kind}"] = float(row[measure])
                elif not kind:
                    figures[f"{measure}_clean"] = float(row[measure])
    return figures


def check_figures(place: str, audited: Options | None, regions: Options | None) -> None:
    """Refuse options of `occluded_figures` that would be refused after hours of training.

    Args:
        place: key of the section in a recipe, for messages.
        audited: options for the audit.
        regions: options for the regions.

    Raises:
        RecipeError: names the key that is wrong.
        DataError: names the kind, place or fraction that is wrong.
    """
    if audited is not None:
        chosen = _checked(f"{place}.audit", audit, audited)
        defaults = {"kinds": OCCLUDERS, "fractions": FRACTIONS, "places": EVERYWHERE, "search": (0.5,)}
        asked = defaults | {"corruptions": CORRUPTED, "severities": (1,)} | AUDITED | chosen
        make_conditions(make_kinds(asked.pop("kinds")), **{key: asked[key] for key in asked if key in _SHOWN})
    if regions is not None:
        chosen = _checked(f"{place}.regions", score_regions, regions)
        asked = {"kinds": OCCLUDERS, "fractions": HIDDEN, "places": ("random",)} | chosen
        make_conditions(make_kinds(asked["kinds"]), asked["fractions"], asked["places"], (), (), ())


_SHOWN = ("fractions", "places", "search", "corruptions", "severities")


def _checked(place: str, function: Callable[..., object], options: object) -> dict[str, Any]:
    """The options of `function`, without `limit`."""
    if not isinstance(options, Mapping):
        raise RecipeError(f"{place} is {options!r}; expected a section of options, as {{name: value}}")
    rest = dict(options)
    if (limit := rest.pop("limit", None)) is not None:
        check_value(f"{place}.limit", _limit, "images", limit)
    return check_options(place, function, rest, given=_GIVEN)


def _limit(images: Count) -> None:
    """The type of `limit`."""
