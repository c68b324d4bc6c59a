"""Reports of audits as JSON files, and what they say in words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from workbench.evaluation.auditing.conditions import Condition
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


class _Said(BaseModel):
    """What the file of a report says in plain values."""

    model_config = ConfigDict(extra="forbid", strict=True)

    data: str
    split: str
    classes: list[str] = Field(min_length=1)
    detectors: list[str] = Field(min_length=1)
    conditions: list[tuple[str, str, float, int]] = Field(min_length=1)
    num_images: int = Field(ge=1)
    settings: dict[str, float | int | None]
    set_aside: dict[str, int]
    pictures: list[_PictureSaid]


def write(report: AuditReport, path: Path) -> None:
    """Write a report as JSON; the file appears whole or not at all."""
    pictures = [
        vars(one) | {"pixels": saved.packed_array(one.pixels), "box": list(one.box)} for one in report.pictures
    ]
    content: dict[str, Any] = {
        "format": FORMAT, "data": report.data, "split": report.split, "classes": report.classes,
        "detectors": report.detectors, "conditions": [list(vars(one).values()) for one in report.conditions],
        "num_images": report.num_images, "settings": report.settings, "set_aside": report.set_aside,
        "pictures": pictures,
    }  # fmt: skip
    write_json(path, content | {name: saved.packed(getattr(report, name)) for name in TABLES}, indent=1)


def read(kind: type[AuditReport], path: str | Any) -> AuditReport:
    """A report from a file that `write` made.

    Raises:
        DataError: the file is something else; it is named.
    """
    return saved.read(path, FORMAT, lambda content: _made(kind, content), "AuditReport")


def _made(kind: type[AuditReport], content: Mapping[str, Any]) -> AuditReport:
    from workbench.evaluation.audit_report import Picture

    plain = {key: content[key] for key in content.keys() - TABLES.keys()}
    said = _Said.model_validate(plain | {"conditions": [tuple(one) for one in plain["conditions"]]})
    if set(said.settings) != set(SETTINGS):
        raise ValueError(f"settings are {sorted(said.settings)}")
    sides = {
        "I": said.num_images, "K": len(said.classes), "E": len(said.detectors), "C": len(said.conditions),
    }  # fmt: skip
    tables: dict[str, Any] = {}
    for name, table in TABLES.items():
        columns: dict[str, Column] = table.COLUMNS  # type: ignore[attr-defined]
        tables[name] = table(**saved.columns_of(name, content[name], columns, sides))
        if name == "audited":
            sides["O"] = len(tables[name])
    pictures = [
        Picture(one.detector, one.title, one.facts, _pixels(one.pixels), (*one.box,))  # type: ignore[arg-type]
        for one in said.pictures
    ]
    return kind(
        data=said.data,
        split=said.split,
        classes=tuple(said.classes),
        detectors=tuple(said.detectors),
        conditions=tuple(Condition(*one) for one in said.conditions),
        num_images=said.num_images,
        settings=said.settings,
        set_aside=said.set_aside,
        pictures=tuple(pictures),
        **tables,
    )


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
