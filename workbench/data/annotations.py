"""A COCO annotation file that can be changed: what is not changed stays exactly as it is.

`load_data("coco", ...)` reads what a detector learns from. `CocoFile` keeps the file: ids, unknown keys at every
level, run-length codes in either form, crowds, and the order of everything, so that opening and saving gives the same
content. Each change is checked when it is made, and a save is whole or not at all.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from functools import partial
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from workbench.data.reading import coco_edits as edits
from workbench.data.reading.parts import draw_parts
from workbench.data.reading.paths import read_json
from workbench.errors import DataError, nearest
from workbench.files import user_path, whole_file

Id = int | str  #: COCO has whole numbers; files of some tools have texts
Sort = Literal["image", "category", "annotation"]
LISTS: dict[Sort, str] = {"image": "images", "category": "categories", "annotation": "annotations"}


class CocoFile:
    """The content of a COCO file of objects.

    Args:
        content: as in a file: lists `images`, `categories` and `annotations`, and whatever else; it is changed with
            this object. None: an empty one.
        path: where `save` writes, and what messages name; None: nowhere yet.

    Raises:
        DataError: it is no COCO file of objects: no object, no such lists, an entry without an id, an id twice.

    Example:
        >>> file = CocoFile()
        >>> cup, photo = file.add_category("cup"), file.add_image("a.jpg", height=100, width=200)
        >>> file.add_annotation(photo, cup, bbox=[10, 20, 30, 40])
        1
        >>> file.annotations[1]["area"]
        1200
    """

    def __init__(self, content: dict[str, Any] | None = None, path: str | PathLike[str] | None = None):
        self.path = None if path is None else user_path(path, DataError)
        self.content: dict[str, Any] = {} if content is None else content
        if not isinstance(self.content, dict):
            raise DataError(
                f"{self._name}: this is not a COCO file; it holds a {type(content).__name__}, not an object"
            )
        if content is None:
            self.content.update({key: [] for key in LISTS.values()})
        self._entries: dict[Sort, dict[Id, dict[str, Any]]] = {sort: self._by_id(sort) for sort in LISTS}
        self._of_image: dict[Any, dict[Id, None]] = {}
        for identity, entry in self._entries["annotation"].items():
            image = entry.get("image_id")
            if not isinstance(image, int | str | None):
                where = f"{self._name}: annotation {identity}"
                raise DataError(f"{where} has the image_id {image!r}; expected the id of an image")
            self._of_image.setdefault(image, {})[identity] = None

    @classmethod
    def open(cls, path: str | PathLike[str]) -> CocoFile:
        """Read a file.

        Raises:
            DataError: the file cannot be read, or is no COCO file of objects; it is named.
        """
        place = user_path(path, DataError)
        return cls(read_json(place, load=partial(json.load, parse_constant=no_number)), place)

    @property
    def images(self) -> Mapping[Id, dict[str, Any]]:
        """The images by id, in the order of the file."""
        return MappingProxyType(self._entries["image"])

    @property
    def categories(self) -> Mapping[Id, dict[str, Any]]:
        """The categories by id, in the order of the file."""
        return MappingProxyType(self._entries["category"])

    @property
    def annotations(self) -> Mapping[Id, dict[str, Any]]:
        """The annotations by id, in the order of the file."""
        return MappingProxyType(self._entries["annotation"])

    def annotations_of(self, image: Id) -> list[dict[str, Any]]:
        """The annotations of an image, in the order of the file."""
        self._entry("image", image)
        return [self._entries["annotation"][identity] for identity in self._of_image.get(image, {})]

    def add_image(self, file_name: str, *, height: int, width: int, id: Id | None = None, **more: Any) -> Id:
        """A new image; its id, a free one unless it is given.

        Args:
            file_name: its path in the folder of the images.
            height, width: pixels.
            id: which the file must not have yet.
            more: other keys of the entry.

        Raises:
            DataError: the id is taken.
        """
        return self._add("image", id, {"file_name": file_name, "height": height, "width": width, **more})

    def add_category(self, name: str, *, id: Id | None = None, **more: Any) -> Id:
        """A new category; its id, a free one unless it is given.

        Raises:
            DataError: the id or the name is taken, or the category is not one that detectors can learn from.
        """
        return self._add("category", id, {"name": name, **more})

    def add_annotation(
        self,
        image: Id,
        category: Id,
        *,
        bbox: list[float] | None = None,
        segmentation: list | dict[str, Any] | None = None,
        iscrowd: bool = False,
        id: Id | None = None,
        **more: Any,
    ) -> Id:
        """A new object of an image; its id, a free one unless it is given.

        Args:
            bbox: x, y, width, height in pixels; None: that of the segmentation.
            segmentation: polygons [[x1, y1, x2, y2, ...], ...] or run-length code {"size": ..., "counts": ...}.
            iscrowd: a group of objects in one box.
            more: further keys; `area`, in pixels, is that of the segmentation or else of the box unless it is given.

        Raises:
            DataError: the image or category is not in the file, the id is taken, or box or segmentation are wrong.
        """
        entry = {"image_id": image, "category_id": category, "iscrowd": int(iscrowd), **more}
        if segmentation is not None:
            entry["segmentation"] = segmentation
        if bbox is not None:
            entry["bbox"] = list(bbox)
        return self._add("annotation", id, self._measured(entry))

    def change(self, sort: Sort, id: Id, /, **changes: Any) -> None:
        """Set keys of an entry; None as the value of a key that it need not have removes that key.

        A new segmentation brings its own `bbox` and `area`, a new `bbox` its own `area`, unless these are given.

        Raises:
            DataError: there is no such entry, or it would be wrong afterwards; then it stays as it was.
        """
        entry = self._entry(sort, id)
        if changes.get("id", id) != id:
            raise DataError(f"{self._name}: {sort} {id}: an id cannot be changed; add it anew and remove this one")
        merged = {**entry, **changes}
        if sort == "annotation":
            shaped = "segmentation" in changes and changes["segmentation"] is not None
            stale = [key for key, anew in (("bbox", shaped), ("area", shaped or "bbox" in changes)) if anew]
            merged = self._measured(
                {key: value for key, value in merged.items() if key in changes or key not in stale}
            )
        wanted = {key: value for key, value in merged.items() if value is not None or key not in changes}
        self._check(sort, id, wanted)
        if sort == "annotation" and wanted["image_id"] != entry.get("image_id"):
            self._of_image.get(entry.get("image_id"), {}).pop(id, None)
            self._of_image.setdefault(wanted["image_id"], {})[id] = None
        for key in [key for key in entry if key not in wanted]:
            del entry[key]
        entry.update(copy.deepcopy(wanted))

    def remove(self, sort: Sort, id: Id) -> None:
        """Take an entry out; with an image go its annotations, a category must have none.

        Raises:
            DataError: there is no such entry, or annotations are of this category.
        """
        entry = self._entry(sort, id)
        if sort == "category":
            used = sum(one.get("category_id") == id for one in self._entries["annotation"].values())
            if used:
                what = f"{used} annotations are of category {id} ({entry.get('name')})"
                raise DataError(f"{self._name}: {what}; remove them or change their category first")
        for other in list(self._of_image.pop(id, {})) if sort == "image" else []:
            del self._entries["annotation"][other]
        if sort == "annotation":
            self._of_image.get(entry.get("image_id"), {}).pop(id, None)
        del self._entries[sort][id]

    def restore(self, sort: Sort, id: Id, entry: dict[str, Any] | None) -> None:
        """Put back an entry as it was in this file at another time, key by key; None: take it out.

        What a log of changes holds is checked only where other entries depend on it.

        Raises:
            DataError: an annotation's image is not in the file, or the id of the entry is another one.
        """
        before = self._entries[sort].get(id)
        if entry is not None and entry.get("id") != id:
            raise DataError(f"{self._name}: {sort} {id!r} cannot become one with the id {entry.get('id')!r}")
        if sort == "annotation":
            if entry is not None:
                self._entry("image", entry.get("image_id", ""))
            if before is not None and (entry is None or entry["image_id"] != before["image_id"]):
                self._of_image.get(before["image_id"], {}).pop(id, None)
            if entry is not None:
                self._of_image.setdefault(entry["image_id"], {})[id] = None
        if entry is None:
            self._entries[sort].pop(id, None)
        elif before is None:
            self._entries[sort][id] = copy.deepcopy(entry)
        else:
            before.clear()
            before.update(copy.deepcopy(entry))

    def split(self, shares: Mapping[str, float], *, seed: int = 0) -> dict[str, CocoFile]:
        """Parts with images of their own, such as {"train": 0.8, "val": 0.2}, drawn at random.

        Images of one file go together. Each part has all categories, and its images and annotations as they are here,
        with their ids. Save one as `annotations/instances_val.json` and load it with `load_data("coco", "val", root,
        images=...)`, where `images` is the folder that the parts have in common.

        Args:
            shares: how much of the images each part has, above 0; in all at most 1.
            seed: of the draw.

        Raises:
            DataError: the shares are none, or leave a part without an image.
        """
        files = {
            identity: str(image.get("file_name", identity)) for identity, image in self._entries["image"].items()
        }
        try:
            drawn = draw_parts(files, shares, seed)
        except DataError as error:
            raise DataError(f"{self._name}: {error}") from None
        return {name: self._part(chosen) for name, chosen in drawn.items()}

    def _part(self, chosen: set[Id]) -> CocoFile:
        own = {
            "images": [entry for identity, entry in self._entries["image"].items() if identity in chosen],
            "annotations": [one for one in self._entries["annotation"].values() if one.get("image_id") in chosen],
        }
        common = {key: value for key, value in self.content.items() if key not in LISTS.values()}
        common["categories"] = list(self._entries["category"].values())
        return CocoFile(copy.deepcopy(common) | own)

    def save(self, path: str | PathLike[str] | None = None) -> Path:
        """Write the file, whole or not at all; the path.

        Args:
            path: another place, which is the file's own from then on.

        Raises:
            DataError: no path is known, or a value is none that JSON has.
            OSError: the disk refuses; the file that was there stays as it was.
        """
        place = self.path if path is None else user_path(path, DataError)
        if place is None:
            raise DataError("an annotation file that is new has no path yet: save(path)")
        for sort, key in LISTS.items():
            self.content[key] = list(self._entries[sort].values())
        try:
            text = json.dumps(self.content, allow_nan=False, check_circular=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise DataError(f"{place}: this cannot be written as JSON ({error})") from error
        with whole_file(place) as file:
            file.write(text.encode("ascii"))
        self.path = place
        return place

    @property
    def _name(self) -> str:
        return "COCO content" if self.path is None else str(self.path)

    def _by_id(self, sort: Sort) -> dict[Id, dict[str, Any]]:
        listed = self.content.get(LISTS[sort])
        if not isinstance(listed, list):
            raise DataError(f"{self._name}: this is not a COCO file of objects; it has no list {LISTS[sort]!r}")
        entries: dict[Id, dict[str, Any]] = {}
        for number, entry in enumerate(listed, start=1):
            where = f"{self._name}: {sort} number {number}"
            if not isinstance(entry, dict):
                raise DataError(f"{where} is a {type(entry).__name__}; expected an object")
            identity = entry.get("id")
            if isinstance(identity, bool) or not isinstance(identity, int | str):
                raise DataError(f"{where} has the id {identity!r}; expected a whole number")
            if identity in entries:
                raise DataError(f"{where}: the id {identity!r} occurs twice; give each {sort} an id of its own")
            entries[identity] = entry
        return entries

    def _entry(self, sort: Sort, identity: Id) -> dict[str, Any]:
        if sort not in LISTS:
            raise DataError(f"there is no list of {sort!r}{nearest(sort, list(LISTS))}; choose one of {list(LISTS)}")
        try:
            return self._entries[sort][identity]
        except (KeyError, TypeError):
            raise DataError(f"{self._name}: there is no {sort} {identity!r}") from None

    def _add(self, sort: Sort, identity: Id | None, entry: dict[str, Any]) -> Id:
        entries = self._entries[sort]
        if identity is None:
            identity = 1 + max((one for one in entries if isinstance(one, int)), default=0)
        edits.check_id(self._name, sort, identity)
        if identity in entries:
            raise DataError(f"{self._name}: there is {sort} {identity!r} already; leave the id out for a free one")
        self._check(sort, identity, entry)
        entries[identity] = {"id": identity, **copy.deepcopy(entry)}
        if sort == "annotation":
            self._of_image.setdefault(entry["image_id"], {})[identity] = None
        return identity

    def _check(self, sort: Sort, identity: Id, entry: dict[str, Any]) -> None:
        """Raise a DataError unless the entry is one that detectors can learn from."""
        where = f"{self._name}: {sort} {identity}"
        edits.check_keys(where, sort, entry)
        if sort == "image":
            edits.check_image(where, entry)
        elif sort == "category":
            same = [one for one, other in self._entries[sort].items() if other.get("name") == entry["name"]]
            edits.check_name(where, entry["name"], [one for one in same if one != identity])
        else:
            self._entry("category", entry["category_id"])
            edits.check_box(where, entry["bbox"], _size(self._entry("image", entry["image_id"])))

    def _measured(self, entry: dict[str, Any]) -> dict[str, Any]:
        """An annotation with the `bbox` and `area` of its segmentation, where it has none of its own."""
        size = _size(self._entry("image", entry["image_id"]))
        where = f"{self._name}: an annotation of image {entry['image_id']}"
        if entry.get("segmentation") is not None:
            if size is None:
                raise DataError(f"{where} has a segmentation, but the image has no height and width")
            box, area = edits.extent(where, entry["segmentation"], size)
            return {**entry, "bbox": entry.get("bbox", box), "area": entry.get("area", area)}
        if "area" not in entry and entry.get("bbox") is not None:
            edits.check_box(where, entry["bbox"], size)
            return {**entry, "area": entry["bbox"][2] * entry["bbox"][3]}
        return entry


def _size(image: dict[str, Any]) -> tuple[int, int] | None:
    """Height and width of an image; None where it does not say them."""
    height, width = image.get("height"), image.get("width")
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None


def no_number(text: str) -> None:
    """Refuse NaN and infinities, as the `parse_constant` of `json.load`."""
    raise ValueError(f"{text} is no number that JSON has")
