"""COCO's 12 figures, by faster-coco-eval where it is installed and by pycocotools, the reference, otherwise.

Both give the same numbers; a test holds this. The definitions are those of the COCO detection challenge:
AP is the mean over IoU 0.50, 0.55 … 0.95, over 101 recall points and over the classes that have objects;
small, medium and large are areas below 32², between, and above 96² square pixels; AR1, AR10 and AR100 allow
1, 10 and 100 detections per image and class.

Where we depart: a figure that has no objects to measure is NaN here and -1 there. PASCAL VOC's `difficult`
objects are ignored objects; these libraries know an ignored object by an area outside all ranges.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
from typing import Any, Literal

import numpy as np
from pycocotools import mask as coco_mask

from workbench.data.reading.boxes import xywh
from workbench.evaluation.counting.tables import RLE, Found, Objects

FIGURES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")

Backend = Literal["faster-coco-eval", "pycocotools"]


def coco_figures(
    objects: Objects, found: Found, num_classes: int, *, backend: Backend | None = None
) -> dict[str, float]:
    """The figures named in FIGURES, each in 0..1 or NaN. Masks are compared where both sides have them.

    Args:
        num_classes: K.
        backend: None takes faster-coco-eval if it is installed, else pycocotools.
    """
    if backend is None:
        fast = importlib.util.find_spec("faster_coco_eval") is not None
        backend = "faster-coco-eval" if fast else "pycocotools"
    with_masks = objects.masks is not None and found.masks is not None
    truth = coco_truth(objects, num_classes)
    answers = {**truth, "annotations": coco_answers(found)}
    run = _faster if backend == "faster-coco-eval" else _reference
    stats = run(truth, answers, "segm" if with_masks else "bbox")
    return {name: float(value) if value >= 0 else float("nan") for name, value in zip(FIGURES, stats, strict=True)}


def coco_truth(objects: Objects, num_classes: int) -> dict[str, Any]:
    """The objects as a COCO data set; image ids are index + 1, category ids are the labels."""
    area = np.where(objects.difficult, -1.0, objects.area)  # outside all area ranges: ignored
    extra = {"iscrowd": objects.crowd.astype(int).tolist(), "area": area.tolist()}
    return {
        "images": [
            {"id": i + 1, "height": height, "width": width}
            for i, (height, width) in enumerate(objects.sizes.tolist())
        ],
        "categories": [{"id": label, "name": str(label)} for label in range(1, num_classes + 1)],
        "annotations": _annotations(objects.images, objects.labels, objects.boxes, objects.masks, extra),
    }


def coco_answers(found: Found) -> list[dict[str, Any]]:
    """The detections as COCO annotations; their area is that of the mask where there is one."""
    if found.masks is None:
        area = xywh(found.boxes)[:, 2:].prod(axis=1)
    else:
        area = np.array([float(coco_mask.area(code)) for code in found.masks])
    extra = {"iscrowd": [0] * len(found), "area": area.tolist(), "score": found.scores.tolist()}
    return _annotations(found.images, found.labels, found.boxes, found.masks, extra)


def _annotations(
    images: np.ndarray,
    labels: np.ndarray,
    boxes: np.ndarray,
    masks: list[RLE] | None,
    extra: dict[str, list],
) -> list[dict[str, Any]]:
    columns = {
        "id": range(1, len(images) + 1),  # 0 would mean "unmatched" to the libraries
        "image_id": (images + 1).tolist(),
        "category_id": labels.tolist(),
        "bbox": xywh(boxes).tolist(),
        **extra,
    }
    if masks is not None:
        columns["segmentation"] = masks
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _faster(truth: dict[str, Any], answers: dict[str, Any], kind: str) -> np.ndarray:
    from faster_coco_eval import COCO, COCOeval_faster

    scorer = COCOeval_faster(COCO(truth), COCO(answers), kind, print_function=_silent)
    scorer.run()
    return scorer.stats[: len(FIGURES)]


def _reference(truth: dict[str, Any], answers: dict[str, Any], kind: str) -> np.ndarray:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):  # it prints progress and a table, always
        sides = []
        for content in (truth, answers):
            side = COCO()
            side.dataset = content
            side.createIndex()
            sides.append(side)
        scorer = COCOeval(*sides, iouType=kind)
        scorer.evaluate()
        scorer.accumulate()
        scorer.summarize()
    return scorer.stats


def _silent(*_: object) -> None:
    """Takes what the library would print."""
