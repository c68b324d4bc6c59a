"""The XML files of a VOC split, checked, and kept as one table that later processes map (`tables`)."""

from __future__ import annotations

import hashlib
import math
import os
import reprlib
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element, ParseError

import numpy as np
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import parse

from workbench.data.reading import boxes as box_formats
from workbench.data.reading.images import MOST_PIXELS, image_size
from workbench.data.reading.paths import check_regular
from workbench.data.reading.problems import Problem
from workbench.data.reading.tables import Source, Table, kept_table
from workbench.data.reading.voc_folder import VocFolder
from workbench.errors import DataError

REVISION = 2  #: of the columns; a kept table of another one is made anew
_WORDS = {"": False, "false": False, "no": False, "true": True, "yes": True}
FEW = 500  #: files that are read again rather than kept


class VocObject(NamedTuple):
    """One object of an XML file."""

    name: str
    box: tuple[float, float, float, float]  #: xyxy pixels from 0, inside the image
    difficult: bool


class VocImage(NamedTuple):
    """One XML file after checking."""

    size: tuple[int, int]  #: height, width
    objects: list[VocObject]


class VocSplit(NamedTuple):
    """A split after checking."""

    ids: list[str]  #: in the order of the list
    images: list[VocImage | None]  #: of each id; None where the file cannot be read
    problems: list[Problem]


def read_split(folder: VocFolder, split: str) -> VocSplit:
    """Read and check the XML files of a split; many are kept as a table, and found again while no file changes.

    Raises:
        DataError: there is no such list, or it cannot be read.
    """
    reader = _Reader(folder)
    ids, listed = folder.ids(split)
    if len(ids) < FEW:
        table = _read(reader, ids)
    else:
        source, changed_ns = _source(folder, split, ids)
        table = kept_table("voc", source, lambda: _read(reader, ids), changed_ns=changed_ns)
    return VocSplit(ids, _images(table), [*listed, *(Problem(*each) for each in table.about["problems"])])


def read_images(folder: VocFolder, split: str) -> VocSplit:
    """The images of a split without their XML files: sizes are those of the pictures, and there are no objects.

    Raises:
        DataError: there is no such list, or it cannot be read.
    """
    ids, problems = folder.ids(split)
    images: list[VocImage | None] = []
    for identity in ids:
        try:
            images.append(VocImage(image_size(folder.image(identity)), []))
        except DataError as error:
            where, _, what = str(error).partition(": ")
            problems.append(Problem("error", where, what, "Restore the image or take it off the list."))
            images.append(None)
    return VocSplit(ids, images, problems)


def names_of_all(folder: VocFolder) -> set[str]:
    """The names of objects in all XML files, of whatever split; files that cannot be read are left out."""
    ids = sorted(path.stem for path in (folder.path / "Annotations").glob("*.xml"))

    def read() -> Table:
        names: set[str] = set()
        whole = True
        for identity in ids:
            try:
                things = xml_root(folder.xml(identity)).findall("object")
            except DataError:
                whole = False  # said when its own split is read
                continue
            names |= {name.strip() for thing in things if (name := thing.findtext("name"))}
        return Table({}, {"names": sorted(names)}, keep=whole)

    if len(ids) < FEW:
        return set(read().about["names"])
    source, changed_ns = _source(folder, "all", ids)
    return set(kept_table("voc-names", source, read, changed_ns=changed_ns).about["names"])


def _source(folder: VocFolder, split: str, ids: list[str]) -> tuple[Source, int]:
    """What distinguishes one state of the files from another (sizes, times of changes), and the last of the times."""
    digest, latest = hashlib.blake2b(digest_size=16), 0
    annotations = folder.path / "Annotations"
    for identity in ids:
        try:
            state = os.stat(f"{annotations}/{identity}.xml")
            facts = (state.st_size, state.st_mtime_ns, state.st_ctime_ns)
        except (OSError, ValueError):
            facts = (-1, 0, 0)
        latest = max(latest, *facts[1:])
        digest.update(repr((identity, facts)).encode("utf-8", "surrogatepass"))
    source = {"path": str(folder.path.resolve()), "files": digest.hexdigest(), "revision": REVISION}
    return source | {"options": {"split": split, "follow_links": folder.root.follow_links}}, latest


def _read(reader: _Reader, ids: list[str]) -> Table:
    """The files as columns: `size` [I, 2] (-1 where a file cannot be read), `starts` [I + 1], and of all N objects
    `box` [N, 4], `difficult` [N] and `name` [N], a place in `about["names"]`."""
    reader.problems = []
    images = [reader.image(identity) for identity in ids]
    reader.look_at_formats()
    objects = [thing for image in images if image is not None for thing in image.objects]
    names = sorted({thing.name for thing in objects})
    places = {name: place for place, name in enumerate(names)}
    counts = [0 if image is None else len(image.objects) for image in images]
    columns = {
        "size": np.array([(-1, -1) if image is None else image.size for image in images], np.int64).reshape(-1, 2),
        "starts": np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        "box": np.array([thing.box for thing in objects], np.float64).reshape(-1, 4),
        "difficult": np.array([thing.difficult for thing in objects], bool),
        "name": np.array([places[thing.name] for thing in objects], np.int64),
    }
    found = [(one.level, one.where, one.what, one.fix) for one in reader.problems]
    about: dict[str, Any] = {"names": names, "problems": found}
    # What is wrong, and the sizes of images that no file states, may change without these files.
    return Table(columns, about, keep=not reader.looked_at_images and all(level != "error" for level, *_ in found))


