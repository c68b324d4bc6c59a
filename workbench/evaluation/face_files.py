"""Detections in the text files that face benchmarks take: one for all images (FDDB), or one for each (WIDER FACE).

Each image is its name, a line with the number of detections, and a line for each of them: x, y, width, height in
pixels and the score, or for an ellipse (FDDB) major radius, minor radius, angle, centre x, centre y and the score.
Names are paths without ".jpg", as 2002/08/11/big/img_591; an image is known by the end of its path.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from workbench.data.reading.paths import DataRoot, read_text
from workbench.errors import DataError
from workbench.evaluation.counting.checks import check_detections
from workbench.files import user_path, whole_file
from workbench.types import Detections

if TYPE_CHECKING:
    from workbench.data import Dataset

FDDB_PARTS, WIDER_PARTS = 5, 2  #: parts of a name: year/month/day/big/image, event/image
_BOX, _ELLIPSE = 5, 6  # numbers of a row


def read_face_results(path: str | PathLike[str], data: Dataset) -> list[Detections]:
    """What a file holds for each image of `data`, or a folder in all of its .txt files; nothing where it has no name.

    Ellipses are in `extras["ellipses"]` [N, 5], and their boxes are those around them; a file has one of both.

    Args:
        path: of FDDB's file, of the folder of its folds, or of WIDER FACE's folder.
        data: images with files, whose names are those of the results.

    Raises:
        DataError: a file cannot be read, a line is wrong, or a name is of no image or of two; says which.

    Example:
        >>> data = wb.load_data("face-scenes", split="test", length=2)
        >>> found = wb.load_detector("face-scenes/faster-rcnn").detect([image for image, _ in data])
        >>> path = write_fddb_results(found, data, "detections.txt")
        >>> [len(one) for one in read_face_results(path, data)] == [len(one) for one in found]
        True
    """
    path = user_path(path, DataError)
    files = [path]
    if path.is_dir():
        files = [file for file in DataRoot(path, "a folder of results").files(path) if file.suffix == ".txt"]
    rows: dict[int, np.ndarray] = {}
    names = _Names(data)
    for file in files:
        for name, where, values in _records(file):
            index = names.place(name, file, where)
            if index in rows:
                raise DataError(f"{where}: image {name!r} has results already; give one list for each image")
            rows[index] = values
    if len({values.shape[1] for values in rows.values() if len(values)}) > 1:
        raise DataError(f"{path}: some rows are boxes and some are ellipses; give one kind")
    ellipses = any(values.shape[1] == _ELLIPSE for values in rows.values() if len(values))
    nothing = np.zeros((0, _ELLIPSE if ellipses else _BOX))
    return [_detections(rows[index] if len(rows.get(index, ())) else nothing) for index in range(len(data))]


def write_fddb_results(found: Sequence[Detections], data: Dataset, path: str | PathLike[str]) -> Path:
    """Write FDDB's file in the order of `data`: boxes, or ellipses where `extras` have them. Returns `path`.

    Example:
        >>> data = wb.load_data("face-scenes", split="test", length=1)
        >>> found = wb.load_detector("face-scenes/faster-rcnn").detect([data.image(0)])
        >>> text = write_fddb_results(found, data, "detections.txt").read_text()
        >>> text.splitlines()[:2] == ["000000", str(len(found[0]))]  # the name, the number, and a line for each
        True
    """
    path = user_path(path, DataError)
    _write(path, [_text(name, one) for name, one in _named(found, data, FDDB_PARTS)])
    return path


def write_wider_results(found: Sequence[Detections], data: Dataset, folder: str | PathLike[str]) -> Path:
    """Write WIDER FACE's folder, a file of boxes for each image in the folder of its event. Returns `folder`.

    Example:
        >>> data = wb.load_data("face-scenes", split="test", length=2)
        >>> found = wb.load_detector("face-scenes/faster-rcnn").detect([image for image, _ in data])
        >>> sorted(path.name for path in write_wider_results(found, data, "detections").iterdir())
        ['000000.txt', '000001.txt']
    """
    folder = user_path(folder, DataError)
    for name, one in _named(found, data, WIDER_PARTS):
        plain = Detections(one.boxes, one.labels, one.scores)
        _write(folder / f"{name}.txt", [_text(name.rpartition("/")[2], plain)])
    return folder


class _Names:
    """Which image a name of results means."""

    def __init__(self, data: Dataset):
        self.data = data
        self._known: dict[int, dict[str, list[int]]] = {}  # by number of parts

    def place(self, name: str, file: Path, where: str) -> int:
        """The position of the image; of names that are not unique the file's folder is a part, as in WIDER FACE.

        Raises:
            DataError: the name is of no image, or of several.
        """
        name = name.removesuffix(".jpg")
        found = self._places(name)
        if len(found) > 1:
            found = self._places(f"{file.parent.name}/{name}") or found
        if len(found) != 1:
            parts = name.count("/") + 1
            raise DataError(
                f"{where}: the name {name!r} is of {len(found)} of the {len(self.data)} images of {self.data.name} "
                f"{self.data.split}; expected the end of one path, as {_name(self.data, 0, parts)!r}"
            )
        return found[0]

    def _places(self, name: str) -> list[int]:
        parts = name.count("/") + 1
        if parts not in self._known:
            known: dict[str, list[int]] = {}
            for index in range(len(self.data)):
                known.setdefault(_name(self.data, index, parts), []).append(index)
            self._known[parts] = known
        return self._known[parts].get(name, [])


def _name(data: Dataset, index: int, parts: int) -> str:
    path = data.path(index) or Path(data.file_name(index))
    return "/".join(path.with_suffix("").parts[-parts:])


def _records(path: Path) -> Iterator[tuple[str, str, np.ndarray]]:
    """Name, place in the file, and rows [D, 5 or 6] of each image."""
    lines = [line.strip() for line in read_text(path).splitlines()]
    at = 0
    while at < len(lines):
        if not lines[at]:
            at += 1
            continue
        name, where = lines[at], f"{path}: line {at + 1}"
        count = lines[at + 1] if at + 1 < len(lines) else ""
        if not re.fullmatch(r"[0-9]{1,9}", count) or int(count) > len(lines) - at - 2:
            what = f"after the name {name!r:.80} the number of its rows, which follow, is expected"
            raise DataError(f"{where}: {what}, not {count!r:.40}")
        rows = lines[at + 2 : at + 2 + int(count)]
        values = [_row(row, f"{path}: line {at + 3 + number}") for number, row in enumerate(rows)]
        if len({len(row) for row in values}) > 1:
            raise DataError(f"{where}: {name!r:.80} has rows of boxes and of ellipses; give one kind")
        yield name, where, np.array(values, dtype=float).reshape(len(values), -1 if values else _BOX)
        at += 2 + int(count)


def _row(text: str, where: str) -> list[float]:
    try:
        values = [float(word) for word in text.split()]
    except ValueError:
        values = []
    if len(values) not in (_BOX, _ELLIPSE) or not all(map(math.isfinite, values)):
        raise DataError(
            f"{where}: {text!r:.80} is neither x, y, width, height, score nor the six numbers of an ellipse"
        )
    sizes = values[2:4] if len(values) == _BOX else values[:2]
    if min(sizes) < 0:
        raise DataError(f"{where}: a size of {min(sizes):g} pixels; sizes are at least 0")
    return values


def _detections(rows: np.ndarray) -> Detections:
    """Of rows [D, 5 or 6], the highest score first."""
    rows = rows[np.argsort(-rows[:, -1], kind="stable")]
    labels, scores = torch.ones(len(rows), dtype=torch.int64), torch.from_numpy(rows[:, -1].copy())
    if rows.shape[1] == _BOX:
        return Detections(torch.from_numpy(np.hstack([rows[:, :2], rows[:, :2] + rows[:, 2:4]])), labels, scores)
    major, minor, angle, x, y = rows[:, :5].T
    half = np.stack([np.hypot(major * np.cos(angle), minor * np.sin(angle)),
                     np.hypot(major * np.sin(angle), minor * np.cos(angle))], axis=1)  # fmt: skip
    centre = np.stack([x, y], axis=1)
    boxes = torch.from_numpy(np.hstack([centre - half, centre + half]))
    return Detections(boxes, labels, scores, extras={"ellipses": torch.from_numpy(rows[:, :5].copy())})


def _named(found: Sequence[Detections], data: Dataset, parts: int) -> list[tuple[str, Detections]]:
    check_detections(found, data, [data.size(index) for index in range(len(data))], masks=False)
    return [(_name(data, index, parts), one) for index, one in enumerate(found)]


def _text(name: str, found: Detections) -> str:
    boxes = found.boxes.double()
    shapes = found.extras.get("ellipses", torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], dim=1)).double()
    rows = torch.cat([shapes, found.scores.double()[:, None]], dim=1).tolist()
    return "\n".join([name, str(len(rows)), *(" ".join(f"{value:.9g}" for value in row) for row in rows)]) + "\n"


def _write(path: Path, texts: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        file.write("".join(texts).encode())
