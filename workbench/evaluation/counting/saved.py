"""Saved results: tables as compressed arrays, and what a file says held against what it must be.

A file may be damaged, or by somebody else; what it holds is used as it stands from then on.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Mapping
from dataclasses import fields
from math import prod
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from workbench.data.reading.paths import read_json
from workbench.errors import DataError
from workbench.evaluation.counting.matching import THRESHOLDS, IoUType, Matches
from workbench.evaluation.counting.reach import Reached
from workbench.evaluation.counting.tables import Found, Objects
from workbench.evaluation.occlusion import SUBSETS

LONGEST_NAME = 4096  #: bytes

Read = TypeVar("Read")
Figures = dict[str, float | None]  #: null is NaN


class Column(NamedTuple):
    """What a column of a table must be."""

    kinds: str  #: numpy's letters of its type: whole numbers "iu", floats "f", "b"
    shape: str  #: a letter or a digit for each side; equal letters of one file are equal numbers
    within: str = (
        ""  #: "K": a label, 1..K; "R": a rank, 0..R; another letter: an index of so many, such as "I" images
    )


IMAGE, LABEL = Column("iu", "N", "I"), Column("iu", "N", "K")
FLOAT, FLAG, BOX = Column("f", "N"), Column("b", "N"), Column("f", "N4")
TABLES: dict[str, tuple[type, dict[str, Column]]] = {
    "objects": (
        Objects,
        {"sizes": Column("iu", "I2"), "images": IMAGE, "labels": LABEL, "boxes": BOX}
        | {"area": FLOAT, "crowd": FLAG, "difficult": FLAG, "occlusion": FLOAT},
    ),
    "found": (Found, {"images": IMAGE, "labels": LABEL, "boxes": BOX, "scores": FLOAT}),
    "matches": (
        Matches,
        {"images": Column("iu", "D", "I"), "labels": Column("iu", "D", "K"), "scores": Column("f", "D")}
        | {"status": Column("u", "ATD"), "object_images": IMAGE, "object_labels": LABEL}
        | {"object_occlusion": FLOAT, "object_ignored": FLAG},
    ),
}  #: tables of a `Result`: their class and columns


#: The table of a `ProposalRecall`.
REACHED = {"images": IMAGE, "members": Column("b", "GN"), "ranks": Column("iu", "GTN", "R")}


class Said(BaseModel):
    """What the files of all kinds of results say in plain values."""

    model_config = ConfigDict(extra="forbid", strict=True)

    data: str
    split: str
    losses: Figures | None = None


class ResultSaid(Said):
    """That of a `Result`."""

    classes: list[str]
    iou_type: IoUType
    fingerprint: str
    summary: Figures
    warnings: list[str] = []
    occlusion_is_estimate: bool = False
    strict_levels: bool = True
    image_ids: list[int] | None = None
    category_ids: list[int] | None = None
    image_names: str | None = None  #: as `packed_names` makes it


class ImageResultSaid(Said):
    """That of an `ImageResult`."""

    classes: list[str]
    measure: Literal["accuracy", "mse"]
    columns: dict[str, list[int]]
    pixels: str = ""


class ProposalRecallSaid(Said):
    """That of a `ProposalRecall`."""

    num_proposals: float
    most: Annotated[int, Field(ge=1)]
    iou_type: IoUType
    occlusion_note: str | None = None


def read(path: str | PathLike[str], form: str, make: Callable[[dict[str, Any]], Read], name: str) -> Read:
    """What a file of a result holds.

    Args:
        path: of the file.
        form: what it must say as its `format`.
        make: from its content, without the format.
        name: of what it holds, for messages.

    Raises:
        DataError: the file cannot be read, or is something else; it is named.
    """
    content = read_json(Path(path))
    try:
        if content.pop("format") != form:
            raise ValueError("unknown format")
        return make(content)
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, zlib.error) as error:
        raise DataError(f"{path}: not a result written by {name}.save ({error}).") from error
    except (RecursionError, MemoryError) as error:
        raise DataError(f"{path}: not a result written by {name}.save (it is too deep or too large).") from error


def plain(model: type[Said], content: Mapping[str, Any]) -> dict[str, Any]:
    """What `content` says, with null as NaN and classes as a tuple.

    Raises:
        ValueError: it is no such content.
    """
    said: dict[str, Any] = model.model_validate(content).model_dump(exclude_unset=True)
    for name in ("summary", "losses"):
        if said.get(name) is not None:
            said[name] = {key: np.nan if value is None else value for key, value in said[name].items()}
    return said | ({"classes": tuple(said["classes"])} if "classes" in said else {})


def nan_to_none(values: Mapping[str, float]) -> Figures:
    """Figures as JSON has them."""
    return {name: float(value) if np.isfinite(value) else None for name, value in values.items()}


def packed(table: Any) -> dict[str, Any] | None:
    """A table as JSON has it: its arrays compressed, masks left out."""
    if table is None:
        return None
    return {item.name: packed_array(getattr(table, item.name)) for item in fields(table) if item.name != "masks"}


def packed_array(value: Any) -> Any:
    """An array as JSON has it, compressed; anything else as it is."""
    if not isinstance(value, np.ndarray):
        return value
    value = value.astype(value.dtype.newbyteorder("<"))
    data = base64.b64encode(zlib.compress(np.ascontiguousarray(value).tobytes(), 6)).decode("ascii")
    return {"dtype": value.dtype.str, "shape": list(value.shape), "zlib+base64": data}


def packed_names(names: list[str]) -> str:
    """Names as one text, compressed; no name of a file has the character 0 in it."""
    return base64.b64encode(zlib.compress("\0".join(names).encode("utf-8", "surrogatepass"), 6)).decode("ascii")


def unpacked_names(text: str, number: int) -> list[str]:
    """What `packed_names` made of so many names; raises as `unpacked` does."""
    data = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), LONGEST_NAME * (number + 1))
    names = data.decode("utf-8", "surrogatepass").split("\0") if number else []
    if len(names) != number:
        raise ValueError(f"image_names are {len(names)}; expected {number}")
    return names


def unpacked(content: Mapping[str, Any], num_classes: int) -> dict[str, Any]:
    """The `TABLES` of a file's content; None for those that files of earlier versions do not have.

    Raises:
        ValueError (or another of those that `read` expects): a table is missing, or not what it must be.
    """
    number = content["matches"]["num_images"]
    if not isinstance(number, int) or number < 0 or content["matches"]["num_classes"] != num_classes:
        raise ValueError(f"matches of {number!r} images and {content['matches']['num_classes']!r} classes")
    found: dict[str, Any] = {}
    table: Any
    for name, (kind, columns) in TABLES.items():
        table = content.get(name)
        if table is None and name != "matches":
            found[name] = None
            continue
        sides = {"I": number, "K": num_classes, "A": len(SUBSETS), "T": len(THRESHOLDS)}
        arrays = columns_of(name, table, columns, sides)
        counts = {"num_images": number, "num_classes": num_classes}
        own = {item.name for item in fields(kind)}
        found[name] = kind(**arrays, **{key: value for key, value in counts.items() if key in own})
    return found


def unpacked_reached(table: Mapping[str, Any], num_groups: int, most: int) -> Reached:
    """The `REACHED` of a file's content; raises as `unpacked` does.

    Args:
        table: what `packed` made.
        num_groups: of objects.
        most: the greatest rank that there can be.
    """
    number = table["num_images"]
    if not isinstance(number, int) or number < 0:
        raise ValueError(f"proposals of {number!r} images")
    sides = {"I": number, "G": num_groups, "T": len(THRESHOLDS), "R": most}
    return Reached(number, **columns_of("reached", table, REACHED, sides))


def columns_of(
    name: str, table: Mapping[str, Any], columns: Mapping[str, Column], sides: dict[str, int]
) -> dict[str, np.ndarray]:
    """The arrays of a table called `name`, as `packed` made them; raises as `unpacked` does.

    Args:
        columns: what they must be.
        sides: the lengths that letters stand for; those that arrays are the first to say are added.
    """
    return {key: _column(f"{name}.{key}", table[key], column, sides) for key, column in columns.items()}


def _column(place: str, value: Mapping[str, Any], column: Column, sides: dict[str, int]) -> np.ndarray:
    """One array; to `sides`, the lengths that letters stand for, it adds those that it is the first to say."""
    dtype, shape = np.dtype(value["dtype"]), value["shape"]
    if dtype.kind not in column.kinds or len(shape) != len(column.shape):
        raise ValueError(f"{place} is {dtype} of shape {shape}")
    for letter, side in zip(column.shape, shape, strict=True):
        expected = int(letter) if letter.isdigit() else sides.setdefault(letter, side)
        if not isinstance(side, int) or side < 0 or side != expected:
            raise ValueError(f"{place} has the shape {shape}; expected {expected} for {side}")
    size = prod(shape) * dtype.itemsize
    data = zlib.decompressobj().decompress(base64.b64decode(value["zlib+base64"], validate=True), size + 1)
    if len(data) != size:
        raise ValueError(f"{place} has not the {size} bytes of its shape {shape}")
    array = np.frombuffer(data, dtype=dtype).reshape(shape)
    low, more = {"K": (1, 0), "R": (0, 0)}.get(column.within, (0, -1))
    high = sides.get(column.within, 0) + more
    if column.within and array.size and not low <= array.min() <= array.max() <= high:
        raise ValueError(f"{place} has values from {array.min()} to {array.max()}; expected {low} to {high}")
    return array
