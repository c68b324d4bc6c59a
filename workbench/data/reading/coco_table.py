"""A whole COCO file as a table of arrays, checked: many plain entries at once, all others one by one.

Columns, for I images by id, and N objects by image and then in the order of the file:
`image_id` [I], `size` [I, 2] (height, width), `names` (UTF-8) from `name_starts` [I + 1], `occluders` (compressed
RLE, without a byte where unknown) from `occluder_starts` [I + 1], `starts` [I + 1] (first object of each image);
`id`, `label`, `box` [N, 4] (xyxy pixels), `area`, `iscrowd`, `difficult`, `occlusion` [N];
`shape` [N]: 0 without a segmentation, 1 the polygons `parts` [N, 2] (first and end) with corners `points` (x, y in
turn) from `point_starts` [P + 1], 2 the bytes `parts` of `codes`, compressed RLE.
"""

from __future__ import annotations

import gc
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import numpy as np

from workbench.data.reading import boxes as box_formats
from workbench.data.reading.coco_checks import areas_of_a_pixel, off_their_boxes, without_masks
from workbench.data.reading.coco_columns import CODE, POLYGONS, WITHOUT, Gatherer
from workbench.data.reading.coco_entries import LARGEST, Entry, EntryReader, ImageEntry, same_names
from workbench.data.reading.json_stream import JsonStream, NotJson
from workbench.data.reading.masks import LONGEST_OUTLINE
from workbench.data.reading.paths import DataRoot, check_regular, read_json
from workbench.data.reading.tables import Table
from workbench.errors import DataError

REVISION = 4  #: of the columns; a kept table of another one is made anew
CHUNK = 512  #: annotations that are Python objects at a time
ANNOTATIONS = "annotations"
LISTS = ("images", ANNOTATIONS, "categories")

Columns = dict[str, np.ndarray]


def read_coco(file: Path, root: DataRoot, folder: Path, *, masks: bool = True, annotated: bool = True) -> Table:
    """Read and check a COCO file whose images lie in `folder`; without masks no segmentation is looked at.

    One that is not `annotated` needs no list of annotations, as `image_info_test-dev2017.json` has none.

    `about` holds `classes` and `category_ids` of all categories by id, `has_occlusion` (whether the file itself says
    how much is hidden), `is_estimate` (whether it says that it is estimated) and `problems`: what was left out, and
    why.

    Raises:
        DataError: nothing can be read: no JSON, or no lists of images, annotations and categories.
    """
    check_regular(file)
    gatherer = Gatherer(masks)
    lists = [key for key in LISTS if annotated or key != ANNOTATIONS]
    with _without_collector():
        try:
            content = _stream(file, gatherer, lists)
        except (NotJson, UnicodeDecodeError, RecursionError, OSError):
            gatherer = Gatherer(masks)
            content = _whole(file, gatherer, lists)  # which also says what is wrong with it
        reader = EntryReader(file, root, folder, masks)
        categories = dict(reader.read(content["categories"], "category", reader.category))
        reader.problems += same_names(categories, file)
        images = sorted(entry for _, entry in reader.read(content["images"], "image", reader.image))
        order = tuple(sorted(categories))
        reader.labels = {category: label for label, category in enumerate(order, start=1)}
        reader.sizes = {image.id: image.size for image in images}
        columns = _image_columns(images) | _object_columns(gatherer, reader, images, order)
        reader.problems += areas_of_a_pixel(columns, images, file)
        if masks:
            reader.problems += [*without_masks(columns, images, file), *off_their_boxes(columns, images, file)]
    info = content.get("info")
    about = {
        "classes": [categories[category] for category in order],
        "category_ids": list(order),
        "has_occlusion": gatherer.has_occlusion,
        "is_estimate": isinstance(info, dict) and info.get("occlusion_is_estimate") is True,
        "problems": [[p.level, p.where.removeprefix(str(file)), p.what, p.fix] for p in reader.problems],
    }
    # What is wrong may be mended outside the file, such as a link among the images.
    return Table(columns, about, keep=all(problem.level != "error" for problem in reader.problems))


