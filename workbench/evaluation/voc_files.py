"""Detections in the files that VOC's development kit takes: comp4_det_test_aeroplane.txt, one for each class.

A line is the id of an image, the score, and xmin, ymin, xmax, ymax in pixels counted from 1, the last included: our
box (x1, y1, x2, y2) is written as x1 + 1, y1 + 1, x2, y2 (see `workbench.evaluation.voc`). The numbers are written to
all digits, so that what is read again has the same AP; other programs write scores to three digits and boxes to one.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from workbench.data.reading.paths import read_text
from workbench.errors import DataError
from workbench.evaluation.counting.checks import check_detections
from workbench.evaluation.counting.tables import Found, gather_found
from workbench.files import user_path, whole_file
from workbench.types import Detections

if TYPE_CHECKING:
    from workbench.data import Dataset

COMPETITION = "comp4"  #: detection by any training data; comp3 is by VOC's own alone
_FILE = re.compile(r"(comp[0-9]+)_det_(.+)\.txt")  #: competition, split and class
_NUMBERS = 5  # of a line


def write_voc_results(
    found: Sequence[Detections], data: Dataset, folder: str | PathLike[str], *, competition: str = COMPETITION
) -> Path:
    """Write a file of results for each class of `data`. Returns `folder`.

    Args:
        found: one entry for each image of `data`, in its order.
        data: images with names, see `Dataset.image_name`; its `split` is part of the names of the files.
        folder: where they go; it is made.
        competition: the first part of the names of the files.

    Raises:
        DataError: detections that do not fit the data, or a name of a class or an image that cannot stand there.

    Example:
        >>> data = wb.load_data("digit-scenes", split="test", length=2)
        >>> found = wb.load_detector("digit-scenes/faster-rcnn").detect([image for image, _ in data])
        >>> folder = write_voc_results(found, data, "results")
        >>> sorted(path.name for path in folder.iterdir())[0]
        'comp4_det_test_0.txt'
        >>> wb.evaluate(folder, data, progress=False).summary["AP50"] > 0.5
        True
    """
    folder = user_path(folder, DataError)
    sizes = [data.size(index) for index in range(len(data))]
    check_detections(found, data, sizes, masks=False)
    names = [data.image_name(index) for index in range(len(data))]
    write_rows(folder, gather_found(found), names, tuple(data.classes), data.split, competition)
    return folder


def write_rows(
    folder: Path, found: Found, names: Sequence[str], classes: Sequence[str], split: str, competition: str
) -> None:
    """The same of a table of detections and the names of its images."""
    if wrong := next((name for name in names if not name.strip() or name.splitlines() != [name.strip()]), None):
        raise DataError(f"an image is called {wrong!r}, which cannot stand in a line of VOC's files")
    folder.mkdir(parents=True, exist_ok=True)
    for label, name in enumerate(classes, start=1):
        file = f"{competition}_det_{split}_{name}.txt"
        if {"/", "\\", "\0"} & set(file) or not _FILE.fullmatch(file):
            raise DataError(f"{file!r} would be the file of the class {name!r}, and is no name of one of VOC's files")
        rows = np.flatnonzero(found.labels == label).tolist()
        lines = [_line(names[found.images[row]], found.scores[row], found.boxes[row]) for row in rows]
        with whole_file(folder / file) as written:
            written.write("".join(lines).encode())


def _line(name: str, score: float, box: np.ndarray) -> str:
    x1, y1, x2, y2 = box.tolist()
    return " ".join([name, *map(repr, (float(score), x1 + 1, y1 + 1, x2, y2))]) + "\n"


def is_voc_results(folder: Path) -> bool:
    """Whether a folder holds VOC's files of results."""
    return folder.is_dir() and any(_FILE.fullmatch(path.name) for path in folder.glob("comp*_det_*.txt"))


def read_voc_results(folder: str | PathLike[str], data: Dataset) -> list[Detections]:
    """What the files of a folder hold for each image of `data`, the highest score first.

    Args:
        folder: with files of one competition and of the split of `data`.
        data: images with names, see `Dataset.image_name`; classes without a file are those that nothing was found of.

    Raises:
        DataError: there are no such files, one cannot be read, or a line is wrong or about another image; says which.

    Example:
        >>> data = wb.load_data("digit-scenes", split="test", length=2)
        >>> found = wb.load_detector("digit-scenes/faster-rcnn").detect([image for image, _ in data])
        >>> again = read_voc_results(write_voc_results(found, data, "results"), data)
        >>> [len(one) for one in again] == [len(one) for one in found]
        True
    """
    return VocResults(user_path(folder, DataError), data).detections


class VocResults:
    """The detections that a folder of VOC's files holds for the images of `data`; raises as `read_voc_results`."""

    def __init__(self, folder: Path, data: Dataset):
        self.folder, self.data = folder, data
        files = _files(folder, data)
        self.lacking = [name for name in data.classes if name not in files]  #: classes without a file
        places: dict[str, int] = {}
        for index in range(len(data)):
            if places.setdefault(data.image_name(index), index) != index:
                raise DataError(f"two images of {data.name} {data.split} are called {data.image_name(index)!r}")
        rows: dict[int, list[tuple[float, ...]]] = defaultdict(list)
        for label, name in enumerate(data.classes, start=1):
            if name in files:
                for number, line in enumerate(read_text(files[name]).splitlines(), start=1):
                    if line.strip():
                        image, values = _row(line, f"{files[name]}: line {number}", places, data)
                        rows[image].append((label, *values))
        self.images = set(rows)  #: positions of the images that have results
        self.detections = [_detections(rows.get(index, [])) for index in range(len(data))]


def _files(folder: Path, data: Dataset) -> dict[str, Path]:
    """The file of each class that has one."""
    found: dict[str, dict[str, Path]] = defaultdict(dict)
    for path in sorted(folder.glob("comp*_det_*.txt")):
        if match := _FILE.fullmatch(path.name):
            competition, rest = match.groups()
            found[competition] |= {name: path for name in data.classes if rest == f"{data.split}_{name}"}
    known = {competition: files for competition, files in found.items() if files}
    if len(known) > 1:
        raise DataError(f"{folder} holds results of {' and '.join(known)}; give a folder with those of one")
    if not known:
        expected = f"{COMPETITION}_det_{data.split}_{data.classes[0]}.txt"
        raise DataError(f"{folder} holds no results of {data.name} {data.split}, such as {expected}")
    return next(iter(known.values()))


def _row(line: str, where: str, places: dict[str, int], data: Dataset) -> tuple[int, tuple[float, ...]]:
    """The image of a line, and its score and box [5] xyxy in pixels from 0."""
    parts = line.rsplit(maxsplit=_NUMBERS)
    try:
        score, x1, y1, x2, y2 = map(float, parts[1:])
    except ValueError:
        score = math.nan
    if not math.isfinite(score) or not all(map(math.isfinite, (x1, y1, x2, y2))):
        raise DataError(f"{where}: {line!r:.80} is no image, score, xmin, ymin, xmax and ymax")
    name = parts[0].strip()
    if name not in places:
        raise DataError(f"{where}: no image of {data.name} {data.split} is called {name!r:.60}")
    return places[name], (score, x1 - 1, y1 - 1, x2, y2)


def _detections(rows: list[tuple[float, ...]]) -> Detections:
    """Of rows (label, score, box), the highest score first, in 64 bits as the file has them."""
    table = torch.tensor(rows, dtype=torch.float64).reshape(-1, _NUMBERS + 1)
    table = table[torch.argsort(table[:, 1], descending=True, stable=True)]
    return Detections(table[:, 2:], table[:, 0].long(), table[:, 1])
