"""What is chosen or pointed at in a widget, as a table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
import traitlets
from torch import Tensor

from workbench.data import Dataset
from workbench.types import Target

WHICH = ("image", "image_id", "object", "class")
BOX = ("x1", "y1", "x2", "y2")
#: Column → type, the same in all widgets. What an integer that may be missing has in its place is <NA>.
TYPES: Mapping[str, str] = {
    "image": "int64",  # position in the data
    "image_id": "int64",
    "object": "Int64",  # row of the target
    "class": "object",
    **dict.fromkeys(BOX, "float64"),  # pixels
    "area": "float64",  # pixels
    "occlusion": "float64",  # hidden fraction, NaN: unknown
    "hidden": "float64",  # the same with an occluder of the user's
    "before": "float64",  # score without it
    "score": "float64",
    "iou": "float64",
    "rank": "Int64",
    "level": "object",
    "loss": "float64",
    "kind": "object",
    "pattern": "object",
    "point": "int64",  # row of an embedding
    "x": "float64",
    "y": "float64",
    "detector": "object",
    "step": "int64",
    "steps": "int64",
    "run": "object",
    "folder": "object",
    "recipe": "object",
    "status": "object",
    "file_name": "object",
    "annotation": "object",  # its id in the file
}


class _Table(traitlets.Instance):
    """A DataFrame; each reader gets a copy of their own."""

    def get(self, obj: traitlets.HasTraits, cls: Any = None) -> pd.DataFrame:
        return super().get(obj, cls).copy()


class Selects(traitlets.HasTraits):
    """A widget that says what is chosen in it. A subclass gives `COLUMNS` and `_chosen_rows`, and calls `_announce`.

    `selection` is made when it is read or observed, and not before.
    """

    _watched = False

    COLUMNS: tuple[str, ...] = ()  #: of `selection`, some of `TYPES`

    selection = _Table(pd.DataFrame, read_only=True, help="what is chosen or pointed at, a row each")

    @traitlets.default("selection")
    def _selection_now(self) -> pd.DataFrame:
        return table(self._chosen_rows(), self.COLUMNS)

    def _chosen_rows(self) -> Iterable[Mapping[str, Any]]:
        """What is chosen; columns that a row leaves out are missing or unknown there."""
        raise NotImplementedError

    def _which(self) -> str:
        """The run, image and object that all chosen rows are of."""
        rows = self.selection
        alike = {column: rows[column].dropna().unique() for column in ("run", "image", "object") if column in rows}
        words = {"run": "", "image": "image ", "object": "object "}
        return " ".join(f"{words[column]}{values[0]}" for column, values in alike.items() if len(values) == 1)

    def observe(self, handler: Any, names: Any = traitlets.All, type: str = "change") -> None:
        """As for any traitlets; from now on `selection` is kept, so that only another one is announced."""
        super().observe(handler, names, type)
        if "selection" in (names if isinstance(names, list | tuple) else (names,)):
            self._watched = True
            self.selection  # noqa: B018

    def _announce(self) -> None:
        """Something else may be chosen: observers of `selection` hear of it if that is so."""
        if not self._watched:
            self._trait_values.pop("selection", None)  # made anew when it is read
        elif not (now := self._selection_now()).equals(self.selection):
            self.set_trait("selection", now)


def table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """Rows as a table of these columns, of the same types also without a row."""
    missing = {"object": "", "float64": math.nan}
    listed = [[row.get(name, missing.get(TYPES[name])) for name in columns] for row in rows]
    return pd.DataFrame(listed, columns=list(columns), dtype="object").astype({name: TYPES[name] for name in columns})


def box_of(box: Sequence[float] | Tensor) -> dict[str, float]:
    """A box as columns."""
    return {name: float(value) for name, value in zip(BOX, box, strict=True)}


def id_of(data: Dataset, index: int, target: Target | None) -> int:
    """The `image_id`, from the target where that is known already."""
    return data.image_id(index) if target is None or "image_id" not in target else int(target["image_id"])


def object_rows(
    data: Dataset, index: int, target: Target, chosen: Iterable[int] | None = None
) -> list[dict[str, Any]]:
    """A row for each object of a target, or for some; for an image without any a row of its own."""
    which = {"image": index, "image_id": id_of(data, index, target)}
    rows = range(len(target["labels"])) if chosen is None else chosen
    return [which | object_of(target, row, data.classes) for row in rows] or [which]


def object_of(target: Target, row: int, classes: Sequence[str]) -> dict[str, Any]:
    """An object of a target as columns."""
    known = {name: float(target[name][row]) for name in ("area", "occlusion") if name in target}
    name = classes[int(target["labels"][row]) - 1]
    return {"object": row, "class": name, **box_of(target["boxes"][row].as_subclass(Tensor)), **known}