@contextmanager
def _without_collector() -> Iterator[None]:
    """Millions of new objects make Python look for cycles over and over, a third of the time; there are none."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _stream(file: Path, gatherer: Gatherer, lists: list[str]) -> dict[str, Any]:
    """Everything but the annotations, which go to `gatherer` chunk by chunk."""
    content: dict[str, Any] = {}
    with file.open(encoding="utf-8-sig", newline="") as text:
        stream = JsonStream(text)
        for key in stream.members():
            if key in content:
                raise NotJson(f"{key!r} occurs twice")
            if stream.peek() != "[":
                content[key] = stream.value()
            elif key == ANNOTATIONS:
                _gather(stream.entries(), gatherer)
                content[key] = []
            else:
                content[key] = list(stream.entries())
        stream.end()
    if not all(isinstance(content.get(key), list) for key in lists):
        raise NotJson("a list is missing")
    return content


def _whole(file: Path, gatherer: Gatherer, lists: list[str]) -> dict[str, Any]:
    content = read_json(file)
    if not isinstance(content, dict):
        raise DataError(f"{file}: this is not a COCO file; it holds a {type(content).__name__}, not an object")
    for key in lists:
        if not isinstance(content.get(key), list):
            raise DataError(f"{file}: this is not a COCO file of objects; it has no list {key!r}")
    given = content.get(ANNOTATIONS)
    _gather(iter(given if isinstance(given, list) else []), gatherer)
    return content


def _gather(items: Iterator[Any], gatherer: Gatherer) -> None:
    while chunk := list(islice(items, CHUNK)):
        gatherer.add(chunk)
        chunk.clear()  # before the next block is parsed, so that it finds memory in the processor's cache


def _image_columns(images: list[ImageEntry]) -> Columns:
    names = [image.file_name.encode("utf-8", "surrogatepass") for image in images]
    return {
        "image_id": np.array([image.id for image in images], np.int64),
        "size": np.array([image.size for image in images], np.int64).reshape(-1, 2),
        "names": np.frombuffer(b"".join(names), np.uint8),
        "name_starts": np.array([0, *accumulate(map(len, names))], np.int64),
        "occluders": np.frombuffer(b"".join(image.occluder for image in images), np.uint8),
        "occluder_starts": np.array([0, *accumulate(len(image.occluder) for image in images)], np.int64),
    }


def _object_columns(
    gatherer: Gatherer, reader: EntryReader, images: list[ImageEntry], categories: tuple[int, ...]
) -> Columns:
    plain = gatherer.columns()
    image_ids = np.array([image.id for image in images], np.int64)
    sizes = np.array([image.size for image in images], np.int64).reshape(-1, 2)
    image, known = _places(plain["image_id"], image_ids)
    small = [category for category in categories if abs(category) < LARGEST]  # no other is plain
    category, listed = _places(plain["category_id"], np.array(small, np.int64))
    labels = np.array([reader.labels[one] for one in small] or [0], np.int64)[category]
    size = sizes[image] if len(sizes) else np.zeros((len(image), 2), np.int64)
    box, good = _clipped(plain["bbox"], size)
    twice = _twice(plain, gatherer.odd)
    fine = known & listed & good & ~np.isin(plain["position"], twice)
    fine &= ~_doubtful(plain, size)
    reader_boxes = plain["bbox"][fine], size[fine].astype(float)
    entries = _one_by_one(plain, ~fine, gatherer, reader, set(twice.tolist()))
    reader.look_at_formats(*reader_boxes)
    own_area = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
    rows = {
        "image": image,
        "position": plain["position"],
        "id": plain["id"],
        "label": labels,
        "box": box,
        "area": np.where(np.isnan(plain["area"]), own_area, plain["area"]),
        "iscrowd": plain["iscrowd"],
        "difficult": plain["difficult"],
        "occlusion": plain["occlusion"],
        "shape": plain["shape"],
        "parts": plain["parts"],
    }
    rows = {name: column[fine] for name, column in rows.items()}
    more, shapes = _entry_columns(entries, image_ids, plain["point_starts"], gatherer.points)
    rows = {name: np.concatenate([column, more[name].astype(column.dtype)]) for name, column in rows.items()}
    order = np.lexsort((rows["position"], rows["image"]))
    types = {"label": np.int64, "box": np.float32, "area": np.float32, "occlusion": np.float32}
    kept = {
        name: column[order].astype(types.get(name, column.dtype), copy=False)
        for name, column in rows.items()
        if name not in ("image", "position")
    }
    counts = np.bincount(rows["image"], minlength=len(images))
    return kept | shapes | {"starts": np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)}


def _places(values: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each value stands among `known` (ascending), and whether it does at all."""
    if len(known) == 0:
        return np.zeros(len(values), np.int64), np.zeros(len(values), bool)
    place = np.searchsorted(known, values).clip(max=len(known) - 1)
    return place, known[place] == values


