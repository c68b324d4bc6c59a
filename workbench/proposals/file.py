"""Proposals from files of others and for them: COCO results (JSON), and the .mat lists of the original Fast R-CNN.

The .mat lists hold a cell `boxes` with one [P, 4] per image, in the order of the image list, as y1 x1 y2 x2 counted
from 1, the last pixel included; some also hold the names of the images as `images`. Nothing in a file is executed.
"""

from __future__ import annotations

import json
import os
import unicodedata
from os import PathLike
from pathlib import Path, PureWindowsPath
from typing import IO

import numpy as np
import torch

from workbench.data.dataset import Dataset, evenly_spaced
from workbench.data.export import result_entries
from workbench.data.reading.boxes import SLACK, XYWH, YXYX, xywh
from workbench.data.reading.images import ENDINGS
from workbench.data.reading.problems import Problem, raise_first
from workbench.errors import DataError
from workbench.files import user_path, whole_file
from workbench.options import Count
from workbench.progress import Bar
from workbench.proposals.base import Source, cache_folder
from workbench.proposals.reading.format_check import proposal_format_problems
from workbench.proposals.reading.mat_lists import MatLists, read_lists
from workbench.proposals.reading.results_table import ResultsTable, table_of
from workbench.registry import PROPOSALS
from workbench.types import Proposals

SAMPLE = 100  #: images that are looked up when a file is opened
OUTSIDE = 0.5  #: share of an image's boxes that reach outside it, above which they cannot be its own
MANY = 0.1  #: share of all boxes that reach outside, above which the doctor warns


@PROPOSALS.register("file")
def make(data: Dataset, top: Count, *, path: str | Path, cache: str | Path | None = None) -> Source:
    """What the file at `path` holds for `data`."""
    return FileProposals(path, data, cache=cache)


def save_proposals(data: Dataset, path: str | PathLike[str], *, progress: bool = False) -> None:
    """Write `target["proposals"]` of all images as COCO results; `with_proposals(kind="file")` reads them back equal.

    The category is 1, "an object"; masks are `segmentation`. The file appears whole or not at all.

    Raises:
        DataError: an image has no proposals, or the file cannot be written.

    Example:
        >>> data = wb.load_data("digit-scenes", split="test", length=2)
        >>> source = {"kind": "detector", "name": "digit-scenes/faster-rcnn", "cache": "proposals"}
        >>> save_proposals(wb.with_proposals(data, **source, top=20), "proposals.json")
        >>> len(wb.with_proposals(data, kind="file", path="proposals.json", cache="proposals").target(1)["proposals"])
        20
    """
    place = user_path(path, DataError)
    try:
        with whole_file(place) as file:
            file.write(b"[")
            for index in Bar(range(len(data)), desc=f"writing {place.name}", disable=not progress):
                _write_image(file, data, index)
            file.write(b"]\n")
    except OSError as error:
        raise DataError(f"{place}: this file cannot be written ({error.strerror or error})") from error


def _write_image(file: IO[bytes], data: Dataset, index: int) -> None:
    target = data.target(index)
    if "proposals" not in target:
        raise DataError(f"{data.where(index)}: there are no proposals; give them by with_proposals(data, ...)")
    given, image_id = Proposals.of(target["proposals"]), int(target["image_id"])
    if len(given):
        boxes = given.boxes.double().numpy()  # so that x + width is the right edge again
        owner, category = [image_id] * len(given), [1] * len(given)
        entries = result_entries(owner, category, boxes, given.scores.numpy(), given.masks)
        file.write(b",\n" if file.tell() > 1 else b"\n")
        file.write(",\n".join(map(json.dumps, entries)).encode())


