"""Annotations of CrowdHuman: .odgt files, of which each line is the JSON object of an image.

A line is {"ID": name of the image without its ending, "gtboxes": [...]}, and each of its boxes is {"tag": "person" or
"mask", "fbox", "vbox", "hbox": [x, y, width, height] of the full body, its visible part and the head, "extra":
{"ignore", ...}, "head_attr": {"ignore", ...}}. Keys in the last two are left out at will. One line at a time is in
memory as text.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic_core import from_json

from workbench.data.reading.boxes import finite_box, hidden_share
from workbench.data.reading.listed_table import MOST, ListedTable, from_xywh
from workbench.data.reading.paths import check_regular
from workbench.data.reading.problems import Problem
from workbench.errors import DataError

Part = Literal["full", "visible", "head"]  #: of a person
BOXES: dict[Part, str] = {"full": "fbox", "visible": "vbox", "head": "hbox"}
LONGEST = 2**26  #: bytes of a line; those of CrowdHuman have some hundred thousand at most
PERSON, REGION = "person", "mask"  #: tags
_FIX = "Correct the line, or take the file of CrowdHuman's own site."


def read_crowdhuman(file: Path, part: Part = "full") -> ListedTable:
    """The people of a file: `boxes_full`, `boxes_visible`, `boxes_head`, `occlusion` and `iscrowd`.

    Args:
        file: such as annotation_val.odgt.
        part: which box of a person is the object.

    Raises:
        DataError: the file cannot be read, or a line is no JSON object.
    """
    names: dict[str, str] = {}
    rows, counts, problems = [np.zeros((0, 14))], [], []
    for where, record in _records(file):
        name, boxes = record.get("ID"), record.get("gtboxes")
        if not isinstance(name, str) or not name.strip():
            problems.append(
                Problem("error", where, f"its ID is {reprlib.repr(name)}, not the name of an image", _FIX)
            )
        elif not isinstance(boxes, list):
            problems.append(Problem("error", where, f"{reprlib.repr(name)} has no list gtboxes", _FIX))
        elif name in names:
            problems.append(Problem("error", where, f"the ID {reprlib.repr(name)} occurs twice", _FIX))
        else:
            names[name] = where
            found = [_row(box, f"{where}: box {number} of {name}", part, problems)
                     for number, box in enumerate(boxes, start=1)]  # fmt: skip
            kept = [row for row in found if row is not None]
            rows.append(np.array(kept, np.float64).reshape(-1, 14))
            counts.append(len(kept))
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return _table(list(names), list(names.values()), starts, np.concatenate(rows), part, problems)


def _records(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Place in the file and content of each line that is not empty."""
    check_regular(file)
    try:
        with file.open("rb") as lines:
            number = 0
            while line := lines.readline(LONGEST + 1):
                number += 1
                where = f"{file}: line {number}"
                if len(line) > LONGEST:
                    raise DataError(f"{where}: it is longer than {LONGEST / 2**20:.0f} MB; expected a line an image")
                text = line.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else line.strip()
                if text:
                    yield where, _record(text, where)
    except OSError as error:
        raise DataError(f"{file}: this file cannot be read ({error.strerror or error})") from error


def _record(text: bytes, where: str) -> dict[str, Any]:
    try:
        record = from_json(text)
    except ValueError as error:
        raise DataError(
            f"{where}: this is not JSON ({error}); expected an object for each image, as .odgt"
        ) from error
    if not isinstance(record, dict):
        kind = type(record).__name__
        raise DataError(f"{where}: this is a {kind}; expected a JSON object with ID and gtboxes, one a line")
    return record


def _row(box: Any, where: str, part: Part, problems: list[Problem]) -> list[float] | None:
    """Twelve numbers of the boxes, and whether it and its head are ignored; None, with a word, if it is unusable."""
    if not isinstance(box, dict):
        problems.append(Problem("error", where, f"it is a {type(box).__name__}, not an object", _FIX))
        return None
    tag, ignored, no_head = box.get("tag"), _ignored(box.get("extra")), _ignored(box.get("head_attr"))
    if ignored is None or no_head is None or not isinstance(tag, str):
        what = "its tag is no text, or its extra or head_attr is no object with a number `ignore`"
        problems.append(Problem("error", where, what, _FIX))
        return None
    if tag not in (PERSON, REGION):
        what = f"its tag is {reprlib.repr(tag)}, expected {PERSON} or {REGION}"
        problems.append(Problem("warning", where, what, "It counts as a region that is ignored."))
    ignored = ignored or tag != PERSON
    numbers: list[float] = []
    for one, key in BOXES.items():
        values = finite_box(box.get(key))
        if values is not None and max(map(abs, values)) >= MOST:
            values = None
        if values is None and not (one == "head" != part and (ignored or no_head)):
            what = f"its {key} is {reprlib.repr(box.get(key))}, not four finite numbers x, y, width, height"
            problems.append(Problem("error", where, what, _FIX))
            return None
        numbers += values or (0.0, 0.0, 0.0, 0.0)
    return [*numbers, ignored, no_head or ignored]


def _ignored(about: Any) -> bool | None:
    """Whether attributes, which may be absent, say that a box is ignored; None if they are something else."""
    about = {} if about is None else about
    value = about.get("ignore", 0) if isinstance(about, dict) else None
    return bool(value) if isinstance(value, int | float) else None


def _table(
    names: list[str], wheres: list[str], starts: np.ndarray, rows: np.ndarray, part: Part, problems: list[Problem]
) -> ListedTable:
    full, visible, head = (from_xywh(rows[:, first : first + 4]) for first in (0, 4, 8))
    ignored, no_head = rows[:, 12] > 0, rows[:, 13] > 0
    columns = {
        "boxes_full": full.astype(np.float32),
        "boxes_visible": visible.astype(np.float32),
        "boxes_head": np.where(no_head[:, None], 0, head).astype(np.float32),
        "iscrowd": no_head if part == "head" else ignored,
        "occlusion": hidden_share(full, visible, known=~ignored & (part != "head")),
    }
    boxes = {"full": full, "visible": visible, "head": head}[part]
    table = ListedTable(names, wheres, starts, boxes, columns, problems=problems, noun="person")
    nothing = columns["iscrowd"] & ~(boxes[:, 2:] > boxes[:, :2]).all(axis=1)  # there is nothing to ignore
    return table.where_objects(~nothing).checked()
