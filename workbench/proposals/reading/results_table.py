"""Results in COCO's format (a JSON list of boxes and masks with scores) as a table: any number in little memory.

The lists of 1,000 boxes for each image of COCO are a file of 12 GB. It is read once, entry by entry, and turned into
a table in the cache that later processes map into memory and share; a training starts at once then.
"""

from __future__ import annotations

import hashlib
import json
import os
import reprlib
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from workbench.data.reading.boxes import finite_box
from workbench.data.reading.json_stream import JsonStream, NotJson
from workbench.data.reading.tables import alone, check_files, whole_folder, write_checks
from workbench.errors import DataError
from workbench.progress import Bar
from workbench.proposals.reading.mask_column import MaskColumn, MaskWriter
from workbench.rle import RLE, checked, mask_box
from workbench.types import Proposals

REVISION = 2  #: of the table's layout; another one is made anew
CHUNK = 50_000  #: entries that are Python objects at a time
LONGEST = 2**20  #: characters of an entry
PATIENCE = 2.0  #: seconds before a bar shows how far the reading is
LARGEST = float(np.finfo(np.float32).max)
ROW = np.dtype([("image", np.int64), ("score", np.float64), ("box", np.float32, 4)])


class ResultsTable:
    """The proposals of each image, best score first; among equal scores the first in the file.

    Args:
        folder: where `table_of` made it.

    Raises:
        OSError, ValueError: there is no table, or a broken one.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._images = np.load(folder / "images.npy", allow_pickle=False)  # ids, ascending [I]
        self._starts = np.load(folder / "starts.npy", allow_pickle=False)  # first row of each, and the end [I + 1]
        self._boxes = np.load(folder / "boxes.npy", mmap_mode="r", allow_pickle=False)  # [N, 4]
        self._scores = np.load(folder / "scores.npy", mmap_mode="r", allow_pickle=False)  # [N]
        self._masks = MaskColumn.of(folder)
        number = self._starts[-1] if len(self._starts) == len(self._images) + 1 else -1
        masks = number if self._masks is None else len(self._masks)
        if self._boxes.shape != (number, 4) or self._scores.shape != (number,) or masks != number:
            raise ValueError("the parts of this table do not belong together")

    def __reduce__(self) -> tuple[Any, ...]:
        return ResultsTable, (self.folder,)  # a copy of a map would hold all boxes

    def proposals(self, image_id: int) -> Proposals:
        """Those of an image, with masks where each has one; none for an image that is not in the file."""
        place = np.searchsorted(self._images, image_id)
        known = place < len(self._images) and self._images[place] == image_id
        rows = slice(self._starts[place], self._starts[place + 1]) if known else slice(0, 0)
        boxes, scores = (torch.from_numpy(np.array(column[rows])) for column in (self._boxes, self._scores))
        return Proposals(boxes, scores, self._masks[rows] if known and self._masks is not None else None)


def table_of(path: Path, cache: Path) -> ResultsTable:
    """The table of a JSON file, made if `cache` has none of the file as it is now (by path, size and time).

    Of several processes one makes it, and the others wait.

    Args:
        path: a list of {"image_id", "bbox" as x, y, width, height in pixels, "score", "segmentation" as RLE}; other
            keys are skipped, and polygons, which do not say the size of their image. A box that is missing is that of
            the mask, a missing score is 0.
        cache: folder of the tables; 32 bytes a box are needed there for a while, and 20 to stay; of masks as many
            more, and their codes.

    Raises:
        DataError: the file cannot be read or an entry is wrong (says which), or the table cannot be kept.
    """
    try:
        with path.open("rb") as file:  # which also says whether it may be read
            state = os.fstat(file.fileno())
    except OSError as error:
        raise DataError(f"{path}: this file cannot be read ({error.strerror or error})") from error
    source = {"file": str(path.resolve()), "size": state.st_size, "time": state.st_mtime_ns, "revision": REVISION}
    folder = cache / f"results-{hashlib.sha256(json.dumps(source).encode()).hexdigest()[:16]}"
    try:
        if (table := _found(folder)) is not None:
            return table
        cache.mkdir(parents=True, exist_ok=True)
        with alone(folder.with_suffix(".lock")):
            if _found(folder) is None:
                _make(path, folder, source)
            return ResultsTable(folder)
    except OSError as error:
        raise DataError(
            f"{cache}: the proposals of {path.name} cannot be kept here ({error.strerror or error}); name another "
            "folder as the option `cache`"
        ) from error


def _found(folder: Path) -> ResultsTable | None:
    """The table, unless there is none or a broken one."""
    try:
        check_files(folder)
        return ResultsTable(folder)
    except (OSError, ValueError, EOFError, RecursionError):
        return None


def _make(path: Path, folder: Path, source: dict[str, Any]) -> None:
    """Write the table beside `folder` and give it that name when it is whole. Only the holder of the lock may."""
    with whole_folder(folder) as partial:
        with (partial / "rows").open("wb") as file, MaskWriter(partial) as masks:
            rows = _rows(path, masks)
            while chunk := list(islice(rows, CHUNK)):
                np.array(chunk, ROW).tofile(file)
        masks.sort(*_sort(partial))
        (partial / "rows").unlink()
        (partial / "source.json").write_text(json.dumps(source, indent=1), encoding="utf-8")
        write_checks(partial)


def _sort(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Bring the rows of a file in the order of images and scores; gives this order, and where each image begins."""
    empty = (folder / "rows").stat().st_size == 0
    rows = np.zeros(0, ROW) if empty else np.memmap(folder / "rows", ROW, mode="r")
    images, counts = np.unique(rows["image"], return_counts=True)
    order = np.argsort(rows["image"], kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    np.save(folder / "images.npy", images)
    np.save(folder / "starts.npy", starts)
    boxes = np.lib.format.open_memmap(folder / "boxes.npy", "w+", np.float32, (len(rows), 4))
    scores = np.lib.format.open_memmap(folder / "scores.npy", "w+", np.float32, (len(rows),))
    for begin, end in pairwise(starts):
        mine = rows[order[begin:end]]
        best = np.argsort(-mine["score"], kind="stable")
        order[begin:end] = order[begin:end][best]
        boxes[begin:end] = mine["box"][best]
        scores[begin:end] = mine["score"][best].clip(-LARGEST, LARGEST)
    boxes.flush()
    scores.flush()
    return order, starts


def _rows(path: Path, masks: MaskWriter) -> Iterator[tuple[int, float, tuple[float, ...]]]:
    """Image, score and box (xyxy) of each entry of a file, checked; their masks go to `masks`."""
    size, done = path.stat().st_size, 0
    bar = Bar(desc=f"reading {path.name}", total=size, unit="B", unit_scale=True, delay=PATIENCE)
    with path.open(encoding="utf-8-sig") as file, bar:
        try:
            stream = JsonStream(file, longest=LONGEST)
            for entry in stream.entries():
                where, code = f"{path}: entry {done}", None
                if isinstance(entry, dict) and isinstance(entry.get("segmentation"), dict):
                    code = _code(entry, where)
                    masks.add(done, code)
                yield _row(entry, where, code)
                done += 1
                if done % CHUNK == 0:
                    bar.update(file.buffer.tell() - bar.n)  # type: ignore[attr-defined]
            stream.end()
        except (NotJson, UnicodeDecodeError, RecursionError) as error:
            raise DataError(f"{path}: a JSON list was expected; after {done:,} entries {error}") from error


def _row(entry: Any, where: str, code: RLE | None) -> tuple[int, float, tuple[float, ...]]:
    image = entry.get("image_id") if isinstance(entry, dict) else None
    if not isinstance(image, int) or isinstance(image, bool) or abs(image) >= 2**63:
        raise DataError(f"{where} is not a result with a whole number as image_id")
    given = entry.get("bbox")
    box = mask_box(code) if given is None and code is not None else finite_box(given)
    score = entry.get("score", 0.0)
    if box is None or min(box[2:]) < 0 or max(box[0] + box[2], box[1] + box[3], -box[0], -box[1]) > LARGEST:
        wrong = reprlib.repr(given)
        raise DataError(f"{where} (image {image}): bbox is {wrong}, not x, y, width, height in pixels")
    if finite_box([score] * 4) is None:
        raise DataError(f"{where} (image {image}): score is {reprlib.repr(score)}, not a finite number")
    x, y, width, height = box
    return image, float(score), (x, y, x + width, y + height)


def _code(entry: dict[str, Any], where: str) -> RLE:
    try:
        return checked(entry["segmentation"])
    except ValueError as error:
        raise DataError(f"{where} (image {entry.get('image_id')}): segmentation: {error}") from error
