"""Any data set, and what was found in it, as COCO JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from workbench.data.reading.boxes import xywh
from workbench.data.reading.lazy_target import at_hand
from workbench.rle import RLE, encode_masks, for_json
from workbench.types import Target

if TYPE_CHECKING:
    from workbench.data.dataset import Dataset

#: Keys of targets that are written by themselves.
_WRITTEN = ("boxes", "labels", "masks", "area", "iscrowd", "difficult", "occlusion")


def coco_dict(data: Dataset, *, masks: bool = True) -> dict[str, Any]:
    """Images, annotations and categories of a data set, with the ids that its own file has for them.

    Without such a file the categories are 1..K and the annotations count from 1; so do the latter where an image is
    taken twice.
    `bbox` is the target's box (the amodal one where that is known) as x, y, width, height; `segmentation` is the
    visible mask as compressed RLE, and is left out where that is unknown.

    Beyond COCO, annotations have `occlusion` (0..1 or None), `difficult` (0 or 1) and all further keys of targets by
    their names, such as `face_type`; `boxes_visible` is `bbox_visible` as x, y, width, height, `masks_amodal` is
    `segmentation_amodal`. Images have `mask_occluder` as compressed RLE, which the data set `coco` reads, and further
    numbers, such as `fold`.

    Args:
        data: of any kind.
        masks: False leaves all that are pixels out.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    known: list[int] = []
    category_ids = data.category_ids
    for index in range(len(data)):
        target = data.target(index)
        height, width = data.size(index)
        image_id = int(target["image_id"])
        about = {"id": image_id, "file_name": data.file_name(index), "height": height, "width": width}
        images.append(about | _more_of_image(target, masks=masks))
        known += data.annotation_ids(index) or []
        for entry in _annotations(target, category_ids, masks=masks):
            annotations.append({"id": len(annotations) + 1, "image_id": image_id, **entry})
    if len(set(known)) == len(annotations) == len(known):
        annotations = [{**entry, "id": identity} for entry, identity in zip(annotations, known, strict=True)]
    return {
        "info": {
            "description": f"{data.name} {data.split}",
            "occlusion_is_estimate": data.occlusion_is_estimate,
        },
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": [
            {"id": identity, "name": name} for identity, name in zip(category_ids, data.classes, strict=True)
        ],
    }


def result_entries(
    image_ids: Iterable[int],
    category_ids: Iterable[int],
    boxes: np.ndarray,
    scores: np.ndarray,
    masks: Iterable[RLE] | None = None,
) -> list[dict[str, Any]]:
    """Detections or proposals as entries of COCO's results format, plain values for JSON.

    Args:
        image_ids: one for each box.
        category_ids: one for each box.
        boxes: [N, 4] xyxy in pixels.
        scores: [N].
        masks: their codes, or None.
    """
    columns = (image_ids, category_ids, xywh(boxes).tolist(), scores.tolist())
    entries = [
        {"image_id": image, "category_id": category, "bbox": box, "score": score}
        for image, category, box, score in zip(*columns, strict=True)
    ]
    if masks is not None:
        for entry, code in zip(entries, masks, strict=True):
            entry["segmentation"] = for_json(code)
    return entries


def _annotations(target: Target, category_ids: tuple[int, ...], *, masks: bool) -> list[dict[str, Any]]:
    boxes, more = target["boxes"].double().tolist(), _more_of_objects(target, masks=masks)
    entries = []
    for row, (x1, y1, x2, y2) in enumerate(boxes):
        occlusion = float(target["occlusion"][row])
        entry = {
            "category_id": category_ids[int(target["labels"][row]) - 1],
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": float(target["area"][row]),
            "iscrowd": int(target["iscrowd"][row]),
            "difficult": int(target["difficult"][row]),
            "occlusion": None if math.isnan(occlusion) else occlusion,
        }
        if masks and "masks" in target and bool(target["masks"][row].any()):
            entry["segmentation"] = for_json(encode_masks(target["masks"][row, None])[0])
        entries.append(entry | {name: values[row] for name, values in more.items()})
    return entries


def _more_of_image(target: Target, *, masks: bool) -> dict[str, Any]:
    """What else is known of an image: whole numbers, and pixels of all of it."""
    known = at_hand(target).items()
    more: dict[str, Any] = {key: value for key, value in known if isinstance(value, int) and key != "image_id"}
    if masks:
        more |= {key: for_json(encode_masks(target[key][None])[0]) for key in target if key.startswith("mask_")}
    return more


def _more_of_objects(target: Target, *, masks: bool) -> dict[str, list[Any]]:
    """What else is known of the objects of an image, by the name in annotations: a value for each."""
    more: dict[str, list[Any]] = {}
    for key in [key for key in target if key not in _WRITTEN and not key.startswith("mask_")]:
        values = target[key]
        if not isinstance(values, Tensor) or values.ndim == 0 or len(values) != len(target["labels"]):
            continue
        if key.startswith("boxes_"):
            more[key.replace("boxes", "bbox")] = xywh(values.double().numpy()).tolist()
        elif not key.startswith("masks_"):
            more[key] = values.tolist()
        elif masks:
            more[key.replace("masks", "segmentation")] = [for_json(code) for code in encode_masks(values)]
    return more
