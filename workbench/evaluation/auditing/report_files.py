"""Reports of audits as JSON files, and what they say in words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from workbench.evaluation.auditing.reports import Said, content_of, fields_of
from workbench.evaluation.auditing.tables import Answers, Audited, Outcomes
from workbench.evaluation.counting import saved
from workbench.evaluation.counting.saved import Column
from workbench.files import write_json

if TYPE_CHECKING:
    from workbench.evaluation.audit_report import AuditReport

FORMAT = "workbench audit 1"
TABLES: dict[str, type] = {"audited": Audited, "outcomes": Outcomes, "answers": Answers}
SETTINGS = ("iou", "score", "nms_iou", "seed", "budget", "least_size", "most_hidden")


class _PictureSaid(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    detector: str
    title: str
    facts: str
    box: list[float] = Field(min_length=4, max_length=4)
    pixels: dict[str, Any]


class _AuditSaid(Said):
    settings: dict[str, float | int | None]
    pictures: list[_PictureSaid]


def write(report: AuditReport, path: Path) -> None:
    """Write a report as JSON; the file appears whole or not at all."""
    pictures = [
        vars(one) | {"pixels": saved.packed_array(one.pixels), "box": list(one.box)} for one in report.pictures
    ]
    content = content_of(report, FORMAT, _AuditSaid, TABLES)
    write_json(path, content | {"pictures": pictures}, indent=1)


def read(kind: type[AuditReport], path: str | Any) -> AuditReport:
    """A report from a file that `write` made.

    Raises:
        DataError: the file is something else; it is named.
    """
    return saved.read(path, FORMAT, lambda content: _made(kind, content), "AuditReport")


def _made(kind: type[AuditReport], content: Mapping[str, Any]) -> AuditReport:
    from workbench.evaluation.audit_report import Picture

    found = fields_of(content, _AuditSaid, TABLES)
    if set(found["settings"]) != set(SETTINGS):
        raise ValueError(f"settings are {sorted(found['settings'])}")
    pictures = (
        Picture(one.detector, one.title, one.facts, _pixels(one.pixels), (*one.box,)) for one in found["pictures"]
    )
    return kind(**found | {"pictures": tuple(pictures)})


def _pixels(packed: Mapping[str, Any]) -> np.ndarray:
    columns = {"pixels": Column("u", "HW3")}
    return saved.columns_of("pictures", {"pixels": packed}, columns, {})["pixels"]


def notes(report: AuditReport) -> list[str]:
    """What a reader of a report must know."""
    settings, counted = report.settings, report.counted
    least = "; ".join(f"{name} {score:.2f}" for name, score in report.scores.items())
    how = "the score of the best F1 on the clean images" if settings["score"] is None else "the score asked for"
    notes = [
        f"Found: by a detection of its class with IoU {settings['iou']:g} or more and a score from {least} on; "
        f"that is {how}.",
        f"Seed {settings['seed']:g}; intervals are 95 %, from a bootstrap over the {report.num_images} images.",
    ]
    aside = [f"{number} {reason}" for reason, number in report.set_aside.items() if number]
    if aside:
        notes.append(f"Objects set aside, neither found nor missed: {', '.join(aside)}.")
    if counted.kinds:
        most, known = 100 * (settings["most_hidden"] or 0.0), not np.isnan(report.audited.occlusion).all()
        before = f" Objects may be up to {most:g} % hidden before; what is hidden here comes on top." if known else ""
        notes.append(
            "Hidden is the share of an object's pixels under occluders, exact to the pixel: of its mask where that "
            f"is known, else of its box. All objects of an image are hidden at once.{before}"
        )
    if "worst" in counted.places:
        notes.append(
            f"The worst place is the one with the lowest score, of {settings['budget']:g} tried for each object "
            "and detector."
        )
    return notes
