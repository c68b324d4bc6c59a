"""Annotation files of MAFA, in the forms in which they go round: .mat, .txt and .csv."""

from __future__ import annotations

import csv
import io
import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from workbench.data.reading.listed_table import MOST, ListedTable, from_xywh, whole_numbers
from workbench.data.reading.mat_files import mat_content
from workbench.data.reading.paths import read_text
from workbench.data.reading.problems import Problem
from workbench.errors import DataError

MASKED, UNMASKED, IGNORED = 1, 2, 3
#: Places of what is kept in a row of so many numbers: box, type of the face (-1: none, as all are masked), box of the
#: occluder from the corner of the face, its type, its degree.
LAYOUTS = {18: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 21: [0, 1, 2, 3, -1, 8, 9, 10, 11, 12, 13]}
KEPT = 11
_STRUCTS = ("label_train", "LabelTest")
_NAMES = ("imgName", "imageName", "name")
_HEAD = ["name_file", "x", "y", "w", "h", "label"]
_TYPES = {0: UNMASKED, 1: MASKED, 2: MASKED, 3: MASKED}  # of the .csv
_FIX = "Correct the row, or take it out."

Row = tuple[str, str, np.ndarray | str]  #: name of the image, place in the file, KEPT numbers or what is wrong


def read_mafa(file: Path) -> ListedTable:
    """The faces of a file: `face_type`, `boxes_occluder`, `occluder_type`, `occlusion_degree` and `difficult`.

    Rows of one image need not follow each other.

    Raises:
        DataError: the file is none of these.
    """
    readers = {".mat": _mat_rows, ".txt": _text_rows, ".csv": _table_rows}
    if file.suffix.lower() not in readers:
        raise DataError(f"{file}: annotations of MAFA are read from {', '.join(readers)}")
    places: dict[str, str] = {}
    by_image: dict[str, list[np.ndarray]] = {}
    problems = []
    for name, where, row in readers[file.suffix.lower()](file):
        places.setdefault(name, where)
        rows = by_image.setdefault(name, [])
        if isinstance(row, str):
            problems.append(Problem("error", where, row, _FIX))
        elif len(row):
            rows.append(row.reshape(-1, KEPT))
    counts = [sum(map(len, rows)) for rows in by_image.values()]
    rows = np.concatenate([np.zeros((0, KEPT)), *(row for rows in by_image.values() for row in rows)])
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return _table(list(places), list(places.values()), starts, rows, problems)


def _table(
    names: list[str], wheres: list[str], starts: np.ndarray, rows: np.ndarray, problems: list[Problem]
) -> ListedTable:
    types = np.where(rows[:, 4] == -1, MASKED, whole_numbers(rows[:, 4]))
    columns = {
        "face_type": types,
        "boxes_occluder": _occluders(rows),
        "occluder_type": whole_numbers(rows[:, 9]),
        "occlusion_degree": whole_numbers(rows[:, 10]),
        "difficult": types == IGNORED,
    }
    table = ListedTable(names, wheres, starts, from_xywh(rows[:, :4]), columns, problems=problems)
    wrong = ~np.isin(types, (MASKED, UNMASKED, IGNORED))
    for row in np.flatnonzero(wrong).tolist():
        what = f"its type is {rows[row, 4]:g}, expected 1 (masked), 2 (unmasked) or 3 (ignored)"
        problems.append(Problem("error", table.object(row), what, _FIX))
    return table.checked(reported=wrong)


def _occluders(rows: np.ndarray) -> np.ndarray:
    """Boxes of occluders [N, 4] float32 xyxy in the image; zeros where a face has none."""
    boxes = rows[:, 5:9].copy()
    none = ~(np.abs(rows[:, :9]) < MOST).all(axis=1) | (boxes[:, 2:] <= 0).any(axis=1)
    boxes[:, :2] += rows[:, :2]
    return np.where(none[:, None], 0, from_xywh(boxes)).astype(np.float32)


def _kept(numbers: np.ndarray) -> np.ndarray | str:
    """Rows [N, 18 or 21] as [N, KEPT], or what is wrong with them."""
    if numbers.ndim != 2 or (numbers.size and numbers.shape[1] not in LAYOUTS):
        return f"expected rows of 18 numbers (with the type of the face) or 21 (with its eyes), got {numbers.shape}"
    if numbers.size == 0:
        return np.zeros((0, KEPT))
    layout = LAYOUTS[numbers.shape[1]]
    kept = numbers.astype(np.float64)[:, layout]
    if -1 in layout:
        kept[:, layout.index(-1)] = -1
    return kept


def _mat_rows(file: Path) -> Iterator[Row]:
    content = mat_content(file, _STRUCTS)
    struct = next((content[name] for name in _STRUCTS if isinstance(content.get(name), dict)), None)
    if struct is None:
        raise DataError(
            f"{file}: there is no struct {' or '.join(_STRUCTS)}, as in LabelTrainAll.mat and LabelTestAll.mat"
        )
    names = next((struct[name] for name in _NAMES if name in struct), None)
    if names is None or "label" not in struct:
        raise DataError(f"{file}: its struct has the fields {', '.join(struct)}; expected imgName or name, and label")
    for number, (name, label) in enumerate(zip(names, struct["label"], strict=True), start=1):
        where = f"{file}: entry {number}"
        if not isinstance(name, str) or not name:
            raise DataError(f"{where} has no name of an image")
        yield name, where, _kept(label) if isinstance(label, np.ndarray) else "it has no rows of numbers"


def _text_rows(file: Path) -> Iterator[Row]:
    """One face a line: the name of its image, which may hold blanks, and the numbers that it has in the .mat file."""
    for number, line in enumerate(read_text(file).split("\n"), start=1):
        where = f"{file}: line {number}"
        parts = line.split()
        if not parts:
            continue
        count = 0
        while count < len(parts) - 1 and _is_number(parts[-1 - count]):
            count += 1
        name = line.strip().rsplit(None, count)[0].rstrip()
        if count not in LAYOUTS:
            what = f"expected the name of an image and 18 or 21 numbers, got {count} in {reprlib.repr(line)}"
            yield name, where, what
        else:
            yield name, where, _kept(np.array([[float(part) for part in parts[-count:]]]))


def _table_rows(file: Path) -> Iterator[Row]:
    """The labels anew of Ryumina et al. 2021: box, and 0 unmasked, 1 masked, 2 wrongly masked, 3 hidden otherwise."""
    lines = csv.reader(io.StringIO(read_text(file)))
    try:
        yield from _labelled_anew(file, lines)
    except csv.Error as error:
        raise DataError(f"{file}: line {lines.line_num}: this is not a CSV file ({error})") from error


def _labelled_anew(file: Path, lines: Any) -> Iterator[Row]:
    head: list[str] = next(lines, [])
    if [one.strip() for one in head] != _HEAD:
        raise DataError(f"{file}: its first line is {reprlib.repr(','.join(head))}; expected {','.join(_HEAD)}")
    for parts in lines:
        where = f"{file}: line {lines.line_num}"
        if not parts:
            continue
        if len(parts) != len(_HEAD) or not all(map(_is_number, parts[1:])) or float(parts[5]) not in _TYPES:
            yield parts[0], where, f"expected {','.join(_HEAD)} with a label from 0 to 3, got {reprlib.repr(parts)}"
            continue
        box = [float(part) for part in parts[1:5]]
        yield parts[0], where, np.array([[*box, _TYPES[int(float(parts[5]))], 0, 0, 0, 0, -1, -1]])


def _is_number(text: Any) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False
