"""The entries of a COCO file, checked one by one; what is wrong becomes a `Problem` with file and id."""

from __future__ import annotations

import reprlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from workbench.data.reading import boxes as box_formats
from workbench.data.reading.images import MOST_PIXELS
from workbench.data.reading.masks import checked_segmentation, code_of, is_empty
from workbench.data.reading.paths import DataRoot, is_text
from workbench.data.reading.problems import Level, Problem
from workbench.errors import DataError
from workbench.rle import compressed

LARGEST = 2**63  #: ids of images and annotations are below it


class Entry(NamedTuple):
    """One annotation."""

    id: int
    image_id: int
    label: int
    box: tuple[float, float, float, float]  #: xyxy pixels, inside the image
    area: float
    iscrowd: bool
    difficult: bool
    occlusion: float | None
    segmentation: Any  #: as `masks.checked_segmentation` gives it; None if unknown


class ImageEntry(NamedTuple):
    """One image of the file."""

    id: int
    file_name: str
    size: tuple[int, int]  #: height, width
    occluder: bytes  #: compressed RLE of what hides its objects; empty if unknown


class _Leave(Exception):
    """An entry that must be left out: what is wrong, and what to do."""

    def __init__(self, what: str, fix: str, level: Level = "error"):
        super().__init__(what)
        self.problem = (what, fix, level)


