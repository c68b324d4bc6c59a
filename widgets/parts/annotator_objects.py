"""Annotations as the browser draws them, and pictures of many segments."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from widgets.parts.selection import box_of
from workbench.annotation.outlines import code_for, mask_for, polygons_of
from workbench.data.annotations import CocoFile, Id
from workbench.data.reading.boxes import finite_box
from workbench.errors import DataError
from workbench.rle import run_lengths

THUMBNAIL = 128  #: pixels, longer side of a candidate
TILE = 112  #: pixels, side of a segment in a grid
ROOM = 0.25  #: around a segment in its tile, of its longer side
_LINE = (255, 212, 0)  # of outlines


def drawn_object(entry: Mapping[str, Any], name: str, seen: str, size: tuple[int, int]) -> dict[str, Any]:
    """What is drawn of an annotation of a picture of `size` (height, width): outlines, runs of pixels, or its box."""
    about = {"id": entry["id"], "category": name, "seen": seen, "crowd": bool(entry.get("iscrowd"))}
    segmentation = entry.get("segmentation")
    try:
        if isinstance(segmentation, dict):
            code = code_for(segmentation, size)
            about["runs"] = [] if code is None else run_lengths(code["counts"]).tolist()
        elif segmentation and code_for(segmentation, size) is None:
            about["wrong"] = "its outline has fewer than three points"
        elif segmentation:
            about["rings"] = [list(map(float, ring)) for ring in segmentation]
        amodal = entry.get("segmentation_amodal")
        if amodal:
            code_for(amodal, size)
            about["amodal"] = amodal if isinstance(amodal, list) else polygons_of(mask_for(amodal, size))
    except DataError as error:
        about["wrong"] = str(error)
    if "runs" not in about and "rings" not in about:
        box = finite_box(entry.get("bbox"))
        if box is None:
            about.setdefault("wrong", "it has neither an outline nor a box")
        else:
            about["box"] = [box[0], box[1], box[0] + box[2], box[1] + box[3]]
    return about


def annotation_rows(coco: CocoFile, name: str) -> list[dict[str, Any]]:
    """The annotations of a picture as rows of `Annotator.selection`; of one without any, the picture alone."""
    images = [one for one, entry in coco.images.items() if entry.get("file_name") == name]
    rows = []
    for entry in (one for image in images for one in coco.annotations_of(image)):
        row = {"annotation": entry["id"], "class": name_of(coco.categories, entry.get("category_id"))}
        if (box := finite_box(entry.get("bbox"))) is not None:
            row |= box_of([box[0], box[1], box[0] + box[2], box[1] + box[3]])
        area = entry.get("area")
        rows.append({**row, "area": float(area) if isinstance(area, int | float) else math.nan})
    return [{"file_name": name, **row} for row in rows or [{}]]


def outlines_for_editing(entry: Mapping[str, Any], size: tuple[int, int]) -> list[list[float]]:
    """The outlines of an annotation as polygons, also of runs of pixels and of a bare box.

    Raises:
        DataError: its segmentation cannot be decoded, and it has no box.
    """
    segmentation = entry.get("segmentation")
    if segmentation and code_for(segmentation, size) is not None:
        return segmentation if isinstance(segmentation, list) else polygons_of(mask_for(segmentation, size))
    if finite_box(entry.get("bbox")) is None:
        raise DataError(f"annotation {entry.get('id')} has neither an outline nor a box; remove it and draw it anew")
    return [corners(entry["bbox"])]


def corners(box_xywh: list[float]) -> list[float]:
    """A box x, y, width, height as an outline."""
    x, y, width, height = (float(value) for value in box_xywh)
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def thumbnail(image: Tensor) -> bytes:
    """JPEG of a small picture of an image [3, H, W]."""
    picture = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    return _jpeg(picture)


def tile(image: Tensor, mask: np.ndarray, around: np.ndarray | None = None) -> bytes:
    """JPEG of a square part of an image with the outline of a mask, darker beside it.

    Args:
        image: uint8 [3, H, W].
        mask: bool [H, W].
        around: another mask [H, W] that is to be in sight, too.
    """
    seen = mask if around is None else mask | around
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    if len(rows) == 0:
        rows, columns = np.arange(mask.shape[0]), np.arange(mask.shape[1])
    side = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    margin = max(4, round(ROOM * side))
    top, left = max(0, rows[0] - margin), max(0, columns[0] - margin)
    part = mask[top : rows[-1] + 1 + margin, left : columns[-1] + 1 + margin]
    pixels = image[:, top : rows[-1] + 1 + margin, left : columns[-1] + 1 + margin].permute(1, 2, 0).numpy()
    shown = np.where(part[..., None], pixels, (0.45 * pixels).astype(np.uint8))
    scale = TILE / max(part.shape)
    picture = Image.fromarray(np.ascontiguousarray(shown))
    picture = picture.resize((max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale))))
    draw = ImageDraw.Draw(picture)
    for ring in polygons_of(part) if part.any() else []:
        points = [(scale * x, scale * y) for x, y in zip(ring[::2], ring[1::2], strict=True)]
        draw.line([*points, points[0]], fill=_LINE, width=1)
    ground = Image.new("RGB", (TILE, TILE), (128, 128, 128))
    ground.paste(picture, ((TILE - picture.width) // 2, (TILE - picture.height) // 2))
    return _jpeg(ground)


def _jpeg(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=85)
    return out.getvalue()


def name_of(categories: Mapping[Id, Mapping[str, Any]], identity: Any) -> str:
    """The name of a category; a number where it has none."""
    entry = categories.get(identity) if isinstance(identity, int | str) else None
    return str(entry.get("name", identity)) if entry is not None else str(identity)
