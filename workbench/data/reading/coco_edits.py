"""Whether a new or changed entry of a COCO file is one that can be read again, and that detectors can learn from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from workbench.data.reading import boxes as box_formats
from workbench.data.reading.images import MOST_PIXELS
from workbench.data.reading.masks import checked_segmentation, code_of
from workbench.data.reading.paths import checked_name, is_text
from workbench.errors import DataError

ImageSize = tuple[int, int]  # height, width in pixels
NEEDED = {
    "image": ("file_name", "height", "width"),
    "category": ("name",),
    "annotation": ("image_id", "category_id", "bbox"),
}  #: keys of each list's entries
_SMALL = 2**63  # ids of images and annotations are below it


def check_keys(where: str, sort: str, entry: dict[str, Any]) -> None:
    """Raise a DataError where a needed key is missing."""
    for key in NEEDED[sort]:
        if entry.get(key) is None:
            raise DataError(f"{where} has no {key}")


def check_id(where: str, sort: str, identity: Any) -> None:
    """Raise a DataError unless it is a whole number, of images and annotations of 64 bits, or a text."""
    if isinstance(identity, bool) or not isinstance(identity, int | str):
        raise DataError(f"{where}: a new {sort} has the id {identity!r}; expected a whole number")
    if sort != "category" and isinstance(identity, int) and abs(identity) >= _SMALL:
        raise DataError(f"{where}: a new {sort} has the id {identity!r}; expected a whole number of 64 bits")


def check_image(where: str, entry: dict[str, Any]) -> None:
    """Raise a DataError unless size and file name are such that the image can be loaded."""
    sides = entry["height"], entry["width"]
    if not all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in sides):
        raise DataError(f"{where} has height and width {sides}; expected whole numbers of pixels above 0")
    if sides[0] * sides[1] > MOST_PIXELS:
        raise DataError(f"{where} has height and width {sides}; expected at most {MOST_PIXELS:,} pixels")
    try:
        checked_name(Path("its folder"), entry["file_name"])
    except DataError as error:
        raise DataError(f"{where}: {error}; expected a path in its folder") from None


def check_name(where: str, name: Any, taken: list[Any]) -> None:
    """Raise a DataError unless it is a text that no category of the ids `taken` has."""
    if not isinstance(name, str) or not name.strip() or not is_text(name) or taken:
        other = f", which category {taken[0]} has" if taken else ""
        raise DataError(f"{where} has the name {name!r}{other}; expected a name of its own")


def check_box(where: str, box: Any, size: ImageSize | None) -> None:
    """Raise a DataError unless it is x, y, width, height of something in an image of `size`; None: of any size."""
    given = box_formats.finite_box(box)
    if given is None or given[2] <= 0 or given[3] <= 0:
        raise DataError(f"{where} has the box {box!r}; expected x, y, width, height in pixels, the last two above 0")
    x, y, width, height = given
    inside = (x, y, x + width, y + height)
    if size is not None:
        inside, _ = box_formats.clip(inside, size)
    if box_formats.too_thin(np.array([inside]))[0]:
        of = "" if size is None else f" of the image of {size[0]} × {size[1]} pixels"
        raise DataError(f"{where} has the box {box!r}, which holds nothing{of}")


def extent(where: str, segmentation: Any, size: ImageSize) -> tuple[list[float], int]:
    """Box x, y, width, height and area in pixels of a segmentation in an image of `size` (height, width).

    Raises:
        DataError: it cannot be decoded, or covers no pixel.
    """
    try:
        checked = checked_segmentation(segmentation, size)
    except ValueError as error:
        raise DataError(f"{where}: {error}") from error
    if checked is None:
        raise DataError(f"{where} has a segmentation without an area; expected polygons of three points or more")
    code = code_of(checked, size)
    area = int(coco_mask.area(code))
    if area == 0:
        raise DataError(
            f"{where} has a segmentation that covers no pixel of the image; draw it larger or leave it out"
        )
    return [float(value) for value in coco_mask.toBbox(code)], area
