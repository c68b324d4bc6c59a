"""The .mat files of WIDER FACE: cells by event, in them cells by image, in them a row a face."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from workbench.data.reading.face_lists import FaceList
from workbench.data.reading.images import ENDINGS
from workbench.data.reading.mat_files import mat_content
from workbench.data.reading.problems import Problem
from workbench.errors import DataError

LEVELS = ("easy", "medium", "hard")
#: The cells of the numbers of a face, in the order of the columns of the text files.
CELLS = ("face_bbx", "blur_label", "expression_label", "illumination_label", "invalid_label", "occlusion_label",
         "pose_label")  # fmt: skip
WIDTHS = (4, 1, 1, 1, 1, 1, 1)


def read_wider_mat(file: Path) -> FaceList:
    """The images of `wider_face_train.mat` or `wider_face_val.mat`, and the rows of their faces as in a text file.

    Raises:
        DataError: it is no such file.
    """
    content = mat_content(file, ("event_list", "file_list", *(f"{name}_list" for name in CELLS)))
    names, rows, problems = [], [np.zeros((0, sum(WIDTHS)))], []
    for event, image, name in _images(file, content):
        faces = _faces([_at(content.get(f"{cell}_list"), event, image) for cell in CELLS])
        names.append(name)
        if faces is None:
            what = "the boxes and attributes of its faces do not fit together"
            problems.append(Problem("error", f"{file}: {name}", what, "Take the file of WIDER FACE's own site."))
            faces = rows[0]
        rows.append(faces)
    starts = np.cumsum([0, *map(len, rows[1:])]).astype(np.int64)
    return FaceList(names, [str(file)] * len(names), starts, np.concatenate(rows), problems)


def names_of(file: Path) -> list[str]:
    """The images of `wider_face_test.mat`, which has no faces; without their endings.

    Raises:
        DataError: it is no such file.
    """
    return [name for _, _, name in _images(file, mat_content(file, ("event_list", "file_list")))]


def read_level(file: Path, names: list[str], starts: np.ndarray) -> tuple[np.ndarray, list[Problem]]:
    """Which faces a list of the evaluation counts, bool [N], and what is wrong with the list.

    Args:
        file: such as `wider_easy_val.mat`.
        names: [I] of the images.
        starts: [I + 1] where the faces of each image begin.

    Raises:
        DataError: it is no such file.
    """
    counted, problems = np.zeros(int(starts[-1]), bool), []
    content = mat_content(file, ("event_list", "file_list", "gt_list"))
    places = {_stem(name): place for place, name in enumerate(names)}
    seen = set()
    for event, image, name in _images(file, content):
        numbers = _at(content.get("gt_list"), event, image)
        place = places.get(name)
        if place is None:
            continue  # of an image that was taken out
        seen.add(place)
        first, end = starts[place : place + 2].tolist()
        chosen = np.ravel(numbers) if isinstance(numbers, np.ndarray) else np.full(1, np.nan)
        good = (chosen >= 1) & (chosen <= end - first) & (chosen == np.floor(chosen))
        counted[first - 1 + chosen[good].astype(np.int64)] = True
        if not good.all():
            what = f"it counts face {chosen[~good][0]:g} of {name}, which has {end - first}"
            problems.append(Problem("error", str(file), what, "Take the lists and the annotations of one version."))
    if len(seen) < len(names):
        name = next(name for place, name in enumerate(names) if place not in seen)
        what = f"{len(names) - len(seen)} of {len(names)} images are not in it, the first is {name}"
        problems.append(Problem("warning", str(file), what, "No face of theirs is counted."))
    return counted, problems


def _images(file: Path, content: dict[str, Any]) -> Iterator[tuple[int, int, str]]:
    """Places of event and image, and the name of the image without its ending."""
    events, files = content.get("event_list"), content.get("file_list")
    if not isinstance(events, list) or not isinstance(files, list) or len(events) != len(files):
        raise DataError(
            f"{file}: there are no cells `event_list` and `file_list` of one length, as WIDER FACE has them"
        )
    for event, (folder, images) in enumerate(zip(events, files, strict=True)):
        for image, name in enumerate(images if isinstance(images, list) else [images]):
            if not isinstance(folder, str) or not isinstance(name, str):
                raise DataError(f"{file}: image {image + 1} of event {event + 1} has no name")
            yield event, image, f"{folder}/{_stem(name)}"


def _at(cells: Any, event: int, image: int) -> Any:
    """What a cell of cells holds for an image; None if it is none or shorter."""
    try:
        return cells[event][image] if isinstance(cells[event], list) else None
    except (IndexError, TypeError):
        return None


def _faces(parts: list[Any]) -> np.ndarray | None:
    """Boxes and attributes of an image as rows [N, 10]; None if they do not fit."""
    if not all(isinstance(part, np.ndarray) for part in parts):
        return None
    if parts[0].size == 0:
        return np.zeros((0, sum(WIDTHS)))
    number = len(parts[0])
    if any(part.size != number * width for part, width in zip(parts, WIDTHS, strict=True)):
        return None
    return np.concatenate([part.reshape(number, -1) for part in parts], axis=1).astype(np.float64)


def _stem(name: str) -> str:
    stem, ending = os.path.splitext(name)
    return stem if ending.lower() in ENDINGS else name
