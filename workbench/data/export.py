"""Any data set as COCO JSON."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask
from torch import Tensor

from workbench.data.dataset import Dataset
from workbench.types import Target


def coco_dict(data: Dataset, *, masks: bool = True) -> dict[str, Any]:
    """Images, annotations and categories of a data set, with the ids that its own file has for them.

    Without such a file the categories are 1..K and the annotations count from 1; so do the latter where an image is
    taken twice.
    `bbox` is the target's box (the amodal one where that is known) as x, y, width, height; `segmentation` is the
    visible mask as compressed RLE. Beyond COCO: `occlusion` (0..1 or None) and `difficult` (0 or 1).
    masks: leave `segmentation` out if False.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    known: list[int] = []
    category_ids = data.category_ids
    for index in range(len(data)):
        target = data.target(index)
        height, width = data.size(index)
        image_id = int(target["image_id"])
        images.append({"id": image_id, "file_name": data.file_name(index), "height": height, "width": width})
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


def encode_mask(mask: Tensor) -> dict[str, Any]:
    """A mask [H, W] as compressed RLE that fits into JSON."""
    encoded = coco_mask.encode(np.asfortranarray(mask.numpy(), dtype=np.uint8))
    return {"size": [int(side) for side in encoded["size"]], "counts": encoded["counts"].decode("ascii")}


def _annotations(target: Target, category_ids: tuple[int, ...], *, masks: bool) -> list[dict[str, Any]]:
    boxes = target["boxes"].double().tolist()
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
        if masks and "masks" in target:
            entry["segmentation"] = encode_mask(target["masks"][row])
        entries.append(entry)
    return entries
