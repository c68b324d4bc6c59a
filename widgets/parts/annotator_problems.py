"""Which pictures what the doctor found is about."""

from __future__ import annotations

import os
import re
from collections import defaultdict

from workbench.annotation.pictures import Pictures
from workbench.data.annotations import CocoFile
from workbench.data.reading.problems import Report

_ANNOTATION, _IMAGE = re.compile(r"\bannotation (\d+)$"), re.compile(r"\bimage (\d+)$")


def problems_of(report: Report | None, coco: CocoFile, pictures: Pictures) -> dict[str, list[str]]:
    """The problems of each picture, by its file name; those of none, such as of a whole file, are under ""."""
    found: dict[str, list[str]] = defaultdict(list)
    for problem in [] if report is None else report.problems:
        found[_picture(problem.where, coco, pictures)].append(f"{problem.what}. {problem.fix}")
    return dict(found)


def _picture(where: str, coco: CocoFile, pictures: Pictures) -> str:
    image: object = None
    if named := _ANNOTATION.search(where):
        image = coco.annotations.get(int(named[1]), {}).get("image_id")
    elif named := _IMAGE.search(where):
        image = int(named[1])
        if image not in coco.images and image < len(pictures):  # of data that are made, by their place
            return pictures.names[image]
    name = coco.images.get(image, {}).get("file_name") if isinstance(image, int | str) else None
    if name in pictures.positions:
        return str(name)
    parts = where.replace(os.sep, "/").split("/")
    ends = ("/".join(parts[-number:]) for number in range(1, len(parts) + 1))
    return next((end for end in ends if end in pictures.positions), "")
