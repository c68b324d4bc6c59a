"""PASCAL VOC data sets and others in its layout: Annotations/*.xml, JPEGImages, ImageSets/Main/S.txt.

torchvision's `VOCDetection` wants the folder VOCdevkit/VOC2007 and only VOC's own splits; this reads any root
and any split, with defusedxml, and takes only what stands directly below `annotation/object`: parts of objects
(head, hand) have boxes and names too. On VOC itself both find the same objects (see the tests).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element, ParseError

import numpy as np
import torch
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import parse
from torchvision import tv_tensors

from workbench.data.dataset import Dataset, make_target
from workbench.data.reading import boxes as box_formats
from workbench.data.reading.images import image_size, read_sized
from workbench.data.reading.paths import existing_folder, path_inside
from workbench.data.reading.problems import Problem, raise_first
from workbench.errors import DataError, did_you_mean
from workbench.registry import DATASETS
from workbench.types import Target

# fmt: off
CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)
# fmt: on
YEARS = range(2007, 2013)
OWN = {f"VOC{year}" for year in YEARS}  #: names of the folders of the challenges
ENDINGS = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG")


class VocObject(NamedTuple):
    """One object of an XML file."""

    name: str
    box: tuple[float, float, float, float]  #: xyxy pixels from 0, inside the image
    difficult: bool


class VocImage(NamedTuple):
    """One XML file after checking."""

    size: tuple[int, int]  #: height, width
    objects: list[VocObject]


@DATASETS.register("voc")
class Voc(Dataset):
    """A data set in the layout of PASCAL VOC.

    root: a folder that holds VOC2007, VOC2012 or VOCdevkit, or JPEGImages itself. year: which, if there are
    several. split: a file of ImageSets/Main.
    classes: names of the labels 1..K; other objects are left out. Without it, VOC's 20 if no other name occurs,
    else all names that occur in any of the XML files, sorted.
    merge: other names for some classes, {"with_mask": "face"}. single_class: one name for all objects.
    strict: raise DataError at the first error; if False, leave out what is wrong and keep the errors in `problems`.

    VOC counts pixels from 1 and includes the last: xmin and ymin are lowered by 1. Boxes are clipped to the image;
    only more than 1 px outside is told. The occlusion is unknown (NaN); `area` is that of the box.
    """

    def __init__(
        self,
        root: str | PathLike[str] | None,
        split: str = "train",
        *,
        year: int | str | None = None,
        classes: Iterable[str] | None = None,
        merge: Mapping[str, str] | None = None,
        single_class: str | None = None,
        strict: bool = True,
    ):
        self.name, self.split = "voc", split
        self.folder = _voc_folder(existing_folder(root, "voc"), year)
        named = self.folder.resolve().name.removeprefix("VOC")
        self.voc_year = int(named) if named in map(str, YEARS) else YEARS[0]
        reader = _Reader(self.folder)
        self.ids = reader.ids(split)
        images = {identity: reader.image(identity) for identity in self.ids}
        reader.look_at_formats()
        if strict:
            raise_first(reader.problems, hint="load_data(…, strict=False) and the doctor list them all")
        self.problems = tuple(reader.problems)

        def called(name: str) -> str:
            return single_class or (merge or {}).get(name, name)

        if classes is None:
            classes = [single_class] if single_class else _class_names(self.folder, images.values(), merge or {})
        self.classes = tuple(classes)
        labels = {name: label for label, name in enumerate(self.classes, start=1)}
        self.ids = [identity for identity in self.ids if images[identity] is not None]
        self._sizes = [images[identity].size for identity in self.ids]
        self._objects = [
            [(labels[called(thing.name)], thing) for thing in images[i].objects if called(thing.name) in labels]
            for i in self.ids
        ]

    def __len__(self) -> int:
        return len(self.ids)

    def size(self, index: int) -> tuple[int, int]:
        return self._sizes[self._position(index)]

    def path(self, index: int) -> Path:
        return image_path(self.folder, self.ids[self._position(index)])

    def image(self, index: int) -> tv_tensors.Image:
        identity = self.ids[self._position(index)]
        return read_sized(self.path(index), self.size(index), _xml_path(self.folder, identity))

    def target(self, index: int) -> Target:
        index = self._position(index)
        objects = self._objects[index]
        boxes = torch.tensor([thing.box for _, thing in objects]).reshape(-1, 4)
        return make_target(
            image_id=index + 1,
            size=self._sizes[index],
            boxes=boxes,
            labels=torch.tensor([label for label, _ in objects], dtype=torch.int64),
            area=(boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]),
            difficult=torch.tensor([thing.difficult for _, thing in objects], dtype=torch.bool),
        )


def image_path(folder: Path, identity: str) -> Path:
    """The image of a VOC id; with the ending .jpg if there is none. Raises DataError for ids that lead out."""
    for ending in ENDINGS:
        path = path_inside(folder / "JPEGImages", identity + ending)
        if os.path.exists(path):  # Path.exists would raise for names that are too long
            return path
    return folder / "JPEGImages" / f"{identity}.jpg"


def _xml_path(folder: Path, identity: str) -> Path:
    return path_inside(folder / "Annotations", identity + ".xml")


def _voc_folder(root: Path, year: int | str | None) -> Path:
    candidates = [root] if (root / "Annotations").is_dir() else []
    for parent in (root, root / "VOCdevkit"):
        candidates += sorted(path for path in parent.glob("VOC[0-9][0-9][0-9][0-9]") if path.is_dir())
    if year is not None:
        candidates = [path for path in candidates if path.name == f"VOC{year}"]
    if not candidates:
        missing = "Annotations, VOC2007 or VOC2012" if year is None else f"VOC{year}"
        raise DataError(f"{root}: this folder holds no {missing}")
    if len(candidates) > 1:
        names = ", ".join(path.name for path in candidates)
        raise DataError(f"{root}: this folder holds {names}; say which by year=")
    return candidates[0]


def _class_names(folder: Path, images: Iterable[VocImage | None], merge: Mapping[str, str]) -> list[str]:
    """VOC's 20 if no other name occurs in any XML file; else the names in all of them, so that splits agree.

    images: those that were read. VOC's own folders have no other names, and not all files are read for them.
    """
    found = {thing.name for image in images if image is not None for thing in image.objects}
    if found <= set(CLASSES) and not merge and folder.resolve().name in OWN:
        return list(CLASSES)
    for file in sorted((folder / "Annotations").glob("*.xml")):
        try:
            found |= {name.strip() for thing in _root(file).findall("object") if (name := thing.findtext("name"))}
        except DataError:
            continue  # told when its own split is read
    if found <= set(CLASSES) and not merge:
        return list(CLASSES)
    return sorted({merge.get(name, name) for name in found})


def _root(file: Path) -> Element:
    try:
        root = parse(file).getroot()
    except OSError as error:
        raise DataError(f"{file}: this file cannot be read ({error.strerror or error})") from error
    except DefusedXmlException as error:
        raise DataError(f"{file}: this XML declares entities, which annotations have no need of") from error
    except (ParseError, ValueError, LookupError) as error:
        raise DataError(f"{file}: this is not XML ({error})") from error
    if root.tag != "annotation":
        raise DataError(f"{file}: this is no VOC annotation; its root is {root.tag!r}")
    return root


class _Reader:
    """Checks the XML files of one data set one by one and collects what is wrong."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.problems: list[Problem] = []
        self.raw_boxes: list[tuple[float, float, float, float]] = []
        self.raw_sizes: list[tuple[int, int]] = []

    def ids(self, split: str) -> list[str]:
        """The ids in ImageSets/Main/split.txt, in its order. Raises DataError if there is no such file."""
        file = path_inside(self.folder / "ImageSets" / "Main", f"{split}.txt")
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            lists = sorted(path.stem for path in file.parent.glob("*.txt"))
            there = [name for name in lists if name.rpartition("_")[0] not in CLASSES]  # VOC has lists by class, too
            hint = did_you_mean(split, there)
            raise DataError(f"{file} does not exist, so there is no split {split!r}{hint}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{file}: this list cannot be read ({error})") from error
        listed = [line.split()[0] for line in lines if line.split()]
        unique = list(dict.fromkeys(listed))
        if len(unique) < len(listed):
            what = f"{len(listed) - len(unique)} ids are listed twice"
            self.problems.append(Problem("error", str(file), what, "List each image once."))
        return unique

    def image(self, identity: str) -> VocImage | None:
        """The objects of one XML file; None if it cannot be read."""
        try:
            file = _xml_path(self.folder, identity)
            root = _root(file)
            size = _size(root) or image_size(image_path(self.folder, identity))
        except DataError as error:
            where, _, what = str(error).partition(": ")
            self.problems.append(Problem("error", where, what, "Correct the file or take it off the list."))
            return None
        found = []
        for number, thing in enumerate(root.findall("object"), start=1):
            where = f"{file}: object {number}"
            name = (thing.findtext("name") or "").strip()
            if not name:
                self.problems.append(Problem("error", where, "it has no name", "Give each object a name."))
            elif (box := self._box(thing.find("bndbox"), size, f"{where} ({name})")) is not None:
                difficult = (thing.findtext("difficult") or "0").strip() == "1"
                found.append(VocObject(name, box, difficult))
        return VocImage(size, found)

    def _box(
        self, element: Element | None, size: tuple[int, int], where: str
    ) -> tuple[float, float, float, float] | None:
        corners = _corners(element)
        if corners is None:
            fix = "A bndbox holds the finite numbers xmin, ymin, xmax and ymax."
            self.problems.append(Problem("error", where, "its bndbox is missing or no box", fix))
            return None
        self.raw_boxes.append(corners)
        self.raw_sizes.append(size)
        x1, y1, x2, y2 = corners
        box, outside = box_formats.clip((x1 - 1, y1 - 1, x2, y2), size)
        words = f"bndbox {' '.join(f'{value:g}' for value in corners)}"
        if x2 < x1 or y2 < y1 or box[2] <= box[0] or box[3] <= box[1]:
            what = f"{words} is empty or lies outside its image"
            self.problems.append(Problem("warning", where, what, "It is left out."))
            return None
        if outside > box_formats.SLACK:
            what = f"{words} reaches {outside:g} px outside its image"
            self.problems.append(Problem("warning", where, what, "It is clipped."))
        return box

    def look_at_formats(self) -> None:
        """Tell of boxes that seem to be in another format than corners in pixels."""
        boxes = np.array(self.raw_boxes, float).reshape(-1, 4)
        sizes = np.array(self.raw_sizes, float).reshape(-1, 2)
        found = {
            "x, y, width, height": box_formats.look_like_xywh(boxes, sizes),
            "fractions of the image": box_formats.look_like_fractions(boxes, sizes),
        }
        for words, true in found.items():
            if true:
                what = f"the bndbox values look like {words}, not like corners in pixels"
                self.problems.insert(0, Problem("error", str(self.folder), what, "Convert the boxes."))


def _corners(element: Element | None) -> tuple[float, float, float, float] | None:
    if element is None:
        return None
    try:
        values = tuple(float(element.findtext(key) or "nan") for key in ("xmin", "ymin", "xmax", "ymax"))
    except ValueError:
        return None
    return values if all(math.isfinite(value) for value in values) else None


def _size(root: Element) -> tuple[int, int] | None:
    """Height and width as the file states them; None if it does not."""
    try:
        height, width = (int(float(root.findtext(f"size/{key}") or 0)) for key in ("height", "width"))
    except (ValueError, OverflowError):
        return None
    return (height, width) if height > 0 and width > 0 else None