def _clipped(bbox: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes [N, 4] as corners inside images of `size` [N, 2], and which of them need no word [N]."""
    most = size[:, [1, 0, 1, 0]].astype(float)
    with np.errstate(over="ignore"):
        corners = np.concatenate([bbox[:, :2], bbox[:, :2] + bbox[:, 2:]], axis=1)
        outside = np.maximum(-corners, corners - most).max(axis=1, initial=0)
    box = np.minimum(np.maximum(corners, 0.0), most)
    good = (bbox[:, 2:] > 0).all(axis=1) & ~box_formats.too_thin(box) & (outside <= box_formats.SLACK)
    return box, good


def _twice(plain: Columns, odd: dict[int, Any]) -> np.ndarray:
    """Positions of the annotations whose id another one had before them."""
    more = {
        position: item["id"]
        for position, item in odd.items()
        if isinstance(item, dict) and type(item.get("id")) is int and abs(item["id"]) < 2**63
    }
    positions = np.concatenate([plain["position"], np.array(list(more), np.int64)])
    ids = np.concatenate([plain["id"], np.array(list(more.values()), np.int64)])
    order = np.lexsort((positions, ids))
    again = np.flatnonzero(ids[order][1:] == ids[order][:-1]) + 1
    return positions[order][again]


def _doubtful(plain: Columns, size: np.ndarray) -> np.ndarray:
    """Which rows [N] have polygons that are looked at one by one: outside, endless, or maybe without a pixel."""
    low, high = plain["low"], plain["high"]
    first, end = plain["parts"].T
    row = np.repeat(np.arange(len(size)), end - first)  # of each polygon
    extent = (high - low).max(axis=1, initial=0)
    longest = np.diff(plain["point_starts"]) // 2 * extent  # that its outline can be
    doubtful = np.bincount(row, longest, len(size)) > LONGEST_OUTLINE
    far = (low < -box_formats.SLACK).any(axis=1) | (high > size[row, ::-1] + box_formats.SLACK).any(axis=1)
    doubtful[row[far]] = True
    solid = np.zeros(len(size), bool)
    solid[row[plain["outlined"] > 1.5 * extent]] = True  # so the centre of some pixel is within
    return doubtful | ((end > first) & ~solid)


def _one_by_one(
    plain: Columns, suspect: np.ndarray, gatherer: Gatherer, reader: EntryReader, twice: set[int]
) -> list[tuple[int, Entry]]:
    """Positions and contents of those entries that are not plain but can be used, in the order of the file."""
    items = dict(gatherer.odd)
    for row in np.flatnonzero(suspect).tolist():
        items[int(plain["position"][row])] = gatherer.entry(plain, row)
    found = (
        (position, reader.read_one(item, "annotation", reader.annotation, position, twice=position in twice))
        for position, item in sorted(items.items(), key=lambda pair: pair[0])
    )
    return [(position, entry) for position, entry in found if entry is not None]


def _entry_columns(
    found: list[tuple[int, Entry]], image_ids: np.ndarray, starts: np.ndarray, points: array[float]
) -> tuple[Columns, Columns]:
    """Rows of entries that were checked one by one; and all polygons and codes, theirs last."""
    lengths: list[int] = []
    codes: list[bytes] = []
    shapes, parts = [], []
    first, bytes_so_far = len(starts) - 1, 0
    for _, entry in found:
        if entry.segmentation is None:
            shapes.append(WITHOUT)
            parts.append((0, 0))
        elif isinstance(entry.segmentation, list):
            begin = first + len(lengths)
            for polygon in entry.segmentation:
                points.fromlist(polygon)
                lengths.append(len(polygon))
            shapes.append(POLYGONS)
            parts.append((begin, first + len(lengths)))
        else:
            codes.append(entry.segmentation["counts"])
            shapes.append(CODE)
            parts.append((bytes_so_far, bytes_so_far + len(codes[-1])))
            bytes_so_far = parts[-1][1]
    entries = [entry for _, entry in found]
    rows = {
        "image": np.searchsorted(image_ids, np.array([entry.image_id for entry in entries], np.int64)),
        "position": np.array([position for position, _ in found], np.int64),
        "id": np.array([entry.id for entry in entries], np.int64),
        "label": np.array([entry.label for entry in entries], np.int64),
        "box": np.array([entry.box for entry in entries], float).reshape(-1, 4),
        "area": np.array([entry.area for entry in entries], float),
        "iscrowd": np.array([entry.iscrowd for entry in entries], bool),
        "difficult": np.array([entry.difficult for entry in entries], bool),
        "occlusion": np.array([np.nan if e.occlusion is None else e.occlusion for e in entries], float),
        "shape": np.array(shapes, np.uint8),
        "parts": np.array(parts, np.int64).reshape(-1, 2),
    }
    ends = starts[-1] + np.cumsum(lengths, dtype=np.int64)
    shapes_of_all = {
        "points": np.frombuffer(points),
        "point_starts": np.concatenate([starts, ends]).astype(np.int64),
        "codes": np.frombuffer(b"".join(codes), np.uint8),
    }
    return rows, shapes_of_all