class FileProposals:
    """The proposals that a file holds for the images of `data`.

    Args:
        path: .json (a list of {"image_id", "bbox" as x, y, width, height, "score", "segmentation" as RLE}, of which
            the box or the mask may be missing) or .mat.
        cache: a folder for what a .json file is turned into, as for `Computed`.

    Raises:
        DataError: the file cannot be read, an entry is wrong, or it is about other images; says file and image.
    """

    def __init__(self, path: str | Path, data: Dataset, *, cache: str | Path | None = None):
        self.path = user_path(path, DataError)
        self._table: ResultsTable | None = None
        self._lists: dict[int, np.ndarray] = {}
        if self.path.suffix.lower() == ".json":
            self._table = table_of(self.path, cache_folder(cache))
        elif self.path.suffix.lower() == ".mat":
            self._lists = _read_mat(self.path, data)
        else:
            raise DataError(f"{self.path}: proposals are read from .json and .mat files")
        self.problems = self._check(data)

    def __call__(self, data: Dataset, index: int, image_id: int) -> Proposals:
        found = self._found(index, image_id)
        self._check_size(found, data, index)
        return found

    def _found(self, index: int, image_id: int) -> Proposals:
        if self._table is not None:
            return self._table.proposals(image_id)
        return Proposals.ranked(torch.from_numpy(self._lists.get(index, np.zeros((0, 4), np.float32))))

    def _check_size(self, found: Proposals, data: Dataset, index: int) -> None:
        """Raise a DataError if what the file holds for an image cannot be of this image."""
        if len(found) == 0:
            return
        height, width = data.size(index)
        boxes = found.boxes.numpy()
        outside = _outside(found, (height, width))
        if outside.mean() > OUTSIDE:
            raise DataError(
                f"{self.path}: {outside.mean():.0%} of the proposals of {data.where(index)} reach outside its "
                f"{width} x {height} pixels, e.g. {boxes[outside][0].tolist()}; are they of another image, or in "
                "another format?"
            )
        other = next((code["size"] for code in found.masks or () if code["size"] != [height, width]), None)
        if other is not None:
            raise DataError(
                f"{self.path}: a mask of {data.where(index)} has {other[1]} x {other[0]} pixels, the image "
                f"{width} x {height}; are they of another image?"
            )

    def _check(self, data: Dataset) -> tuple[Problem, ...]:
        """Look at some images, evenly spaced: refuse a file about others or in another format, say what is wrong."""
        some = evenly_spaced(len(data), SAMPLE)
        found = [self._found(index, int(data.target(index)["image_id"])) for index in some]
        empty = [index for index, each in zip(some, found, strict=True) if len(each) == 0]
        if some and len(empty) == len(some):
            raise DataError(
                f"{self.path}: it has no proposals for {data.where(some[0])}, nor for any other image of "
                f"{data.name}/{data.split} that was looked up; is it about other images?"
            )
        sizes = [data.size(index) for index in some]
        form, given = XYWH, [xywh(each.boxes.numpy().astype(float)) for each in found]
        if self._table is None:
            form, given = YXYX, [each.boxes.numpy()[:, [1, 0, 3, 2]].astype(float) for each in found]
        objects = [data.target(index)["boxes"].as_subclass(torch.Tensor) for index in some]
        raise_first(proposal_format_problems(given, sizes, objects, str(self.path), form), hint="")
        problems = []
        for index, each in zip(some, found, strict=True):
            self._check_size(each, data, index)
        outside = np.concatenate([_outside(each, size) for each, size in zip(found, sizes, strict=True)])
        if outside.any() and outside.mean() > MANY:
            what = f"{outside.mean():.0%} of the proposals reach outside their images and are clipped"
            problems.append(Problem("warning", str(self.path), what, "See that they are in pixels of these images."))
        if empty:
            what = f"{len(empty)} of {len(some)} images have no proposals, the first is {data.where(empty[0])}"
            problems.append(Problem("warning", str(self.path), what, "A detector on proposals finds nothing there."))
        return tuple(problems)


def _outside(found: Proposals, size: tuple[int, int]) -> np.ndarray:
    """Which proposals reach outside their image of `size` (height, width) [P]."""
    boxes = found.boxes.numpy()
    return (boxes[:, :2] < -SLACK).any(axis=1) | (boxes[:, 2:] > np.array(size)[::-1] + SLACK).any(axis=1)


def _read_mat(path: Path, data: Dataset) -> dict[int, np.ndarray]:
    """Boxes [P, 4] by position in `data`, in the order of the file."""
    lists = read_lists(path)
    places = _mat_places(path, lists, data)
    for index, place in places.items():
        if lists.wrong[place]:
            raise DataError(f"{path}: {data.where(index)}: {lists.wrong[place]}")
    return {index: lists.boxes[slice(*lists.starts[place : place + 2])] for index, place in places.items()}


def _mat_places(path: Path, lists: MatLists, data: Dataset) -> dict[int, int]:
    """Which list each image of `data` has: by name where the file says the names, else by order."""
    number = len(lists.wrong)
    if lists.names is not None:
        known = {_stem(name): place for place, name in enumerate(lists.names) if name}
        stems = {index: _stem(data.file_name(index)) for index in range(len(data))}
        return {index: known[stem] for index, stem in stems.items() if stem in known}
    if number != len(data):
        raise DataError(
            f"{path}: proposals of {number} images without their names, but {data.name}/{data.split} has "
            f"{len(data)}; give them to the whole split, and take a part of it afterwards"
        )
    return dict(enumerate(range(number)))


def _stem(name: str) -> str:
    """The name of an image without folder and ending, in one form of Unicode."""
    last = PureWindowsPath(name.strip()).name  # which knows slashes and backslashes
    stem, ending = os.path.splitext(last)
    return unicodedata.normalize("NFC", stem if ending.lower() in ENDINGS else last)
