"""Text files of faces, as of WIDER FACE and FDDB: the name of an image, a count, and so many rows of numbers."""

from __future__ import annotations

import io
import math
import reprlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from workbench.data.reading.paths import read_text
from workbench.data.reading.problems import Problem
from workbench.errors import DataError


class FaceList(NamedTuple):
    """A file after reading."""

    names: list[str]  #: [I] of the images
    wheres: list[str]  #: [I] file and line of each
    starts: np.ndarray  #: [I + 1] int64, where the rows of each image begin
    rows: np.ndarray  #: [N, C] float64; NaN where a line is no such row
    problems: list[Problem]  #: one for each of these lines


def read_face_list(file: Path, columns: str) -> FaceList:
    """The images of a file and their rows.

    Blanks at the ends of lines and empty lines do not count. After a count of 0 there may be one row all the same,
    which is passed over, as WIDER FACE has it.

    Args:
        file: the text file.
        columns: the names of the numbers in a row, for its length and for messages.

    Raises:
        DataError: the file cannot be read, or a count is wrong, so that nothing can be said of what follows.
    """
    numbered = [(number, line.strip()) for number, line in enumerate(read_text(file).split("\n"), start=1)]
    lines = [(number, line) for number, line in numbered if line]
    names, wheres, counts, rows = [], [], [], []
    at, width = 0, len(columns.split())
    while at < len(lines):
        number, name = lines[at]
        count = _count(file, lines, at)
        at += 2
        rows += lines[at : at + count]
        at += count
        if count == 0 and at < len(lines) and _numbers(lines[at][1], width) is not None:
            at += 1
        names.append(name)
        wheres.append(f"{file}: line {number}")
        counts.append(count)
    values, problems = _table(file, rows, columns)
    return FaceList(names, wheres, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), values, problems)


def _count(file: Path, lines: list[tuple[int, str]], at: int) -> int:
    """How many rows follow an image, which the next line says."""
    number, name = lines[at]
    image = f"{file}: line {number}: {reprlib.repr(name)}"
    if at + 1 == len(lines):
        raise DataError(f"{image} is the last line; expected the name of an image, then the number of its faces")
    number, said = lines[at + 1]
    if not (said.isascii() and said.isdigit() and len(said) < 10):
        what = f"expected the number of faces of {reprlib.repr(name)}, got {reprlib.repr(said)}"
        raise DataError(f"{file}: line {number}: {what}; a list is the name of an image, a number, and so many rows")
    count = int(said)
    if at + 2 + count > len(lines):
        raise DataError(f"{image} has {count} faces, but the file ends after {len(lines) - at - 2}; is it cut off?")
    return count


def _table(file: Path, rows: list[tuple[int, str]], columns: str) -> tuple[np.ndarray, list[Problem]]:
    """Rows as numbers [N, C]; those that are none are NaN."""
    width = len(columns.split())
    if not rows:
        return np.zeros((0, width)), []
    try:
        values = np.loadtxt(io.StringIO("\n".join(line for _, line in rows)), comments=None, ndmin=2)
        if values.shape == (len(rows), width) and np.isfinite(values).all():
            return values, []
    except ValueError:
        pass  # some line is wrong, which only reading them one by one says
    values, problems = np.full((len(rows), width), np.nan), []
    for row, (number, line) in enumerate(rows):
        numbers = _numbers(line, width)
        if numbers is None:
            what = f"expected the {width} numbers {columns}, got {reprlib.repr(line)}"
            fix = "Correct the line, or the number of faces above."
            problems.append(Problem("error", f"{file}: line {number}", what, fix))
        else:
            values[row] = numbers
    return values, problems


def _numbers(line: str, width: int) -> list[float] | None:
    """The numbers of a line, if it holds `width` finite ones and nothing else."""
    parts = line.split()
    if len(parts) != width:
        return None
    try:
        values = [float(part) for part in parts]
    except ValueError:
        return None
    return values if all(map(math.isfinite, values)) else None
