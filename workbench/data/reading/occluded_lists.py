"""Lists of Occluded COCO and Separated COCO: `occluded_coco.pkl` and `separated_coco.pkl`, or the same as .json.

Each is a list of [name of the image, name of the class, id of the annotation, box, mask as run-length code], of
objects of COCO's 2017 validation images. The boxes, x, y, width, height in one file and corners in the other, are not
used, and neither are they by the evaluation of the lists' authors.
"""

from __future__ import annotations

import reprlib
from pathlib import Path
from typing import Any, NamedTuple

from workbench.data.reading.paths import read_json
from workbench.data.reading.plain_pickle import read_pickle
from workbench.data.reading.problems import Problem
from workbench.errors import DataError
from workbench.rle import RLE, checked

FIX = "Take list and annotations as they are published, of COCO 2017."


class ListedObject(NamedTuple):
    """An entry of a list."""

    file_name: str
    class_name: str
    mask: RLE
    where: str  #: file and entry, for messages


def read_occluded_list(file: Path) -> tuple[dict[int, ListedObject], list[Problem]]:
    """The entries of a list by the ids of their annotations, and what is wrong with others.

    Raises:
        DataError: the file cannot be read, or holds no list.
    """
    readers = {".pkl": read_pickle, ".json": read_json}
    if file.suffix.lower() not in readers:
        raise DataError(f"{file}: lists of occluded objects are read from {' and '.join(readers)}")
    content = readers[file.suffix.lower()](file)
    if not isinstance(content, list | tuple):
        raise DataError(f"{file}: it holds a {type(content).__name__}; expected a list of objects, each five values")
    objects: dict[int, ListedObject] = {}
    problems = []
    for number, entry in enumerate(content, start=1):
        where = f"{file}: entry {number}"
        found = _entry(entry, where)
        if isinstance(found, str):
            problems.append(Problem("error", where, found, FIX))
        elif found[0] in objects:
            what = f"annotation {found[0]} occurs twice"
            problems.append(Problem("warning", where, what, "It counts once."))
        else:
            objects[found[0]] = found[1]
    return objects, problems


def _entry(entry: Any, where: str) -> tuple[int, ListedObject] | str:
    """Id and content of an entry, or what is wrong with it."""
    if not isinstance(entry, list | tuple) or len(entry) < 5:
        return "it is no list of image, class, id, box and mask"
    name, class_name, identity, _, mask = entry[:5]
    if not isinstance(name, str) or not isinstance(class_name, str) or type(identity) is not int:
        said = ", ".join(map(reprlib.repr, (name, class_name, identity)))
        return f"it begins with {said}; expected names of an image and a class, and the id of an annotation"
    try:
        return identity, ListedObject(name, class_name, checked(mask), where)
    except (ValueError, UnicodeEncodeError) as error:
        return f"its mask cannot be used: {error}"
