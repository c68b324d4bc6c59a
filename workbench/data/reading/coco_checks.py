"""What is doubtful about the objects of a COCO file as a whole; `columns` are those of `coco_table`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from workbench.data.reading.coco_columns import POLYGONS, WITHOUT
from workbench.data.reading.coco_entries import ImageEntry
from workbench.data.reading.masks import polygon_boxes
from workbench.data.reading.problems import Problem

LEAST_SHARED = 0.25  #: of the larger of an object's bbox and the box around its polygons
SMALL = 16.0  #: square pixels; in smaller objects rounding is much


def without_masks(columns: Mapping[str, np.ndarray], images: list[ImageEntry], file: Path) -> Iterator[Problem]:
    """A warning where some objects have masks and others have none."""
    without = np.flatnonzero(columns["shape"] == WITHOUT)
    number = len(columns["shape"])
    if 0 < len(without) < number:
        first = _named(columns, images, without[0])
        what = f"{len(without)} of {number} objects have no mask (no segmentation that covers a pixel), first {first}"
        yield Problem("warning", str(file), what, "Masks are learned from and compared on the others alone.")


def areas_of_a_pixel(columns: Mapping[str, np.ndarray], images: list[ImageEntry], file: Path) -> Iterator[Problem]:
    """A warning about objects whose area is 0, or a fraction of the image: evaluation takes them for small ones."""
    sides = columns["box"][:, 2:] - columns["box"][:, :2]
    wrong = np.flatnonzero((columns["area"] <= 1) & (sides.prod(axis=1) >= 100))
    if len(wrong):
        first = _named(columns, images, wrong[0])
        what = (
            f"{len(wrong)} of {len(sides)} objects have an area of at most 1 pixel and a larger bbox, first {first}"
        )
        yield Problem(
            "warning", str(file), what, "State areas in pixels, or leave them out: evaluation goes by them."
        )


def off_their_boxes(columns: Mapping[str, np.ndarray], images: list[ImageEntry], file: Path) -> Iterator[Problem]:
    """A warning about objects whose polygons lie elsewhere than their box, or are of another size by far."""
    rows = np.flatnonzero(columns["shape"] == POLYGONS)
    points, starts = columns["points"].reshape(-1, 2), columns["point_starts"][:-1] // 2
    around, boxes = polygon_boxes(points, starts, columns["parts"][rows]), columns["box"][rows].astype(float)
    most = columns["size"][_image_of(columns, rows)][:, [1, 0, 1, 0]]
    around = np.minimum(np.maximum(around, 0.0), most)
    both = np.minimum(around[:, 2:], boxes[:, 2:]) - np.maximum(around[:, :2], boxes[:, :2])
    shared = both.clip(min=0).prod(axis=1)
    area = [(each[:, 2:] - each[:, :2]).prod(axis=1) for each in (around, boxes)]
    off = np.flatnonzero((shared < LEAST_SHARED * np.maximum(*area)) & (np.maximum(*area) > SMALL))
    if len(off):
        number = f"{len(off)} of {len(rows)} objects have polygons that do not fit their bbox"
        first = _named(columns, images, rows[off[0]])
        fix = "Are both in pixels of this image, x first? Correct the ones that are not."
        yield Problem("warning", str(file), f"{number}, first {first}", fix)


def _image_of(columns: Mapping[str, np.ndarray], rows: np.ndarray | int) -> np.ndarray:
    """The place of the image of a row, or of each row."""
    return np.searchsorted(columns["starts"], rows, side="right") - 1


def _named(columns: Mapping[str, np.ndarray], images: list[ImageEntry], row: int) -> str:
    """An object in words."""
    return f"annotation {columns['id'][row]} of {images[_image_of(columns, row)].file_name}"
