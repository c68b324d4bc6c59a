"""What reports of audits and of regions share: how they show themselves, how they begin, and their files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from workbench.cards import notes_and_tables
from workbench.errors import DataError, did_you_mean
from workbench.evaluation.auditing.conditions import Condition
from workbench.evaluation.auditing.objects import REASONS
from workbench.evaluation.counting import saved

if TYPE_CHECKING:
    from workbench.evaluation.auditing.examining import Examiner
    from workbench.evaluation.auditing.gathering import ImagePart
    from workbench.evaluation.auditing.scoring import LooksPart, Scorer


class Report:
    """A report shows what it is of, its summary and its notes; its detectors are known by name or by place."""

    _asked: ClassVar[str]  #: what was done with detectors, such as "audited"
    _how: ClassVar[str]  #: to ask two
    detectors: tuple[str, ...]

    @property
    def what(self) -> str:
        """The data and the extent, in words."""
        raise NotImplementedError

    @property
    def summary(self) -> pd.DataFrame:
        """One row for each detector."""
        raise NotImplementedError

    @property
    def notes(self) -> list[str]:
        """What a reader must know."""
        raise NotImplementedError

    def __repr__(self) -> str:
        table = self.summary.to_string(float_format="{:.3f}".format, na_rep="–")
        return "\n".join([f"{type(self).__name__}({self.what})", table, *self.notes])

    def _repr_html_(self) -> str:
        return notes_and_tables((self.what, *self.notes), self.summary)

    def _number(self, detector: str | None, default: int = 0) -> int:
        if detector is None:
            return default
        if detector not in self.detectors:
            raise DataError(f"no detector {detector!r} was {self._asked}{did_you_mean(detector, self.detectors)}")
        return self.detectors.index(detector)

    def _pair(self, a: str | None, b: str | None) -> tuple[int, int]:
        """The numbers of two detectors; None: the first and the second."""
        if len(self.detectors) < 2:
            raise DataError(f"one detector was {self._asked}; a difference needs two: {self._how}")
        return self._number(a, 0), self._number(b, 1)


def beginning(asker: Examiner | Scorer, parts: Sequence[ImagePart | LooksPart], none: str) -> dict[str, Any]:
    """The fields that say what was asked, but for the settings.

    Args:
        none: what to say where there are no objects; `{}` in it are the reasons.

    Raises:
        DataError: there are no objects.
    """
    data, set_aside = asker.data, np.sum([part.set_aside for part in parts], axis=0).tolist()
    if not any(len(part.audited) for part in parts):
        reasons = ", ".join(f"{number} {why}" for why, number in zip(REASONS, set_aside, strict=True))
        raise DataError(f"{data.name} {data.split}: {none.format(reasons)}")
    return {
        "data": data.name, "split": data.split, "classes": tuple(data.classes),
        "detectors": tuple(asker.detectors), "conditions": tuple(asker.conditions), "num_images": len(data),
        "set_aside": dict(zip(REASONS, set_aside, strict=True)),
    }  # fmt: skip


class Said(BaseModel):
    """What the file of any report says in plain values."""

    model_config = ConfigDict(extra="forbid", strict=True)

    data: str
    split: str
    classes: list[str] = Field(min_length=1)
    detectors: list[str] = Field(min_length=1)
    conditions: list[tuple[str, str, float, int]] = Field(min_length=1)
    num_images: int = Field(ge=1)
    set_aside: dict[str, int]


def content_of(report: Any, form: str, model: type[Said], tables: Mapping[str, type]) -> dict[str, Any]:
    """A report as JSON has it.

    Args:
        form: the `format` of the file.
        model: what the file says in plain values; equal names are the report's.
        tables: the others, by name.
    """
    said = {name: getattr(report, name) for name in model.model_fields}
    said |= {"format": form, "conditions": [list(vars(one).values()) for one in report.conditions]}
    return said | {name: saved.packed(getattr(report, name)) for name in tables}


def fields_of(content: Mapping[str, Any], model: type[Said], tables: Mapping[str, type]) -> dict[str, Any]:
    """The fields of a report from what `content_of` made of it; raises as `saved.columns_of` does."""
    plain = {key: content[key] for key in content.keys() - tables.keys()}
    said = model.model_validate(plain | {"conditions": [tuple(one) for one in plain["conditions"]]})
    sides = {
        "I": said.num_images, "K": len(said.classes), "E": len(said.detectors), "C": len(said.conditions),
    }  # fmt: skip
    found: dict[str, Any] = {name: getattr(said, name) for name in model.model_fields}
    found |= {"classes": tuple(said.classes), "detectors": tuple(said.detectors)}
    found["conditions"] = tuple(Condition(*one) for one in said.conditions)
    table: Any
    for name, table in tables.items():
        found[name] = table(**saved.columns_of(name, content[name], table.COLUMNS, sides))
        if name == "audited":
            sides["O"] = len(found[name])
    return found