def _images(table: Table) -> list[VocImage | None]:
    names, starts = table.about["names"], table["starts"].tolist()
    boxes, difficult, name = table["box"].tolist(), table["difficult"].tolist(), table["name"].tolist()
    objects = [VocObject(names[one], tuple(box), hard) for one, box, hard in zip(name, boxes, difficult, strict=True)]
    sizes = [tuple(size) for size in table["size"].tolist()]
    spans = pairwise(starts)
    return [
        None if size[0] < 0 else VocImage(size, objects[first:end])
        for size, (first, end) in zip(sizes, spans, strict=True)
    ]


def xml_root(file: Path) -> Element:
    """The root of an XML file.

    Raises:
        DataError: the file cannot be read, or is no XML or no annotation of VOC; it is named.
    """
    check_regular(file)
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

    def __init__(self, folder: VocFolder):
        self.folder = folder
        self.problems: list[Problem] = []
        self.raw_boxes: list[tuple[float, float, float, float]] = []
        self.raw_sizes: list[tuple[int, int]] = []
        self.looked_at_images = False  #: whether some size was taken from an image, as its file states none

    def image(self, identity: str) -> VocImage | None:
        """The objects of one XML file; None if it cannot be read."""
        try:
            file = self.folder.xml(identity)
            root = xml_root(file)
            size = _size(root)
            if size is None:
                self.looked_at_images = True
                size = image_size(self.folder.image(identity))
            if size[0] * size[1] > MOST_PIXELS:
                raise DataError(f"{file}: its size is {size[0]} × {size[1]}; expected at most {MOST_PIXELS:,} pixels")
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
                found.append(VocObject(name, box, self._difficult(thing, f"{where} ({name})")))
        return VocImage(size, found)

    def _difficult(self, thing: Element, where: str) -> bool:
        word = (thing.findtext("difficult") or "0").strip().lower()
        try:
            return _WORDS[word] if word in _WORDS else float(word) != 0
        except ValueError:
            what = f"difficult is {reprlib.repr(word)}, expected 0 or 1"
            self.problems.append(Problem("warning", where, what, "It counts as not difficult."))
            return False

    def _box(
        self, element: Element | None, size: tuple[int, int], where: str
    ) -> tuple[float, float, float, float] | None:
        corners = _corners(element)
        if corners is None:
            fix = "A bndbox holds the finite numbers xmin, ymin, xmax and ymax."
            given = "" if element is None else ": " + reprlib.repr([one.text for one in element])
            self.problems.append(Problem("error", where, f"its bndbox is missing or no box{given}", fix))
            return None
        self.raw_boxes.append(corners)
        self.raw_sizes.append(size)
        x1, y1, x2, y2 = corners
        box, outside = box_formats.clip((x1 - 1, y1 - 1, x2, y2), size)
        words = f"bndbox {' '.join(f'{value:g}' for value in corners)}"
        if x2 < x1 or y2 < y1 or box_formats.too_thin(np.array([box]))[0]:
            what = f"{words} is empty or lies outside its image"
            self.problems.append(Problem("warning", where, what, "It is left out."))
            return None
        if outside > box_formats.SLACK:
            what = f"{words} reaches {outside:g} px outside its image"
            self.problems.append(Problem("warning", where, what, "It is clipped."))
        return box

    def look_at_formats(self) -> None:
        """Report boxes that seem to be in another format than corners in pixels."""
        boxes = np.array(self.raw_boxes, float).reshape(-1, 4)
        sizes = np.array(self.raw_sizes, float).reshape(-1, 2)
        what = "the bndbox values"
        self.problems[:0] = box_formats.format_problems(boxes, sizes, str(self.folder.path), what, box_formats.XYXY)


def _corners(element: Element | None) -> tuple[float, float, float, float] | None:
    if element is None:
        return None
    try:
        x1, y1, x2, y2 = (float(element.findtext(key) or "nan") for key in ("xmin", "ymin", "xmax", "ymax"))
    except ValueError:
        return None
    return (x1, y1, x2, y2) if all(map(math.isfinite, (x1, y1, x2, y2))) else None


def _size(root: Element) -> tuple[int, int] | None:
    """Height and width as the file states them; None if it does not."""
    try:
        height, width = (int(float(root.findtext(f"size/{key}") or 0)) for key in ("height", "width"))
    except (ValueError, OverflowError):
        return None
    return (height, width) if height > 0 and width > 0 else None
