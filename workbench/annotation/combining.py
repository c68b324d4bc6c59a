"""What several workers did as one annotation: the union, or what enough of them say.

In COCO's pipeline the first two stages take the union of eight workers, so that recall is high, and what is wrong is
thrown out later (T.-Y. Lin's thesis, sec. 2.4); experts are combined by majority.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from pycocotools import mask as coco_mask

from workbench.annotation.actions import Action, Stage
from workbench.annotation.counting.claims import Claim, gather_claims, shapes_of
from workbench.annotation.counting.images import Images
from workbench.data import Dataset
from workbench.data.annotations import CocoFile
from workbench.errors import DataError
from workbench.rle import for_json

Rule = Literal["union", "majority"]


def combine(
    actions: Iterable[Action],
    data: Dataset,
    *,
    stage: Stage = "segment",
    rule: Rule | int = "majority",
    iou: float = 0.5,
    near: float = 16.0,
) -> CocoFile:
    """The objects that workers found, as a COCO file.

    Of "segment" an object has the class that most of its workers say (the first of several), the median of their
    boxes and, where all drew one, the pixels that at least half of them drew. Of "label" and "spot" it is a cross: a
    box of twice `near` pixels around the mean of their points. Annotations also have `votes`, `looked` (how many
    workers looked there) and `workers`; crosses have their `point`. No truth is used.

    Args:
        actions: of any stages and workers.
        data: the images, which actions name by id or by file name, and the classes; its objects are not looked at.
        stage: "label", "spot" or "segment".
        rule: "union" keeps what anybody found, "majority" what more than half of those did who looked; or how many
            votes are needed.
        iou: from which overlap on two outlines are of one object.
        near: pixels within which crosses are of one object.

    Returns:
        The images that somebody looked at, all classes, and the objects that are kept.

    Raises:
        DataError: no such stage, rule or action, or an image or class that the data do not have.

    Example:
        >>> data = wb.load_data("digit-scenes", split="test", length=3)
        >>> crowd = [SimulatedWorker(f"w{i}", recall=0.9, precision=0.9, looseness=0.03) for i in range(5)]
        >>> actions = simulate(crowd, data, "segment")
        >>> all_of_it, most = (combine(actions, data, rule=rule) for rule in ("union", "majority"))
        >>> len(all_of_it.annotations) > len(most.annotations) == sum(len(target["labels"]) for _, target in data)
        True
    """
    if rule not in ("union", "majority") and not (type(rule) is int and rule >= 1):
        raise DataError(f"rule is {rule!r}; expected 'union', 'majority' or a number of votes from 1 on")
    if stage not in ("label", "spot", "segment"):
        raise DataError(f"stage {stage!r} finds no objects; choose 'label', 'spot' or 'segment'")
    claims = gather_claims(actions, stage, images=data, iou=iou, near=near)
    file, categories = CocoFile(), {}
    for identity, name in zip(data.category_ids, data.classes, strict=True):
        categories[name] = file.add_category(name, id=identity)
    known, ids = Images(data), {}
    for image in dict.fromkeys(image for image, _ in claims.units):
        index = known.place(image)
        height, width = data.size(index)
        ids[image] = data.image_id(index)
        file.add_image(data.file_name(index), height=height, width=width, id=ids[image])
    looked = np.asarray(claims.looked.sum(axis=0)).ravel().tolist()
    for members, unit, number in zip(claims.by_item(), claims.item_units.tolist(), looked, strict=True):
        names = list(dict.fromkeys(claims.workers[one.worker] for one in members))
        if not _enough(len(names), number, rule):
            continue
        image = claims.units[unit][0]
        category = _usual(members)
        if category not in categories:
            raise DataError(f"there is no class {category!r} in {data.name}, and actions name it")
        own = [one.action for one in members]
        size = known.size(image)
        made = _outline(own, size) if stage == "segment" else _cross(own, size, near)
        about = {"votes": len(names), "looked": number, "workers": names}
        file.add_annotation(ids[image], categories[category], **made, **about)
    return file


def _enough(votes: int, looked: int, rule: Rule | int) -> bool:
    if rule == "union":
        return votes > 0
    return 2 * votes > looked if rule == "majority" else votes >= int(rule)


def _usual(members: Sequence[Claim]) -> str | None:
    names = [one.action.category for one in members]
    return max(dict.fromkeys(names), key=names.count)


def _outline(members: Sequence[Action], size: tuple[int, int]) -> dict[str, Any]:
    """The box and mask of an object that several drew."""
    shapes = shapes_of(members, size)
    if shapes.codes is not None:
        share = np.mean([coco_mask.decode(code) for code in shapes.codes], axis=0)
        pixels = np.asfortranarray(share >= 0.5, dtype=np.uint8)
        if pixels.any():
            return {"segmentation": for_json(coco_mask.encode(pixels))}
    x1, y1, x2, y2 = np.median(shapes.boxes, axis=0).tolist()
    return {"bbox": [x1, y1, x2 - x1, y2 - y1]}


def _cross(members: Sequence[Action], size: tuple[int, int], near: float) -> dict[str, Any]:
    """A box around the mean of points; without a point around the middle of the image."""
    points = [one.point for one in members if one.value.get("point") is not None]
    height, width = size
    x, y = np.mean(points, axis=0).tolist() if points else (width / 2, height / 2)
    side = max(near, 1.0)
    x1, y1, x2, y2 = max(0.0, x - side), max(0.0, y - side), min(width, x + side), min(height, y + side)
    return {"bbox": [x1, y1, x2 - x1, y2 - y1], "point": [x, y]}