class EntryReader:
    """Checks the entries of one file one by one and collects what is wrong.

    Args:
        file: for messages.
        root: of the data.
        folder: of the images.
        masks: whether segmentations are looked at.
    """

    def __init__(self, file: Path, root: DataRoot, folder: Path, masks: bool):
        self.file, self.root, self.folder, self.masks = file, root, folder, masks
        self.problems: list[Problem] = []
        self.labels: dict[int, int] = {}
        self.sizes: dict[int, tuple[int, int]] = {}
        self.raw_boxes: list[tuple[float, float, float, float]] = []
        self.raw_sizes: list[tuple[int, int]] = []
        self.where = ""

    def read(self, items: list, noun: str, check: Callable[[dict], Any]) -> Iterator[tuple[int, Any]]:
        """Ids and checked contents of all items that can be used."""
        seen: set[int] = set()
        for position, item in enumerate(items):
            identity: Any = item.get("id") if isinstance(item, dict) else None
            twice = type(identity) is int and identity in seen
            if type(identity) is int:
                seen.add(identity)
            found = self.read_one(item, noun, check, position, twice=twice)
            if found is not None:
                yield identity, found

    def read_one(self, item: Any, noun: str, check: Callable[[dict], Any], position: int, *, twice: bool) -> Any:
        """The checked content of one item, the `position`-th from 0; None if it cannot be used."""
        self.where = f"{self.file}: {noun} number {position + 1}"
        try:
            if not isinstance(item, dict):
                raise _Leave(f"is a {type(item).__name__}, not an object", "Write it as a JSON object.")
            self.where = f"{self.file}: {noun} {_whole(item, 'id', huge=noun == 'category')}"
            if twice:
                raise _Leave("this id occurs twice", "Give each entry an id of its own.")
            return check(item)
        except _Leave as leave:
            what, fix, level = leave.problem
            self.problems.append(Problem(level, self.where, what, fix))
            return None

    def category(self, item: dict) -> str:
        """The name of a category."""
        name = item.get("name")
        if not isinstance(name, str) or not name.strip() or not is_text(name):
            raise _Leave(f"name is {reprlib.repr(name)}", "Give each category a name, as text.")
        return name

    def image(self, item: dict) -> ImageEntry:
        """An image: its id, file and size."""
        try:
            self.root.check(self.folder, item.get("file_name"))
        except DataError as error:
            raise _Leave(str(error), "Name images by paths inside their folder.") from None
        size = _whole(item, "height"), _whole(item, "width")
        if min(size) < 1 or size[0] * size[1] > MOST_PIXELS:
            raise _Leave(
                f"height and width are {size}", f"State the true size; at most {MOST_PIXELS:,} pixels can be read."
            )
        occluder = self._occluder(item.get("mask_occluder"), size) if self.masks else b""
        return ImageEntry(item["id"], item["file_name"], size, occluder)

    def _occluder(self, value: object, size: tuple[int, int]) -> bytes:
        """The code of a segmentation of what hides objects of an image, of which [] says that there is nothing."""
        if value is None:
            return b""
        try:
            found = checked_segmentation(value, size)
            return (code_of(found, size) if found else compressed(np.array([size[0] * size[1]]), size))["counts"]
        except ValueError as error:
            what = f"its mask_occluder cannot be used: {error}"
            self.problems.append(Problem("error", self.where, what, "Correct the segmentation or remove it."))
            return b""

    def annotation(self, item: dict) -> Entry:
        """An object: its image, label, box and what else is known of it."""
        image_id, category = _whole(item, "image_id"), _whole(item, "category_id", huge=True)
        if image_id not in self.sizes:
            raise _Leave(f"image_id {image_id} is not in the file", "Remove it or add the image.")
        if category not in self.labels:
            raise _Leave(f"category_id {category} is unknown", "List all categories in the file.")
        size = self.sizes[image_id]
        box = self._box(item.get("bbox"), size)
        try:
            segmentation = self._segmentation(item.get("segmentation"), size) if self.masks else None
        except ValueError as error:
            raise _Leave(str(error), "Correct the segmentation or remove it.") from None
        area = _real(item, "area", default=(box[2] - box[0]) * (box[3] - box[1]))
        occlusion = item.get("occlusion")
        if occlusion is not None and not 0 <= (occlusion := _real(item, "occlusion", default=0.0)) <= 1:
            raise _Leave(f"occlusion is {occlusion}", "Occlusion is a hidden fraction, 0..1 or null.")
        crowd, difficult = (_whole(item, key, default=0) != 0 for key in ("iscrowd", "difficult"))
        label = self.labels[category]
        return Entry(item["id"], image_id, label, box, area, crowd, difficult, occlusion, segmentation)

    def _segmentation(self, value: object, size: tuple[int, int]) -> Any:
        """What can be decoded; None, with a word, where that covers no pixel of the image."""
        found = checked_segmentation(value, size)
        if not value or (found is not None and not is_empty(found, size)):
            return found
        what = "its segmentation covers no pixel of the image"
        if found is None:
            what = "its segmentation has no polygon of three points or more"
        self.problems.append(Problem("warning", self.where, what, "It counts as an object without a mask."))
        return None

    def _box(self, value: object, size: tuple[int, int]) -> tuple[float, float, float, float]:
        given = box_formats.finite_box(value)
        if given is None:
            raise _Leave(f"bbox is {reprlib.repr(value)}", "A bbox is four finite numbers x, y, width, height.")
        self.raw_boxes.append(given)
        self.raw_sizes.append(size)
        x, y, width, height = given
        box, outside = box_formats.clip((x, y, x + width, y + height), size)
        if width <= 0 or height <= 0:
            raise _Leave(f"bbox {list(given)} is empty", "It is left out.", "warning")
        if box[2] <= box[0] or box[3] <= box[1]:
            raise _Leave(f"bbox {list(given)} lies outside its image", "It is left out.", "warning")
        if box_formats.too_thin(np.array([box]))[0]:
            thin = f"bbox {list(given)} is thinner than {box_formats.THINNEST} px within its image"
            raise _Leave(thin, "It is left out.", "warning")
        if outside > box_formats.SLACK:
            what = f"bbox {list(given)} reaches {outside:g} px outside its image"
            self.problems.append(Problem("warning", self.where, what, "It is clipped."))
        return box

    def look_at_formats(self, boxes: np.ndarray, sizes: np.ndarray) -> None:
        """Report boxes that seem to be in another format than x, y, width, height.

        Args:
            boxes: [N, 4] as the file has them, beside those that were checked one by one.
            sizes: [N, 2] height and width of their images.
        """
        boxes = np.concatenate([boxes, np.array(self.raw_boxes, float).reshape(-1, 4)])
        sizes = np.concatenate([sizes, np.array(self.raw_sizes, float).reshape(-1, 2)])
        what = "the bbox values"
        self.problems[:0] = box_formats.format_problems(boxes, sizes, str(self.file), what, box_formats.XYWH)


def same_names(categories: Mapping[int, str], file: Path) -> Iterator[Problem]:
    """A warning for each name that several categories have."""
    ids: dict[str, list[int]] = defaultdict(list)
    for category, name in sorted(categories.items()):
        ids[name].append(category)
    for name, own in ids.items():
        if len(own) > 1:
            what = f"categories {', '.join(map(str, own))} have the same name {name!r}"
            yield Problem("warning", str(file), what, "They are read as one class; rename them if they are not.")


def _whole(item: dict, key: str, *, default: int | None = None, huge: bool = False) -> int:
    value = item.get(key, default)
    if type(value) is not int:
        raise _Leave(f"{key} is {reprlib.repr(value)}", f"Give {key} as a whole number.")
    if abs(value) >= LARGEST and not huge:
        what = f"{key} is {reprlib.repr(value)}, which has more than 64 bits"
        raise _Leave(what, f"Give {key} as a smaller whole number.")
    return value


def _real(item: dict, key: str, *, default: float) -> float:
    value = item.get(key, default)
    usable = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12
    if not usable or value < 0:
        raise _Leave(f"{key} is {reprlib.repr(value)}", f"Give {key} as a number of 0 or more.")
    return float(value)
