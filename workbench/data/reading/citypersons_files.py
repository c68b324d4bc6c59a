"""Annotations of CityPersons, in the two forms in which they go round, both with the same boxes.

- `anno_train.mat` and `anno_val.mat` of its authors: a cell for each image, a struct of `cityname`, `im_name` and
  `bbs`, a row of ten numbers for each object: class, x1, y1, width, height, instance, and x1, y1, width, height of
  the visible part. MATLAB has stored them in the smallest whole numbers that hold them, also of 8 bits, in which sums
  run over; here they are made float64 first.
- `gtBboxCityPersons` of Cityscapes: a folder for each city, a .json file for each image: {"objects": [{"label",
  "bbox", "bboxVis", "instanceId"}]}.

Boxes of the full body are aligned, of one aspect ratio, and may reach out of the image. Groups have no visible box.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from workbench.data.reading.boxes import finite_box, hidden_share
from workbench.data.reading.listed_table import ListedTable, from_xywh, whole_numbers
from workbench.data.reading.mat_files import mat_content
from workbench.data.reading.paths import DataRoot, read_json
from workbench.data.reading.problems import Problem
from workbench.errors import DataError

IGNORED, PEDESTRIAN, RIDER, SITTING, OTHER, GROUP = range(6)  #: classes
LABELS = {
    "ignore": IGNORED, "pedestrian": PEDESTRIAN, "rider": RIDER, "sitting person": SITTING, "person (other)": OTHER,
    "person group": GROUP,
}  # fmt: skip
ALIGNED = (PEDESTRIAN, RIDER)  #: whose box is of the full body; that of others is the visible one
WIDTH = 10  #: numbers of an object
ENDING = "_gtBboxCityPersons.json"
_STRUCTS = {split: f"anno_{split}_aligned" for split in ("train", "val")}
_FIX = "Take the file of CityPersons' own site."

Rows = tuple[str, str, np.ndarray, list[str]]  #: name of an image, its place, [n, WIDTH], and what is wrong


def read_citypersons(place: Path, split: str, root: DataRoot) -> ListedTable:
    """All annotated objects: `boxes_full`, `boxes_visible`, `occlusion`, `iscrowd`, `person_type`, `instance_id`.

    Args:
        place: a .mat file, or the folder of the cities' .json files.
        split: "train" or "val".
        root: of the data.

    Raises:
        DataError: there is no such file, or it is something else.
    """
    names, wheres, counts, rows, problems = [], [], [], [np.zeros((0, WIDTH))], []
    for name, where, found, wrong in _json_rows(place, root) if place.is_dir() else _mat_rows(place, split):
        problems += [Problem("error", where, what, _FIX) for what in wrong]
        names.append(name)
        wheres.append(where)
        counts.append(len(found))
        rows.append(found)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return _table(names, wheres, starts, np.concatenate(rows), problems)


def _table(
    names: list[str], wheres: list[str], starts: np.ndarray, rows: np.ndarray, problems: list[Problem]
) -> ListedTable:
    types = whole_numbers(rows[:, 0])
    full, visible = from_xywh(rows[:, 1:5]), from_xywh(rows[:, 6:10])
    known = np.isin(types, ALIGNED)
    columns = {
        "boxes_full": full.astype(np.float32),
        "boxes_visible": visible.astype(np.float32),
        "occlusion": hidden_share(full, visible, known=known),
        "iscrowd": types != PEDESTRIAN,
        "person_type": types,
        "instance_id": whole_numbers(rows[:, 5]),
    }
    table = ListedTable(names, wheres, starts, full, columns, problems=problems, noun="pedestrian")
    wrong = ~np.isin(types, list(LABELS.values())) | ~np.isfinite(rows).all(axis=1)
    for row in np.flatnonzero(wrong).tolist():
        what = f"its ten numbers are {' '.join(f'{value:g}' for value in rows[row])}; expected a class from 0 to 5"
        problems.append(Problem("error", table.object(row), f"{what} and finite boxes", _FIX))
    return table.checked(reported=wrong)


def _mat_rows(file: Path, split: str) -> Iterator[Rows]:
    content = mat_content(file, _STRUCTS.values())
    cells = content.get(_STRUCTS[split])
    if not isinstance(cells, list):
        there = [name for name in content if name != _STRUCTS[split]]
        other = f" (it has {', '.join(there)})" if there else ""
        raise DataError(f"{file}: there is no cell {_STRUCTS[split]}{other}, as in CityPersons' anno_{split}.mat")
    for number, cell in enumerate(cells, start=1):
        where = f"{file}: image {number}"
        city, name, boxes = (_field(cell, key) for key in ("cityname", "im_name", "bbs"))
        if not isinstance(city, str) or not isinstance(name, str) or not name:
            raise DataError(f"{where} has no cityname or im_name; expected a struct of cityname, im_name and bbs")
        yield (f"{city}/{name}", where, *_numbers(boxes))


def _field(cell: Any, key: str) -> Any:
    """What a struct of one entry holds under a name; None if it is no such struct."""
    values = cell.get(key) if isinstance(cell, dict) else None
    return values[0] if isinstance(values, list) and len(values) == 1 else None


def _numbers(boxes: Any) -> tuple[np.ndarray, list[str]]:
    nothing = np.zeros((0, WIDTH))
    if not isinstance(boxes, np.ndarray):
        return nothing, ["its bbs are no numbers"]
    if boxes.size == 0:
        return nothing, []
    if boxes.ndim != 2 or boxes.shape[1] != WIDTH:
        return nothing, [f"its bbs are {' × '.join(map(str, boxes.shape))} numbers; expected rows of {WIDTH}"]
    return boxes.astype(np.float64), []


def _json_rows(folder: Path, root: DataRoot) -> Iterator[Rows]:
    files = [path for path in root.files(folder) if path.name.endswith(ENDING)]
    if not files:
        raise DataError(f"{folder}: there are no files *{ENDING} in it or its folders")
    for path in files:
        name = path.name.removesuffix(ENDING)
        content = read_json(path)
        objects = content.get("objects") if isinstance(content, dict) else None
        found = [_object(one) for one in objects] if isinstance(objects, list) else ["it has no list `objects`"]
        rows = np.array([one for one in found if not isinstance(one, str)], np.float64).reshape(-1, WIDTH)
        wrong = [one for one in found if isinstance(one, str)]
        yield f"{path.parent.name}/{name}_leftImg8bit.png", str(path), rows, wrong


def _object(entry: Any) -> list[float] | str:
    """The ten numbers of an object, as a .mat file has them; or what is wrong."""
    if not isinstance(entry, dict):
        return f"an object is a {type(entry).__name__}, not a JSON object"
    label, instance = entry.get("label"), entry.get("instanceId", 0)
    if not isinstance(label, str) or label not in LABELS:
        return f"an object has the label {reprlib.repr(label)}; expected one of {', '.join(LABELS)}"
    full, visible = finite_box(entry.get("bbox")), finite_box(entry.get("bboxVis", (0, 0, 0, 0)))
    if full is None or visible is None or not isinstance(instance, int) or abs(instance) >= 2**31:
        said = {key: entry.get(key) for key in ("bbox", "bboxVis", "instanceId")}
        return f"an object has {reprlib.repr(said)}; expected two boxes of four finite numbers, and a whole number"
    return [LABELS[label], *full, instance, *visible]
