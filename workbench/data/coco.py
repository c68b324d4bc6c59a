"""COCO data sets: `R/annotations/instances_S.json` with the images in `R/S/`.

The file is read and checked here rather than by torchvision's `CocoDetection`, which trusts it: a wrong entry
becomes a `Problem` with file and annotation id. On good files both give the same (see the tests).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torchvision import tv_tensors

from workbench.data.dataset import Dataset, make_target
from workbench.data.reading import boxes as box_formats
from workbench.data.reading.images import read_image
from workbench.data.reading.masks import checked_segmentation, decode, estimate_occlusion
from workbench.data.reading.paths import existing_folder, path_inside, read_json
from workbench.data.reading.problems import Problem, raise_first
from workbench.errors import DataError, did_you_mean
from workbench.registry import DATASETS
from workbench.types import Target

MOST_PIXELS = 2**29  #: of one image; a wrong size would make masks that fill the memory


class Entry(NamedTuple):
    """One annotation."""

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


@DATASETS.register("coco")
class Coco(Dataset):
    """A COCO data set of objects.

    Labels 1..K are the file's categories in the order of their ids (`category_ids`). Boxes are clipped to the
    image, empty ones left out (see `problems`). With masks, `occlusion` is estimated by `masks.estimate_occlusion`,
    unless the file itself holds `occlusion` (as our exports do); crowds have NaN.

    masks: leave masks and the estimate out if False, which is faster. strict: raise DataError at the first error;
    if False, leave out what is wrong and keep the errors in `problems` for the doctor.
    """

    def __init__(
        self,
        root: str | PathLike[str] | None,
        split: str = "train",
        *,
        masks: bool = True,
        strict: bool = True,
    ):
        self.name, self.split, self.masks = "coco", split, masks
        self.root = existing_folder(root, "coco")
        folder = path_inside(self.root, split)
        self.file = path_inside(self.root, f"annotations/instances_{split}.json")
        if not self.file.is_file():
            there = sorted(path.stem.removeprefix("instances_") for path in self.file.parent.glob("instances_*.json"))
            raise DataError(f"{self.file} does not exist, so there is no split {split!r}{did_you_mean(split, there)}")
        self.folder = existing_folder(folder, "coco")
        content = read_coco(self.file, self.folder, masks=masks)
        if strict:
            raise_first(content.problems, hint="load_data(…, strict=False) and the doctor list them all")
        self.classes = content.classes
        self.category_ids = content.category_ids
        self.problems = tuple(content.problems)
        self._images, self._entries = content.images, content.entries
        self._given = content.has_occlusion
        self.occlusion_is_estimate = content.is_estimate if self._given else masks
        self._estimates: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self._images)

    def size(self, index: int) -> tuple[int, int]:
        return self._images[self._position(index)].size

    def path(self, index: int) -> Path:
        return path_inside(self.folder, self._images[self._position(index)].file_name)

    def file_name(self, index: int) -> str:
        return self._images[self._position(index)].file_name

    def image(self, index: int) -> tv_tensors.Image:
        return read_sized(self.path(index), self.size(index), self.file)

    def target(self, index: int) -> Target:
        index = self._position(index)
        image = self._images[index]
        entries = self._entries.get(image.id, [])
        masks = self._decode(entries, image.size) if self.masks else None
        return make_target(
            image_id=image.id,
            size=image.size,
            boxes=torch.tensor([entry.box for entry in entries]),
            labels=torch.tensor([entry.label for entry in entries], dtype=torch.int64),
            area=torch.tensor([entry.area for entry in entries]),
            iscrowd=torch.tensor([entry.iscrowd for entry in entries], dtype=torch.bool),
            difficult=torch.tensor([entry.difficult for entry in entries], dtype=torch.bool),
            occlusion=torch.from_numpy(self._occlusion(index, entries, masks)),
            masks=None if masks is None else torch.from_numpy(masks),
        )

    def _decode(self, entries: list[Entry], size: tuple[int, int]) -> np.ndarray | None:
        if any(entry.segmentation is None for entry in entries):
            return None
        masks = [decode(entry.segmentation, size) for entry in entries]
        return np.stack(masks) if masks else np.zeros((0, *size), bool)

    def _occlusion(self, index: int, entries: list[Entry], masks: np.ndarray | None) -> np.ndarray:
        if self._given or masks is None:
            return np.array([np.nan if e.occlusion is None else e.occlusion for e in entries], np.float32)
        if index not in self._estimates:
            single = np.array([not entry.iscrowd for entry in entries], bool)
            occlusion = np.full(len(entries), np.nan, np.float32)
            occlusion[single] = estimate_occlusion(masks[single])
            self._estimates[index] = occlusion
        return self._estimates[index].copy()


class Content(NamedTuple):
    """A COCO file after checking; what was wrong is left out and told in `problems`."""

    images: list[ImageEntry]  #: by id
    entries: dict[int, list[Entry]]  #: by image id
    classes: tuple[str, ...]
    category_ids: tuple[int, ...]
    has_occlusion: bool  #: whether the file itself says how much is hidden
    is_estimate: bool  #: whether the file says that it is estimated
    problems: list[Problem]


def read_coco(file: Path, folder: Path, *, masks: bool = True) -> Content:
    """Read and check a COCO file whose images lie in `folder`.

    Raises DataError only where nothing can be read: no JSON, or no lists of images, annotations and categories.
    """
    content = read_json(file)
    if not isinstance(content, dict):
        raise DataError(f"{file}: this is not a COCO file; it holds a {type(content).__name__}, not an object")
    for key in ("images", "annotations", "categories"):
        if not isinstance(content.get(key), list):
            raise DataError(f"{file}: this is not a COCO file of objects; it has no list {key!r}")
    reader = _Reader(file, folder, masks)
    categories = dict(reader.read(content["categories"], "category", reader.category))
    images = dict(reader.read(content["images"], "image", reader.image))
    order = tuple(sorted(categories))
    reader.labels = {category: label for label, category in enumerate(order, start=1)}
    reader.sizes = {image.id: image.size for image in images.values()}
    entries: dict[int, list[Entry]] = defaultdict(list)
    for _, (image_id, entry) in reader.read(content["annotations"], "annotation", reader.annotation):
        entries[image_id].append(entry)
    reader.look_at_formats()
    has_occlusion = any(isinstance(a, dict) and "occlusion" in a for a in content["annotations"])
    info = content.get("info")
    is_estimate = isinstance(info, dict) and info.get("occlusion_is_estimate") is True
    classes = tuple(categories[category] for category in order)
    in_order = [images[image_id] for image_id in sorted(images)]
    return Content(in_order, dict(entries), classes, order, has_occlusion, is_estimate, reader.problems)


class _Leave(Exception):
    """An entry that must be left out: what is wrong, and what to do."""

    def __init__(self, what: str, fix: str, level: str = "error"):
        super().__init__(what)
        self.problem = (what, fix, level)


class _Reader:
    """Checks the entries of one file one by one and collects what is wrong."""

    def __init__(self, file: Path, folder: Path, masks: bool):
        self.file, self.folder, self.masks = file, folder, masks
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
            self.where = f"{self.file}: {noun} number {position + 1}"
            try:
                if not isinstance(item, dict):
                    raise _Leave(f"is a {type(item).__name__}, not an object", "Write it as a JSON object.")
                identity = _whole(item, "id")
                self.where = f"{self.file}: {noun} {identity}"
                if identity in seen:
                    raise _Leave("this id occurs twice", "Give each entry an id of its own.")
                seen.add(identity)
                yield identity, check(item)
            except _Leave as leave:
                what, fix, level = leave.problem
                self.problems.append(Problem(level, self.where, what, fix))

    def category(self, item: dict) -> str:
        if not isinstance(item.get("name"), str):
            raise _Leave(f"name is {item.get('name')!r}", "Give each category a name.")
        return item["name"]

    def image(self, item: dict) -> ImageEntry:
        try:
            path_inside(self.folder, item.get("file_name"))
        except DataError as error:
            raise _Leave(str(error), "Name images by paths inside their folder.") from None
        size = _whole(item, "height"), _whole(item, "width")
        if min(size) < 1 or size[0] * size[1] > MOST_PIXELS:
            raise _Leave(f"height and width are {size}", "State the image's true size in pixels.")
        return ImageEntry(item["id"], item["file_name"], size)

    def annotation(self, item: dict) -> tuple[int, Entry]:
        image_id, category = _whole(item, "image_id"), _whole(item, "category_id")
        if image_id not in self.sizes:
            raise _Leave(f"image_id {image_id} is not in the file", "Remove it or add the image.")
        if category not in self.labels:
            raise _Leave(f"category_id {category} is unknown", "List all categories in the file.")
        size = self.sizes[image_id]
        box = self._box(item.get("bbox"), size)
        try:
            segmentation = checked_segmentation(item.get("segmentation"), size) if self.masks else None
        except ValueError as error:
            raise _Leave(str(error), "Correct the segmentation or remove it.") from None
        area = _real(item, "area", default=(box[2] - box[0]) * (box[3] - box[1]))
        occlusion = item.get("occlusion")
        if occlusion is not None and not 0 <= (occlusion := _real(item, "occlusion", default=0.0)) <= 1:
            raise _Leave(f"occlusion is {occlusion}", "Occlusion is a hidden fraction, 0..1 or null.")
        crowd, difficult = (_whole(item, key, default=0) != 0 for key in ("iscrowd", "difficult"))
        return image_id, Entry(self.labels[category], box, area, crowd, difficult, occlusion, segmentation)

    def _box(self, value: object, size: tuple[int, int]) -> tuple[float, float, float, float]:
        given = box_formats.finite_box(value)
        if given is None:
            raise _Leave(f"bbox is {str(value)[:60]}", "A bbox is four finite numbers x, y, width, height.")
        self.raw_boxes.append(given)
        self.raw_sizes.append(size)
        x, y, width, height = given
        box, outside = box_formats.clip((x, y, x + width, y + height), size)
        if width <= 0 or height <= 0:
            raise _Leave(f"bbox {list(given)} is empty", "It is left out.", "warning")
        if box[2] <= box[0] or box[3] <= box[1]:
            raise _Leave(f"bbox {list(given)} lies outside its image", "It is left out.", "warning")
        if outside > box_formats.SLACK:
            what = f"bbox {list(given)} reaches {outside:g} px outside its image"
            self.problems.append(Problem("warning", self.where, what, "It is clipped."))
        return box

    def look_at_formats(self) -> None:
        """Tell of boxes that seem to be in another format than x, y, width, height."""
        boxes = np.array(self.raw_boxes, float).reshape(-1, 4)
        sizes = np.array(self.raw_sizes, float).reshape(-1, 2)
        found = {
            "corners (xyxy)": box_formats.look_like_xyxy(boxes, sizes),
            "fractions of the image": box_formats.look_like_fractions(boxes, sizes),
        }
        for words, true in found.items():
            if true:
                what = f"the bbox values look like {words}, not like x, y, width, height in pixels"
                self.problems.insert(0, Problem("error", str(self.file), what, "Convert the boxes."))


def read_sized(path: Path, size: tuple[int, int], file: Path) -> tv_tensors.Image:
    """An image [3, H, W] that must have the `size` (height, width) that `file` states. Raises DataError."""
    image = read_image(path)
    if tuple(image.shape[-2:]) != size:
        true = " × ".join(str(side) for side in image.shape[-2:])
        raise DataError(f"{path}: the image is {true} pixels, but {file} says {size[0]} × {size[1]}")
    return image


def _whole(item: dict, key: str, *, default: int | None = None) -> int:
    value = item.get(key, default)
    if type(value) is not int:
        raise _Leave(f"{key} is {str(value)[:60]}", f"Give {key} as a whole number.")
    return value


def _real(item: dict, key: str, *, default: float) -> float:
    value = item.get(key, default)
    usable = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12
    if not usable or value < 0:
        raise _Leave(f"{key} is {str(value)[:60]}", f"Give {key} as a number of 0 or more.")
    return float(value)
